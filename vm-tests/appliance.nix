# An appliance for tests: a record each second, a key made at the first boot.
{ module }:
{ config, lib, ... }:
{
  imports = [ module ];
  services.msp-provenance = {
    enable = true;
    client = "clinic-001";
    signingKeyFile = "/etc/keys/signing.key";
    settings.chain.interval_s = 1;
    # No network in a test: servers that never answer.
    timeSync.ntpServers = [
      "192.0.2.1"
      "192.0.2.2"
      "192.0.2.3"
    ];
  };
  systemd.services.test-key = {
    wantedBy = [ "provenanced.service" ];
    before = [ "provenanced.service" ];
    unitConfig.ConditionPathExists = "!/etc/keys/signing.key";
    serviceConfig.Type = "oneshot";
    script = ''
      ${config.services.msp-provenance.package}/bin/provenanced keygen --out /etc/keys --name signing
      # An auditor's policy, with the key taken by hand.
      {
        printf 'client = "clinic-001"\n[[keys]]\nname = "k"\npublic_key = """\n'
        cat /etc/keys/signing.pub
        printf '"""\n'
      } > /root/policy.toml
    '';
  };
  virtualisation.memorySize = lib.mkDefault 1024;
}
