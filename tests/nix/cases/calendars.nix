# An appliance without a wallet or a node, whose roots calendars anchor.
{
  services.msp-provenance = {
    enable = true;
    tier = "professional";
    client = "clinic-002";
    signingKeyFile = "/etc/msp-provenance/signing.key";
    timeSync.gpsDevice = "/dev/ttyUSB0";
    anchor = {
      enable = true;
      calendars = [
        "https://calendar.msp.example"
        "https://alice.btc.calendar.opentimestamps.org"
      ];
    };
  };
}
