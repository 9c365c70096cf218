# provenanced: the daemon.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg;
  etc = config.environment.etc;
in
{
  config = lib.mkIf cfg.enable {
    systemd.services.provenanced = {
      description = "Compliance evidence and time attestation";
      documentation = [ "man:provenanced(1)" ];
      wantedBy = [ "multi-user.target" ];
      after = [
        "local-fs.target"
        "systemd-journald.service"
      ];
      # Other settings are read by a reload; these make another appliance of it.
      reloadTriggers = [ etc."msp-provenance/provenance.toml".source ];
      restartTriggers = [
        cfg.client
        (cfg.settings.host or "")
        cfg.settings.state_dir
        (toString cfg.settings.signing_key)
      ];
      environment.MSP_CHRONY_PROBE = "${cfg.chronyProbe}/bin/chrony-probe";
      serviceConfig =
        common.sandbox (
          [
            "readLogs"
            "readClock"
            "bootId"
          ]
          ++ lib.optional (cfg.metrics.enable) "loopback"
          ++ common.toSources
          ++ lib.optional (cfg.alerts.webhook != null || cfg.openFirewall) "network"
        )
        // common.credentials [
          "signing-key"
          "webhook-secret"
          "bitcoin-rpc"
        ]
        // common.writesState
        // {
          Type = "notify";
          ExecStart = "${common.provenanced} run ${common.configArgs}";
          ExecReload = "${pkgs.coreutils}/bin/kill -HUP $MAINPID";
          # READY comes after recovery, which may read a chain of years.
          TimeoutStartSec = "infinity";
          # Over the longest tick: 30 s for the logs, and the writing.
          WatchdogSec = 120;
          Restart = "on-failure";
          RestartSec = 5;
          # Usage, damaged state, settings: starting again changes nothing, and the
          # daemon does not guess.
          RestartPreventExitStatus = "64 65 78";
          # Evidence is the last to go when memory is short.
          OOMScoreAdjust = -500;
          MemoryMax = "512M";
          TasksMax = 64;
        };
    };
  };
}
