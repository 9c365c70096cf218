//! The units that the NixOS modules render, booted under a real systemd with
//! the built programs: vm-tests/machine. One boot in a container for most claims,
//! one under qemu for what a container does not enforce.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::common::peers;

#[test]
fn the_rendered_units_hold_their_claims_under_a_real_systemd() {
    for program in ["systemd-nspawn", "nix", "bitcoind"] {
        if peers::find(program).is_none() {
            return;
        }
    }
    holds("boot", "claims", &[]);
}

#[test]
fn what_a_container_does_not_enforce_holds_with_a_kernel_of_its_own() {
    if peers::find("qemu-system-x86_64").is_some() {
        // `make vm-test` tries the rest.
        holds("qemu", "kernel", &["start", "network", "limits", "clock"]);
    }
}

/// Boots the machine by `way`, which tries these claims, or each of the folder.
fn holds(way: &str, folder: &str, claims: &[&str]) {
    if !rustix::process::geteuid().is_root() {
        return peers::missing("the units were not booted: run as root");
    }
    let machine = Path::new(env!("CARGO_MANIFEST_DIR")).join("vm-tests/machine");
    let out = tempfile::tempdir().unwrap();
    let boot = Command::new(machine.join(way))
        .arg(programs())
        .args(claims)
        .env("OUT", out.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&boot.stdout);
    let complaint = String::from_utf8_lossy(&boot.stderr);
    assert!(boot.status.success(), "{said}\n{complaint}");
    let all = fs::read_dir(machine.join(folder)).unwrap().count();
    let tried = if claims.is_empty() { all } else { claims.len() };
    assert_eq!(said.matches("holds  ").count(), tried, "{said}");
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
