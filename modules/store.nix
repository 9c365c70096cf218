# provenance-store: copies in WORM storage elsewhere.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  inherit (import ./lib/types.nix { inherit lib; }) secretPath;
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg user;
  inherit (cfg.store) local;
  # The bucket's name is looked up.
  online = lib.optional (cfg.store.s3 != null) "network-online.target";
  text = description: mkOption { type = types.str; inherit description; };
  s3 = {
    endpoint = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The service's address; without, Amazon's of the region.";
    };
    bucket = text "A bucket with versions and Object Lock.";
    region = mkOption {
      type = types.str;
      default = "us-east-1";
      description = "The bucket's region.";
    };
    prefix = mkOption {
      type = types.str;
      default = "";
      description = "What every object's name begins with.";
    };
    credentialsFile = mkOption {
      type = types.nullOr secretPath;
      default = null;
      description = ''
        A file with the lines `aws_access_key_id = …` and `aws_secret_access_key = …`;
        without, what the machine's instance role gives.
      '';
    };
    caFile = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "A file of certificates that the service's is judged by, instead of the machine's.";
    };
    pathStyle = mkOption {
      type = types.nullOr types.bool;
      default = null;
      defaultText = lib.literalMD "with an `endpoint`";
      description = "The bucket in the path of addresses, and not in their host name.";
    };
    retainDays = mkOption {
      type = types.ints.positive;
      default = cfg.settings.retention.bundle_days;
      defaultText = lib.literalMD "as long as bundles are kept";
      description = "Days for which nobody can remove a bundle's artifacts.";
    };
    documentDays = mkOption {
      type = types.ints.positive;
      default = 2192;
      description = "Days for which nobody can remove anything else: six years.";
    };
  };
in
{
  options.services.msp-provenance.store = {
    local = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "/srv/worm";
      description = ''
        A folder that everything is copied into: a file system of its own, mounted from elsewhere.
        It is made where it is missing, for the daemon's user.
      '';
    };
    s3 = mkOption {
      type = types.nullOr (types.submodule { options = s3; });
      default = null;
      description = "Storage with S3 Object Lock, in the mode COMPLIANCE.";
    };
    schedule = mkOption {
      type = types.str;
      default = "hourly";
      description = "When what is not there yet is copied (systemd.time(7)).";
    };
  };

  config = lib.mkIf (cfg.enable && (local != null || cfg.store.s3 != null)) {
    assertions = [ (common.needs "store" "provenanced" "store") ];
    services.msp-provenance.settings.store =
      lib.optionalAttrs (local != null) { local = lib.mkDefault local; }
      // lib.optionalAttrs (cfg.store.s3 != null) {
        s3 = lib.mapAttrs (_: lib.mkDefault) (
          {
            inherit (cfg.store.s3) bucket region prefix;
            retain_days = cfg.store.s3.retainDays;
            document_days = cfg.store.s3.documentDays;
            mode = "COMPLIANCE";
          }
          // lib.filterAttrs (_: value: value != null) {
            inherit (cfg.store.s3) endpoint;
            ca_file = cfg.store.s3.caFile;
            path_style = cfg.store.s3.pathStyle;
            credentials_file = if cfg.store.s3.credentialsFile == null then null else "credential:s3";
          }
        );
      };
    # Else the unit's sandbox finds no folder, and does not start.
    systemd.tmpfiles.rules = lib.optional (local != null) "d ${local} 0750 ${user} ${user} - -";
    systemd.services.provenance-store = {
      description = "Copy evidence to WORM storage";
      after = online ++ [ "provenanced.service" ];
      wants = online;
      # A copy beside the mount would be none.
      unitConfig = lib.optionalAttrs (local != null) { RequiresMountsFor = local; };
      serviceConfig =
        let
          recorder = common.recorder {
            relax = lib.optional (cfg.store.s3 != null) "network";
            secrets = [ "s3" ];
            exec = "${common.provenanced} store ${common.configArgs}";
          };
        in
        recorder
        // lib.optionalAttrs (local != null) {
          ReadWritePaths = recorder.ReadWritePaths or [ ] ++ [ local ];
        };
    };
    systemd.timers.provenance-store = {
      description = "Copy evidence to WORM storage";
      wantedBy = [ "timers.target" ];
      timerConfig = common.timer cfg.store.schedule;
    };
  };
}
