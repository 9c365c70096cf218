# provctl mcp: read-only questions of an assistant, by a socket of this machine.
{ config, lib, ... }:
let
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg user;
in
{
  options.services.msp-provenance.mcp.enable = lib.mkOption {
    type = lib.types.bool;
    default = false;
    description = ''
      Whether members of the group msp-provenance reach an MCP server (read-only) at
      `/run/msp-provenance/mcp.sock`, one process for each connection.
    '';
  };

  config = lib.mkIf (cfg.enable && cfg.mcp.enable) {
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
    systemd.services."provenance-mcp@" = {
      description = "Questions of an assistant";
      documentation = [ "man:provctl-mcp(1)" ];
      environment.MSP_CHRONY_PROBE = "${cfg.chronyProbe}/bin/chrony-probe";
      # It asks the time sources that the daemon asks, and holds no signing key.
      serviceConfig =
        common.sandbox (
          [
            "readClock"
            "bootId"
          ]
          ++ common.toSources
        )
        // common.credentials [ "bitcoin-rpc" ]
        // {
          ExecStart = "${common.provctl} mcp --state ${common.stateDir} ${common.configArgs}";
          # What a stranger sent is no failure of the unit.
          SuccessExitStatus = 65;
          StandardInput = "socket";
          StandardOutput = "socket";
          StandardError = "journal";
        };
    };
  };
}
