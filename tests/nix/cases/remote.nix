# A node and a receiver of alerts elsewhere, metrics, secrets sealed, a state
# folder of its own.
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
    metrics = {
      enable = true;
      listen = "0.0.0.0:9469";
    };
    openFirewall = true;
    settings = {
      state_dir = "/srv/provenance";
      bundle.controls = [ "164.312(b)" ];
    };
  };
}
