//! A folder with logs, a key, settings and a policy, and daemons that run
//! there.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{
    files::{chain_lines, chain_records},
    programs::{PROVCTL, PROVENANCED, assert_refused, assert_success, keygen},
    settings::{settings, trusted_key},
    wait::{PATIENCE, holds, wait_for},
};

pub(crate) struct TestAppliance {
    dir: tempfile::TempDir,
    state: PathBuf,
}

/// A daemon at work; killed where the test ends before it does.
pub(crate) struct Running {
    child: Child,
    stderr: PathBuf,
}

impl TestAppliance {
    pub(crate) fn new() -> Self {
        Self::with_state(None)
    }

    /// A appliance whose state folder is elsewhere.
    pub(crate) fn with_state(state: Option<&Path>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = state.map_or(dir.path().join("state"), |at| at.join("state"));
        let appliance = Self { dir, state };
        fs::create_dir(appliance.path("log")).unwrap();
        fs::write(appliance.path("log/a.log"), "one\n").unwrap();
        keygen(appliance.dir.path(), "signing");
        appliance.settings("enterprise", "log", "");
        let key = fs::read_to_string(appliance.path("signing.pub")).unwrap();
        fs::write(appliance.path("policy.toml"), trusted_key("k", &key)).unwrap();
        appliance
    }

    /// Writes the settings: tier, what below the folder is watched, and more
    /// lines at the end.
    pub(crate) fn settings(&self, tier: &str, watch: &str, more: &str) {
        let key = (tier != "essential").then(|| self.path("signing.key"));
        let watch = self.path(watch).join("**");
        let settings = settings(("c", "h"), tier, &self.state, key.as_deref(), &watch) + more;
        fs::write(self.path("p.toml"), settings).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }

    pub(crate) fn append(&self, log: &str, text: &str) {
        use std::io::Write as _;
        let file = fs::OpenOptions::new().append(true).create(true).open(self.path(log));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// A command of `provenanced` with the settings.
    pub(crate) fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(PROVENANCED);
        command.arg(name).arg("--config").arg(self.path("p.toml")).args(args);
        command
    }

    pub(crate) fn output(&self, name: &str, args: &[&str]) -> Output {
        self.command(name, args).output().unwrap()
    }

    #[track_caller]
    pub(crate) fn runs(&self, args: &[&str]) {
        assert_success(&self.output("run", args));
    }

    #[track_caller]
    pub(crate) fn refuses_to_run(&self, code: i32, expected: &str) {
        assert_refused(&self.output("run", &["--ticks", "1"]), code, expected);
    }

    pub(crate) fn start(&self) -> Running {
        self.spawn(self.command("run", &[]))
    }

    pub(crate) fn spawn(&self, mut command: Command) -> Running {
        let stderr = self.path("stderr");
        let child = command.stderr(File::create(&stderr).unwrap()).spawn().unwrap();
        Running { child, stderr }
    }

    /// The chain's whole records.
    pub(crate) fn records(&self) -> Vec<Value> {
        let lines = self.lines();
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        chain_lines(&self.state)
    }

    pub(crate) fn of_kind(&self, kind: &str) -> Vec<Value> {
        chain_records(&self.state, kind)
    }

    /// The log entries of all ticks whose source ends with `name`.
    pub(crate) fn entries(&self, name: &str) -> Vec<Value> {
        let ticks = self.of_kind("tick");
        let logs = ticks.iter().flat_map(|tick| tick["data"]["logs"].as_array().unwrap().clone());
        logs.filter(|entry| entry["src"].as_str().unwrap().ends_with(name)).collect()
    }

    /// How far the ranges of a source's generation 0 reach without a hole.
    pub(crate) fn covered(&self, name: &str) -> u64 {
        let mut end = 0;
        for entry in self.entries(name).iter().filter(|entry| entry["from"].is_u64()) {
            assert_eq!(entry["from"], end, "{entry}");
            end = entry["to"].as_u64().unwrap();
        }
        end
    }

    #[track_caller]
    pub(crate) fn verifies(&self) {
        self.verdict(0);
    }

    #[track_caller]
    pub(crate) fn verdict(&self, code: i32) -> Value {
        let output = Command::new(PROVCTL)
            .args(["verify-chain", "--json", "--state"])
            .arg(&self.state)
            .arg("--policy")
            .arg(self.path("policy.toml"))
            .output()
            .unwrap();
        let report = String::from_utf8_lossy(&output.stdout);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{report}{message}");
        serde_json::from_str(&report).unwrap_or_default()
    }
}

impl Running {
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it holds.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        wait_for(what, PATIENCE, || holds(condition(), self.stderr()));
    }

    #[track_caller]
    pub(crate) fn until_it_says(&self, text: &str) {
        self.until(text, || self.stderr().contains(text));
    }

    /// Ends it by SIGTERM, in order and in time; gives what it said.
    #[track_caller]
    pub(crate) fn stop(self) -> String {
        self.stop_with(0)
    }

    #[track_caller]
    pub(crate) fn stop_with(mut self, code: i32) -> String {
        self.signal(Signal::TERM);
        let stderr = self.stderr.clone();
        let status = wait_for("it ends", Duration::from_secs(20), || {
            self.child.try_wait().unwrap().ok_or_else(|| fs::read_to_string(&stderr).unwrap())
        });
        let stderr = self.stderr();
        assert!(status.code() == Some(code) && !stderr.contains("panicked"), "{status}: {stderr}");
        stderr
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
