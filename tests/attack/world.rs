//! A small state folder with everything in it, made by the product's own
//! services under a clock of the test's, and the auditor's policy beside it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use msp_provenance::{
    audit::{self, Trust},
    chain::ChainWriter,
    engine::{Action, Engine, Input, Settings},
    host::{config::Config, durable::StateDir, policy::Policy},
    logs::{self, Follower},
    services::{bundle, evidence::Evidence},
    signer::{self, Signer},
};
use provenance_core::{
    chain::{Body, Genesis},
    clock::{Claim, Source},
    report::Report,
    time::{Now, Timestamp},
};

/// The state folder of an appliance that ran over midnight and stopped.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) policy: Policy,
}

impl World {
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
        verify(state, &self.policy, &audit::chain::Options::default())
    }
}

pub(crate) fn policy(public: &str) -> Policy {
    let text = format!(
        "client = \"clinic-001\"\nhost = \"h\"\n[[keys]]\nname = \"k\"\npublic_key = \"\"\"\n{public}\"\"\"\n"
    );
    Policy::parse(&text).unwrap()
}

pub(crate) fn verify(state: &Path, policy: &Policy, options: &audit::chain::Options) -> Report {
    let trust = Trust { policy: Some(policy.clone()) };
    match audit::chain::verify(state, &trust, options, &mut |_| {}) {
        Ok(report) => report,
        // What cannot even be opened is not verified either; a test that asks
        // for a finding's code will not find it.
        Err(error) => {
            let mut report = Report::new();
            report.find(provenance_core::report::Finding::new(
                provenance_core::report::Code::RegistryMissing,
                provenance_core::report::Place::file("registry.db"),
                error.to_string(),
            ));
            report
        }
    }
}

/// Makes `folder/state`, signed by a key of this name; returns its public half.
pub(crate) fn make(folder: &Path, key: &str) -> String {
    fs::create_dir_all(folder.join("log")).unwrap();
    let (secret, public, _) = signer::keygen(folder, key).unwrap();
    let settings = format!(
        "client = \"clinic-001\"\nhost = \"h\"\ntier = \"enterprise\"\nstate_dir = \"{0}/state\"\n\
         signing_key = \"{1}\"\n[chain]\nwatch = [\"{0}/log/**\"]\njournal = false\n",
        folder.display(),
        secret.display()
    );
    let config = Config::parse("test", &settings, &[]).unwrap();
    let signer = Signer::load(config.signing_key.as_deref().unwrap()).unwrap();
    Appliance::new(folder, config, signer).live();
    fs::read_to_string(public).unwrap()
}

struct Appliance {
    folder: PathBuf,
    config: Config,
    state: StateDir,
    now: Now,
    chain: ChainWriter,
    evidence: Evidence,
    engine: Engine,
    follower: Follower,
}

impl Appliance {
    fn new(folder: &Path, config: Config, signer: Signer) -> Self {
        let time = Timestamp::parse(b"2026-11-20T23:58:30.000000000Z").unwrap();
        let now = Now { time, up_ms: 60_000, boot: "boot".into() };
        let state = StateDir::new(&config.state_dir);
        let evidence = Evidence::open(&config, &state, Some(signer), time).unwrap();
        let mut chain = ChainWriter::open(&state).unwrap();
        let genesis = Genesis {
            chain: evidence.chain().to_owned().into(),
            client: "clinic-001".into(),
            config_sha256: config.sha256,
            host: "h".into(),
            interval_s: 60,
            machine: "m".into(),
            software: "test".into(),
            tier: "enterprise".into(),
        };
        chain.append(time, &Body::Genesis(genesis)).unwrap();
        let settings = Settings {
            software: "test".into(),
            config_sha256: config.sha256,
            interval_s: 60,
            rule: config.rule,
            bundle_every_s: None,
        };
        let follower = Follower::new(&logs::Settings {
            watch: config.watch.clone(),
            exclude: vec![],
            state_dir: state.root().into(),
            budget_bytes: logs::DEFAULT_BUDGET,
        });
        Self {
            folder: folder.into(),
            config,
            state,
            now,
            chain,
            evidence,
            engine: Engine::new(settings, None, None),
            follower: follower.unwrap(),
        }
    }

    fn live(mut self) {
        self.act(Input::Start { reason: "test".into(), recovered: vec![], config: None });
        let log = self.folder.join("log/a.log");
        fs::write(&log, "first line\n").unwrap();
        self.tick();
        fs::rename(&log, self.folder.join("log/a.log.1")).unwrap();
        fs::write(&log, "second line\n").unwrap();
        self.tick();
        self.bundle();
        self.tick();
        let note = self.evidence.newest_checkpoint().unwrap().unwrap();
        self.act(Input::Checkpoint { note });
        fs::write(&log, "second line\nthird line\n").unwrap();
        self.tick();
        self.bundle();
        self.act(Input::Stop { reason: "SIGTERM".into() });
    }

    fn tick(&mut self) {
        self.now.time = self.now.time.plus_nanos(60_000_000_000);
        self.now.up_ms += 60_000;
        let entries = self.follower.collect(Instant::now() + Duration::from_secs(5));
        self.engine.step(&self.now, Input::Logs(entries));
        let as_of = self.now.time;
        let source = |src: &str, offset_ns| {
            let claim = Claim::Interval { offset_ns, bound_ns: 5_000_000, as_of };
            Source::claims(src, claim, None)
        };
        self.act(Input::Tick(vec![source("ntp:chrony", 1_000_000), source("gps:gpsd", -500_000)]));
    }

    fn bundle(&mut self) {
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

    fn act(&mut self, input: Input) {
        let mut todo = self.engine.step(&self.now, input);
        while !todo.is_empty() {
            match todo.remove(0) {
                Action::Append(body) => {
                    self.chain.append(self.now.time, &body).unwrap();
                    todo.extend(self.engine.step(&self.now, Input::Appended));
                }
                Action::Checkpoint | Action::FinalCheckpoint => {
                    let head = self.chain.head().unwrap();
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
