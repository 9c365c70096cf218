# The options that are about the whole appliance.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  inherit (import ./lib/types.nix { inherit lib; }) secretPath;
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg tier user;
  inStore = place: lib.hasPrefix "${builtins.storeDir}/" place;
in
{
  options.services.msp-provenance = {
    enable = lib.mkEnableOption "msp-provenance: compliance evidence and time attestation";

    package = lib.mkPackageOption pkgs "msp-provenance" { };

    chronyProbe = lib.mkPackageOption pkgs "chrony-probe" { };

    tier = mkOption {
      type = types.enum [
        "essential"
        "professional"
        "enterprise"
      ];
      default = "essential";
      description = ''
        The compliance tier. It sets the defaults of the other options, from
        `config/compliance-tiers.toml`, and what must be there: professional asks
        for a signing key and a GPS receiver, enterprise for a Bitcoin node too.
      '';
    };

    client = mkOption {
      type = types.strMatching "[A-Za-z0-9._-]{1,128}";
      example = "clinic-001";
      description = ''
        Whose evidence this is. It becomes part of every signature's origin, and
        cannot be changed without a new state folder.
      '';
    };

    signingKeyFile = mkOption {
      type = types.nullOr secretPath;
      default = null;
      example = "/etc/msp-provenance/signing.key";
      description = ''
        The Ed25519 key that signs the evidence, made by
        `provenanced keygen --out /etc/msp-provenance --name signing`. systemd reads
        it as root and hands it over as a credential.
      '';
    };

    encryptedCredentials = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether the files of secrets are encrypted by `systemd-creds encrypt`, for
        instance to the TPM, with the names that the units give them:
        `signing-key`, `webhook-secret`, `bitcoin-rpc`, `s3`.
      '';
    };

    logPaths = mkOption {
      type = types.listOf types.str;
      default = [ "/var/log/**" ];
      example = [
        "/var/log/**"
        "/srv/app/log/*.log"
      ];
      description = "Log files to chain: absolute paths, or globs. New ones are found.";
    };

    journal = mkOption {
      type = types.bool;
      default = true;
      description = "Whether to chain the systemd journal.";
    };

    policy = mkOption {
      type = types.submodule {
        freeformType = (pkgs.formats.toml { }).type;
        options.keys = mkOption {
          type = types.listOf (types.attrsOf types.anything);
          default = [ ];
          example = lib.literalExpression ''
            [ { name = "appliance-7"; public_key = builtins.readFile ./signing.pub; } ]
          '';
          description = ''
            The public keys that the appliance's own daily verification trusts.
            Without one its verdict is never better than inconclusive.
          '';
        };
      };
      default = { };
      description = ''
        The policy of the appliance's own verifications, as in `config/policy.toml`;
        it becomes `/etc/msp-provenance/policy.toml`. An auditor has a policy of
        their own, on a machine of their own.
      '';
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to open the port of the metrics in the firewall.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = !tier.signed || (cfg.settings.signing_key or null) != null;
        message = ''
          services.msp-provenance: the tier ${cfg.tier} signs its evidence, and there is no key.
          Make one with `provenanced keygen --out /etc/msp-provenance --name signing`, and set
          services.msp-provenance.signingKeyFile = "/etc/msp-provenance/signing.key";
          or choose the tier "essential".
        '';
      }
      {
        assertion = !(inStore (toString (cfg.settings.signing_key or "")));
        message = ''
          services.msp-provenance.settings.signing_key lies in the Nix store, where everybody can
          read it. Move the key elsewhere, make a new one, and set signingKeyFile.
        '';
      }
    ];

    warnings =
      lib.optional (cfg.policy.keys == [ ] && (cfg.settings.signing_key or null) != null) ''
        services.msp-provenance.policy.keys is empty: the daily verification cannot be better
        than inconclusive. Put the content of signing.pub there.
      ''
      ++ lib.optional (cfg.settings.retention.bundle_days < 6 * 365) ''
        services.msp-provenance: artifacts of bundles are removed after
        ${toString cfg.settings.retention.bundle_days} days. HIPAA keeps documentation for six years
        (45 CFR 164.316(b)(2)(i)): chain, registry and proofs are kept for ever; if the artifacts
        count as documentation, set settings.retention.bundle_days = 2192.
      '';

    environment.systemPackages = [ cfg.package ];

    users.users.${user} = {
      isSystemUser = true;
      group = user;
      home = cfg.settings.state_dir;
      description = "msp-provenance";
    };
    users.groups.${user} = { };
  };
}
