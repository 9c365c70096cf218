//! Hashing logs, against `openssl dgst -sha256` of the same file in the same
//! run: CPU time as a ratio, for the follower's first read of a log and for
//! the audit's second. A flipped byte must still be found.
//!
//! `MIB` says how large the log is, 1024 by default.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark ends where something is wrong"
)]

mod measure;
#[allow(dead_code, reason = "made for the tests of the auditor")]
#[path = "../auditor/harness.rs"]
mod recorded_logs;

use std::{fs, io::Write as _, path::Path};

use measure::{at_most, control, cpu_of, median, own_cpu};
use provenance_core::report::{Code, Verdict};
use recorded_logs::{RecordedLogs, lines};

const ROUNDS: usize = 5;

fn main() {
    if !measure::is_asked() {
        return;
    }
    let mib = measure::setting("MIB", 1024);
    let (mut first, mut second, mut peer) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut fixture = RecordedLogs::new();
        fill(&fixture.path("big.log"), mib);
        let openssl = format!("openssl dgst -sha256 {}", fixture.path("big.log").display());
        peer.push(cpu_of(&openssl).0);
        first.push(own_cpu(|| fixture.tick()).0);
        let (cpu, report) = own_cpu(|| fixture.verify());
        second.push(cpu);
        assert_eq!(report.verdict(), Verdict::Verified);
        assert_eq!(report.count_checked("log bytes"), mib << 20);
        if round == 0 {
            fixture.flip("big.log", (mib << 20) - 1);
            let report = fixture.verify();
            control("a flipped byte", report.findings()[0].code == Code::LogModified);
        }
    }
    let openssl = median(&mut peer);
    println!("hashing {mib} MiB of logs, CPU against openssl dgst -sha256:");
    for (what, cpu) in
        [("  the daemon's first read", &mut first), ("  provctl --logs", &mut second)]
    {
        at_most(what, median(cpu) / openssl, 1.0, 0.5);
    }
    measure::end();
}

fn fill(path: &Path, mib: u64) {
    let mut file = fs::File::create(path).unwrap();
    let chunk = lines(1, 1 << 20);
    for _ in 0..mib {
        file.write_all(&chunk).unwrap();
    }
    // Nothing is written back while others are measured.
    file.sync_all().unwrap();
}
