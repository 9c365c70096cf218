# A time server that lies by a minute is named in the ticks, and moves nothing.
{ appliance }:
let
  server = {
    networking.firewall.allowedUDPPorts = [ 123 ];
    services.chrony = {
      enable = true;
      servers = [ ];
      extraConfig = ''
        local stratum 2
        allow all
        manual
      '';
    };
  };
in
{
  nodes = {
    one = server;
    two = server;
    three = server;
    machine =
      { lib, nodes, ... }:
      {
        imports = [ appliance ];
        services.msp-provenance.timeSync.ntpServers = lib.mkForce (
          map (node: node.networking.primaryIPAddress) [
            nodes.one
            nodes.two
            nodes.three
          ]
        );
        # It looks on, and is not led astray itself.
        services.chrony.extraFlags = [ "-x" ];
      };
  };
  testScript = ''
    start_all()
    for server in [one, two, three]:
        server.wait_for_unit("chronyd.service")
    machine.wait_for_unit("provenanced.service")
    two_address = machine.succeed("getent ahostsv4 two | head -n 1").split()[0]
    last = "tail -n 1 $(find /var/lib/msp-provenance/chain -name '*.jsonl' | sort | tail -n 1)"
    machine.wait_until_succeeds(last + " | grep -q '\"verdict\":\"agreed\"'", timeout=120)
    two.succeed("chronyc settime $(date -u -d '+1 minute' +%H:%M:%S)")
    machine.wait_until_succeeds(
        last + " | grep -q '\"falsetickers\":\[\"" + two_address + "\"\]'", timeout=300
    )
    machine.succeed(last + " | grep -q '\"verdict\":\"agreed\"'")
  '';
}
