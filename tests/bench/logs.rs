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

#[path = "../audit_world/mod.rs"]
mod audit_world;

use std::{fs, io::Write as _, path::Path, process::Command, time::Duration};

use audit_world::{World, lines};
use provenance_core::report::{Code, Verdict};
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 5;

fn main() {
    let mib: u64 = std::env::var("MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(1024);
    let (mut first, mut second, mut peer) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut world = World::new();
        fill(&world.path("big.log"), mib);
        peer.push(openssl(&world.path("big.log")));
        first.push(own_cpu(|| world.tick()).0);
        let (cpu, report) = own_cpu(|| world.verify());
        second.push(cpu);
        assert_eq!(report.verdict(), Verdict::Verified);
        assert_eq!(report.count_checked("log bytes"), mib << 20);
        if round == 0 {
            world.flip("big.log", (mib << 20) - 1);
            let report = world.verify();
            assert_eq!(report.findings()[0].code, Code::LogModified);
            println!("negative control: a flipped byte in {mib} MiB is found");
        }
    }
    let openssl = median(&mut peer);
    println!("hashing {mib} MiB of logs, CPU against openssl dgst -sha256 (must: <= 1.0)");
    for (what, cpu) in [("the daemon's first read", &mut first), ("provctl --logs", &mut second)] {
        println!("  {what:<24} {:.2}x", median(cpu).as_secs_f64() / openssl.as_secs_f64());
    }
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

/// CPU time of this process, user and system, while `work` runs.
fn own_cpu<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let now = || Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap();
    let start = now();
    let result = work();
    (now() - start, result)
}

/// CPU time of openssl over the file, user and system, as bash measures it.
fn openssl(path: &Path) -> Duration {
    let script = "TIMEFORMAT='%3U %3S'; time openssl dgst -sha256 \"$0\" >/dev/null";
    let output = Command::new("bash").args(["-c", script]).arg(path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    let seconds = text.split_whitespace().map(|part| part.parse::<f64>().unwrap()).sum();
    Duration::from_secs_f64(seconds)
}

fn median(values: &mut [Duration]) -> Duration {
    values.sort();
    values[values.len() / 2]
}
