//! Each condition: one record when it begins, and one when it is over.

use std::{fs, io::Write, path::Path, process::Command, thread, time::Duration};

use rusqlite::Connection;
use rustix::process::Signal;

use super::{
    alerts, http, of_code,
    receiver::{OK, Receiver, address},
    shrink, webhook,
};
use crate::common::test_appliance::TestAppliance;

fn states(appliance: &TestAppliance, code: &str) -> Vec<String> {
    of_code(appliance, code).into_iter().map(|(state, _)| state).collect()
}

#[test]
fn the_clock_s_alert_is_raised_once_over_many_ticks_and_restarts() {
    let appliance = TestAppliance::new();
    for _ in 0..3 {
        appliance.runs(&["--ticks", "3"]);
    }
    // Nothing but the kernel vouches for the clock, if that.
    let clock: Vec<_> = alerts(&appliance)
        .into_iter()
        .filter(|alert| alert["code"].as_str().unwrap().starts_with("clock."))
        .collect();
    let [alert] = &clock[..] else { panic!("{clock:?}") };
    assert_eq!((&alert["state"], &alert["subject"]), (&"raised".into(), &"clock".into()));
    let tick = &appliance.of_kind("tick")[0];
    assert_eq!(alert["seq"], tick["seq"], "it rests on the first tick");
    let open: String = Connection::open(appliance.state("registry.db"))
        .unwrap()
        .query_row("SELECT alert FROM alerts_open", [], |row| row.get(0))
        .unwrap();
    assert_eq!(alert["alert"], open.as_str());
    appliance.verifies();
}

#[test]
fn a_log_that_shrank_is_named_and_over_after_two_quiet_ticks() {
    let appliance = TestAppliance::new();
    let running = appliance.start();
    shrink(&appliance, &running, "b.log");
    running.until("it is over", || states(&appliance, "log.shrunk").len() == 2);
    running.stop();
    let found = of_code(&appliance, "log.shrunk");
    let subject = format!("file:{}", appliance.path("log/b.log").display());
    assert_eq!(found, [("raised".into(), subject.clone()), ("resolved".into(), subject)]);
    let of: Vec<_> =
        alerts(&appliance).into_iter().filter(|alert| alert["code"] == "log.shrunk").collect();
    for member in ["alert", "code", "severity", "since", "subject"] {
        assert_eq!(of[0][member], of[1][member], "{member}");
    }
    let rests_on = &appliance.records()[usize::try_from(of[0]["seq"].as_u64().unwrap()).unwrap()];
    assert!(rests_on["data"]["logs"].to_string().contains("truncated"), "{rests_on}");
    assert!(of[1]["message"].as_str().unwrap().starts_with("over: a log became shorter"));
    let open: i64 = Connection::open(appliance.state("registry.db"))
        .unwrap()
        .query_row("SELECT count(*) FROM alerts_open WHERE code = 'log.shrunk'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(open, 0);
    appliance.verifies();
}

#[test]
fn ticks_that_were_missed_are_an_alert_and_an_orderly_stop_is_none() {
    let appliance = TestAppliance::new();
    let running = appliance.start();
    running.until("two ticks", || appliance.of_kind("tick").len() >= 2);
    running.stop();
    thread::sleep(Duration::from_secs(3));
    let running = appliance.start();
    running.until("two ticks", || appliance.of_kind("tick").len() >= 5);
    assert_eq!(of_code(&appliance, "chain.gap"), []);
    // Not killed: asleep, as a machine that is suspended or starved.
    running.signal(Signal::STOP);
    thread::sleep(Duration::from_secs(4));
    running.signal(Signal::CONT);
    running.until("a gap between ticks", || states(&appliance, "chain.gap").len() == 2);
    running.signal(Signal::KILL);
    drop(running);
    thread::sleep(Duration::from_secs(3));
    let running = appliance.start();
    running.until("a gap at the start", || states(&appliance, "chain.gap").len() == 4);
    running.stop();
    assert_eq!(states(&appliance, "chain.gap"), ["raised", "resolved", "raised", "resolved"]);
    let report = appliance.verdict(0);
    assert_eq!(report["finding_counts"]["chain.gap"], 2, "as the auditor sees it");
}

/// A file system of 4 MiB of its own.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4096k", "tmpfs"])
            .arg(disk.0.path())
            .output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(disk);
        }
        assert!(std::env::var_os("CI").is_none(), "CI must be able to mount a tmpfs");
        eprintln!("SKIPPED: no right to mount a tmpfs; the full disk was not tested");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes room until so many KiB are left.
    fn fill(&self, left: u64) {
        let mut ballast = fs::File::create(self.path().join("ballast")).unwrap();
        let free = || {
            let found = rustix::fs::statvfs(self.path()).unwrap();
            found.f_bavail * found.f_frsize / 1024
        };
        while free() > left && ballast.write_all(&[0; 4096]).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

#[test]
fn a_disk_that_is_nearly_full_is_an_alert_before_it_is_full() {
    let Some(disk) = Disk::new() else { return };
    let appliance = TestAppliance::with_state(Some(disk.path()));
    let running = appliance.start();
    running.until("two ticks", || appliance.of_kind("tick").len() >= 2);
    assert_eq!(of_code(&appliance, "disk.low"), []);
    disk.fill(350);
    running.until("it is low", || states(&appliance, "disk.low") == ["raised"]);
    disk.empty();
    running.until("it is over", || states(&appliance, "disk.low") == ["raised", "resolved"]);
    assert_eq!(of_code(&appliance, "disk.low")[0].1, "space");
    assert_eq!(of_code(&appliance, "records.unwritable"), [], "it was never full");
    running.stop();
    appliance.verifies();
}

#[test]
fn a_disk_that_refuses_records_is_reported_at_once_and_recorded_later() {
    let Some(disk) = Disk::new() else { return };
    let appliance = TestAppliance::with_state(Some(disk.path()));
    let address = address();
    webhook(&appliance, &http(address), "disk_low_percent = 0\n");
    let receiver = Receiver::start(address, OK);
    let running = appliance.start();
    running.until("two ticks", || appliance.of_kind("tick").len() >= 2);
    receiver.until("the clock's alert", |_| !receiver.ids().is_empty());
    disk.fill(0);
    let unwritable = || {
        let all = receiver.received().into_iter().map(|message| message.json());
        all.filter(|body| body["data"]["code"] == "records.unwritable").collect::<Vec<_>>()
    };
    receiver.until("the alert, while nothing can be written", |_| !unwritable().is_empty());
    assert_eq!(of_code(&appliance, "records.unwritable"), [], "there is no room for it");
    let told = unwritable()[0].clone();
    assert_eq!(
        (&told["data"]["state"], &told["data"]["subject"]),
        (&"raised".into(), &"chain".into())
    );
    assert!(told["data"].get("registry_seq").is_none(), "{told}");
    disk.empty();
    running.until("it is over", || {
        let found = of_code(&appliance, "records.unwritable");
        found.contains(&("resolved".into(), "chain".into()))
    });
    receiver.until("every alert", |_| {
        let ids = receiver.ids();
        super::ids(&alerts(&appliance)).iter().all(|id| ids.contains(id))
    });
    running.stop();
    let recorded: Vec<_> = alerts(&appliance)
        .into_iter()
        .filter(|alert| alert["code"] == "records.unwritable" && alert["subject"] == "chain")
        .collect();
    assert_eq!(recorded.len(), 2, "{recorded:?}");
    assert_eq!(recorded[0]["alert"], told["data"]["alert"], "the same id, then on record");
    assert_eq!(recorded[1]["alert"], told["data"]["alert"]);
    appliance.verifies();
}
