//! A folder with logs, a key, settings and a policy, and daemons that run
//! there.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const PROVENANCED: &str = env!("CARGO_BIN_EXE_provenanced");
const PROVCTL: &str = env!("CARGO_BIN_EXE_provctl");

pub(crate) struct World {
    dir: tempfile::TempDir,
    state: PathBuf,
}

/// A daemon at work; killed where the test ends before it does.
pub(crate) struct Running {
    child: Child,
    stderr: PathBuf,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_state(None)
    }

    /// A world whose state folder is elsewhere.
    pub(crate) fn with_state(state: Option<&Path>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = state.map_or(dir.path().join("state"), |at| at.join("state"));
        let world = Self { dir, state };
        fs::create_dir(world.path("log")).unwrap();
        fs::write(world.path("log/a.log"), "one\n").unwrap();
        let made = Command::new(PROVENANCED).args(["keygen", "--out"]).arg(world.path("")).output();
        assert!(made.unwrap().status.success());
        world.settings("enterprise", "log", "");
        let key = fs::read_to_string(world.path("signing.pub")).unwrap();
        let policy = format!("[[keys]]\nname = \"k\"\npublic_key = \"\"\"\n{key}\"\"\"\n");
        fs::write(world.path("policy.toml"), policy).unwrap();
        world
    }

    /// Writes the settings: tier, what below the folder is watched, and more
    /// lines at the end.
    pub(crate) fn settings(&self, tier: &str, watch: &str, more: &str) {
        let key = match tier {
            "essential" => String::new(),
            _ => format!("signing_key = \"{}\"\n", self.path("signing.key").display()),
        };
        let settings = format!(
            "client = \"c\"\nhost = \"h\"\ntier = \"{tier}\"\nstate_dir = \"{}\"\n{key}[chain]\n\
             interval_s = 1\nwatch = [\"{}/**\"]\njournal = false\n{more}",
            self.state.display(),
            self.path(watch).display()
        );
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
        let output = self.output("run", args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[track_caller]
    pub(crate) fn refuses_to_run(&self, code: i32, expected: &str) {
        let output = self.output("run", &["--ticks", "1"]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{message}");
        assert!(message.contains(expected) && !message.contains("panicked"), "{message}");
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
        let mut files: Vec<PathBuf> = walk(&self.state("chain"));
        files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
        files.sort();
        let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect()
    }

    pub(crate) fn of_kind(&self, kind: &str) -> Vec<Value> {
        self.records().into_iter().filter(|record| record["kind"] == kind).collect()
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

    /// Waits until it holds; at most 30 seconds.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !holds() {
            let late = begin.elapsed() > Duration::from_secs(30);
            assert!(!late, "never: {what}\n{}", self.stderr());
            std::thread::sleep(Duration::from_millis(20));
        }
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
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "it hangs: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(20));
        };
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

pub(crate) fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}
