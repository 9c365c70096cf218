//! The whole way from a real chronyd to an alert: honest servers alarm nobody,
//! and a clock that is off alarms.
#![cfg(test)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use msp_provenance::registry::Reader;
use serde_json::Value;

mod peers;
#[allow(dead_code, reason = "the other user needs more of it")]
mod time_world;

use time_world::World;

const PROVENANCED: &str = env!("CARGO_BIN_EXE_provenanced");

/// A daemon with the world's chronyd as its one source.
struct Appliance {
    dir: tempfile::TempDir,
    child: Child,
}

impl Appliance {
    fn start(world: &World) -> Self {
        assert!(time_world::probe().is_file(), "it is found beside the daemon");
        let dir = tempfile::tempdir().unwrap();
        let settings = format!(
            "client = \"c\"\nhost = \"h\"\ntier = \"essential\"\nstate_dir = \"{0}/state\"\n[chain]\n\
             interval_s = 1\nwatch = [\"{0}/*.log\"]\njournal = false\n[time]\nmin_agreeing = 1\n\
             ntp.chrony = \"{1}\"\n",
            dir.path().display(),
            world.client(),
        );
        fs::write(dir.path().join("p.toml"), settings).unwrap();
        let child = Command::new(PROVENANCED)
            .args(["run", "--config"])
            .arg(dir.path().join("p.toml"))
            .env("PROVENANCED_LOG", "error")
            .spawn()
            .unwrap();
        Self { dir, child }
    }

    fn clocks(&self) -> Vec<Value> {
        let mut files = vec![];
        walk(&self.dir.path().join("state/chain"), &mut files);
        let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let records = whole.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let ticks = records.filter(|record| record["kind"] == "tick");
        ticks.map(|tick| tick["data"]["clock"].clone()).collect()
    }

    fn alerts(&self) -> Vec<(String, String, String)> {
        let reader = Reader::open(&self.dir.path().join("state/registry.db")).unwrap();
        let rows = reader.rows_of_kind("alert").unwrap();
        let data = rows.iter().map(|row| serde_json::from_slice::<Value>(&row.body).unwrap());
        let of = |data: &Value, name: &str| data["data"][name].as_str().unwrap().to_owned();
        data.map(|data| (of(&data, "code"), of(&data, "subject"), of(&data, "state"))).collect()
    }

    /// Waits for it, at most two minutes; a real chronyd takes its time.
    #[track_caller]
    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !holds(self) {
            assert!(self.child.try_wait().unwrap().is_none(), "the daemon ended");
            let last = self.clocks().pop();
            assert!(begin.elapsed() < Duration::from_secs(120), "never: {what}; last: {last:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
    files.sort();
}

/// An hour of ticks at one a minute, a second each.
#[test]
fn honest_servers_alarm_nobody_over_an_hour_of_ticks() {
    let Some(mut world) = World::new(3) else { return };
    world.start_client();
    world.until(|source| time_world::interval(source).is_some());
    let mut appliance = Appliance::start(&world);
    appliance.until("sixty ticks", |at| at.clocks().len() >= 60);
    let mut verdicts = BTreeMap::new();
    for clock in appliance.clocks() {
        *verdicts.entry(clock["verdict"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["agreed"], "{verdicts:?}");
    assert_eq!(appliance.alerts(), []);
}

#[test]
fn a_clock_that_is_off_is_an_alert_and_a_source_that_is_gone_another() {
    let Some(mut world) = World::new(1) else { return };
    world.start_client();
    world.until(|source| time_world::interval(source).is_some());
    let mut appliance = Appliance::start(&world);
    appliance.until("it agrees", |at| at.clocks().last().is_some_and(|c| c["verdict"] == "agreed"));
    assert_eq!(appliance.alerts(), []);
    // As seen from the server, the appliance's clock is 5 s behind.
    world.lie(0, 5);
    let raised = ("clock.anomalous".into(), "clock".into(), "raised".into());
    appliance.until("it is an alert", |at| at.alerts().contains(&raised));
    // Nobody vouches for the clock any longer: that is another condition.
    world.kill_client();
    let resolved = ("clock.anomalous".into(), "clock".into(), "resolved".into());
    let silent = ("clock.unsynchronised".into(), "clock".into(), "raised".into());
    appliance.until("the one is over", |at| at.alerts().contains(&resolved));
    appliance.until("the other began", |at| at.alerts().contains(&silent));
}
