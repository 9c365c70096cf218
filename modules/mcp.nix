# provctl mcp: read-only questions of an assistant, by a socket of this machine.
{ config, lib, ... }:
let
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg user;
  http = cfg.mcp.http;
  folder = "msp-provenance-mcp";
  loopback = lib.hasPrefix "127." http.listen || lib.hasPrefix "[::1]:" http.listen;

  server = "${common.provctl} mcp --state ${common.stateDir} ${common.configArgs}";
  # It asks the time sources that the daemon asks, and holds no signing key.
  serviceConfig =
    relax:
    common.sandbox (
      [
        "readClock"
        "bootId"
      ]
      ++ relax
      ++ common.toSources
    )
    // common.credentials [ "bitcoin-rpc" ];
  shared = {
    documentation = [ "man:provctl-mcp(1)" ];
    environment.MSP_CHRONY_PROBE = "${cfg.chronyProbe}/bin/chrony-probe";
  };
in
{
  options.services.msp-provenance.mcp = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = ''
        Whether members of the group msp-provenance reach an MCP server (read-only) at
        `/run/msp-provenance/mcp.sock`, one process for each connection.
      '';
    };
    http.enable = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = ''
        Whether there is an MCP server (read-only) over HTTP too, one process for all.
      '';
    };
    http.listen = lib.mkOption {
      type = lib.types.str;
      default = "unix:/run/${folder}/http.sock";
      example = "127.0.0.1:8469";
      description = ''
        Where: a socket file in `/run/${folder}`, for members of the group
        msp-provenance, or a loopback address, for everybody on this machine.
      '';
    };
  };

  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      (lib.mkIf cfg.mcp.enable {
        assertions = [ (common.needs "mcp.enable" "provctl" "mcp") ];
        systemd.sockets.provenance-mcp = {
          description = "Questions of an assistant";
          wantedBy = [ "sockets.target" ];
          socketConfig = {
            ListenStream = "/run/msp-provenance/mcp.sock";
            SocketGroup = user;
            SocketMode = "0660";
            Accept = true;
            MaxConnections = 8;
          };
        };
        systemd.services."provenance-mcp@" = shared // {
          description = "Questions of an assistant";
          serviceConfig = serviceConfig [ ] // {
            ExecStart = server;
            # What a stranger sent is no failure of the unit.
            SuccessExitStatus = 65;
            StandardInput = "socket";
            StandardOutput = "socket";
            StandardError = "journal";
          };
        };
      })
      (lib.mkIf http.enable {
        assertions = [
          (common.needs "mcp.http.enable" "provctl" "mcp")
          {
            assertion = loopback || lib.hasPrefix "unix:/run/${folder}/" http.listen;
            message = ''
              services.msp-provenance.mcp.http.listen: only this machine may ask. Give a socket file
              in /run/${folder}, or a loopback address such as "127.0.0.1:8469".
            '';
          }
        ];
        systemd.services.provenance-mcp-http = shared // {
          description = "Questions of assistants, over HTTP";
          wantedBy = [ "multi-user.target" ];
          after = [ "provenanced.service" ];
          serviceConfig = serviceConfig (lib.optional loopback "loopback") // {
            Type = "exec";
            ExecStart = "${server} --listen ${http.listen}";
            RuntimeDirectory = folder;
            RuntimeDirectoryMode = "0750";
            TimeoutStopSec = 30;
            Restart = "on-failure";
            RestartSec = 5;
            RestartPreventExitStatus = "64 78";
            MemoryMax = "512M";
            TasksMax = 64;
          };
        };
      })
    ]
  );
}
