# For a package that names its own commands: copies in a bucket, metrics that others
# reach, an assistant. Rendered only, but for the copies' unit, whose network
# vm-tests/machine tries.
{
  imports = [ ./enterprise.nix ];
  services.msp-provenance = {
    package = {
      type = "derivation";
      name = "msp-provenance";
      outPath = "/opt/msp-provenance";
      commands = {
        parts = [ "metrics" ];
        provenanced = [
          "anchor"
          "packet"
          "sbom"
          "store"
        ];
        provctl = [
          "mcp"
          "verify-store"
        ];
      };
    };
    mcp.enable = true;
    mcp.http = {
      enable = true;
      listen = "127.0.0.1:8469";
    };
    metrics = {
      enable = true;
      listen = "0.0.0.0:9469";
    };
    openFirewall = true;
    store.s3 = {
      endpoint = "https://s3.example.org";
      bucket = "evidence";
      credentialsFile = "/etc/msp-provenance/s3";
    };
  };
}
