//! The whole way from a real chronyd to an alert: honest servers alarm nobody,
//! and a clock that is off alarms.

use std::{
    fs,
    process::{Child, Command},
    time::Duration,
};

use provenance_registry::Reader;
use serde_json::Value;

use super::chrony_fixture::ChronyFixture;
use crate::common::{
    files::chain_records,
    programs::PROVENANCED,
    settings::settings,
    stalls::Stalls,
    wait::{holds, wait_for},
};

/// A daemon with the fixture's chronyd as its one source.
struct Appliance {
    dir: tempfile::TempDir,
    child: Child,
}

impl Appliance {
    fn start(fixture: &ChronyFixture) -> Self {
        assert!(super::chrony_fixture::probe().is_file(), "it is found beside the daemon");
        let dir = tempfile::tempdir().unwrap();
        let (state, watch) = (dir.path().join("state"), dir.path().join("*.log"));
        let mut settings = settings(("c", "h"), "essential", &state, None, &watch);
        settings += &format!(
            "[time]
min_agreeing = 1
ntp.chrony = \"{}\"
",
            fixture.client()
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
        let ticks = chain_records(&self.dir.path().join("state"), "tick").into_iter();
        ticks.map(|tick| tick["data"]["clock"].clone()).collect()
    }

    fn alerts(&self) -> Vec<(String, String, String)> {
        let reader = Reader::open(&self.dir.path().join("state/registry.db")).unwrap();
        let rows = reader.rows_of_kind("alert", 0).collect::<Result<Vec<_>, _>>().unwrap();
        let data = rows.iter().map(|row| serde_json::from_slice::<Value>(&row.body).unwrap());
        let of = |data: &Value, name: &str| data["data"][name].as_str().unwrap().to_owned();
        data.map(|data| (of(&data, "code"), of(&data, "subject"), of(&data, "state"))).collect()
    }

    /// Waits for it; a real chronyd takes its time.
    #[track_caller]
    fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        wait_for(what, Duration::from_secs(120), || {
            assert!(self.child.try_wait().unwrap().is_none(), "the daemon ended");
            holds(condition(self), self.clocks().pop())
        });
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many hours are tried where this machine keeps one from being asked in time.
const HOURS: usize = 3;
/// A tick's question to chronyd is answered within this on a machine that runs
/// what is ready to run.
const STALLED_MS: u64 = 500;

/// An hour of ticks at one a minute, a second each.
#[test]
fn honest_servers_alarm_nobody_over_an_hour_of_ticks() {
    let Some(mut fixture) = ChronyFixture::new(3) else { return };
    fixture.start_client();
    let mut seen = vec![];
    while seen.len() < HOURS {
        fixture.until(|source| super::chrony_fixture::interval(source).is_some());
        let (stalls, mut appliance) = (Stalls::measure(), Appliance::start(&fixture));
        let other = |clock: &Value| clock["verdict"] != "agreed";
        appliance.until("sixty ticks", |at| {
            let clocks = at.clocks();
            clocks.len() >= 60 || clocks.iter().any(other)
        });
        let clocks = appliance.clocks();
        let Some(clock) = clocks.iter().find(|clock| other(clock)) else {
            assert_eq!(appliance.alerts(), []);
            return;
        };
        // Nobody answered in time, which a machine that stood still is to blame for;
        // any other verdict is a false alarm, and so is this one on a quiet machine.
        let stalled = stalls.worst_ms();
        seen.push(format!("tick {} of an hour, stalled for {stalled} ms: {clock}", clocks.len()));
        let unanswered = clock["verdict"] == "unsynchronised" && stalled >= STALLED_MS;
        assert!(unanswered, "{seen:#?}");
    }
    panic!("no hour in which this machine let chronyd answer each tick: {seen:#?}");
}

#[test]
fn a_clock_that_is_off_is_an_alert_and_a_source_that_is_gone_another() {
    let Some(mut fixture) = ChronyFixture::new(1) else { return };
    fixture.start_client();
    fixture.until(|source| super::chrony_fixture::interval(source).is_some());
    let mut appliance = Appliance::start(&fixture);
    appliance.until("it agrees", |at| at.clocks().last().is_some_and(|c| c["verdict"] == "agreed"));
    assert_eq!(appliance.alerts(), []);
    // As seen from the server, the appliance's clock is 5 s behind.
    fixture.lie(0, 5);
    let raised = ("clock.anomalous".into(), "clock".into(), "raised".into());
    appliance.until("it is an alert", |at| at.alerts().contains(&raised));
    // Nobody vouches for the clock any longer: that is another condition.
    fixture.kill_client();
    let resolved = ("clock.anomalous".into(), "clock".into(), "resolved".into());
    let silent = ("clock.unsynchronised".into(), "clock".into(), "raised".into());
    appliance.until("the one is over", |at| at.alerts().contains(&resolved));
    appliance.until("the other began", |at| at.alerts().contains(&silent));
}
