//! Checking Ed25519 signatures by the strict rule, against what
//! `openssl speed ed25519` verifies in a second on this machine.
#![allow(clippy::unwrap_used, reason = "a benchmark ends where something is wrong")]

mod measure;

use std::process::Command;

use measure::{at_least, control, median, own_cpu};
use provenanced::ledger::signer::{self, Signer};

fn main() {
    if !measure::is_asked() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (path, _, public) = signer::keygen(folder.path(), "bench").unwrap();
    let signer = Signer::load(path.to_str().unwrap()).unwrap();
    let message = [b'm'; 300];
    let signature = signer.sign(&message);
    let mut times = vec![];
    for _ in 0..5 {
        let (cpu, good) = own_cpu(|| (0..4_000).all(|_| public.verifies(&message, &signature)));
        assert!(good);
        times.push(cpu);
    }
    let ours = 4_000.0 / median(&mut times);
    println!("strict signature checks a second:");
    at_least("  against openssl speed ed25519", ours / openssl(), 1.9, 5.5);
    let mut other = signature;
    other[40] ^= 1;
    control("a changed signature", !public.verifies(&message, &other));
    control("a changed message", !public.verifies(&message[1..], &signature));
    measure::end();
}

/// Verifications a second, the last number that `openssl speed` prints.
fn openssl() -> f64 {
    let output =
        Command::new("openssl").args(["speed", "-seconds", "2", "ed25519"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().rfind(|line| line.contains("Ed25519")).unwrap();
    line.split_whitespace().last().unwrap().parse().unwrap()
}
