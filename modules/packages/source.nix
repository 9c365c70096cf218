# What the two packages are built from, and nothing else: a changed page or test
# builds nothing anew.
{ lib }:
let
  root = ../..;
in
{
  inherit ((lib.importTOML (root + "/Cargo.toml")).workspace.package) version;
  lockFile = root + "/Cargo.lock";
  src = lib.fileset.toSource {
    inherit root;
    fileset = lib.fileset.unions [
      (root + "/Cargo.lock")
      (root + "/Cargo.toml")
      (root + "/clippy.toml")
      (root + "/config")
      (root + "/daemon")
      (root + "/docs/man")
      (root + "/rustfmt.toml")
      # Cargo.toml names the benchmarks: cargo wants to see them.
      (root + "/tests/bench")
      (root + "/tests/vectors")
    ];
  };
}
