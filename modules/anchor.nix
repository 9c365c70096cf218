# provenance-anchor: one step at a time of bringing the registry's root into
# Bitcoin.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg tier;
  there = common.has "provenanced" "anchor";
in
{
  options.services.msp-provenance.anchor = {
    enable = mkOption {
      type = types.bool;
      default = tier.appliance.anchor && there;
      defaultText = lib.literalMD "from the tier (enterprise), where the package has the command";
      description = "Whether the registry's root is brought into Bitcoin.";
    };
    schedule = mkOption {
      type = types.str;
      default = "hourly";
      description = ''
        When a step is made: submit if one is due, else follow what is pending
        (systemd.time(7)).
      '';
    };
  };

  config = lib.mkIf (cfg.enable && cfg.anchor.enable) {
    assertions = [
      (common.needs "anchor.enable" "provenanced" "anchor")
      {
        assertion = cfg.bitcoin.enable;
        message = ''
          services.msp-provenance.anchor.enable: an anchor needs a Bitcoin node. Set
          services.msp-provenance.bitcoin.enable = true.
        '';
      }
    ];
    systemd.services.provenance-anchor = {
      description = "Bring the registry's root into Bitcoin, one step";
      after = [ "provenanced.service" ];
      serviceConfig =
        common.oneshot {
          relax = [
            "readClock"
            "bootId"
          ]
          ++ common.toSources;
          secrets = [
            "signing-key"
            "bitcoin-rpc"
          ];
          exec = "${common.provenanced} anchor ${common.configArgs}";
        }
        // common.writesState;
    };
    systemd.timers.provenance-anchor = {
      description = "Anchor the registry";
      wantedBy = [ "timers.target" ];
      timerConfig = common.timer cfg.anchor.schedule;
    };
  };
}
