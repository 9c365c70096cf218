//! The daemon: what one tick costs against hashing the same bytes, how many
//! sync calls it makes for few and for many logs, and what it takes while
//! nothing happens.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark ends where something is wrong"
)]

#[path = "../common/mod.rs"]
mod common;
mod measure;
#[allow(dead_code, reason = "made for the tests of the auditor")]
#[path = "../auditor/harness.rs"]
mod recorded_logs;

use std::{
    fs,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use measure::{at_most, control, cpu_of, median, own_cpu};
use provenance_core::encoding::digest::Digest;
use recorded_logs::lines;

const KIB64: usize = 64 << 10;

fn main() {
    if !measure::is_asked() {
        return;
    }
    ticks();
    println!("sync calls a tick:");
    at_most("  with 8 logs", syncs(8), 3.0, 2.0);
    at_most("  with 300 logs", syncs(300), 3.0, 2.0);
    idle();
    measure::end();
}

/// Follower and chain writer, without the disk's own time.
fn ticks() {
    const ROUNDS: usize = 50;
    let chunk = lines(1, 8 * KIB64);
    let mut hashing = (0..ROUNDS).map(|_| own_cpu(|| Digest::sha256(&chunk)).0).collect::<Vec<_>>();
    let tick = |before: usize| {
        let mut fixture = recorded_logs::RecordedLogs::new();
        for log in 0..8 {
            fixture.append(&format!("{log}.log"), &lines(log, before / 8));
        }
        fixture.tick();
        let mut times = vec![];
        for _ in 0..ROUNDS {
            for (log, bytes) in chunk.chunks(KIB64).enumerate() {
                fixture.append(&format!("{log}.log"), bytes);
            }
            times.push(own_cpu(|| fixture.tick()).0);
        }
        let report = fixture.expect_clean();
        assert_eq!(report.count_checked("log bytes"), (before + ROUNDS * chunk.len()) as u64);
        (median(&mut times), fixture)
    };
    let ((small, fixture), (large, _)) = (tick(0), tick(100 << 20));
    println!("one tick, 8 logs with 64 KiB new each:");
    at_most("  CPU against hashing as much", small / median(&mut hashing), 3.6, 1.4);
    println!("  milliseconds of CPU: {:.2}", small * 1e3);
    at_most("  behind 100 MiB of logs against behind nothing", large / small, 1.2, 1.05);
    fixture.flip("3.log", 70_000);
    control("a flipped byte", !fixture.verify().findings().is_empty());
}

/// Of the whole daemon, the registry's included: what more ticks make more.
fn syncs(logs: usize) -> f64 {
    const MORE: u32 = 6;
    f64::from(synced(logs, 2 + MORE) - synced(logs, 2)) / f64::from(MORE)
}

fn synced(logs: usize, ticks: u32) -> u32 {
    let fixture = common::test_appliance::TestAppliance::new();
    let trace = fixture.path("trace");
    let write = || (0..logs).for_each(|log| fixture.append(&format!("log/{log}.log"), "a line\n"));
    write();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                write();
                std::thread::sleep(Duration::from_millis(300));
            }
        });
        let status = Command::new("strace")
            .args(["-f", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range,msync,syncfs", "-o"])
            .arg(&trace)
            .arg(env!("CARGO_BIN_EXE_provenanced"))
            .args(["run", "--ticks", &ticks.to_string(), "--config"])
            .arg(fixture.path("p.toml"))
            .stderr(Stdio::null())
            .status();
        done.store(true, Ordering::Relaxed);
        assert!(status.expect("strace is needed").success());
    });
    let entries = fixture.entries("/log/3.log").len();
    assert!(entries as u32 >= ticks, "the logs grew between ticks: {entries} of {ticks}");
    let trace = fs::read_to_string(trace).unwrap();
    u32::try_from(trace.lines().filter(|line| line.contains("sync")).count()).unwrap()
}

/// Resident memory and CPU time of a daemon that has nothing to do but its
/// ticks. Over 10,000 ticks, tests/daemon_days.rs shows that neither grows.
fn idle() {
    let fixture = common::test_appliance::TestAppliance::new();
    let command = format!(
        "{} run --ticks 10 --config {}",
        env!("CARGO_BIN_EXE_provenanced"),
        fixture.path("p.toml").display()
    );
    let peak = measure::peak_mib(&format!("{command} 2>/dev/null"));
    println!("a daemon with one quiet log, 10 ticks:");
    at_most("  peak memory, MiB", peak, 12.0, 8.0);
    let (cpu, code) = cpu_of(&format!("{command} 2>/dev/null"));
    assert_eq!(code, 0);
    println!(
        "  milliseconds of CPU a tick, start and end included: {:.1}",
        cpu.as_secs_f64() * 100.0
    );
}
