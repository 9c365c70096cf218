# Metrics for Prometheus.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg;
  listen = cfg.settings.metrics.listen or "";
  port = builtins.match "[^:]*:([0-9]+)" listen;
  here = lib.hasPrefix "127." listen || lib.hasPrefix "unix:" listen;
in
{
  options.services.msp-provenance.metrics = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to tell metrics to Prometheus.";
    };
    listen = mkOption {
      type = types.str;
      default = "127.0.0.1:9469";
      description = "Where: `ADDRESS:PORT`.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = !cfg.metrics.enable || builtins.elem "metrics" (cfg.package.commands.parts or [ ]);
        message = ''
          services.msp-provenance.metrics.enable: the daemon of this version tells no metrics. Leave
          the option unset, or take a package that does.
        '';
      }
      {
        assertion = !cfg.openFirewall || (cfg.metrics.enable && !here && port != null);
        message = ''
          services.msp-provenance.openFirewall would open nothing that listens: set metrics.enable,
          and metrics.listen to an address that others reach, such as "0.0.0.0:9469".
        '';
      }
    ];
    services.msp-provenance.settings.metrics = lib.mkIf cfg.metrics.enable {
      listen = lib.mkDefault cfg.metrics.listen;
    };
    networking.firewall.allowedTCPPorts = lib.optional (cfg.openFirewall && port != null) (
      lib.toInt (builtins.head port)
    );
  };
}
