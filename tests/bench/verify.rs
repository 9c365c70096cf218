//! `provctl verify-chain` against `openssl dgst -sha256` of the same files:
//! CPU of whole processes, alternating, as the ratio of medians; its peak
//! memory for 1x and 10x the records; and `journalctl --verify` of a journal.
//!
//! Two years of an enterprise appliance, 1,051,200 records, unless
//! `BENCH_DAYS` says otherwise.
// A benchmark ends with whatever goes wrong in it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod measure;
mod years;

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use measure::{at_least, at_most, control, cpu_of, median, peak_mib};
use provenance_core::encoding::digest::Digest;
use years::{Years, of_days};

/// Where Debian and others put it.
const JOURNAL_REMOTE: [&str; 2] =
    ["/lib/systemd/systemd-journal-remote", "/usr/lib/systemd/systemd-journal-remote"];

fn main() {
    if !measure::is_asked() {
        return;
    }
    let days = measure::setting("BENCH_DAYS", 730);
    let folder = measure::folder();
    let (large, small) = (of_days(&folder, days), of_days(&folder, (days / 10).max(1)));
    let openssl = format!(
        "find {}/chain -name '*.jsonl' | xargs openssl dgst -sha256",
        large.state.display()
    );
    let (mut ours, mut theirs) = (vec![], vec![]);
    for _ in 0..5 {
        let (cpu, code) = cpu_of(&provctl(&large));
        assert_eq!(code, 0, "the chain verifies");
        ours.push(cpu);
        theirs.push(cpu_of(&openssl).0);
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!("provctl verify-chain, {} records:", days * 1440);
    at_most("  CPU against openssl dgst -sha256", ours / theirs, 2.0, 1.0);
    let (memory, before) = (peak_mib(&provctl(&large)), peak_mib(&provctl(&small)));
    at_most("  peak memory, MiB", memory, 16.0, 8.0);
    at_most("  peak memory against a tenth of the records", memory / before, 1.1, 1.05);
    journal(&folder, ours / (days * 1440) as f64);
    controls(&small);
    measure::end();
}

/// `journalctl --verify`, per entry. The journal is not sealed, which spares
/// it the checks of its seals.
fn journal(folder: &Path, ours: f64) {
    const ENTRIES: u64 = 100_000;
    const BOOT: &str = "0123456789abcdef0123456789abcdef";
    let Some(remote) = JOURNAL_REMOTE.into_iter().find(|path| Path::new(path).exists()) else {
        println!("  *** no systemd-journal-remote: not compared with journalctl --verify ***");
        return;
    };
    let file = folder.join("bench.journal");
    let _ = fs::remove_file(&file);
    let mut child =
        Command::new(remote).arg("-o").arg(&file).arg("-").stdin(Stdio::piped()).spawn().unwrap();
    let mut input = std::io::BufWriter::new(child.stdin.take().unwrap());
    for entry in 0..ENTRIES {
        let (time, digest) =
            (1_700_000_000_000_000 + entry * 60_000_000, Digest::sha256(&entry.to_be_bytes()));
        // The fields that journald gives to a line of a daemon.
        write!(
            input,
            "__REALTIME_TIMESTAMP={time}\n__MONOTONIC_TIMESTAMP={time}\n_BOOT_ID={BOOT}\n\
             MESSAGE=a line of a log with the digest {digest} in it\nPRIORITY=6\n\
             SYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=bench\n_PID={pid}\n_UID=0\n_GID=0\n\
             _COMM=bench\n_EXE=/usr/bin/bench\n_CMDLINE=/usr/bin/bench --serve\n\
             _CAP_EFFECTIVE=0\n_SYSTEMD_CGROUP=/system.slice/bench.service\n\
             _SYSTEMD_UNIT=bench.service\n_SYSTEMD_SLICE=system.slice\n_TRANSPORT=stdout\n\
             _SYSTEMD_INVOCATION_ID={BOOT}\n_MACHINE_ID={BOOT}\n_HOSTNAME=h\n\
             _STREAM_ID={BOOT}\n_RUNTIME_SCOPE=system\n\n",
            pid = 1000 + entry % 50,
        )
        .unwrap();
    }
    drop(input);
    assert!(child.wait().unwrap().success());
    let (cpu, code) = cpu_of(&format!("journalctl --verify --file {} 2>&1", file.display()));
    assert_eq!(code, 0, "the journal verifies");
    let ratio = cpu.as_secs_f64() / ENTRIES as f64 / ours;
    at_least("  entries a second against journalctl --verify", ratio, 15.0, 40.0);
}

/// What must still fail, or the figures above mean nothing.
fn controls(years: &Years) {
    let day = years.state.join("chain/2024/01/01.jsonl");
    let good = fs::read_to_string(&day).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let mut swapped = lines.clone();
    swapped.swap(700, 701);
    let missing = [&lines[..700], &lines[701..]].concat();
    let text = |lines: &[&str]| lines.join("\n") + "\n";
    let flipped = good.replacen("\"up_ms\":600", "\"up_ms\":601", 1);
    for (name, bad) in [
        ("a flipped byte", flipped),
        ("a missing record", text(&missing)),
        ("two swapped", text(&swapped)),
    ] {
        assert_ne!(bad, good);
        fs::write(&day, bad).unwrap();
        let (_, code) = cpu_of(&provctl(years));
        fs::write(&day, &good).unwrap();
        control(name, code == 1);
    }
}

fn provctl(years: &Years) -> String {
    format!(
        "{} verify-chain --state {} --policy {}",
        env!("CARGO_BIN_EXE_provctl"),
        years.state.display(),
        years.policy.display()
    )
}
