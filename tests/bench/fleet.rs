//! `provctl verify-fleet` over the copies of simulated appliances: time by byte
//! and peak memory against a tenth of them, and what more than one job gains.
//!
//! 1,000 appliances of 240 records, unless `BENCH_APPLIANCES` and
//! `BENCH_RECORDS` say otherwise.
// A benchmark ends with whatever goes wrong in it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod measure;
mod years;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Instant,
};

use measure::{at_least, at_most, control, cpu_of, median, peak_mib};
use provenance_core::encoding::time::Timestamp;
use provenance_host::state_dir::StateDir;
use provenance_storage::FolderWriter;
use provenanced::{
    ledger::{Ledger, signer::Signer},
    replication::{self, ReplicationRequest},
};
use rustix::fs::IFlags;

struct Fleet {
    worm: PathBuf,
    policies: PathBuf,
    bytes: u64,
}

fn main() {
    if !measure::is_asked() {
        return;
    }
    let appliances = measure::setting("BENCH_APPLIANCES", 1000);
    let records = measure::setting("BENCH_RECORDS", 240);
    let large = made(appliances, records);
    let small = made((appliances / 10).max(1), records);
    let (mut times, mut tenth, mut gains) = (vec![], vec![], vec![]);
    for _ in 0..3 {
        let timed = |command: &str| {
            let begin = Instant::now();
            let (cpu, code) = cpu_of(command);
            assert_eq!(code, 0, "the fleet verifies");
            (cpu, begin.elapsed().as_secs_f64())
        };
        let (cpu, wall) = timed(&large.command());
        let (_, alone) = timed(&(large.command() + " --jobs 1"));
        times.push(cpu);
        gains.push(alone / wall);
        tenth.push(cpu_of(&small.command()).0);
    }
    let by_byte = |times: &mut Vec<_>, fleet: &Fleet| median(times) / fleet.bytes as f64;
    let (ours, less) = (by_byte(&mut times, &large), by_byte(&mut tenth, &small));
    println!("provctl verify-fleet, {appliances} appliances, {} bytes:", large.bytes);
    println!("  {:.1} MB of copies for a second of CPU", 1e-6 / ours);
    at_most("  CPU for a byte against a tenth of the appliances", ours / less, 1.2, 1.05);
    let (memory, before) = (peak_mib(&large.command()), peak_mib(&small.command()));
    at_most("  peak memory, MiB", memory, 48.0, 24.0);
    at_most("  peak memory against a tenth of the appliances", memory / before, 1.15, 1.05);
    gains.sort_by(f64::total_cmp);
    at_least("  time with one job against one for each processor", gains[1], 1.3, 1.8);
    controls(&small);
    measure::end();
}

/// Made once and kept.
fn made(appliances: u64, records: u64) -> Fleet {
    let root = measure::folder().join(format!("bench-fleet-{appliances}-{records}"));
    let (worm, policies) = (root.join("worm"), root.join("policies"));
    let done = root.join("done");
    if !done.exists() {
        println!("making {appliances} appliances of {records} records, once");
        release(&worm);
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&policies).unwrap();
        for n in 0..appliances {
            one(&root, &worm, &policies, n, records);
        }
        // The flag that root may set would keep this folder from being removed.
        release(&worm);
        fs::write(&done, "").unwrap();
    }
    let bytes = files(&worm).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    Fleet { worm, policies, bytes }
}

fn one(root: &Path, worm: &Path, policies: &Path, n: u64, records: u64) {
    let live = root.join("live");
    let _ = fs::remove_dir_all(&live);
    fs::create_dir_all(&live).unwrap();
    let (client, host) = (format!("client-{:02}", n % 100), format!("host-{n:04}"));
    let public = years::live(&live, (&client, &host), records);
    let config = years::settings(&live, (&client, &host));
    let state = StateDir::new(&config.state_dir);
    let signer = Signer::load(config.signing_key.as_deref().unwrap()).unwrap();
    let now = Timestamp::parse(b"2026-11-21T00:00:00.000000000Z").unwrap();
    let mut evidence = Ledger::open(&config, &state, Some(signer), now).unwrap();
    let settings = config.store.clone().unwrap();
    let mut bucket = FolderWriter::new(worm);
    let asked = ReplicationRequest { config: &config, settings: &settings, bucket: &mut bucket };
    replication::run(asked, &state, &mut evidence, || now).unwrap();
    let policy = format!(
        "client = \"{client}\"\nhost = \"{host}\"\n[[keys]]\nname = \"k\"\npublic_key = \"\"\"\n{public}\"\"\"\n"
    );
    fs::create_dir_all(policies.join(&client)).unwrap();
    fs::write(policies.join(client).join(format!("{host}.toml")), policy).unwrap();
    fs::remove_dir_all(live).unwrap();
}

impl Fleet {
    fn command(&self) -> String {
        format!(
            "{} verify-fleet {} --policy {} --json",
            env!("CARGO_BIN_EXE_provctl"),
            self.worm.display(),
            self.policies.display()
        )
    }

    fn run(&self) -> (Option<i32>, serde_json::Value) {
        let Output { status, stdout, .. } =
            Command::new("bash").args(["-c", &self.command()]).output().unwrap();
        (status.code(), serde_json::from_slice(&stdout).unwrap())
    }
}

/// What must still fail, or the figures mean nothing.
fn controls(fleet: &Fleet) {
    let all = fleet.run().1["appliances"].as_array().unwrap().len() as u64;
    let file = files(&fleet.worm).into_iter().find(|f| f.ends_with("registry.jsonl")).unwrap();
    let text = fs::read(&file).unwrap();
    let mut bad = text.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    fs::write(&file, &bad).unwrap();
    let (code, answer) = fleet.run();
    fs::write(&file, &text).unwrap();
    let counts = &answer["counts"];
    let others = counts["verified"].as_u64() == Some(all - 1);
    control("one byte of one appliance", code == Some(1) && counts["failed"] == 1 && others);
}

fn files(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (vec![], vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn release(root: &Path) {
    for path in files(root) {
        let file = fs::File::open(&path).unwrap();
        if let Ok(flags) = rustix::fs::ioctl_getflags(&file) {
            let _ = rustix::fs::ioctl_setflags(&file, flags - IFlags::IMMUTABLE);
        }
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(&path, mode).unwrap();
    }
}
