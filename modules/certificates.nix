# provenance-crl: a local certificate authority's revocation list, before the old one ends.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  inherit (import ./lib/types.nix { inherit lib; }) secretPath;
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg;
in
{
  options.services.msp-provenance.certificates = {
    authorityKeyFile = mkOption {
      type = types.nullOr secretPath;
      default = null;
      description = ''
        The key of the provider's certificate authority, on the one appliance that issues:
        `provenanced keygen --name authority` makes one. Another than `signingKeyFile`.
      '';
    };
    days = mkOption {
      type = types.ints.between 1 3653;
      default = 365;
      description = "Days for which a certificate is valid.";
    };
    policyVersion = mkOption {
      type = types.str;
      default = "1";
      description = "The version of the rules by which certificates are approved; each names it.";
    };
  };

  config = lib.mkIf (cfg.enable && cfg.certificates.authorityKeyFile != null) {
    assertions = [ (common.needs "certificates.authorityKeyFile" "provenanced" "cert") ];
    services.msp-provenance.settings.certificates = {
      authority_key = lib.mkDefault "credential:authority-key";
      days = lib.mkDefault cfg.certificates.days;
      policy_version = lib.mkDefault cfg.certificates.policyVersion;
    };
    systemd.services.provenance-crl = {
      description = "A new revocation list of certificates";
      documentation = [ "man:provenanced-cert-crl(1)" ];
      after = [ "provenanced.service" ];
      serviceConfig = common.recorder {
        secrets = [ "authority-key" ];
        exec = "${common.provenanced} cert crl ${common.configArgs}";
      };
    };
    systemd.timers.provenance-crl = {
      description = "A new revocation list of certificates";
      wantedBy = [ "timers.target" ];
      timerConfig = common.timer "daily";
    };
  };
}
