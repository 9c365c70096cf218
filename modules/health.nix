# provenance-health: the daily look at every part, with a verification that goes
# on record.
{ config, lib, ... }:
let
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg;
in
{
  options.services.msp-provenance.health.schedule = lib.mkOption {
    type = lib.types.str;
    default = "daily";
    description = "When the appliance verifies itself and records the result (systemd.time(7)).";
  };

  config = lib.mkIf cfg.enable {
    systemd.services.provenance-health = {
      description = "Verify the evidence and look at every part of the appliance";
      documentation = [ "man:provenanced-health(1)" ];
      after = [ "provenanced.service" ];
      environment.MSP_CHRONY_PROBE = "${cfg.chronyProbe}/bin/chrony-probe";
      serviceConfig =
        common.recorder {
          relax = common.toSources;
          secrets = [ "bitcoin-rpc" ];
          exec = "${common.provenanced} health --verify ${common.configArgs}";
        }
        # Without a key to trust no verdict is better than inconclusive, by design.
        // lib.optionalAttrs (cfg.policy.keys == [ ]) { SuccessExitStatus = 2; };
    };
    systemd.timers.provenance-health = {
      description = "Verify the evidence daily";
      wantedBy = [ "timers.target" ];
      timerConfig = common.timer cfg.health.schedule;
    };
  };
}
