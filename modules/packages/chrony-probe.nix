# chrony-probe, a package of its own because it is under the GPL: it shares no
# code with the others (daemon/chrony-probe/README.md).
{ lib, rustPlatform }:
let
  source = import ./source.nix { inherit lib; };
in
rustPlatform.buildRustPackage {
  pname = "chrony-probe";
  inherit (source) version src;
  cargoLock = { inherit (source) lockFile; };
  cargoBuildFlags = [ "--package=chrony-probe" ];
  cargoTestFlags = [ "--package=chrony-probe" ];
  meta = {
    description = "Asks chronyd how it keeps the time and prints one JSON report";
    license = lib.licenses.gpl2Only;
    platforms = lib.platforms.linux;
    mainProgram = "chrony-probe";
  };
}
