# systemd itself finds little that the units expose.
{ appliance }:
{
  nodes.machine = appliance;
  testScript = ''
    machine.wait_for_unit("provenanced.service")
    for unit in ["provenanced", "provenance-health", "provenance-verify-chain"]:
        machine.succeed(f"systemd-analyze security --threshold=20 {unit}.service")
  '';
}
