//! The units that the NixOS modules render, booted under a real systemd with
//! the built programs: vm-tests/machine. One boot for all claims.
#![cfg(test)]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

mod peers;

#[test]
fn the_rendered_units_hold_their_claims_under_a_real_systemd() {
    if !rustix::process::geteuid().is_root() {
        return peers::missing("the units were not booted: run as root");
    }
    if peers::find("systemd-nspawn").is_none() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let boot = Command::new(root.join("vm-tests/machine/boot"))
        .arg(programs())
        .env("OUT", out.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&boot.stdout);
    let complaint = String::from_utf8_lossy(&boot.stderr);
    assert!(boot.status.success(), "{said}\n{complaint}");
    let claims = std::fs::read_dir(root.join("vm-tests/machine/claims")).unwrap().count() - 1;
    assert_eq!(said.matches("holds  ").count(), claims, "{said}");
}

/// The folder of the built programs, with chrony-probe, which is in no default
/// build.
fn programs() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_provenanced")).parent().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "-p", "chrony-probe"]);
    if folder.ends_with("release") {
        build.arg("--release");
    }
    build.arg("--target-dir").arg(folder.parent().unwrap());
    assert!(build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    folder.to_owned()
}
