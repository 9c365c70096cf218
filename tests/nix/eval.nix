# What our modules make of a case: nix eval --json -f tests/nix/eval.nix all
#
# `package` stands where the programs would be; a derivation judges settings by
# running the provenanced in it.
{
  package ? "/opt/msp-provenance",
  # A module more, such as a test's own settings.
  module ? { },
}:
let
  lib = import ./nixpkgs/lib;
  pkgs = (import ./nixpkgs/pkgs.nix { inherit lib; }).extend (
    import ../../modules/packages/overlay.nix
  );
  placed = name: {
    inherit name;
    type = "derivation";
    outPath = package;
    inherit (pkgs.msp-provenance) commands;
  };
  programs.services.msp-provenance = {
    package = lib.mkDefault (placed "msp-provenance");
    chronyProbe = lib.mkDefault (placed "chrony-probe");
  };
  evaluate =
    modules:
    import ./nixpkgs/nixos.nix {
      inherit lib pkgs;
      modules = [
        ../../modules
        programs
      ]
      ++ modules;
    };
  shown =
    modules:
    let
      evaluated = evaluate modules;
      inherit (evaluated) config;
      cfg = config.services.msp-provenance;
      failed = builtins.filter (one: !one.assertion) config.assertions;
      etc = config.environment.etc;
    in
    {
      failed = map (one: one.message) failed;
      inherit (config) warnings;
    }
    // lib.optionalAttrs (failed == [ ] && cfg.enable) {
      inherit (evaluated) units;
      inherit (cfg) settings;
      config = "${etc."msp-provenance/provenance.toml".source}";
      policy = builtins.readFile etc."msp-provenance/policy.toml".source;
      toml = lib.generators.toTOML (lib.filterAttrsRecursive (_: value: value != null) cfg.settings);
      chrony = config.services.chrony;
      rest = {
        inherit (config.services) gpsd bitcoind;
        inherit (config) security;
        nix = config.nix.settings;
        inherit (config.systemd) tmpfiles;
        firewall = config.networking.firewall.allowedTCPPorts;
        users = config.users;
        journald = etc."systemd/journald.conf.d/50-msp-provenance.conf".text or null;
      };
    };
  cases = lib.genAttrs (map (lib.removeSuffix ".nix") (builtins.attrNames (builtins.readDir ./cases))) (
    name: [ (./cases + "/${name}.nix") ]
  );
in
{
  all = lib.mapAttrs (_: shown) cases;
  one = shown [ module ];
  # Only with a package that can run: the settings, judged by building them.
  judged = lib.mapAttrs (_: modules: (evaluate modules).config.environment.etc."msp-provenance/provenance.toml".source) cases;
  judgedOne = (evaluate [ module ]).config.environment.etc."msp-provenance/provenance.toml".source;
  options = (evaluate [ ]).options.services.msp-provenance;
}
