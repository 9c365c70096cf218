# provenance-api: certificates and packages over HTTP.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  inherit (import ./lib/types.nix { inherit lib; }) secretPath;
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg;
  inherit (cfg) api;
  folder = "msp-provenance-api";
  unix = lib.hasPrefix "unix:" api.listen;
  here = lib.hasPrefix "127." api.listen || lib.hasPrefix "[::1]" api.listen;
in
{
  options.services.msp-provenance.api = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether certificates and packages can be asked for over HTTP, and reported by who has the
        token.
      '';
    };
    listen = mkOption {
      type = types.str;
      default = "unix:/run/${folder}/api.sock";
      example = "0.0.0.0:8470";
      description = ''
        Where: a socket file in `/run/${folder}`, for members of the group msp-provenance, or
        `ADDRESS:PORT`; the firewall is left alone.
      '';
    };
    tokenFile = mkOption {
      type = types.nullOr secretPath;
      default = null;
      description = ''
        The token that lets somebody write: `openssl rand -hex 32`. Without, nobody does. Over an
        address of the network it takes TLS.
      '';
    };
    tlsCertificate = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The certificate chain for TLS, in PEM.";
    };
    tlsKeyFile = mkOption {
      type = types.nullOr secretPath;
      default = null;
      description = "Its key, in PEM.";
    };
  };

  config = lib.mkIf (cfg.enable && api.enable) {
    assertions = [
      (common.needs "api.enable" "provenanced" "api")
      {
        assertion = !unix || lib.hasPrefix "unix:/run/${folder}/" api.listen;
        message = ''
          services.msp-provenance.api.listen: the unit can make a socket file in /run/${folder} only,
          such as "unix:/run/${folder}/api.sock".
        '';
      }
      {
        assertion = unix || api.tokenFile == null || api.tlsKeyFile != null;
        message = ''
          services.msp-provenance.api.tokenFile: a token is sent over TLS or a Unix socket only. Set
          api.tlsCertificate and api.tlsKeyFile, or leave api.listen as it is.
        '';
      }
    ];
    services.msp-provenance.settings.api = {
      listen = lib.mkDefault api.listen;
    }
    // lib.optionalAttrs (api.tokenFile != null) {
      token_file = lib.mkDefault "credential:api-token";
    }
    // lib.optionalAttrs (api.tlsKeyFile != null) {
      tls_certificate = lib.mkDefault api.tlsCertificate;
      tls_key = lib.mkDefault "credential:api-tls-key";
    };
    systemd.services.provenance-api = {
      description = "Certificates and packages over HTTP";
      documentation = [ "man:provenanced-api(1)" ];
      wantedBy = [ "multi-user.target" ];
      # The daemon begins the registry.
      wants = [ "provenanced.service" ];
      after = [
        "network.target"
        "provenanced.service"
      ];
      restartTriggers = [ config.environment.etc."msp-provenance/provenance.toml".source ];
      serviceConfig =
        common.sandbox (
          [
            "readClock"
            "bootId"
          ]
          ++ lib.optional (!unix) (if here then "loopback" else "network")
        )
        // common.credentials [
          "signing-key"
          "authority-key"
          "api-token"
          "api-tls-key"
        ]
        // common.writesState
        // {
          Type = "notify";
          ExecStart = "${common.provenanced} api ${common.configArgs}";
          RuntimeDirectory = folder;
          RuntimeDirectoryMode = "0750";
          TimeoutStopSec = 30;
          Restart = "on-failure";
          RestartSec = 5;
          RestartPreventExitStatus = "64 65 78";
          MemoryMax = "256M";
          TasksMax = 64;
        };
    };
  };
}
