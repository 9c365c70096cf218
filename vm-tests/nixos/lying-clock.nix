# Most time servers lie by a minute: the ticks say so, and an alert is on record.
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
    last = "tail -n 1 $(find /var/lib/msp-provenance/chain -name '*.jsonl' | sort | tail -n 1)"
    machine.wait_until_succeeds(last + " | grep -q '\"verdict\":\"agreed\"'", timeout=120)
    for server in [two, three]:
        server.succeed("chronyc settime $(date -u -d '+1 minute' '+%b %d, %Y %H:%M:%S')")
        server.succeed("date -s '+1 minute'")
    machine.wait_until_succeeds(
        last + " | grep -E -q '\"verdict\":\"(anomalous|disputed)\"'", timeout=300
    )
    machine.wait_until_succeeds(
        "provctl registry export --state /var/lib/msp-provenance --kind alert | grep -E 'clock.(anomalous|disputed)'",
        timeout=60,
    )
  '';
}
