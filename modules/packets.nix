# provenance-packet-PERIOD: compliance packets of the day, week or month before.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg tier;
  there = common.has "provenanced" "packet";
  # The period's first day and the first day behind it, in UTC, for date(1).
  periods = {
    daily = {
      from = "yesterday";
      to = "today";
      schedule = "*-*-* 00:30:00 UTC";
    };
    weekly = {
      from = "last monday -7 days";
      to = "last monday";
      schedule = "Tue *-*-* 00:30:00 UTC";
    };
    monthly = {
      from = "$(date -u +%Y-%m-01) -1 month";
      to = "$(date -u +%Y-%m-01)";
      schedule = "*-*-01 00:30:00 UTC";
    };
  };
  unit = name: period: {
    description = "Compliance packet (${name})";
    after = [ "provenanced.service" ];
    path = [ pkgs.coreutils ];
    script = ''
      from=$(date -u -d "${period.from}" +%Y-%m-%d)
      to=$(date -u -d "${period.to}" +%Y-%m-%d)
      exec ${common.provenanced} packet --config /etc/msp-provenance/provenance.toml \
        --from "$from" --to "$to" --out ${common.stateDir}/packets/${name}-"$from".zip
    '';
    serviceConfig =
      builtins.removeAttrs (common.oneshot {
        relax = [
          "readClock"
          "bootId"
        ];
        secrets = [ "signing-key" ];
        exec = "";
      }) [ "ExecStart" ]
      // common.writesState;
  };
in
{
  options.services.msp-provenance.packets = mkOption {
    type = types.listOf (types.enum (builtins.attrNames periods));
    default = if there then tier.appliance.packets else [ ];
    defaultText = lib.literalMD "from the tier, where the package has the command";
    description = "The periods of which compliance packets are made.";
  };

  config = lib.mkIf (cfg.enable && cfg.packets != [ ]) {
    assertions = [ (common.needs "packets" "provenanced" "packet") ];
    systemd.services = lib.listToAttrs (
      map (name: lib.nameValuePair "provenance-packet-${name}" (unit name periods.${name})) cfg.packets
    );
    systemd.timers = lib.listToAttrs (
      map (
        name:
        lib.nameValuePair "provenance-packet-${name}" {
          description = "Compliance packets (${name})";
          wantedBy = [ "timers.target" ];
          timerConfig = common.timer periods.${name}.schedule;
        }
      ) cfg.packets
    );
  };
}
