# The daemon is ready within two seconds, and its chain verifies.
{ appliance }:
{
  nodes.machine = appliance;
  testScript = ''
    machine.wait_for_unit("provenanced.service")
    begun = int(machine.succeed("systemctl show -P ExecMainStartTimestampMonotonic provenanced"))
    ready = int(machine.succeed("systemctl show -P ActiveEnterTimestampMonotonic provenanced"))
    assert ready - begun < 2_000_000, f"{ready - begun} us"
    machine.sleep(3)
    machine.succeed("systemctl stop provenanced")
    machine.succeed("provctl verify-chain --state /var/lib/msp-provenance --policy /root/policy.toml")
  '';
}
