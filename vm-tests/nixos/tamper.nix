# A changed byte of a recorded log is named; a changed record fails.
{ appliance }:
{
  nodes.machine = appliance;
  testScript = ''
    machine.wait_for_unit("provenanced.service")
    machine.succeed("echo 'door opened' > /var/log/door.log")
    machine.sleep(4)
    machine.succeed("systemctl stop provenanced")
    verify = "provctl verify-chain --logs --state /var/lib/msp-provenance --policy /root/policy.toml"
    machine.succeed(verify)
    machine.succeed("sed -i s/opened/closed/ /var/log/door.log")
    status, said = machine.execute(verify)
    assert status == 1 and "door.log" in said, said
    machine.succeed("sed -i s/closed/opened/ /var/log/door.log")
    machine.succeed(verify)
    machine.succeed("sed -i '2s/clinic/clinix/;2s/\"v\":1/\"v\":2/' $(find /var/lib/msp-provenance/chain -name '*.jsonl')")
    machine.fail(verify)
  '';
}
