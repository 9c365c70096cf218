# Time sources on the appliance: chronyd with several servers, gpsd.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg tier;
  time = cfg.timeSync;
  needed = tier.appliance.ntp_servers;
in
{
  options.services.msp-provenance.timeSync = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether to run chronyd as the tier asks, and to take it as a time source.
        Without it name a source in `settings.time`.
      '';
    };
    ntpServers = mkOption {
      type = types.listOf types.str;
      default = [
        "time.cloudflare.com"
        "nts.netnod.se"
        "ptbtime1.ptb.de"
        "ptbtime2.ptb.de"
      ];
      description = ''
        NTP servers, of several operators: one that lies must be outvoted. With
        `nts` each must offer NTS (RFC 8915), as the default ones do.
      '';
    };
    nts = mkOption {
      type = types.bool;
      default = true;
      description = "Whether servers must prove who they are, by Network Time Security.";
    };
    gpsDevice = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "/dev/ttyUSB0";
      description = "A GPS receiver, for gpsd.";
    };
    gpsRefclock = mkOption {
      type = types.bool;
      default = cfg.timeSync.gpsDevice != null;
      defaultText = lib.literalMD "where `gpsDevice` is set";
      description = ''
        Whether chronyd follows the receiver too, by gpsd's shared memory. It is
        watched and never selected, so that NTP and GPS stay independent of each
        other: the daemon compares them.
      '';
    };
    offsetAlarmMs = mkOption {
      type = types.ints.between 1 3600000;
      default = 100;
      description = "An agreed offset beyond this, in milliseconds, is an anomaly.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = !time.enable || builtins.length time.ntpServers >= needed;
        message = ''
          services.msp-provenance.timeSync.ntpServers: the tier ${cfg.tier} asks for at least
          ${toString needed} servers, so that one that lies is outvoted. Add servers of other
          operators.
        '';
      }
      {
        assertion =
          time.enable || (cfg.settings.time.ntp or { }) != { } || (cfg.settings.time.gps or { }) != { };
        message = ''
          services.msp-provenance.timeSync.enable is off, and settings.time names no other source:
          nothing would vouch for the clock. Set settings.time.ntp.chrony to the chronyd that runs.
        '';
      }
      {
        assertion =
          !tier.appliance.gps || time.gpsDevice != null || (cfg.settings.time.gps or { }) != { };
        message = ''
          services.msp-provenance: the tier ${cfg.tier} asks for GPS beside NTP. Set
          services.msp-provenance.timeSync.gpsDevice = "/dev/ttyUSB0", or, for a gpsd that runs
          already, settings.time.gps.gpsd = "127.0.0.1:2947".
        '';
      }
    ];

    # By UDP: the unix socket would ask for the right to write chronyd's folder.
    services.msp-provenance.settings.time = lib.mkMerge [
      (lib.mkIf time.enable { ntp.chrony = lib.mkDefault "udp:127.0.0.1:323"; })
      (lib.mkIf (time.gpsDevice != null) { gps.gpsd = lib.mkDefault "127.0.0.1:2947"; })
    ];

    services.chrony = lib.mkIf time.enable {
      enable = true;
      servers = time.ntpServers;
      enableNTS = time.nts;
      extraConfig = ''
        # No single server sets the clock.
        minsources ${toString tier.appliance.ntp_agree}
        # A step is in the journal, and so in the chain.
        logchange 0.1
      ''
      + lib.optionalString time.nts ''
        authselectmode require
      ''
      + lib.optionalString (time.gpsDevice != null && time.gpsRefclock) ''
        refclock SHM 0 refid GPS precision 1e-1 delay 0.2 noselect
      '';
    };

    services.gpsd = lib.mkIf (time.gpsDevice != null) {
      enable = true;
      devices = [ time.gpsDevice ];
      # Read from the start: a receiver needs minutes for its first fix.
      nowait = true;
    };

    systemd.services.provenanced.after =
      lib.optional time.enable "chronyd.service"
      ++ lib.optional (time.gpsDevice != null) "gpsd.service";
  };
}
