//! GPS and Bitcoin as time sources, from real programs: gpsd fed with NMEA over
//! TCP, a receiver on a pseudo-terminal, and a Bitcoin node on regtest. Each
//! case is judged by `provctl check-time`, and some by the running daemon.

mod bitcoin;
mod gps;
mod hang;
mod recompute;

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use crate::common::{
    files::chain_records,
    peers,
    programs::{PROVCTL, PROVENANCED, assert_success, json},
    settings::settings,
    wait::{PATIENCE, wait_for},
};

/// A child that does not outlive its test.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    /// With these settings of the time sources.
    fn new(sources: &str) -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap() };
        site.settings(sources);
        site
    }

    fn settings(&self, sources: &str) {
        let (state, watch) = (self.path("state"), self.path("*.log"));
        let text = settings(("c", "h"), "essential", &state, None, &watch) + sources;
        fs::write(self.path("p.toml"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `provctl check-time --json`: exit code and answer.
    fn check_time(&self) -> (i32, Value) {
        let output = Command::new(PROVCTL)
            .args(["check-time", "--json", "--config"])
            .arg(self.path("p.toml"))
            .output()
            .unwrap();
        (output.status.code().unwrap(), json(&output))
    }

    /// Asks until the source `name` is as wanted; gives it with the whole
    /// answer.
    #[track_caller]
    fn until(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> (Value, Value) {
        wait_for(name, PATIENCE, || {
            let (_, answer) = self.check_time();
            let source = source(&answer, name);
            if wanted(&source) { Ok((source, answer)) } else { Err(answer) }
        })
    }

    /// The daemon's ticks, as it runs for so many.
    fn run(&self, ticks: u32) -> Vec<Value> {
        let output = Command::new(PROVENANCED)
            .args(["run", "--ticks", &ticks.to_string(), "--config"])
            .arg(self.path("p.toml"))
            .output()
            .unwrap();
        assert_success(&output);
        chain_records(&self.path("state"), "tick")
    }

    /// `provctl verify-chain --json`, without a policy.
    fn verify(&self) -> Value {
        let output = Command::new(PROVCTL)
            .args(["verify-chain", "--json", "--state"])
            .arg(self.path("state"))
            .output()
            .unwrap();
        json(&output)
    }
}

#[track_caller]
fn source(answer: &Value, name: &str) -> Value {
    let sources = answer["sources"].as_array().unwrap();
    let found = sources.iter().find(|source| source["src"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {answer:#}")).clone()
}

fn is(source: &Value, state: &str) -> bool {
    source["state"] == state
}

/// Why a source gives nothing.
fn reason(source: &Value) -> &str {
    source["reason"].as_str().unwrap_or_default()
}

fn epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// A port that nobody has at this moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
