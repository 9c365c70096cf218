//! A disk that is full or read-only, by real mounts; needs root.

use std::fs;

use rustix::process::Signal;

use super::full_disk::{Mount, mount};
use crate::common::{
    test_appliance::TestAppliance,
    wait::{PATIENCE, wait_for},
};

#[test]
fn a_full_disk_is_said_retried_and_recorded_once_there_is_room() {
    let Some(disk) = Mount::new(2048) else { return };
    let appliance = TestAppliance::with_state(Some(disk.path()));
    let running = appliance.start();
    running.until("two ticks", || appliance.of_kind("tick").len() >= 2);
    disk.fill();
    running.until_it_says("could not be written, trying again");
    let before = appliance.lines();
    appliance.append("log/a.log", "written while the disk was full\n");
    let attempts = || running.stderr().matches("could not be written, trying again").count();
    running.until("three attempts", || attempts() >= 3);
    appliance.append("log/b.log", "a file that came meanwhile\n");
    assert_eq!(appliance.lines(), before, "nothing half-written is taken for a record");
    disk.empty();
    running.until_it_says("records are written again");
    running.until("both logs are covered", || {
        appliance.covered("/b.log") == 27 && appliance.covered("/a.log") == 36
    });
    let said = running.stop();
    assert!(said.contains("No space left on device"), "{said}");
    assert_eq!(appliance.lines()[..before.len()], before, "an acknowledged record is lost");
    let [recovered] = &appliance.of_kind("recovered")[..] else { panic!("one record of it") };
    let data = &recovered["data"];
    assert_eq!((&data["errno"], &data["bytes"]), (&28.into(), &0.into()));
    assert!(data["attempts"].as_u64().unwrap() >= 3 && data["since"].is_string(), "{data}");
    appliance.verifies();
}

#[test]
fn with_a_full_disk_it_still_ends_at_sigterm_and_goes_on_later() {
    let Some(disk) = Mount::new(2048) else { return };
    let appliance = TestAppliance::with_state(Some(disk.path()));
    let running = appliance.start();
    running.until("a tick", || !appliance.of_kind("tick").is_empty());
    disk.fill();
    running.until_it_says("could not be written, trying again");
    let before = appliance.lines();
    running.signal(Signal::HUP);
    let said = running.stop_with(74);
    assert!(said.contains("so neither was the stop"), "{said}");
    assert_eq!(appliance.lines(), before);
    // A start on a full disk either waits for room or says why not.
    let mut again = appliance.start();
    let waits = wait_for("it waits or ends", PATIENCE, || {
        let stderr = again.stderr();
        if stderr.contains("could not be written, trying again") {
            return Ok(true);
        }
        if again.is_running() { Err(stderr) } else { Ok(false) }
    });
    if waits {
        disk.empty();
        again.until("a tick", || appliance.lines().len() > before.len() + 1);
        again.stop();
    } else {
        assert!(again.stderr().starts_with("provenanced: "), "{}", again.stderr());
        disk.empty();
        appliance.runs(&["--ticks", "1"]);
    }
    assert_eq!(appliance.lines()[..before.len()], before);
    appliance.verifies();
}

#[test]
fn a_bundle_that_finds_no_room_leaves_nothing_behind() {
    let Some(disk) = Mount::new(2048) else { return };
    let appliance = TestAppliance::with_state(Some(disk.path()));
    appliance.runs(&["--ticks", "1"]);
    let big = appliance.path("big.bin");
    fs::write(&big, vec![7; 4 << 20]).unwrap();
    let refused = appliance.output("bundle", &["--artifact", big.to_str().unwrap()]);
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(74), "{message}");
    assert!(message.contains("No space left"), "{message}");
    assert_eq!(fs::read_dir(appliance.state("bundles")).unwrap().count(), 0);
    appliance.verifies();
    assert!(appliance.output("bundle", &[]).status.success());
    appliance.verifies();
}

/// The kernel makes no file system read-only while a file is open for writing:
/// under a running daemon that comes with a damaged file system only, which
/// tests/appliance/crash_faults.rs plays. Here the start is tried.
#[test]
fn a_read_only_disk_is_refused_clearly_and_left_as_it_was() {
    let Some(disk) = Mount::new(2048) else { return };
    let appliance = TestAppliance::with_state(Some(disk.path()));
    appliance.runs(&["--ticks", "1"]);
    let before = appliance.lines();
    assert!(mount(&["-o", "remount,ro"], disk.path()));
    let refused = appliance.output("run", &["--ticks", "1"]);
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(74), "{message}");
    assert!(message.contains("Read-only file system"), "{message}");
    assert_eq!(appliance.lines(), before);
    // An auditor needs no right to write.
    appliance.verifies();
    assert!(mount(&["-o", "remount,rw"], disk.path()));
    appliance.runs(&["--ticks", "1"]);
    assert_eq!(appliance.lines()[..before.len()], before);
    appliance.verifies();
}
