# Signed builds: Nix signs what it builds and takes nothing unsigned, and
# provenance-verify-store shows at each switch who vouches for every path. Its
# report goes on record in a bundle, whatever it says: by a unit of its own, since
# systemd gives ExecStopPost= no credential to sign with.
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
  inherit (common) cfg;
  signing = cfg.buildSigning;
  report = "${common.stateDir}/verify-store.json";
  flags = [
    "--system /run/current-system"
    "--trusted-keys /etc/msp-provenance/store-keys"
    "--threshold ${toString signing.threshold}"
    "--out ${report}"
  ]
  ++ lib.optional signing.rehash "--rehash";
in
{
  options.services.msp-provenance.buildSigning = {
    enable = lib.mkEnableOption "signed builds, and the proof at each switch that every store path is signed";
    secretKeyFile = mkOption {
      type = types.nullOr secretPath;
      default = null;
      example = "/etc/nix/appliance-7.sec";
      description = ''
        The key by which Nix signs what this machine builds, made by
        `nix key generate-secret --key-name appliance-7`. Null where everything is
        built and signed elsewhere.
      '';
    };
    trustedPublicKeys = mkOption {
      type = types.listOf (types.strMatching "[^: ]+:[A-Za-z0-9+/]{43}=");
      default = [ ];
      example = [ "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
      description = ''
        The keys that may sign store paths: those of the caches that are used, and
        the public half of `secretKeyFile`. Nix trusts them beside those of
        `nix.settings`; the proof at each switch trusts these only.
      '';
    };
    threshold = mkOption {
      type = types.ints.positive;
      default = 1;
      description = ''
        How many different trusted keys must have signed each path, for the proof
        at each switch. Nix itself asks for one.
      '';
    };
    rehash = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the contents of each path are read and compared too.";
    };
  };

  config = lib.mkIf (cfg.enable && signing.enable) {
    assertions = [
      (common.needs "buildSigning.enable" "provctl" "verify-store")
      {
        assertion = signing.threshold <= builtins.length (lib.unique signing.trustedPublicKeys);
        message = ''
          services.msp-provenance.buildSigning: no path could have enough signatures: threshold is
          ${toString signing.threshold}, and trustedPublicKeys names
          ${toString (builtins.length (lib.unique signing.trustedPublicKeys))} different keys.
          Name the keys of the caches that you use and the public half of secretKeyFile.
        '';
      }
    ];
    nix.settings = {
      require-sigs = true;
      trusted-public-keys = signing.trustedPublicKeys;
    }
    // lib.optionalAttrs (signing.secretKeyFile != null) {
      secret-key-files = [ signing.secretKeyFile ];
    };
    environment.etc."msp-provenance/store-keys".text =
      lib.concatStringsSep "\n" signing.trustedPublicKeys + "\n";

    systemd.services.provenance-verify-store = {
      description = "Verify who signed each path of the running system";
      documentation = [ "man:provctl-verify-store(1)" ];
      inherit (common.atSwitch) wantedBy;
      after = [ "provenanced.service" ] ++ common.atSwitch.after;
      # Also of a system that fails: that is evidence too.
      unitConfig = lib.genAttrs [
        "OnSuccess"
        "OnFailure"
      ] (_: "provenance-verify-store-record.service");
      serviceConfig =
        common.oneshot {
          relax = [ ];
          exec = "${common.provctl} verify-store ${lib.concatStringsSep " " flags}";
        }
        // common.writesState
        // {
          # Never that of an earlier run in its place.
          ExecStartPre = "${pkgs.coreutils}/bin/rm -f ${report}";
        };
    };
    systemd.services.provenance-verify-store-record = {
      description = "Put on record who signed each path of the running system";
      documentation = [ "man:provenanced-bundle(1)" ];
      after = [ "provenanced.service" ];
      serviceConfig = common.recorder {
        exec = "${common.provenanced} bundle --config /etc/msp-provenance/provenance.toml --artifact ${report} --control 164.312(c)(1) --reason verify-store";
      };
    };
    systemd.timers.provenance-verify-store = {
      description = "Verify who signed each path of the running system";
      wantedBy = [ "timers.target" ];
      timerConfig = common.timer "weekly";
    };
  };
}
