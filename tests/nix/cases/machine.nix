# What vm-tests/machine boots: every unit that the modules have, signed, a record
# each second, a key that only tests know.
{
  services.msp-provenance = {
    enable = true;
    client = "clinic-001";
    signingKeyFile = "/etc/msp-provenance/signing.key";
    settings.chain.interval_s = 1;
    mcp.http.enable = true;
    timeSync = {
      nts = false;
      # Three chronyd of the test's own.
      ntpServers = [
        "127.0.0.11"
        "127.0.0.12"
        "127.0.0.13"
      ];
    };
    bitcoin = {
      enable = true;
      network = "regtest";
    };
    anchor.enable = true;
    aggregate = {
      enable = true;
      url = "http://127.0.0.1:14788";
    };
    packets = [ "day" ];
    sbom = [
      "spdx-2.3"
      "cyclonedx-1.6"
    ];
    buildSigning = {
      enable = true;
      # The machine makes one at each boot, and puts it in its place.
      trustedPublicKeys = [ "test:Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=" ];
    };
    certificates.authorityKeyFile = "/etc/msp-provenance/authority.key";
    api = {
      enable = true;
      tokenFile = "/etc/msp-provenance/api-token";
    };
    store.local = "/srv/worm";
    mcp.enable = true;
    metrics.enable = true;
    policy.keys = [
      {
        name = "test";
        public_key = builtins.readFile ../../vectors/statement/test-only.pub;
      }
    ];
  };
}
