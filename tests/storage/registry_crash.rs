//! Several writers at once, and writers killed at any instant: no record that
//! was acknowledged is lost, and the rows, the chain and the tree agree.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use provenance_core::{
    encoding::{digest::Digest, json::Value, time::Timestamp},
    merkle::{Frontier, leaf_hash},
    record::Record,
};
use provenance_registry::Reader;
use provenanced::ledger::registry_writer::Writer;

use crate::common::{own_process, wait::PATIENCE};

const CHILD: &str = "REGISTRY_CRASH_CHILD";

/// The child's part: appends until it is killed, or `REGISTRY_CRASH_COUNT`
/// times, and says each number that was committed.
#[test]
#[ignore = "run by the other tests as a process of its own"]
fn child_appends() {
    let Some(path) = env::var_os(CHILD) else { return };
    let count = env::var("REGISTRY_CRASH_COUNT").map_or(u64::MAX, |n| n.parse().unwrap());
    let mut writer = Writer::open(Path::new(&path)).unwrap();
    for i in 0..count {
        let data = Value::object([("i", i.into())]);
        let entries = [("test", data.clone()), ("test", data)];
        let (appended, _) = writer.append(Timestamp::from_nanos(1), &entries).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\ncommitted {}", appended[1].seq).unwrap();
        out.flush().unwrap();
    }
}

fn child(path: &Path) -> Command {
    let mut command = own_process::test(module_path!(), "child_appends");
    command.env(CHILD, path).stdout(Stdio::piped());
    command
}

/// Recomputes everything from the bodies; gives the number of records.
fn verified(path: &Path) -> u64 {
    let reader = Reader::open(path).unwrap();
    assert_eq!(reader.structure_problems().unwrap(), Vec::<String>::new());
    assert_eq!(reader.schema_differences().unwrap(), Vec::<String>::new());
    let (mut tree, mut prev, mut nodes) = (Frontier::new(), Digest::ZERO, 0);
    for row in reader.page(0, u32::MAX).unwrap() {
        let record = Record::parse(&row.body).unwrap();
        assert_eq!((record.seq, record.prev), (tree.size(), prev));
        assert_eq!(record.hash().0[..], row.hash[..]);
        prev = record.hash();
        tree.push(leaf_hash(&row.body), |node, hash| {
            assert_eq!(reader.stored_node(node).unwrap(), Some(hash));
            nodes += 1;
        });
    }
    assert_eq!(reader.count_nodes().unwrap(), nodes);
    assert_eq!(reader.root_at(tree.size()).unwrap(), tree.root());
    tree.size()
}

#[test]
fn a_writer_killed_at_any_instant_loses_nothing_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let mut acknowledged = None;
    for round in 0..40 {
        let mut running = child(&path).spawn().unwrap();
        let output = running.stdout.take().unwrap();
        let (first, committed) = std::sync::mpsc::channel();
        let told = std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            let numbers = lines.filter_map(|l| l.strip_prefix("committed ")?.parse::<u64>().ok());
            numbers.inspect(|_| first.send(()).unwrap_or(())).last()
        });
        // Every other one is at work when its time begins, however busy the machine is.
        if round % 2 == 1 {
            committed.recv_timeout(PATIENCE).expect("the child commits nothing");
        }
        std::thread::sleep(Duration::from_micros(10_000 + round * 2_713 % 60_000));
        running.kill().unwrap();
        running.wait().unwrap();
        acknowledged = told.join().unwrap().or(acknowledged);
        if path.metadata().is_ok_and(|m| m.len() > 0) || acknowledged.is_some() {
            drop(Writer::open(&path).unwrap());
            let size = verified(&path);
            assert!(acknowledged.is_none_or(|last| last < size), "{acknowledged:?} of {size}");
            assert_eq!(size % 2, 0, "half a transaction");
        }
    }
    assert!(acknowledged.is_some(), "no child ever came to append");
}

#[test]
fn writers_in_several_processes_make_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let start = |_| child(&path).env("REGISTRY_CRASH_COUNT", "50").spawn().unwrap();
    let running: Vec<_> = (0..4).map(start).collect();
    for process in running {
        assert!(process.wait_with_output().unwrap().status.success());
    }
    assert_eq!(verified(&path), 4 * 50 * 2);
}

#[test]
fn a_registry_opened_first_by_several_processes_at_once_opens_for_all() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registry.db");
        let start = |_| child(&path).env("REGISTRY_CRASH_COUNT", "1").spawn().unwrap();
        let running: Vec<_> = (0..6).map(start).collect();
        for process in running {
            assert!(process.wait_with_output().unwrap().status.success());
        }
        assert_eq!(verified(&path), 6 * 2);
    }
}
