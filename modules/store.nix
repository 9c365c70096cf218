# provenance-store: copies in WORM storage elsewhere.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  inherit (import ./lib/types.nix { inherit lib; }) secretPath;
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg;
  text = description: mkOption { type = types.str; inherit description; };
  s3 = {
    endpoint = text "The service's address.";
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
      type = secretPath;
      description = "A file with the access key.";
    };
    retainDays = mkOption {
      type = types.ints.positive;
      default = cfg.settings.retention.bundle_days;
      defaultText = lib.literalMD "as long as bundles are kept";
      description = "Days for which nobody can remove an object.";
    };
  };
in
{
  options.services.msp-provenance.store = {
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

  config = lib.mkIf (cfg.enable && cfg.store.s3 != null) {
    assertions = [ (common.needs "store.s3" "provenanced" "store") ];
    services.msp-provenance.settings.store.s3 = lib.mapAttrs (_: lib.mkDefault) {
      inherit (cfg.store.s3)
        endpoint
        bucket
        region
        prefix
        ;
      retain_days = cfg.store.s3.retainDays;
      mode = "COMPLIANCE";
      credentials_file = "credential:s3";
    };
    systemd.services.provenance-store = {
      description = "Copy evidence to WORM storage";
      after = [
        "network-online.target"
        "provenanced.service"
      ];
      wants = [ "network-online.target" ];
      serviceConfig =
        common.oneshot {
          relax = [
            "readClock"
            "bootId"
            "network"
          ];
          secrets = [
            "signing-key"
            "s3"
          ];
          exec = "${common.provenanced} store ${common.configArgs}";
        }
        // common.writesState;
    };
    systemd.timers.provenance-store = {
      description = "Copy evidence to WORM storage";
      wantedBy = [ "timers.target" ];
      timerConfig = common.timer cfg.store.schedule;
    };
  };
}
