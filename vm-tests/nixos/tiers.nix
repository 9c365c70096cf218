# Each tier's units start with nothing but its options.
{ appliance }:
{
  nodes = {
    essential =
      { lib, ... }:
      {
        imports = [ appliance ];
        services.msp-provenance.signingKeyFile = lib.mkForce null;
      };
    professional = {
      imports = [ appliance ];
      services.msp-provenance = {
        tier = "professional";
        timeSync.gpsDevice = "/dev/ttyS1";
      };
    };
    enterprise = {
      imports = [ appliance ];
      services.msp-provenance = {
        tier = "enterprise";
        timeSync.gpsDevice = "/dev/ttyS1";
        bitcoin.enable = true;
        bitcoin.network = "regtest";
      };
    };
  };
  testScript = ''
    start_all()
    for machine in [essential, professional, enterprise]:
        machine.wait_for_unit("provenanced.service")
        machine.sleep(3)
        machine.succeed("provctl status --state /var/lib/msp-provenance")
        machine.succeed("systemctl start provenance-verify-chain || systemctl status provenance-verify-chain")
  '';
}
