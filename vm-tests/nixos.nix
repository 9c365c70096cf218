# The NixOS tests: each file in nixos/ is one claim, and one check of the flake.
# For hosts with nixpkgs and KVM: nix build .#checks.x86_64-linux.vm-tamper
{
  lib,
  pkgs,
  module,
}:
lib.listToAttrs (
  map (
    file:
    let
      name = lib.removeSuffix ".nix" file;
    in
    lib.nameValuePair "vm-${name}" (
      pkgs.testers.runNixOSTest (
        {
          inherit name;
        }
        // import (./nixos + "/${file}") { appliance = import ./appliance.nix { inherit module; }; }
      )
    )
  ) (builtins.attrNames (builtins.readDir ./nixos))
)
