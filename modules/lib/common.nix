# What the units share.
{ config, lib }:
let
  cfg = config.services.msp-provenance;
  hardening = import ./hardening.nix { inherit lib; };
  bitcoin = cfg.bitcoin;

  # name -> the file that systemd hands over under that name
  secrets =
    lib.optionalAttrs (cfg.signingKeyFile != null) { signing-key = cfg.signingKeyFile; }
    // lib.optionalAttrs (cfg.alerts.secretFile != null) { webhook-secret = cfg.alerts.secretFile; }
    // lib.optionalAttrs (bitcoin.enable && bitcoin.credentialsFile != null) {
      bitcoin-rpc = bitcoin.credentialsFile;
    }
    // lib.optionalAttrs (cfg.certificates.authorityKeyFile != null) {
      authority-key = cfg.certificates.authorityKeyFile;
    }
    // lib.optionalAttrs (cfg.api.tokenFile != null) { api-token = cfg.api.tokenFile; }
    // lib.optionalAttrs (cfg.api.tlsKeyFile != null) { api-tls-key = cfg.api.tlsKeyFile; }
    // lib.optionalAttrs (cfg.store.s3 != null && cfg.store.s3.credentialsFile != null) {
      s3 = cfg.store.s3.credentialsFile;
    };
in
rec {
  inherit cfg;
  tier = (import ./tiers.nix).${cfg.tier};
  stateDir = cfg.settings.state_dir;
  user = "msp-provenance";
  provenanced = "${cfg.package}/bin/provenanced";
  provctl = "${cfg.package}/bin/provctl";

  # Whether the package has such a subcommand.
  has = program: command: builtins.elem command (cfg.package.commands.${program} or [ ]);

  # For options of parts that a later version brings.
  needs = option: program: command: {
    assertion = has program command;
    message = ''
      services.msp-provenance.${option}: this version has no `${program} ${command}`.
      Leave the option unset, or take a package that has it.
    '';
  };

  # A file of the unit's own credentials is named by %d, on the command line.
  configArgs =
    "--config /etc/msp-provenance/provenance.toml"
    + lib.optionalString (bitcoin.enable && bitcoin.credentialsFile != null) (
      " --set 'bitcoin.cookie_file=\"%d/bitcoin-rpc\"'"
    );

  # The ways to the time sources.
  localSources =
    cfg.timeSync.enable || cfg.timeSync.gpsDevice != null || (bitcoin.enable && bitcoin.rpc == null);
  toSources =
    lib.optional localSources "loopback"
    ++ lib.optional (bitcoin.enable && bitcoin.rpc != null) "network";

  credentials =
    names:
    let
      there = builtins.filter (name: secrets ? ${name}) names;
      key = if cfg.encryptedCredentials then "LoadCredentialEncrypted" else "LoadCredential";
    in
    lib.optionalAttrs (there != [ ]) {
      ${key} = map (name: "${name}:${secrets.${name}}") there;
    };

  # The folder that everything is kept in, for units that write to it.
  writesState =
    if stateDir == "/var/lib/msp-provenance" then
      {
        StateDirectory = "msp-provenance";
        StateDirectoryMode = "0750";
      }
    else
      { ReadWritePaths = [ stateDir ]; };

  # serviceConfig of every unit: its sandbox, and who it is.
  sandbox =
    relax:
    hardening.relaxed relax
    // {
      User = user;
      Group = user;
      SupplementaryGroups =
        (hardening.relaxed relax).SupplementaryGroups or [ ]
        # The node's cookie is for its group.
        ++ lib.optional (
          bitcoin.enable && bitcoin.rpc == null && builtins.elem "loopback" relax
        ) "bitcoind-provenance";
    };

  oneshot =
    {
      relax,
      secrets ? [ ],
      exec,
    }:
    sandbox relax
    // credentials secrets
    // {
      Type = "oneshot";
      ExecStart = exec;
      # A question that is not answered by then will not be.
      TimeoutStartSec = "1h";
      Nice = 10;
      IOSchedulingClass = "idle";
    };

  # One that adds to the registry, with a checkpoint over it.
  recorder =
    {
      relax ? [ ],
      secrets ? [ ],
      exec,
    }:
    oneshot {
      relax = [
        "readClock"
        "bootId"
      ]
      ++ relax;
      secrets = [ "signing-key" ] ++ secrets;
      inherit exec;
    }
    // writesState;

  # At each boot and each switch: a switch starts the targets that are active again,
  # and with them what they want and is not running. Neither waits for it, since it
  # comes behind the target. (PathChanged= does not see that /run/current-system, a
  # link, is replaced.)
  atSwitch = {
    wantedBy = [ "multi-user.target" ];
    after = [ "multi-user.target" ];
  };

  # At a time of its own on each appliance, and after a pause if it was missed.
  timer = schedule: {
    OnCalendar = schedule;
    Persistent = true;
    RandomizedDelaySec = "15m";
    FixedRandomDelay = true;
  };
}
