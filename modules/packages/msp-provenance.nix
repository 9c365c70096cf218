# provenanced, provctl, their man pages and completions.
{
  lib,
  stdenv,
  rustPlatform,
  pkg-config,
  installShellFiles,
  clippy,
  systemd,
}:
let
  source = import ./source.nix { inherit lib; };
in
rustPlatform.buildRustPackage {
  pname = "msp-provenance";
  inherit (source) version src;
  cargoLock = { inherit (source) lockFile; };

  nativeBuildInputs = [
    pkg-config
    installShellFiles
  ];
  # libsystemd: the journal.
  buildInputs = [ systemd ];

  cargoBuildFlags = [
    "--bin=provenanced"
    "--bin=provctl"
  ];
  # The crates' own tests. Those of the built programs need real peers and run by
  # `make test`.
  cargoTestFlags = [
    "--workspace"
    "--exclude=chrony-probe"
    "--lib"
  ];

  postInstall = ''
    installManPage docs/man/*.1
  ''
  + lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    for program in provenanced provctl; do
      installShellCompletion --cmd $program \
        --bash <($out/bin/$program completions bash) \
        --fish <($out/bin/$program completions fish) \
        --zsh <($out/bin/$program completions zsh)
    done
  '';

  passthru = {
    commands = import ./commands.nix;
    clippy = rustPlatform.buildRustPackage {
      pname = "msp-provenance-clippy";
      inherit (source) version src;
      cargoLock = { inherit (source) lockFile; };
      nativeBuildInputs = [
        pkg-config
        clippy
      ];
      buildInputs = [ systemd ];
      buildPhase = "cargo clippy --offline --locked --workspace -- -D warnings";
      doCheck = false;
      installPhase = "touch $out";
    };
  };

  meta = {
    description = "Compliance evidence and time attestation";
    homepage = "https://msp-provenance.dev";
    license = [
      lib.licenses.mit
      lib.licenses.asl20
    ];
    platforms = lib.platforms.linux;
    mainProgram = "provenanced";
  };
}
