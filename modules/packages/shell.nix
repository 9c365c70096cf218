# What `make run` and `make lint` need; `make test` also asks for real peers
# (tests/scripts/setup).
{
  mkShell,
  cargo,
  cargo-deny,
  cargo-nextest,
  clippy,
  gnumake,
  jq,
  openssl,
  pkg-config,
  rustc,
  rustfmt,
  systemd,
  unzip,
}:
mkShell {
  packages = [
    cargo
    cargo-deny
    cargo-nextest
    clippy
    gnumake
    jq
    openssl
    pkg-config
    rustc
    rustfmt
    systemd
    unzip
  ];
}
