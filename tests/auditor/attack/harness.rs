//! A small state folder with everything in it, made by the product's own
//! services under a clock of the test's, and the auditor's policy beside it.

use provenance_audit::trust::trust_by;
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use provenance_audit::{self, policy_file::Policy};
use provenance_core::{
    encoding::{
        digest::Digest,
        time::{Now, Timestamp},
    },
    record::{
        Record,
        chain::{Body, Genesis},
        time_attestation::{Claim, Source},
    },
    report::Report,
};
use provenance_host::{chain_files, config::Config, state_dir::StateDir};
use provenance_log_follower::{self, Follower};
use provenanced::{
    bundle,
    chain::ChainWriter,
    engine::{Action, Engine, Input, Settings},
    ledger::{
        Ledger,
        signer::{self, Signer},
    },
};

use crate::common::{
    settings::trusted_key,
    wait::{PATIENCE, wait_for},
};

/// The state folder of an appliance that ran over midnight and stopped.
pub(crate) struct StateFixture {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) policy: Policy,
}

impl StateFixture {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let public = make(dir.path(), "key");
        let policy = policy(&public);
        Self { dir, policy }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// A copy of the state folder to be damaged.
    pub(crate) fn copy(&self) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&self.state(), copy.path());
        copy
    }

    pub(crate) fn verify(&self, state: &Path) -> Report {
        verify(state, &self.policy, &provenance_audit::state::Options::default())
    }
}

pub(crate) fn policy(public: &str) -> Policy {
    let text = format!(
        "client = \"clinic-001\"
host = \"h\"
{}",
        trusted_key("k", public)
    );
    Policy::parse(&text).unwrap()
}

pub(crate) fn verify(
    state: &Path,
    policy: &Policy,
    options: &provenance_audit::state::Options,
) -> Report {
    let trust = trust_by(Some(policy.clone())).unwrap();
    match provenance_audit::state::verify(state, &trust, options, &mut |_| {}) {
        Ok(report) => report,
        // What cannot even be opened is not verified either; a test that asks
        // for a finding's code will not find it.
        Err(error) => {
            let mut report = Report::new();
            report.add_finding(provenance_core::report::Finding::new(
                provenance_core::report::Code::RegistryMissing,
                provenance_core::report::Location::file("registry.db"),
                error.to_string(),
            ));
            report
        }
    }
}

/// Makes `folder/state`, signed by a key of this name; returns its public half.
pub(crate) fn make(folder: &Path, key: &str) -> String {
    let mut appliance = Appliance::signed(folder, key);
    appliance.live();
    appliance.public
}

/// A daemon's parts without their loop, under a clock of the test's.
pub(crate) struct Appliance {
    folder: PathBuf,
    pub(crate) config: Config,
    pub(crate) state: StateDir,
    pub(crate) now: Now,
    /// `None` between a crash and the next start.
    chain: Option<ChainWriter>,
    /// The last record with both clocks.
    last: Option<Now>,
    pub(crate) evidence: Ledger,
    pub(crate) engine: Engine,
    follower: Follower,
    /// PEM of its public key; empty where it has none.
    pub(crate) public: String,
    /// What the time sources say at the next ticks.
    pub(crate) sources: fn(Timestamp) -> Vec<Source<'static>>,
    /// Changes a record before it is written, as a malicious program would.
    pub(crate) forge: fn(Body<'static>) -> Body<'static>,
}

impl Appliance {
    /// One of the enterprise tier; `folder/KEY.key` is made where it is not.
    pub(crate) fn signed(folder: &Path, key: &str) -> Self {
        let (secret, public) =
            (folder.join(format!("{key}.key")), folder.join(format!("{key}.pub")));
        if !secret.exists() {
            signer::keygen(folder, key).unwrap();
        }
        let key = format!("signing_key = \"{}\"\n", secret.display());
        let mut appliance = Self::new(folder, "enterprise", &key);
        appliance.public = fs::read_to_string(public).unwrap();
        appliance
    }

    /// One of the essential tier, which signs nothing.
    pub(crate) fn unsigned(folder: &Path) -> Self {
        Self::new(folder, "essential", "")
    }

