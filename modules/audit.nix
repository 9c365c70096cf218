# What the logs themselves must hold: changes of the clock by whom, and a journal
# that outlives a restart.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg;
in
{
  options.services.msp-provenance = {
    auditClock = mkOption {
      type = types.bool;
      default = true;
      description = "Whether auditd records who changes the clock.";
    };
    keepJournal = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether the journal is kept on disk and drops nothing for coming too fast.
        What it drops would never be in the chain.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    # By default only: a container has no audit of its own, and NixOS says so.
    security.auditd.enable = lib.mkIf cfg.auditClock (lib.mkDefault true);
    security.audit = lib.mkIf cfg.auditClock {
      enable = lib.mkDefault true;
      rules = [
        # Services slew the clock all the time (chronyd) or read its state by the
        # same call (the daemon): of theirs, steps only; of people, everything.
        "-a always,exit -F arch=b64 -S adjtimex,clock_adjtime,settimeofday,clock_settime -F auid!=unset -k time-change"
        "-a always,exit -F arch=b64 -S settimeofday,clock_settime -F auid=unset -k time-change"
        "-w /etc/localtime -p wa -k time-change"
      ];
    };
    environment.etc."systemd/journald.conf.d/50-msp-provenance.conf" = lib.mkIf cfg.keepJournal {
      text = ''
        [Journal]
        Storage=persistent
        RateLimitIntervalSec=0
        RateLimitBurst=0
      '';
    };
  };
}
