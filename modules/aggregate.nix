# provenance-aggregate: an OpenTimestamps calendar, for many appliances and one
# transaction a day.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg;
  listen = cfg.settings.aggregate.listen or cfg.aggregate.listen;
  here = lib.hasPrefix "127." listen || lib.hasPrefix "[::1]" listen;
in
{
  options.services.msp-provenance.aggregate = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether to be a calendar: what others submit goes into this machine's registry, and with
        its root into Bitcoin. `anchor.enable` and the node's wallet do the latter.
      '';
    };
    listen = mkOption {
      type = types.str;
      default = "127.0.0.1:14788";
      description = ''
        Where submissions are taken: `ADDRESS:PORT`, without TLS. Put a proxy in front that speaks
        it and says who may submit, such as `services.nginx`; the firewall is left alone.
      '';
    };
    url = mkOption {
      type = types.str;
      example = "https://calendar.msp.example";
      description = ''
        How clients reach it. Every promise names it, so that it must stay theirs for as long as a
        promise is to be kept.
      '';
    };
  };

  config = lib.mkIf (cfg.enable && cfg.aggregate.enable) {
    assertions = [
      (common.needs "aggregate.enable" "provenanced" "aggregate")
      {
        assertion = cfg.anchor.enable && cfg.bitcoin.enable && cfg.anchor.calendars == [ ];
        message = ''
          services.msp-provenance.aggregate.enable: a calendar keeps its promises by transactions of
          its own. Set anchor.enable and bitcoin.enable, and no anchor.calendars.
        '';
      }
    ];
    services.msp-provenance.settings.aggregate = {
      listen = lib.mkDefault cfg.aggregate.listen;
      url = lib.mkDefault cfg.aggregate.url;
    };
    systemd.services.provenance-aggregate = {
      description = "OpenTimestamps calendar";
      documentation = [ "man:provenanced-aggregate(1)" ];
      wantedBy = [ "multi-user.target" ];
      # Either begins the registry; beside a daemon it is the daemon's.
      after = [
        "network.target"
        "provenanced.service"
      ];
      restartTriggers = [ config.environment.etc."msp-provenance/provenance.toml".source ];
      serviceConfig =
        common.sandbox [
          "readClock"
          "bootId"
          (if here then "loopback" else "network")
        ]
        # The wallet is asked by the anchor's unit alone.
        // common.credentials [ "signing-key" ]
        // common.writesState
        // lib.optionalAttrs (cfg.bitcoin.rpc == null) {
          # The cookie of the node in it opens the wallet; strangers talk to this unit.
          InaccessiblePaths = [ "-/var/lib/bitcoind-provenance" ];
        }
        // {
          Type = "notify";
          ExecStart = "${common.provenanced} aggregate ${common.configArgs}";
          # It answers whom it has taken something from.
          TimeoutStopSec = 60;
          Restart = "on-failure";
          RestartSec = 5;
          RestartPreventExitStatus = "64 65 78";
          # Connections, and the registry's files.
          LimitNOFILE = 65536;
          MemoryMax = "512M";
          TasksMax = 64;
        };
    };
  };
}
