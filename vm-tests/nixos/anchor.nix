# The registry's root comes into a block, the proof into the bundle, and the
# auditor's own node agrees.
{ appliance }:
{
  nodes.machine =
    { ... }:
    {
      imports = [ appliance ];
      services.msp-provenance = {
        tier = "enterprise";
        timeSync.gpsDevice = "/dev/ttyS1";
        bitcoin = {
          enable = true;
          network = "regtest";
        };
      };
    };
  testScript = ''
    machine.wait_for_unit("provenanced.service")
    machine.wait_for_unit("bitcoind-provenance.service")
    cookie = "/var/lib/bitcoind-provenance/.cookie"
    cli = f"bitcoin-cli -rpcport=18443 -rpccookiefile={cookie} "
    machine.wait_until_succeeds(cli + "-rpcwait getblockcount")
    machine.succeed(cli + "createwallet provenance")
    address = machine.succeed(cli + "-rpcwallet=provenance getnewaddress").strip()
    mine = cli + "generatetoaddress {} " + address
    machine.succeed(mine.format(101))
    machine.succeed(
        "provenanced bundle --config /etc/msp-provenance/provenance.toml --reason test"
    )
    # Submitted, in a block, six deep: a step of the timer's unit each.
    machine.succeed("systemctl start provenance-anchor")
    machine.succeed(mine.format(1))
    machine.succeed("systemctl start provenance-anchor")
    machine.succeed(mine.format(6))
    machine.succeed("systemctl start provenance-anchor")
    bundle = "/var/lib/msp-provenance/bundles/$(ls /var/lib/msp-provenance/bundles | head -n 1)"
    machine.succeed(f"test -e {bundle}/statement.json.ots")
    machine.succeed(
        f"provctl verify {bundle} --policy /root/policy.toml "
        f"--bitcoin-rpc http://127.0.0.1:18443 --bitcoin-cookie {cookie}"
    )
  '';
}
