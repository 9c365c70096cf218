# Packages: derivations that build nothing, but those that tests build.
{
  lib,
  system ? "x86_64-linux",
}:
let
  b = builtins;
  package =
    name: set:
    derivation {
      inherit name system;
      builder = "/bin/sh";
    }
    // set;
  make =
    overlays:
    let
      pkgs = b.foldl' (prev: overlay: prev // overlay pkgs prev) plain overlays;
      callPackage =
        file: set:
        let
          f = import file;
        in
        f (b.intersectAttrs (b.functionArgs f) (pkgs // set));
      plain =
    lib.genAttrs [
      "cargo"
      "cargo-deny"
      "cargo-nextest"
      "clippy"
      "gnumake"
      "installShellFiles"
      "jq"
      "nixfmt"
      "openssl"
      "pkg-config"
      "rustc"
      "rustfmt"
      "systemd"
    ] (name: package name { })
    // {
      inherit lib callPackage;
      extend = overlay: make (overlays ++ [ overlay ]);
      # As on the machine that a unit is rendered for.
      coreutils.outPath = "/usr";
      stdenv = rec {
        buildPlatform = {
          inherit system;
          canExecute = platform: platform.system == system;
        };
        hostPlatform = buildPlatform;
      };
      mkShell = set: package "shell" set;
      rustPlatform.buildRustPackage =
        set:
        assert b.pathExists set.cargoLock.lockFile;
        package set.pname (
          {
            inherit (set) version pname;
            meta = set.meta or { };
          }
          // set.passthru or { }
        );
      # Runs on this machine, with its programs.
      runCommand =
        name: _: script:
        derivation {
          inherit name system;
          builder = "/bin/sh";
          args = [
            "-euc"
            script
          ];
          PATH = "/usr/bin:/bin";
        };
      formats.toml = _: {
        type = lib.types.anything // {
          description = "TOML value";
        };
        generate = name: value: b.toFile name (lib.generators.toTOML value);
      };
      testers.runNixOSTest =
        test:
        assert b.isString test.testScript;
        package "vm-test-run-${test.name}" { inherit (test) nodes; };
    };
    in
    pkgs;
in
make [ ]
