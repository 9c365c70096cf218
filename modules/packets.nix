# provenance-packet: the compliance packets of the day, week or month before.
{
  config,
  lib,
  ...
}:
let
  inherit (lib) mkOption types;
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg tier;
  there = common.has "provenanced" "packet";
in
{
  options.services.msp-provenance.packets = mkOption {
    type = types.listOf (
      types.enum [
        "day"
        "week"
        "month"
      ]
    );
    default = if there then tier.packets else [ ];
    defaultText = lib.literalMD "from the tier, where the package has the command";
    description = ''
      The periods of which compliance packets are made, in `packets/` of the state folder.
    '';
  };

  config = lib.mkIf (cfg.enable && cfg.packets != [ ]) {
    assertions = [ (common.needs "packets" "provenanced" "packet") ];
    services.msp-provenance.settings.packet.every = lib.mkDefault cfg.packets;
    systemd.services.provenance-packet = {
      description = "Compliance packets that are due";
      after = [ "provenanced.service" ];
      serviceConfig = common.recorder {
        exec = "${common.provenanced} packet --config /etc/msp-provenance/provenance.toml --due";
      };
    };
    systemd.timers.provenance-packet = {
      description = "Compliance packets";
      wantedBy = [ "timers.target" ];
      # Behind midnight UTC, when the last period is whole.
      timerConfig = common.timer "*-*-* 00:30:00 UTC";
    };
  };
}
