# A hung daemon is killed and started again; the chain goes on and tells the gap.
{ appliance }:
{
  nodes.machine =
    { lib, ... }:
    {
      imports = [ appliance ];
      systemd.services.provenanced.serviceConfig.WatchdogSec = lib.mkForce 5;
    };
  testScript = ''
    machine.wait_for_unit("provenanced.service")
    machine.sleep(3)
    old = machine.succeed("systemctl show -P MainPID provenanced").strip()
    machine.succeed(f"kill -STOP {old}")
    machine.wait_until_succeeds("systemctl show -P NRestarts provenanced | grep -qx 1", timeout=30)
    machine.wait_for_unit("provenanced.service")
    machine.sleep(2)
    machine.succeed("systemctl stop provenanced")
    said = machine.succeed(
        "provctl verify-chain --state /var/lib/msp-provenance --policy /root/policy.toml"
    )
    assert "chain.gap" in said, said
  '';
}
