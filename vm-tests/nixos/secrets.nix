# The key comes as a credential: nobody but root can read its file, and it is in
# no store path, command line or environment.
{ appliance }:
{
  nodes.machine = appliance;
  testScript = ''
    machine.wait_for_unit("provenanced.service")
    machine.succeed("test $(stat -c %a:%U /etc/keys/signing.key) = 600:root")
    machine.fail("runuser -u msp-provenance -- cat /etc/keys/signing.key")
    body = machine.succeed("sed -n 2p /etc/keys/signing.key").strip()
    pid = machine.succeed("systemctl show -P MainPID provenanced").strip()
    for file in ["cmdline", "environ"]:
        assert body not in machine.succeed(f"cat /proc/{pid}/{file} | tr '\\0' '\\n'")
    machine.fail(f"grep -rqF '{body}' /etc/systemd /etc/msp-provenance/ /var/lib/msp-provenance /var/log")
  '';
}