    fn new(folder: &Path, tier: &str, key: &str) -> Self {
        fs::create_dir_all(folder.join("log")).unwrap();
        let text = format!(
            "client = \"clinic-001\"\nhost = \"h\"\ntier = \"{tier}\"\nstate_dir = \"{0}/state\"\n\
             {key}[chain]\ninterval_s = 60\nwatch = [\"{0}/log/**\"]\njournal = false\n",
            folder.display(),
        );
        let config = Config::parse("test", &text, &[]).unwrap();
        let signer = config.signing_key.as_deref().map(|key| Signer::load(key).unwrap());
        let time = Timestamp::parse(b"2026-11-20T23:58:30.000000000Z").unwrap();
        let now = Now { time, up_ms: 60_000, boot: "boot".into() };
        let state = StateDir::new(&config.state_dir);
        let evidence = Ledger::open(&config, &state, signer, time).unwrap();
        let follower = Follower::new(&provenance_log_follower::Settings {
            watch: config.watch.clone(),
            exclude: vec![],
            state_dir: state.root().into(),
            budget_bytes: provenance_log_follower::DEFAULT_BUDGET,
        });
        Self {
            folder: folder.into(),
            state,
            now,
            chain: None,
            last: None,
            evidence,
            engine: Engine::new(settings(&config), None, None),
            config,
            follower: follower.unwrap(),
            public: String::new(),
            sources: agreeing,
            forge: |body| body,
        }
    }

    /// Over midnight, with rotated logs, other settings, two bundles and an
    /// orderly stop.
    pub(crate) fn live(&mut self) {
        self.start();
        self.log("a.log", "first line\n");
        self.tick();
        fs::rename(self.folder.join("log/a.log"), self.folder.join("log/a.log.1")).unwrap();
        self.log("a.log", "second line\n");
        self.tick();
        self.bundle();
        self.tick();
        self.chain_checkpoint();
        self.reload();
        self.crash(b"{\"data\":{\"torn");
        self.wait(60);
        self.start();
        self.log("a.log", "second line\nthird line\n");
        self.tick();
        self.bundle();
        self.stop();
    }

    pub(crate) fn start(&mut self) {
        self.chain = None;
        // A process that another test starts holds the lock until its exec.
        let mut chain = wait_for("the chain's lock", PATIENCE, || ChainWriter::open(&self.state));
        if chain.head().is_none() {
            let genesis = genesis(&self.config, &self.evidence);
            chain.append(self.now.time, &Body::Genesis(genesis)).unwrap();
        }
        let recovered = chain.unrecorded(0, |_| false).unwrap();
        self.chain = Some(chain);
        self.engine = Engine::new(settings(&self.config), self.last.clone(), None);
        self.act(Input::Start { reason: "test".into(), recovered, config: None });
    }

    /// Goes on where an earlier one of the same folder ended in order.
    pub(crate) fn resume(&mut self) {
        for file in chain_files::list(&self.state.chain()).unwrap().files {
            for line in fs::read_to_string(file.path).unwrap().lines() {
                let record = Record::parse(line.as_bytes()).unwrap();
                if let Body::Tick(tick) = Body::read(&record).unwrap() {
                    tick.logs.iter().for_each(|entry| self.follower.replay(entry));
                }
            }
        }
        self.start();
    }

    /// Moves everything from the database's log into the database.
    pub(crate) fn flush(&self) {
        let database = rusqlite::Connection::open(self.state.registry()).unwrap();
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    }

    pub(crate) fn head(&self) -> Digest {
        self.chain.as_ref().unwrap().head().unwrap().hash
    }

    pub(crate) fn stop(&mut self) {
        self.act(Input::Stop { reason: "SIGTERM".into() });
    }

    /// Ends without a stop, leaving `torn` behind the last record.
    pub(crate) fn crash(&mut self, torn: &[u8]) {
        self.chain = None;
        let newest = chain_files::list(&self.state.chain()).unwrap().files.pop().unwrap();
        let mut file = fs::OpenOptions::new().append(true).open(newest.path).unwrap();
        file.write_all(torn).unwrap();
    }

