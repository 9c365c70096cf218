# provenance.toml: the options, and what `settings` says beyond them, judged by
# the program itself when it is built.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg tier user;
  toml = pkgs.formats.toml { };

  withoutNulls = lib.filterAttrsRecursive (_: value: value != null);
  raw = toml.generate "provenance.toml" (withoutNulls cfg.settings);
  # A program for another machine cannot be run here; then the daemon judges.
  canJudge = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;
  checked =
    if canJudge then
      pkgs.runCommand "provenance.toml" { } ''
        ${common.provenanced} check-config --config ${raw}
        cp ${raw} $out
      ''
    else
      raw;

  fromTier = what: "from the tier: ${what}";
  typed = {
    client = mkOption {
      type = types.str;
      default = cfg.client;
      defaultText = lib.literalExpression "config.services.msp-provenance.client";
      description = "See `services.msp-provenance.client`.";
    };
    tier = mkOption {
      type = types.str;
      default = cfg.tier;
      defaultText = lib.literalExpression "config.services.msp-provenance.tier";
      description = "See `services.msp-provenance.tier`.";
    };
    state_dir = mkOption {
      type = types.str;
      default = "/var/lib/msp-provenance";
      description = "Where everything is kept.";
    };
    signing_key = mkOption {
      type = types.nullOr types.str;
      default = if cfg.signingKeyFile == null then null else "credential:signing-key";
      defaultText = lib.literalMD "the credential of `signingKeyFile`, where that is set";
      description = "`credential:NAME`, or the path of a file with mode 0600.";
    };
    chain = {
      interval_s = mkOption {
        type = types.ints.between 1 86400;
        default = tier.interval_s;
        defaultText = lib.literalMD (fromTier "300, 300, 60");
        description = "Seconds between two records.";
      };
      watch = mkOption {
        type = types.listOf types.str;
        default = cfg.logPaths;
        defaultText = lib.literalExpression "config.services.msp-provenance.logPaths";
        description = "Files to chain.";
      };
      exclude = mkOption {
        type = types.listOf types.str;
        default = [ "/var/log/journal/**" ];
        description = "Files not to chain; the journal is read as a journal.";
      };
      journal = mkOption {
        type = types.either types.bool types.str;
        default = cfg.journal;
        defaultText = lib.literalExpression "config.services.msp-provenance.journal";
        description = "The machine's journal, or the folder of another.";
      };
    };
    time = {
      offset_alarm_ms = mkOption {
        type = types.ints.between 1 3600000;
        default = cfg.timeSync.offsetAlarmMs;
        defaultText = lib.literalExpression "config.services.msp-provenance.timeSync.offsetAlarmMs";
        description = "An agreed offset beyond this is an anomaly.";
      };
      min_agreeing = mkOption {
        type = types.ints.positive;
        default = tier.min_agreeing;
        defaultText = lib.literalMD (fromTier "1, 2, 2");
        description = "Sources that must agree.";
      };
    };
    bundle.every = mkOption {
      type = types.str;
      default = tier.bundle_every;
      defaultText = lib.literalMD (fromTier "24h, 24h, 24h");
      description = "An evidence bundle for each such period; `off` for bundles by command only.";
    };
    retention.bundle_days = mkOption {
      type = types.ints.unsigned;
      default = tier.retention_days;
      defaultText = lib.literalMD (fromTier "30, 90, 730");
      description = "Days until a bundle's artifacts may be removed.";
    };
  };
in
{
  options.services.msp-provenance.settings = mkOption {
    type = types.submodule {
      freeformType = toml.type;
      options = typed;
    };
    default = { };
    example = lib.literalExpression ''
      {
        chain.interval_s = 30;
        bundle.controls = [ "164.312(b)" ];
      }
    '';
    description = ''
      provenance.toml, as in `config/provenance.toml`. What stands here goes over
      the other options. Every key of that file is possible; a wrong one fails the
      build, with the program's own message.
    '';
  };

  config = lib.mkIf cfg.enable {
    environment.etc."msp-provenance/provenance.toml".source = checked;
    environment.etc."msp-provenance/policy.toml".source = toml.generate "policy.toml" (
      { client = cfg.client; }
      // lib.optionalAttrs (cfg.settings.signing_key == null) { allow_unsigned = true; }
      // cfg.policy
    );
    systemd.tmpfiles.rules = lib.optional (
      common.stateDir != "/var/lib/msp-provenance"
    ) "d ${common.stateDir} 0750 ${user} ${user} - -";
  };
}
