# provenance-sbom: what the running system is made of.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg tier;
  there = common.has "provenanced" "sbom";
in
{
  options.services.msp-provenance.sbom = mkOption {
    type = types.listOf (
      types.enum [
        "spdx-2.3"
        "cyclonedx-1.6"
      ]
    );
    default = if there then tier.sbom else [ ];
    defaultText = lib.literalMD "from the tier, where the package has the command";
    description = "The formats in which the running system is listed, daily and at each switch.";
  };

  config = lib.mkIf (cfg.enable && cfg.sbom != [ ]) {
    assertions = [ (common.needs "sbom" "provenanced" "sbom") ];
    services.msp-provenance.settings.sbom.formats = lib.mkDefault cfg.sbom;
    systemd.services.provenance-sbom = {
      description = "List what the running system is made of";
      inherit (common.atSwitch) wantedBy;
      after = [ "provenanced.service" ] ++ common.atSwitch.after;
      serviceConfig = common.recorder {
        exec = "${common.provenanced} sbom --config /etc/msp-provenance/provenance.toml --system /run/current-system --out ${common.stateDir}/sbom";
      };
    };
    systemd.timers.provenance-sbom = {
      description = "List what the running system is made of";
      wantedBy = [ "timers.target" ];
      timerConfig = common.timer "daily";
    };
  };
}
