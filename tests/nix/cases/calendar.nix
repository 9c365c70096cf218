# A calendar for other appliances, with a node and a wallet.
{
  services.msp-provenance = {
    enable = true;
    tier = "essential";
    client = "msp";
    signingKeyFile = "/etc/msp-provenance/signing.key";
    bitcoin.enable = true;
    anchor.enable = true;
    aggregate = {
      enable = true;
      url = "https://calendar.msp.example";
    };
  };
}
