# What the system is made of is listed at the boot and at each switch, by the switch.
{ appliance }:
{
  nodes.machine = {
    imports = [ appliance ];
    services.msp-provenance.sbom = [ "spdx-2.3" ];
    specialisation.next.configuration.environment.etc.next.text = "another system";
  };
  testScript = ''
    listed = "grep -qF $(basename $(readlink -f {})) /var/lib/msp-provenance/sbom/*.spdx.json"
    machine.wait_until_succeeds(listed.format("/run/current-system"), timeout=120)
    next = "/run/current-system/specialisation/next"
    machine.fail(listed.format(next))
    machine.succeed(f"readlink -f {next} > /root/next; {next}/bin/switch-to-configuration test")
    machine.wait_until_succeeds(listed.format("$(cat /root/next)"), timeout=120)
  '';
}
