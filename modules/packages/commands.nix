# The subcommands that the programs have. Modules for others refuse to be turned
# on, and begin to work when the name is added here. A test holds these lists
# equal to what `--help` says.
{
  # What the daemon does if its settings ask for it, and began to do late.
  parts = [ "metrics" ];
  provenanced = [
    "aggregate"
    "anchor"
    "attest"
    "bundle"
    "check-config"
    "completions"
    "countersign"
    "health"
    "keygen"
    "packet"
    "restore"
    "review"
    "revoke-key"
    "run"
    "sbom"
    "store"
  ];
  provctl = [
    "check-time"
    "completions"
    "countersign-request"
    "mcp"
    "registry"
    "sbom"
    "status"
    "verify"
    "verify-chain"
    "verify-countersign"
    "verify-fleet"
    "verify-store"
  ];
}
