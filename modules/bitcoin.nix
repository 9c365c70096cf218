# A Bitcoin node: one of the appliance's own, pruned, or another's.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  inherit (import ./lib/types.nix { inherit lib; }) secretPath;
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg tier user;
  bitcoin = cfg.bitcoin;
  own = bitcoin.enable && bitcoin.rpc == null;
  ports = {
    bitcoin = 8332;
    testnet4 = 48332;
    signet = 38332;
    regtest = 18443;
  };
  # In the node's folder, which its group may enter, on every network.
  cookie = "/var/lib/bitcoind-provenance/.cookie";
in
{
  options.services.msp-provenance.bitcoin = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether a Bitcoin node bounds the time, and carries the anchors: a pruned
        one on this appliance, or that of `rpc`.
      '';
    };
    rpc = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "http://10.0.0.5:8332";
      description = ''
        A node that runs elsewhere. For TLS put a proxy on this machine. Without
        it a node is run here.
      '';
    };
    credentialsFile = mkOption {
      type = types.nullOr secretPath;
      default = null;
      example = "/etc/msp-provenance/bitcoin-rpc";
      description = "A file with `user:password` for `rpc`.";
    };
    network = mkOption {
      type = types.enum (builtins.attrNames ports);
      default = "bitcoin";
      description = "The network that the node is in.";
    };
    wallet = mkOption {
      type = types.nullOr types.str;
      default = "provenance";
      description = ''
        The node's wallet that pays for anchors, and for nothing else. It is not made for you:
        `bitcoin-cli createwallet provenance`, and a little sent to an address of it.
      '';
    };
    pruneMiB = mkOption {
      type = types.ints.between 550 10000000;
      default = 1000;
      description = "How much of the chain's blocks a node on this appliance keeps.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = !tier.appliance.bitcoin || bitcoin.enable || (cfg.settings.bitcoin.rpc or null) != null;
        message = ''
          services.msp-provenance: the tier ${cfg.tier} asks for a Bitcoin node. Set
          services.msp-provenance.bitcoin.enable = true to run a pruned one here, and bitcoin.rpc
          with bitcoin.credentialsFile to use another.
        '';
      }
      {
        assertion = bitcoin.credentialsFile == null || bitcoin.rpc != null;
        message = ''
          services.msp-provenance.bitcoin.credentialsFile is for the node of bitcoin.rpc, which is not
          set; the node on this appliance is asked by its cookie.
        '';
      }
    ];

    services.msp-provenance.settings.bitcoin = lib.mkIf bitcoin.enable (
      lib.mapAttrs (_: lib.mkDefault) (
        {
          rpc = if own then "http://127.0.0.1:${toString ports.${bitcoin.network}}" else bitcoin.rpc;
          network = bitcoin.network;
        }
        // lib.optionalAttrs (bitcoin.wallet != null) { wallet = bitcoin.wallet; }
        // lib.optionalAttrs own { cookie_file = cookie; }
      )
    );

    services.bitcoind.provenance = lib.mkIf own {
      enable = true;
      prune = bitcoin.pruneMiB;
      # The daemon is in the node's group, and needs no secret of its own.
      extraConfig = ''
        rpccookieperms=group
        rpccookiefile=${cookie}
      ''
      + lib.optionalString (bitcoin.network != "bitcoin") ''
        chain=${bitcoin.network}
      '';
    };
    users.users.${user}.extraGroups = lib.optional own "bitcoind-provenance";
    systemd.services.provenanced.after = lib.optional own "bitcoind-provenance.service";
  };
}
