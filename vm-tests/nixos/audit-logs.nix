# auditd's log and the journal are in the chain, read without root; a change of
# the clock is in auditd's log.
{ appliance }:
{
  nodes.machine = appliance;
  testScript = ''
    machine.wait_for_unit("provenanced.service")
    machine.wait_for_unit("auditd.service")
    machine.succeed("test $(ps -o user= -p $(systemctl show -P MainPID provenanced)) != root")
    machine.sleep(4)
    machine.succeed("systemctl stop provenanced")
    chain = machine.succeed("cat $(find /var/lib/msp-provenance/chain -name '*.jsonl')")
    assert "/var/log/audit/audit.log" in chain and "unreadable" not in chain
    assert '"journal' in chain
  '';
}
