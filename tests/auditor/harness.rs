//! A folder of logs, recorded minute by minute by the product's own follower
//! and chain writer, and read again by the audit.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, fs::FileExt as _},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use provenance_audit::logs::{JournalSource, Options, verify};
use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    record::{
        chain::{Body, Genesis, Tick},
        log_entry::LogEntry,
        time_attestation::{self, Rule},
    },
    report::{Code, Finding, Report},
};
use provenance_host::{chain_files, clock, state_dir::StateDir};
use provenance_log_follower::{Follower, Settings};
use provenanced::chain::ChainWriter;

/// See the module.
pub(crate) struct RecordedLogs {
    dir: tempfile::TempDir,
    follower: Follower,
    writer: ChainWriter,
    state: StateDir,
    minutes: i64,
}

impl RecordedLogs {
    pub(crate) fn new() -> Self {
        Self::of_machine(&clock::machine_id())
    }

    pub(crate) fn of_machine(machine: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("logs")).unwrap();
        let state = StateDir::new(dir.path().join("state"));
        let settings = Settings {
            watch: vec![format!("{}/logs/**", dir.path().display())],
            exclude: vec![],
            state_dir: state.root().to_owned(),
            budget_bytes: 8 << 30,
        };
        let follower = Follower::new(&settings).unwrap();
        let writer = ChainWriter::open(&state).unwrap();
        let mut fixture = Self { dir, follower, writer, state, minutes: 0 };
        let genesis = Genesis {
            chain: "00".into(),
            client: "c".into(),
            config_sha256: Digest::ZERO,
            host: "h".into(),
            interval_s: 60,
            machine: machine.to_owned().into(),
            software: "test".into(),
            tier: "enterprise".into(),
        };
        fixture.writer.append(minute(0), &Body::Genesis(genesis)).unwrap();
        fixture
    }

    /// A log's path.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(name)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn append(&self, name: &str, bytes: &[u8]) {
        self.append_raw(name.as_bytes(), bytes);
    }

    pub(crate) fn append_raw(&self, name: &[u8], bytes: &[u8]) {
        let path = self.dir.path().join("logs").join(OsStr::from_bytes(name));
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(bytes).unwrap();
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(program);
        let output = command.current_dir(self.path("")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program}: {output:?}");
    }

    /// Inverts a bit of a byte in a file, and keeps all else as it is.
    pub(crate) fn flip(&self, name: &str, at: u64) {
        let file = fs::OpenOptions::new().read(true).write(true).open(self.path(name)).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    }

    /// The next minute's tick.
    pub(crate) fn tick(&mut self) {
        let entries = self.follower.collect(Instant::now() + Duration::from_secs(60));
        self.record(entries);
    }

    /// A tick with these entries.
    pub(crate) fn record(&mut self, logs: Vec<LogEntry<'static>>) {
        self.minutes += 1;
        let time = minute(self.minutes);
        let rule = Rule { alarm_ns: 1, min_agreeing: 1 };
        let clock = time_attestation::judge(time, rule, None, vec![]);
        let tick = Tick { boot: "b".into(), clock, logs, more: false, up_ms: 1 };
        self.writer.append(time, &Body::Tick(tick)).unwrap();
    }

    pub(crate) fn verify(&self) -> Report {
        self.verify_with(|_| {})
    }

    pub(crate) fn verify_with(&self, change: impl FnOnce(&mut Options<'_>)) -> Report {
        let files = chain_files::list(&self.state.chain()).unwrap().files;
        let mut options = Options {
            root: "/".into(),
            journal: None::<JournalSource>,
            from: None,
            to: None,
            progress: &|_| {},
        };
        change(&mut options);
        let mut report = Report::new();
        verify(&files, &options, &mut report).unwrap();
        report
    }

    /// Nothing is wrong, and nothing was left out.
    #[track_caller]
    pub(crate) fn expect_clean(&self) -> Report {
        let report = self.verify();
        assert_eq!(report.findings(), []);
        assert_eq!(report.gaps(), []);
        report
    }

    /// The findings are exactly these.
    #[track_caller]
    pub(crate) fn expect(&self, expected: &[Expected<'_>]) -> Report {
        let report = self.verify();
        let found: Vec<_> = report.findings().iter().map(|finding| self.short(finding)).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(code, file, generation, bytes, minutes)| {
                let file = file.map(str::to_owned);
                (*code, file, *generation, *bytes, *minutes)
            })
            .collect();
        assert_eq!(found, expected, "{:#?}", report.findings());
        report
    }

    fn short(&self, finding: &Finding) -> Short {
        let root = format!("{}/", self.path("").display());
        let place = &finding.place;
        let file = place.file.as_deref().map(|file| file.replace(root.trim_end_matches('/'), ""));
        let file = file.map(|file| file.trim_start_matches('/').to_owned());
        let (since, time) = place.time.unwrap();
        let minutes = (minute_of(since), minute_of(time));
        (finding.code, file, place.generation.unwrap(), place.bytes.unwrap(), minutes)
    }
}

type Short = (Code, Option<String>, u64, (u64, u64), (i64, i64));

/// Code, file, generation, bytes, minutes.
pub(crate) type Expected<'e> = (Code, Option<&'e str>, u64, (u64, u64), (i64, i64));

const START: i64 = 1_795_000_000_000_000_000;

/// The time of a tick.
pub(crate) fn minute(number: i64) -> Timestamp {
    Timestamp::from_nanos(START + number * 60_000_000_000)
}

fn minute_of(time: Timestamp) -> i64 {
    (time.nanos() - START) / 60_000_000_000
}

/// Some lines, `size` bytes of them, that occur nowhere else.
pub(crate) fn lines(seed: u64, size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(size + 64);
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while out.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(format!("{seed} {state:016x} event\n").as_bytes());
    }
    out.truncate(size);
    out
}