    pub(crate) fn chain_checkpoint(&mut self) {
        if let Some(note) = self.evidence.newest_checkpoint().unwrap() {
            self.act(Input::Checkpoint { note });
        }
    }

    pub(crate) fn reload(&mut self) {
        self.config.sha256 = Digest::sha256(b"other settings");
        self.act(Input::Reload(settings(&self.config)));
    }

    pub(crate) fn tick(&mut self) {
        self.wait(60);
        let entries = self.follower.collect(Instant::now() + Duration::from_secs(5));
        self.engine.step(&self.now, Input::Logs(entries));
        self.act(Input::Tick((self.sources)(self.now.time)));
    }

    pub(crate) fn wait(&mut self, seconds: i64) {
        self.now.time = self.now.time.plus_nanos(seconds * 1_000_000_000);
        self.now.up_ms += seconds as u64 * 1_000;
    }

    pub(crate) fn log(&self, name: &str, text: &str) {
        fs::write(self.folder.join("log").join(name), text).unwrap();
    }

    pub(crate) fn bundle(&mut self) {
        let attached = self.folder.join("report.txt");
        fs::write(&attached, "a report\n").unwrap();
        let request = bundle::Request {
            artifacts: vec![attached],
            reason: "test".into(),
            ..bundle::Request::default()
        };
        let now = self.now.time;
        bundle::make(&self.config, &self.state, &mut self.evidence, now, &request).unwrap();
    }

    pub(crate) fn act(&mut self, input: Input) {
        let mut todo = self.engine.step(&self.now, input);
        while !todo.is_empty() {
            match todo.remove(0) {
                Action::Append(body) => {
                    let body = (self.forge)(body);
                    self.chain.as_mut().unwrap().append(self.now.time, &body).unwrap();
                    if matches!(body, Body::Start(_) | Body::Tick(_) | Body::Stop(_)) {
                        self.last = Some(self.now.clone());
                    }
                    todo.extend(self.engine.step(&self.now, Input::Appended));
                }
                Action::Checkpoint | Action::FinalCheckpoint => {
                    let head = self.chain.as_ref().unwrap().head().unwrap();
                    self.evidence.commit(self.now.time, head, &[]).unwrap();
                }
                Action::CloseDaysBefore(day) => {
                    self.evidence.close_days(self.now.time, day).unwrap();
                }
                Action::Bundle => {}
            }
        }
    }
}

fn settings(config: &Config) -> Settings {
    Settings {
        software: "test".into(),
        config_sha256: config.sha256,
        interval_s: config.interval_s,
        rule: config.rule,
        bundle_every_s: None,
    }
}

fn genesis(config: &Config, evidence: &Ledger) -> Genesis<'static> {
    Genesis {
        chain: evidence.chain().to_owned().into(),
        client: config.client.clone().into(),
        config_sha256: config.sha256,
        host: config.host.clone().into(),
        interval_s: config.interval_s,
        machine: "m".into(),
        software: "test".into(),
        tier: config.tier.to_string().into(),
    }
}

/// Two sources that agree.
pub(crate) fn agreeing(now: Timestamp) -> Vec<Source<'static>> {
    vec![source("ntp:chrony", 1_000_000, now), source("gps:gpsd", -500_000, now)]
}

pub(crate) fn source(src: &str, offset_ns: i64, as_of: Timestamp) -> Source<'static> {
    Source::claims(src, Claim::Interval { offset_ns, bound_ns: 5_000_000, as_of }, None)
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            // A new file: the original may be read-only.
            fs::write(&target, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// The files below `folder` that are evidence, relative to it, sorted.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    let mut found = vec![];
    walk(folder, folder, &mut found);
    found.retain(|path| !path.starts_with("cache"));
    found.sort();
    found
}

/// The codes that make the verdict `failed`.
pub(crate) fn errors(report: &Report) -> Vec<&'static str> {
    let error = provenance_core::report::Severity::Error;
    let errors = report.findings().iter().filter(|finding| finding.severity == error);
    errors.map(|finding| finding.code.as_str()).collect()
}
