{
  description = "Compliance evidence and time attestation for NixOS appliances";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      each =
        make:
        lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (
          system: make (nixpkgs.legacyPackages.${system}.extend self.overlays.default)
        );
    in
    {
      overlays.default = import ./modules/packages/overlay.nix;

      nixosModules.default = {
        imports = [ ./modules ];
        nixpkgs.overlays = [ self.overlays.default ];
      };

      packages = each (pkgs: {
        default = pkgs.msp-provenance;
        inherit (pkgs) msp-provenance chrony-probe;
      });

      devShells = each (pkgs: {
        default = pkgs.callPackage ./modules/packages/shell.nix { };
      });

      formatter = each (pkgs: pkgs.nixfmt);

      checks = each (
        pkgs:
        {
          inherit (pkgs) msp-provenance chrony-probe;
          clippy = pkgs.msp-provenance.clippy;
        }
        # Each file in vm-tests/nixos is one claim, and one check.
        // import ./vm-tests/nixos.nix {
          inherit lib pkgs;
          module = self.nixosModules.default;
        }
      );
    };
}
