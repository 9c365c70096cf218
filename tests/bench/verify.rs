//! `provctl verify-chain` against `openssl dgst -sha256` of the same files:
//! CPU of whole processes, alternating, as the ratio of medians; its peak
//! memory for 1x and 10x the records; and the negative controls.
//!
//! Two years of an enterprise appliance, 1,051,200 records, unless
//! `BENCH_DAYS` says otherwise.
// A benchmark ends with whatever goes wrong in it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use provenance_core::{
    chain::{Body, Genesis, Session, Tick, file_name},
    clock::{Claim, KERNEL, Rule, Source, judge},
    digest::Digest,
    logs::{Event, LogEntry, What},
    record,
    time::Timestamp,
};

const MINUTE: i64 = 60_000_000_000;
const RULE: Rule = Rule { alarm_ns: 100_000_000, min_agreeing: 0 };

fn main() {
    // `cargo test` and `cargo nextest` start benches too, to list their tests.
    if std::env::args().any(|arg| arg == "--list" || arg == "--test") {
        return;
    }
    let days = std::env::var("BENCH_DAYS").map_or(730, |days| days.parse().unwrap());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (large, head) = chain(folder, days);
    let (small, small_head) = chain(folder, (days / 10).max(1));
    let provctl = |chain: &Path, head: &str| {
        format!(
            "{} verify-chain --state {} --policy {} --expect-head {head}",
            env!("CARGO_BIN_EXE_provctl"),
            chain.display(),
            policy(folder).display()
        )
    };
    let openssl = format!("find {} -name '*.jsonl' | xargs openssl dgst -sha256", large.display());
    let (mut ours, mut theirs) = (vec![], vec![]);
    for _ in 0..5 {
        let (cpu, _, code) = run(&provctl(&large, &head));
        assert_eq!(code, 0, "the chain verifies");
        ours.push(cpu);
        theirs.push(run(&openssl).0);
    }
    let ratio = median(&mut ours) / median(&mut theirs);
    println!(
        "verify-chain, {} records, CPU against openssl dgst: {}",
        days * 1440,
        judged(ratio, 2.0, 1.0)
    );
    let memory = run(&provctl(&large, &head)).1;
    let before = run(&provctl(&small, &small_head)).1;
    println!("peak memory, MiB: {}", judged(memory / 1024.0, 16.0, 8.0));
    println!("peak memory against a tenth of the records: {}", judged(memory / before, 1.1, 1.05));
    controls(&small, &small_head, &provctl);
}

fn judged(value: f64, must: f64, moonshot: f64) -> String {
    let word = match () {
        () if value <= moonshot => "moonshot",
        () if value <= must => "ok",
        () => "MISSED",
    };
    format!("{value:.2} (must {must}, moonshot {moonshot}): {word}")
}

/// What must still fail, or the figures above mean nothing.
fn controls(chain: &Path, head: &str, provctl: &dyn Fn(&Path, &str) -> String) {
    let day = files(chain).remove(0);
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
        let code = run(&provctl(chain, head)).2;
        fs::write(&day, &good).unwrap();
        assert_eq!(code, 1, "{name} must be found");
        println!("negative control, {name}: found");
    }
}

/// User and system seconds, peak KiB, and exit code of a shell command.
fn run(command: &str) -> (f64, f64, i32) {
    let script =
        format!("TIMEFORMAT='%U %S'; time {{ {command} >/dev/null; code=$?; }}; exit $code");
    let peak = Command::new("bash")
        .args(["-c", &format!("{command} >/dev/null & pid=$!; peak=0; while kill -0 $pid 2>/dev/null; do v=$(sed -n 's/^VmHWM:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$pid/status 2>/dev/null); [ -n \"$v\" ] && peak=$v; sleep 0.02; done; echo $peak")])
        .output()
        .unwrap();
    let peak = String::from_utf8_lossy(&peak.stdout).trim().parse().unwrap_or(0.0);
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = text.lines().last().unwrap_or_default();
    let cpu = last.split_whitespace().map(|number| number.parse::<f64>().unwrap()).sum();
    (cpu, peak, output.status.code().unwrap())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn policy(folder: &Path) -> PathBuf {
    let path = folder.join("bench-policy.toml");
    fs::write(&path, "client = \"bench\"\nallow_unsigned = true\n").unwrap();
    path
}

fn files(chain: &Path) -> Vec<PathBuf> {
    let listing = msp_provenance::host::chainfiles::list(chain).unwrap();
    listing.files.into_iter().map(|file| file.path).collect()
}

/// A valid chain of so many days, made once and kept.
fn chain(folder: &Path, days: u64) -> (PathBuf, String) {
    let root = folder.join(format!("bench-chain-{days}"));
    let head_file = folder.join(format!("bench-chain-{days}.head"));
    if let Ok(head) = fs::read_to_string(&head_file) {
        return (root.join("chain"), head);
    }
    let _ = fs::remove_dir_all(&root);
    let mut time = Timestamp::parse(b"2024-01-01T00:00:00.000000000Z").unwrap();
    let (mut prev, mut seq, mut up_ms) = (Digest::ZERO, 0, 0);
    let mut file = None::<(String, fs::File, Vec<u8>)>;
    let mut write = |time: Timestamp, body: &Body<'_>| {
        let name = file_name(time);
        if file.as_ref().is_none_or(|(open, ..)| *open != name) {
            if let Some((_, mut file, buffer)) = file.take() {
                file.write_all(&buffer).unwrap();
            }
            let path = root.join(&name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            file = Some((name, fs::File::create(path).unwrap(), vec![]));
        }
        let line = record::encode(body.kind(), seq, prev, time, &body.to_value());
        (prev, seq) = (Digest::of(&line), seq + 1);
        let (_, open, buffer) = file.as_mut().unwrap();
        buffer.extend_from_slice(&line);
        buffer.push(b'\n');
        open.write_all(buffer).unwrap();
        buffer.clear();
        prev
    };
    write(
        time,
        &Body::Genesis(Genesis {
            chain: "00".into(),
            client: "bench".into(),
            config_sha256: Digest::ZERO,
            host: "h".into(),
            interval_s: 60,
            machine: "m".into(),
            software: "s".into(),
            tier: "enterprise".into(),
        }),
    );
    write(
        time,
        &Body::Start(Session {
            boot: "f2db1517".into(),
            config_sha256: Digest::ZERO,
            reason: "first start".into(),
            software: "s".into(),
            up_ms,
        }),
    );
    let mut to = 0;
    let mut head = Digest::ZERO;
    for minute in 0..days * 1440 - 2 {
        (time, up_ms) = (time.plus_nanos(MINUTE), up_ms + 60_000);
        let claim = Claim::Interval { offset_ns: 0, bound_ns: 2_100_000, as_of: time };
        let clock = judge(time, RULE, None, vec![Source::claims(KERNEL, claim, None)]);
        let entry = |what| LogEntry { src: "file:/var/log/syslog".into(), generation: 0, what };
        let mut logs = vec![];
        if minute == 0 {
            logs.push(entry(What::Event(Event::Appeared { id: None })));
        }
        if minute % 3 == 0 {
            logs.push(entry(What::Range { from: to, to: to + 100, sha256: prev_of(minute) }));
            to += 100;
        }
        head = write(
            time,
            &Body::Tick(Tick { boot: "f2db1517".into(), clock, logs, more: false, up_ms }),
        );
    }
    fs::write(head_file, head.to_hex()).unwrap();
    (root.join("chain"), head.to_hex())
}

fn prev_of(minute: u64) -> Digest {
    Digest::of(&minute.to_be_bytes())
}
