//! Bundles beside a running daemon, and what a crash leaves of one.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;

use crate::common::test_appliance::TestAppliance;

#[test]
fn a_bundle_by_command_is_in_the_running_chain_at_the_next_tick() {
    let appliance = TestAppliance::new();
    let running = appliance.start();
    running.until("a tick", || !appliance.of_kind("tick").is_empty());
    let made = made(&appliance.output("bundle", &["--json"]));
    let note = fs::read_to_string(appliance.state("checkpoint")).unwrap();
    running.until("its checkpoint", || {
        appliance.of_kind("checkpoint").iter().any(|record| record["data"]["note"] == note.as_str())
    });
    running.stop();
    assert!(PathBuf::from(made["path"].as_str().unwrap()).join("proof.json").exists());
    appliance.verifies();
}

#[test]
fn commands_at_once_get_ids_of_their_own() {
    let appliance = TestAppliance::new();
    let running = appliance.start();
    running.until("a tick", || !appliance.of_kind("tick").is_empty());
    let ids: BTreeSet<String> = std::thread::scope(|scope| {
        let one = || made(&appliance.output("bundle", &["--json", "--from", "2020-01-01"]));
        let all: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().unwrap()["id"].as_str().unwrap().to_owned()).collect()
    });
    assert_eq!(ids.len(), 8, "{ids:?}");
    running.stop();
    appliance.verifies();
}

#[test]
fn what_a_crash_left_of_a_bundle_is_finished_or_set_aside_at_the_start() {
    let appliance = TestAppliance::new();
    appliance.runs(&["--ticks", "1"]);
    // A registry that does not know the bundle yet is what a crash between the
    // rename and the commit leaves.
    fs::copy(appliance.state("registry.db"), appliance.path("registry.db")).unwrap();
    fs::copy(appliance.state("checkpoint"), appliance.path("checkpoint")).unwrap();
    let folder =
        PathBuf::from(made(&appliance.output("bundle", &["--json"]))["path"].as_str().unwrap());
    fs::copy(appliance.path("registry.db"), appliance.state("registry.db")).unwrap();
    fs::copy(appliance.path("checkpoint"), appliance.state("checkpoint")).unwrap();
    fs::remove_file(folder.join("proof.json")).unwrap();
    // One in the making, and one that lost a file.
    fs::create_dir_all(appliance.state("bundles/.EB-20261121-0009.tmp/artifacts")).unwrap();
    let damaged = appliance.state("bundles/EB-20200101-0001");
    fs::create_dir(&damaged).unwrap();
    fs::copy(folder.join("statement.json"), damaged.join("statement.json")).unwrap();
    appliance.runs(&["--ticks", "1"]);
    assert!(folder.join("proof.json").exists());
    let mut left: Vec<_> = fs::read_dir(appliance.state("bundles")).unwrap().collect();
    assert_eq!(left.pop().unwrap().unwrap().path(), folder);
    assert!(left.is_empty());
    assert!(appliance.state("aside/.EB-20261121-0009.tmp").exists());
    assert!(appliance.state("aside/EB-20200101-0001/statement.json").exists());
    appliance.verifies();
}

#[test]
fn what_is_attached_before_the_next_record_is_in_a_bundle_too() {
    let appliance = TestAppliance::new();
    appliance.runs(&["--ticks", "1"]);
    let whole = made(&appliance.output("bundle", &["--json"]));
    fs::write(appliance.path("report.json"), "{}").unwrap();
    let report = appliance.path("report.json");
    // Without a file there is nothing to hold, nor in a period without records.
    let period = ["--from", "2020-01-01", "--to", "2020-01-02"];
    let attach = ["--artifact", report.to_str().unwrap()];
    for empty in [vec![], [period.as_slice(), &attach].concat()] {
        let refused = appliance.output("bundle", &empty);
        assert_eq!(refused.status.code(), Some(66), "{refused:?}");
    }
    for _ in 0..2 {
        let more = made(&appliance.output("bundle", &[&["--json"], attach.as_slice()].concat()));
        assert_eq!(more["first_seq"], whole["last_seq"], "the newest record, once more");
        assert_eq!(more["last_seq"], whole["last_seq"]);
        let folder = PathBuf::from(more["path"].as_str().unwrap());
        assert_eq!(fs::read(folder.join("artifacts/report.json")).unwrap(), b"{}");
    }
    appliance.runs(&["--ticks", "1"]);
    let next = made(&appliance.output("bundle", &["--json"]));
    let due = whole["last_seq"].as_u64().unwrap() + 1;
    assert_eq!(next["first_seq"], due, "no hole and no record held for nothing");
    appliance.verifies();
}

fn made(output: &std::process::Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
