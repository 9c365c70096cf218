# What vm-tests/machine boots: signed, a record each second, a key that only
# tests know.
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
    policy.keys = [
      {
        name = "test";
        public_key = builtins.readFile ../../vectors/statement/test-only.pub;
      }
    ];
  };
}
