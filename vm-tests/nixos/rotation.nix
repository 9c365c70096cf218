# A log that logrotate renames and compresses is followed without a gap.
{ appliance }:
{
  nodes.machine = {
    imports = [ appliance ];
    services.logrotate.settings."/var/log/app.log" = {
      rotate = 3;
      compress = true;
      frequency = "daily";
    };
  };
  testScript = ''
    machine.wait_for_unit("provenanced.service")
    machine.succeed("for i in $(seq 100); do echo line $i >> /var/log/app.log; done; sleep 2")
    machine.succeed("systemctl start logrotate.service || true")
    machine.succeed("mv /var/log/app.log /var/log/app.log.1 2>/dev/null && gzip /var/log/app.log.1 || true")
    machine.succeed("for i in $(seq 100); do echo more $i >> /var/log/app.log; done; sleep 3")
    machine.succeed("systemctl stop provenanced")
    machine.succeed("provctl verify-chain --logs --state /var/lib/msp-provenance --policy /root/policy.toml")
  '';
}
