# A node and a receiver of alerts elsewhere, secrets sealed, a state folder of its
# own.
{
  imports = [ ./enterprise.nix ];
  services.msp-provenance = {
    encryptedCredentials = true;
    bitcoin = {
      rpc = "http://10.0.0.5:8332";
      credentialsFile = "/etc/msp-provenance/bitcoin-rpc";
      wallet = "provenance";
    };
    alerts = {
      webhook = "https://alerts.example.org/provenance";
      secretFile = "/etc/msp-provenance/webhook-secret";
    };
    settings = {
      state_dir = "/srv/provenance";
      bundle.controls = [ "164.312(b)" ];
    };
  };
}
