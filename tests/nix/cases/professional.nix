{
  services.msp-provenance = {
    enable = true;
    tier = "professional";
    client = "clinic-001";
    signingKeyFile = "/etc/msp-provenance/signing.key";
    timeSync.gpsDevice = "/dev/ttyUSB0";
    policy.keys = [
      {
        name = "appliance-7";
        public_key = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
      }
    ];
  };
}
