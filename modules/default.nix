# services.msp-provenance: one file for each family of units. docs/nixos.md tells
# how to set it up, docs/options.md lists the options.
{
  imports = [
    ./options.nix
    ./settings.nix
    ./daemon.nix
    ./health.nix
    ./verify-chain.nix
    ./time.nix
    ./bitcoin.nix
    ./anchor.nix
    ./aggregate.nix
    ./store.nix
    ./certificates.nix
    ./api.nix
    ./packets.nix
    ./sbom.nix
    ./build-signing.nix
    ./alerts.nix
    ./metrics.nix
    ./mcp.nix
    ./audit.nix
  ];
}
