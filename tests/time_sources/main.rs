//! GPS and Bitcoin as time sources, from real programs: gpsd fed with NMEA over
//! TCP, a receiver on a pseudo-terminal, and a Bitcoin node on regtest. Each
//! case is judged by `provctl check-time`, and some by the running daemon.
#![cfg(test)]

#[path = "../peers/mod.rs"]
mod peers;

mod bitcoin;
mod gps;
mod hang;
mod recompute;

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

const PROVENANCED: &str = env!("CARGO_BIN_EXE_provenanced");
const PROVCTL: &str = env!("CARGO_BIN_EXE_provctl");

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
        let text = format!(
            "client = \"c\"\nhost = \"h\"\ntier = \"essential\"\nstate_dir = \"{}\"\n\
             [chain]\ninterval_s = 1\nwatch = [\"{}/*.log\"]\njournal = false\n{sources}",
            self.path("state").display(),
            self.dir.path().display()
        );
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
        let stderr = String::from_utf8_lossy(&output.stderr);
        let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{stderr}"));
        (output.status.code().unwrap(), answer)
    }

    /// Asks until the source `name` is as wanted; gives it with the whole
    /// answer.
    #[track_caller]
    fn until(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> (Value, Value) {
        let begin = Instant::now();
        loop {
            let (_, answer) = self.check_time();
            let source = source(&answer, name);
            if wanted(&source) {
                return (source, answer);
            }
            assert!(begin.elapsed() < Duration::from_secs(40), "{name}: {answer:#}");
        }
    }

    /// The daemon's ticks, as it runs for so many.
    fn run(&self, ticks: u32) -> Vec<Value> {
        let output = Command::new(PROVENANCED)
            .args(["run", "--ticks", &ticks.to_string(), "--config"])
            .arg(self.path("p.toml"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut records = vec![];
        walk(&self.path("state/chain"), &mut |path| {
            let text = fs::read_to_string(path).unwrap();
            records.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        });
        records.retain(|record| record["kind"] == "tick");
        records
    }

    /// `provctl verify-chain --json`, without a policy.
    fn verify(&self) -> Value {
        let output = Command::new(PROVCTL)
            .args(["verify-chain", "--json", "--state"])
            .arg(self.path("state"))
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn walk(folder: &Path, each: &mut impl FnMut(&Path)) {
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() { walk(&path, each) } else { each(&path) }
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
