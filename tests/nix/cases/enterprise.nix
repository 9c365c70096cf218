# With a node of its own.
{
  services.msp-provenance = {
    enable = true;
    tier = "enterprise";
    client = "clinic-001";
    signingKeyFile = "/etc/msp-provenance/signing.key";
    timeSync.gpsDevice = "/dev/ttyUSB0";
    bitcoin.enable = true;
    buildSigning = {
      enable = true;
      secretKeyFile = "/etc/nix/appliance-7.sec";
      trustedPublicKeys = [
        "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
        "appliance-7:Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="
      ];
    };
    policy.keys = [
      {
        name = "appliance-7";
        public_key = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
      }
    ];
  };
}
