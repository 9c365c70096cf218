//! The journal follower on journal files made by systemd's own tool, its
//! digests against what `journalctl -o export` says.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use provenance_core::{
    encoding::{digest::Digest, json::Value},
    journal_export::{EntryHasher, Reader},
    record::log_entry::{Event, LogEntry, What},
};
use provenance_log_follower::journal::{JournalFollower, Limits, Origin};

use crate::common::journal;

const BOOT: &str = "0123456789abcdef0123456789abcdef";
const ID: &str = "fedcba9876543210fedcba9876543210";

/// Entries `range`, each of a second, with `extra` fields, as an export.
fn entries(range: std::ops::Range<u64>, extra: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for i in range {
        let time = 1_700_000_000_000_000 + i * 1_000_000;
        let head = format!(
            "__REALTIME_TIMESTAMP={time}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID={BOOT}\n\
             _MACHINE_ID={ID}\nMESSAGE=number {i}\nPRIORITY=6\n",
            i * 1_000_000
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(extra);
        out.push(b'\n');
    }
    out
}

fn binary(name: &str, value: &[u8]) -> Vec<u8> {
    let length = (value.len() as u64).to_le_bytes();
    [name.as_bytes(), b"\n", &length, value, b"\n"].concat()
}

/// Puts entries into a journal file.
fn store(dir: &Path, file: &str, export: &[u8]) {
    journal::store(&dir.join(file), export);
}

/// The digest of what journalctl gives behind `after`, up to `count` entries,
/// and the last cursor.
fn recompute(dir: &Path, after: Option<&str>, count: u64) -> (Digest, String) {
    let mut command = Command::new("journalctl");
    command.args(["--no-pager", "--all", "-o", "export", "-D"]).arg(dir);
    if let Some(after) = after {
        command.arg(format!("--after-cursor={after}"));
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let (mut reader, mut hasher) = (Reader::new(), EntryHasher::new());
    let mut rest = &output.stdout[..];
    let mut cursor = Vec::new();
    while hasher.count() < count {
        let (entry, taken) = reader.read(rest, &mut hasher).unwrap();
        rest = &rest[taken..];
        cursor = entry.expect("as many entries as were recorded").cursor;
    }
    (hasher.finish(), String::from_utf8(cursor).unwrap())
}

fn limits(entries: u64) -> Limits {
    Limits { entries, deadline: Instant::now() + Duration::from_secs(60) }
}

fn open(dir: &Path) -> JournalFollower {
    JournalFollower::open(&Origin::Directory(dir.to_owned()), ID).unwrap()
}

/// The range among the entries: after, upto, count, digest.
fn range(entries: &[LogEntry<'_>]) -> (Option<String>, String, u64, Digest) {
    let mut ranges = entries.iter().filter_map(|entry| match &entry.what {
        What::Journal { after, upto, count, sha256 } => {
            Some((after.as_deref().map(str::to_owned), upto.to_string(), *count, *sha256))
        }
        _ => None,
    });
    let range = ranges.next().expect("a range");
    assert!(ranges.next().is_none());
    range
}

#[track_caller]
fn check(dir: &Path, entries: &[LogEntry<'_>]) -> (Option<String>, String, u64) {
    let (after, upto, count, sha256) = range(entries);
    assert_eq!((sha256, upto.clone()), recompute(dir, after.as_deref(), count));
    (after, upto, count)
}

#[test]
fn every_entry_is_recorded_and_journalctl_gives_the_same_digest() {
    let dir = tempfile::tempdir().unwrap();
    let odd = [
        binary("BINARY", b"a\nb\0\xff"),
        binary("LONG", &vec![b'z'; 200_000]),
        binary("CONTROL", b"\x1b[31mred"),
        "UTF8=gr\u{fc}n\tand tab\nTWICE=b\nTWICE=a\nEMPTY=\n".as_bytes().to_vec(),
    ]
    .concat();
    let mut export = entries(0..50, b"");
    export.extend(entries(50..60, &odd));
    store(dir.path(), "system.journal", &export);
    let mut follower = open(dir.path());
    let first = follower.collect(limits(1000));
    assert_eq!(first[0].what, What::Event(Event::Appeared { id: None }));
    assert_eq!(first[0].src, format!("journal:{ID}"));
    let (after, upto, count) = check(dir.path(), &first);
    assert_eq!((after, count), (None, 60));
    assert_eq!(follower.collect(limits(1000)), []);

    store(dir.path(), "system.journal", &entries(60..65, b""));
    let second = follower.collect(limits(1000));
    let (after, _, count) = check(dir.path(), &second);
    assert_eq!((after, count), (Some(upto), 5));
}

#[test]
fn batches_are_bounded_and_continue_where_they_ended() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), "system.journal", &entries(0..25, b""));
    let mut follower = open(dir.path());
    let mut last = None;
    for expected in [10, 10, 5] {
        let got = follower.collect(limits(10));
        let (after, upto, count) = check(dir.path(), &got);
        assert_eq!((after, count), (last, expected));
        last = Some(upto);
    }
    assert_eq!(follower.collect(limits(10)), []);
}

#[test]
fn a_new_file_is_noticed_and_a_journal_may_begin_empty() {
    let dir = tempfile::tempdir().unwrap();
    let mut follower = open(dir.path());
    assert_eq!(follower.collect(limits(10)), []);
    store(dir.path(), "system.journal", &entries(0..3, b""));
    let (after, _, count) = check(dir.path(), &follower.collect(limits(10)));
    assert_eq!((after, count), (None, 3));
    store(dir.path(), "user-1000.journal", &entries(3..5, b""));
    let (after, _, count) = check(dir.path(), &follower.collect(limits(10)));
    assert_eq!((after.is_some(), count), (true, 2));
}

#[test]
fn a_restart_from_chain_or_snapshot_continues_at_the_cursor() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), "system.journal", &entries(0..7, b""));
    let mut follower = open(dir.path());
    let history = follower.collect(limits(4));
    let (_, upto, _) = check(dir.path(), &history);
    let snapshot = Value::parse(&follower.snapshot().encode()).unwrap();

    let mut replayed = open(dir.path());
    history.iter().for_each(|entry| replayed.replay(entry));
    let mut restored = open(dir.path());
    restored.restore(&snapshot).unwrap();
    for mut follower in [replayed, restored] {
        let (after, _, count) = check(dir.path(), &follower.collect(limits(100)));
        assert_eq!((after, count), (Some(upto.clone()), 3));
    }
    assert!(open(dir.path()).restore(&Value::Null).is_err());
}

