//! A compliance packet of an enterprise appliance, with a bundle a week:
//! making it against `gzip` of what goes into it, verifying it against
//! `openssl dgst -sha256` of what is in it, and the memory of both for 1x and
//! 10x the records.
//!
//! 73 days, 105,120 records, unless `BENCH_DAYS` says otherwise: 365 is the
//! year of 525,600 ticks.
// A benchmark ends with whatever goes wrong in it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod measure;
mod years;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use measure::{at_most, control, cpu_of, median, peak_mib};
use provenance_core::encoding::time::Timestamp;
use years::{Years, of_days};

const DAY: i64 = 86_400_000_000_000;

fn main() {
    if !measure::is_asked() {
        return;
    }
    let days = measure::setting("BENCH_DAYS", 73);
    let runs = measure::setting("BENCH_RUNS", 3);
    let folder = measure::folder();
    let (large, small) = (with_bundles(&folder, days), with_bundles(&folder, (days / 10).max(1)));
    let out = folder.join("bench-packet.zip");
    let (mut made, mut zipped) = (vec![], vec![]);
    for _ in 0..runs {
        made.push(ran(&make(&large, &out)));
        let state = large.0.state.display();
        zipped.push(ran(&format!("find {state}/chain {state}/bundles -type f | xargs cat | gzip")));
    }
    println!("provenanced packet, {} records, a bundle a week:", days * 1440);
    at_most("  CPU against gzip of its files", median(&mut made) / median(&mut zipped), 1.5, 1.0);

    let unpacked = folder.join("bench-packet");
    let _ = fs::remove_dir_all(&unpacked);
    ran(&format!("unzip -q {} -d {}", out.display(), unpacked.display()));
    let hash = format!("find {} -type f | xargs openssl dgst -sha256", unpacked.display());
    let (mut ours, mut theirs) = (vec![], vec![]);
    for _ in 0..runs {
        ours.push(ran(&verify(&large, &out)));
        theirs.push(ran(&hash));
    }
    println!("provctl verify PACKET.zip, {} bytes:", fs::metadata(&out).unwrap().len());
    let ratio = median(&mut ours) / median(&mut theirs);
    at_most("  CPU against openssl dgst -sha256 of its files", ratio, 2.0, 1.0);

    let little = folder.join("bench-packet-small.zip");
    ran(&make(&small, &little));
    for (what, large, small) in [
        ("making", make(&large, &out), make(&small, &little)),
        ("verifying", verify(&large, &out), verify(&small, &little)),
    ] {
        let (memory, before) = (peak_mib(&large), peak_mib(&small));
        at_most(&format!("  peak memory of {what}, MiB"), memory, 16.0, 8.0);
        let what = format!("  peak memory of {what} against a tenth of the records");
        at_most(&what, memory / before, 1.1, 1.05);
    }
    controls(&small, &little);
    measure::end();
}

type State = (Years, u64);

/// The days with a bundle for each week, made once and kept.
fn with_bundles(folder: &Path, days: u64) -> State {
    let years = of_days(folder, days);
    let end = start().plus_nanos(days as i64 * DAY);
    let weeks = (0..).map(|week| start().plus_nanos(week * 7 * DAY)).take_while(|from| *from < end);
    let there = fs::read_dir(years.state.join("bundles")).map_or(0, Iterator::count);
    for from in weeks.skip(there) {
        let to = from.plus_nanos(7 * DAY).min(end);
        ran(&format!(
            "{} bundle --config {} --from {from} --to {to}",
            env!("CARGO_BIN_EXE_provenanced"),
            years.config.display()
        ));
    }
    (years, days)
}

fn start() -> Timestamp {
    Timestamp::parse(b"2024-01-01T00:00:00.000000000Z").unwrap()
}

fn make((years, days): &State, out: &Path) -> String {
    let _ = fs::remove_file(out);
    format!(
        "rm -f {out}; exec {} packet --config {} --from {} --to {} --out {out}",
        env!("CARGO_BIN_EXE_provenanced"),
        years.config.display(),
        start(),
        start().plus_nanos(*days as i64 * DAY),
        out = out.display(),
    )
}

fn verify((years, _): &State, packet: &Path) -> String {
    format!(
        "{} verify {} --policy {}",
        env!("CARGO_BIN_EXE_provctl"),
        packet.display(),
        years.policy.display()
    )
}

/// The CPU time of what must succeed.
fn ran(command: &str) -> Duration {
    // A shell of its own, for what `exec` replaces.
    let (cpu, code) = cpu_of(&format!("bash -c '{command}'"));
    assert_eq!(code, 0, "{command}");
    cpu
}

/// What must still fail, or the figures above mean nothing.
fn controls(small: &State, packet: &Path) {
    let good = fs::read(packet).unwrap();
    let bad: PathBuf = packet.with_extension("bad.zip");
    for part in [1, 2, 3] {
        let mut changed = good.clone();
        changed[good.len() * part / 4] ^= 1;
        fs::write(&bad, changed).unwrap();
        let failed = Command::new("bash").args(["-c", &verify(small, &bad)]).output().unwrap();
        control(&format!("a flipped bit at {part} of 4"), failed.status.code() == Some(1));
    }
}
