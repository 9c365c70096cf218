//! The registry: an append against a plain append with fdatasync to a file
//! beside it, and an inclusion proof in a tree of a million records.
//!
//! `RECORDS` says how large the tree is.
#![allow(clippy::unwrap_used, reason = "a benchmark ends where something is wrong")]

mod measure;

use std::{
    fs,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use measure::{at_most, control, median};
use provenance_core::{
    encoding::{digest::Digest, json::Value, time::Timestamp},
    merkle,
};
use provenance_registry::Reader;
use provenanced::ledger::registry_writer::Writer;

fn now() -> Timestamp {
    Timestamp::from_nanos(1_800_000_000_000_000_000)
}

fn main() {
    if !measure::is_asked() {
        return;
    }
    appends();
    proofs(measure::setting("RECORDS", 1 << 20));
    measure::end();
}

/// Wall-clock time, since the disk is what takes it; alternating, for the disk
/// has its moods.
fn appends() {
    const ROUNDS: usize = 400;
    let folder = tempfile::tempdir_in(measure::folder()).unwrap();
    let mut writer = Writer::open(&folder.path().join("registry.db")).unwrap();
    let mut file = fs::File::create(folder.path().join("plain")).unwrap();
    let (mut plain, mut one, mut eight) = (vec![], vec![], vec![]);
    for round in 0..ROUNDS as u64 {
        plain.push(took(|| {
            file.write_all(&[b'x'; 360]).unwrap();
            file.sync_data().unwrap();
        }));
        one.push(took(|| drop(writer.append(now(), &rows(round, 1)).unwrap())));
        eight.push(took(|| drop(writer.append(now(), &rows(round, 8)).unwrap())));
    }
    let plain = median(&mut plain);
    println!("registry append against append + fdatasync:");
    at_most("  one record", median(&mut one) / plain, 2.5, 1.7);
    at_most("  eight in one transaction", median(&mut eight) / plain, 2.5, 1.7);
    assert_eq!(writer.tail().unwrap().size, ROUNDS as u64 * 9);
}

fn proofs(records: u64) {
    let path = tree(&measure::folder(), records);
    let reader = Reader::open(&path).unwrap();
    let root = reader.root_at(records).unwrap();
    let mut times = vec![];
    let mut found = true;
    for index in (0..500).map(|n| n * 7_919 % records) {
        let mut proof = vec![];
        times.push(took(|| proof = reader.inclusion(index, records).unwrap()));
        let leaf = merkle::leaf_hash(&reader.record(index).unwrap().unwrap().body);
        let verify = |proof: &[Digest]| merkle::verify_inclusion(leaf, index, records, proof, root);
        assert!(verify(&proof), "{index}");
        if let Some(last) = proof.last_mut() {
            last.0[0] ^= 1;
        }
        found &= !verify(&proof);
    }
    println!("inclusion proof in a tree of {records} records:");
    at_most("  milliseconds", median(&mut times) * 1e3, 1.0, 0.1);
    control("a changed proof", found);
}

/// A registry of so many records, made once and kept.
fn tree(folder: &Path, records: u64) -> std::path::PathBuf {
    let path = folder.join(format!("bench-registry-{records}.db"));
    let done = || Reader::open(&path).is_ok_and(|reader| reader.len().is_ok_and(|n| n == records));
    if !done() {
        for ending in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{ending}", path.display()));
        }
        let mut writer = Writer::open(&path).unwrap();
        for from in (0..records).step_by(1 << 14) {
            drop(writer.append(now(), &rows(from, (records - from).min(1 << 14))).unwrap());
        }
        assert!(done());
    }
    path
}

fn rows(from: u64, count: u64) -> Vec<(&'static str, Value)> {
    (from..from + count)
        .map(|seq| {
            let hash = Digest::sha256(&seq.to_be_bytes());
            ("head", Value::object([("hash", hash.into()), ("seq", seq.into())]))
        })
        .collect()
}

fn took(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