#[test]
fn a_vacuumed_cursor_begins_a_generation_at_the_oldest_entry() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), "system.journal", &entries(0..4, b""));
    let mut follower = open(dir.path());
    let history = follower.collect(limits(100));
    fs::remove_file(dir.path().join("system.journal")).unwrap();
    store(dir.path(), "system.journal", &entries(10..13, b""));
    let mut follower = open(dir.path());
    history.iter().for_each(|entry| follower.replay(entry));
    let got = follower.collect(limits(100));
    assert_eq!((got[0].generation, &got[0].what), (0, &What::Event(Event::Replaced)));
    let appeared = What::Event(Event::Appeared { id: None });
    assert_eq!((got[1].generation, &got[1].what), (1, &appeared));
    assert_eq!(got[2].generation, 1);
    let (after, _, count) = check(dir.path(), &got);
    assert_eq!((after, count), (None, 3));
}

#[test]
fn what_journald_says_it_dropped_is_recorded_and_nobody_else_can_say_it() {
    let dir = tempfile::tempdir().unwrap();
    let dropped = "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e\n";
    let by_driver = format!("{dropped}_TRANSPORT=driver\nN_DROPPED=41\n");
    let by_anybody = format!("{dropped}_TRANSPORT=journal\nN_DROPPED=1000\n");
    let mut export = entries(0..1, by_driver.as_bytes());
    export.extend(entries(1..2, by_anybody.as_bytes()));
    let missed = "MESSAGE_ID=e9bf28e6e834481bb6f48f548ad13606\n_TRANSPORT=driver\n";
    let text = entries(2..3, missed.as_bytes());
    let text = String::from_utf8(text).unwrap().replace("number 2", "Missed 7 kernel messages");
    export.extend(text.as_bytes());
    store(dir.path(), "system.journal", &export);
    let got = open(dir.path()).collect(limits(100));
    check(dir.path(), &got);
    assert_eq!(got.last().unwrap().what, What::Event(Event::Lost { count: 48 }));
}
