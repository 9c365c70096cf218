# provenance-anchor: one step at a time of bringing the registry's root into
# Bitcoin.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg tier;
  there = common.has "provenanced" "anchor";
  calendars = cfg.anchor.calendars;
  byCalendars = calendars != [ ];
in
{
  options.services.msp-provenance.anchor = {
    enable = mkOption {
      type = types.bool;
      default = tier.anchored && there && (cfg.bitcoin.enable || byCalendars);
      defaultText = lib.literalMD "from the tier (enterprise), where `bitcoin.enable` or `anchor.calendars` is set";
      description = "Whether the registry's root is brought into Bitcoin.";
    };
    calendars = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "https://calendar.msp.example" ];
      description = ''
        OpenTimestamps calendars that anchor for this appliance, which then needs no wallet, and
        no node: at most 8 addresses. Their certificates are judged by the machine's
        (`security.pki`). The anchor's unit, and no other, may reach other machines for it.
      '';
    };
    schedule = mkOption {
      type = types.str;
      default = "*:0/10";
      description = ''
        When the program looks (systemd.time(7)): it submits if an anchor is due, once a UTC
        day, and follows what is pending.
      '';
    };
  };

  config = lib.mkIf cfg.enable (lib.mkMerge [
    {
      # Said in either case: where nothing runs it, a missing anchor is no alert.
      services.msp-provenance.settings.anchor = {
        enabled = lib.mkDefault cfg.anchor.enable;
      }
      // lib.optionalAttrs byCalendars {
        via = lib.mkDefault "calendar";
        calendars = lib.mkDefault calendars;
      };
    }
    (lib.mkIf cfg.anchor.enable {
      assertions = [
        (common.needs "anchor.enable" "provenanced" "anchor")
        {
          assertion = cfg.bitcoin.enable || byCalendars;
          message = ''
            services.msp-provenance.anchor.enable: an anchor needs a Bitcoin node, or somebody's who
            has one. Set services.msp-provenance.bitcoin.enable = true, or anchor.calendars.
          '';
        }
      ];
      systemd.services.provenance-anchor = {
        description = "Bring the registry's root into Bitcoin, one step";
        after = [ "provenanced.service" ];
        serviceConfig = common.recorder {
          relax = common.toSources ++ lib.optional byCalendars "network";
          secrets = [ "bitcoin-rpc" ];
          exec = "${common.provenanced} anchor ${common.configArgs}";
        };
      };
      systemd.timers.provenance-anchor = {
        description = "Anchor the registry";
        wantedBy = [ "timers.target" ];
        timerConfig = common.timer cfg.anchor.schedule // { RandomizedDelaySec = "1m"; };
      };
    })
  ]);
}
