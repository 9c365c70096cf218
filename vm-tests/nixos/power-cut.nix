# After a power cut every record is there, and the chain goes on.
{ appliance }:
{
  nodes.machine = appliance;
  testScript = ''
    machine.wait_for_unit("provenanced.service")
    last = 0
    for _ in range(3):
        machine.sleep(4)
        count = "cat $(find /var/lib/msp-provenance/chain -name '*.jsonl') | wc -l"
        seen = int(machine.succeed(count))
        assert seen > last
        machine.crash()
        machine.start()
        machine.wait_for_unit("provenanced.service")
        assert int(machine.succeed(count)) >= seen, "an acknowledged record is gone"
        last = seen
    machine.succeed("systemctl stop provenanced")
    machine.succeed("provctl verify-chain --state /var/lib/msp-provenance --policy /root/policy.toml")
  '';
}
