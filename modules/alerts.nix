# Alerts: where they are sent.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  inherit (import ./lib/types.nix { inherit lib; }) secretPath;
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg;
  alerts = cfg.alerts;
in
{
  options.services.msp-provenance.alerts = {
    webhook = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "https://alerts.example.org/provenance";
      description = ''
        Where alerts are sent, by Standard Webhooks. They are recorded in any case.
        The address stands in the Nix store: put no secret into it.
      '';
    };
    secretFile = mkOption {
      type = types.nullOr secretPath;
      default = null;
      example = "/etc/msp-provenance/webhook-secret";
      description = "A file with the secret, `whsec_…`, that signs the messages.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = (alerts.webhook == null) == (alerts.secretFile == null);
        message = ''
          services.msp-provenance.alerts: a webhook is signed, so webhook and secretFile are set
          together. Make a secret: echo whsec_$(openssl rand -base64 32)
        '';
      }
    ];
    services.msp-provenance.settings.alert = lib.mkIf (alerts.webhook != null) {
      webhook = lib.mkDefault alerts.webhook;
      secret_file = lib.mkDefault "credential:webhook-secret";
    };
  };
}
