# The packages, put over nixpkgs.
final: _prev: {
  msp-provenance = final.callPackage ./msp-provenance.nix { };
  chrony-probe = final.callPackage ./chrony-probe.nix { };
}
