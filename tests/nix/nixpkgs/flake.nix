# A stand-in for nixpkgs, for machines that cannot reach the real one: as much of
# its library, module system and packages as ours use, written for this. It shows
# the wiring (options, types, priorities, assertions, units), not NixOS itself.
{
  outputs =
    { self }:
    let
      lib = import ./lib;
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (
        system: import ./pkgs.nix { inherit lib system; }
      );
    };
}
