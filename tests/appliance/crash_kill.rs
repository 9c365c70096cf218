//! kill -9 at random instants, hundreds of times over thousands of ticks, on
//! one state folder whose logs are written and rotated meanwhile, and on the
//! real daemon: no record that was acknowledged is lost, torn appends are set
//! aside and recorded, and the chain verifies to its end.
//!
//! `MSP_SEED=N` repeats a run's instants, as far as the machine lets it.

use provenance_audit::trust::trust_by;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use provenance_audit::{self, policy_file::Policy};
use provenance_core::{
    encoding::{digest::Digest, json::Value},
    record::{
        Record,
        chain::{Body, Recovered},
        log_entry::LogEntry,
    },
    report::Verdict,
};
use provenance_host::{
    chain_files,
    clock::{Clock, SystemClock, kernel_source},
    config::Config,
    state_dir::StateDir,
};
use provenance_log_follower::{self, Follower};
use provenance_verifier::line_reader;
use provenanced::{
    bundle,
    chain::ChainWriter,
    daemon::recovery,
    engine::{Action, Engine, Input, Settings},
    ledger::{
        Ledger,
        signer::{self, Signer},
    },
};

use crate::common::{own_process, settings::trusted_key, wait::PATIENCE};

const ROUNDS: u32 = 200;
const FOLDER: &str = "CRASH_KILL_FOLDER";

struct Files(Follower);

impl recovery::Replay for Files {
    fn restore(&mut self, snapshot: &Value) -> bool {
        self.0.restore(snapshot).is_ok()
    }

    fn entry(&mut self, entry: &LogEntry<'_>) {
        self.0.replay(entry);
    }
}

/// The daemon's work without its waiting: run by the test below in a process
/// of its own, until it is killed.
#[test]
#[ignore = "the child of the test below"]
fn child() {
    let folder = std::env::var(FOLDER).unwrap();
    let folder = Path::new(&folder);
    let config = Config::load(&folder.join("p.toml"), &[]).unwrap();
    let (state, clock) = (StateDir::new(&config.state_dir), SystemClock::new().unwrap());
    let mut chain = ChainWriter::open(&state).unwrap();
    let signer = Signer::load(config.signing_key.as_deref().unwrap()).unwrap();
    let now = clock.now().time;
    let mut evidence = Ledger::open(&config, &state, Some(signer), now).unwrap();
    let reader = evidence.reader().unwrap();
    bundle::settle_unfinished(&state, &mut evidence, &reader, now).unwrap();
    let mut files = Files(
        Follower::new(&provenance_log_follower::Settings {
            watch: config.watch.clone(),
            exclude: vec![],
            state_dir: state.root().into(),
            budget_bytes: provenance_log_follower::DEFAULT_BUDGET,
        })
        .unwrap(),
    );
    let past = recovery::recover(&config, &state, &mut chain, &evidence, now, &mut files).unwrap();
    let settings = Settings {
        software: "test".into(),
        config_sha256: config.sha256,
        interval_s: config.interval_s,
        rule: config.rule,
        bundle_every_s: None,
    };
    let mut engine = Engine::new(settings, past.last, None);
    let input = Input::Start { reason: "test".into(), recovered: past.recovered, config: None };
    let mut todo = engine.step(&clock.now(), input);
    for tick in 0_u64.. {
        while let Some(action) = todo.pop() {
            if let Action::Append(body) = action {
                let time = engine.writing_at().unwrap().time;
                let head = chain.append(time, &body).unwrap();
                println!("ack {} {}", head.seq, head.hash);
                std::io::stdout().flush().unwrap();
                todo.extend(engine.step(&clock.now(), Input::Appended));
            }
        }
        // Here everything that was collected is on disk, as the daemon asks of
        // its engine before it keeps a snapshot.
        assert!(engine.is_settled());
        let head = chain.head().unwrap();
        match tick % 40 {
            10 => drop(evidence.commit(clock.now().time, head, &[]).unwrap()),
            20 => {
                let request = bundle::Request { reason: "test".into(), ..Default::default() };
                let now = clock.now().time;
                bundle::make(&config, &state, &mut evidence, now, &request).unwrap();
            }
            30 => recovery::keep_snapshot(&state, head, config.sha256, files.0.snapshot()).unwrap(),
            _ => {}
        }
        scribble(&folder.join("log"), tick);
        let entries = files.0.collect(Instant::now() + Duration::from_secs(5));
        engine.step(&clock.now(), Input::Logs(entries));
        let now = clock.now();
        todo = engine.step(&now, Input::Tick(vec![kernel_source(now.time)]));
    }
}

/// Logs that grow, rotate and are cut.
fn scribble(folder: &Path, tick: u64) {
    let log = folder.join("a.log");
    match tick % 29 {
        7 => drop(fs::rename(&log, folder.join("a.log.1"))),
        19 => drop(fs::write(folder.join("b.log"), format!("{tick}\n"))),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().append(true).create(true).open(log).unwrap();
    writeln!(file, "line {tick}").unwrap();
}

#[test]
fn no_acknowledged_record_is_lost_to_kill_9() {
    let fixture = KilledDaemonFixture::new(60);
    let state = StateDir::new(fixture.path("state"));
    let mut acknowledged: BTreeMap<u64, String> = BTreeMap::new();
    let mut torn: Vec<Digest> = vec![];
    let mut random = Random::seeded();
    let mut ends = 0_u32;
    for round in 1..=ROUNDS {
        // Every other one is at work when its time begins, however busy the machine is.
        let acks = one_life(fixture.dir.path(), random.below(220), round % 2 == 1);
        ends += u32::from(!acks.is_empty());
        for (seq, hash) in acks {
            assert_eq!(*acknowledged.entry(seq).or_insert(hash.clone()), hash, "record {seq}");
        }
        if round % 10 == 0 {
            hold(&state, &acknowledged);
            torn.extend(tear(&state, &mut random));
        }
    }
    assert!(acknowledged.len() > 1_000 && ends > ROUNDS / 8, "{} {ends}", acknowledged.len());
    assert!(torn.len() as u32 > ROUNDS / 20, "{}", torn.len());
    let ended = fixture.daemon(&["--ticks", "1", "--set", "chain.interval_s=1"]).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    hold(&state, &acknowledged);
    set_aside_and_recorded(&state, &torn);
    fixture.verifies();
    println!(
        "{} records acknowledged, {} appends torn in {ROUNDS} lives",
        acknowledged.len(),
        torn.len()
    );
}

/// Eight state folders at a time, since a tick of the real daemon takes a
/// second at least. Nobody tells what it acknowledged: a record that was seen
/// whole on disk must stay there.
#[test]
fn the_real_daemon_killed_at_random_instants_goes_on() {
    let mut random = Random::seeded();
    let lives: Vec<Vec<u64>> =
        (0..8).map(|_| (0..8).map(|_| 10 + random.below(2_600)).collect()).collect();
    let one = |lives: &[u64]| {
        let fixture = KilledDaemonFixture::new(1);
        let state = StateDir::new(fixture.path("state"));
        let mut seen = BTreeMap::new();
        for (life, millis) in lives.iter().enumerate() {
            scribble(&fixture.path("log"), life as u64 * 3 + 4);
            let mut daemon = fixture.daemon(&[]).stderr(Stdio::piped()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(*millis));
            daemon.kill().unwrap();
            let output = daemon.wait_with_output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.code().is_none() && !stderr.contains("panicked"), "{stderr}");
            if state.chain().is_dir() {
                hold(&state, &seen);
                seen = on_disk(&state);
            }
        }
        let ended = fixture.daemon(&["--ticks", "1"]).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        hold(&state, &seen);
        fixture.verifies();
        seen.len()
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = lives.iter().map(|lives| scope.spawn(|| one(lives))).collect();
        let records: usize = running.into_iter().map(|one| one.join().unwrap()).sum();
        println!("{records} records in 64 lives of the daemon");
    });
}

struct KilledDaemonFixture {
    dir: tempfile::TempDir,
}

impl KilledDaemonFixture {
    fn new(interval_s: u64) -> Self {
        let fixture = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(fixture.path("log")).unwrap();
        let (key, _, _) = signer::keygen(fixture.dir.path(), "k").unwrap();
        let settings = format!(
            "client = \"c\"\nhost = \"h\"\ntier = \"enterprise\"\nstate_dir = \"{}\"\n\
             signing_key = \"{}\"\n[chain]\ninterval_s = {interval_s}\nwatch = [\"{}/**\"]\n\
             journal = false\n",
            fixture.path("state").display(),
            key.display(),
            fixture.path("log").display()
        );
        fs::write(fixture.path("p.toml"), settings).unwrap();
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn daemon(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provenanced"));
        command.args(["run", "--config"]).arg(self.path("p.toml")).args(args);
        command
    }

    /// After an orderly end nothing is wrong: only the machine's clock, logs
    /// that were cut on purpose and the time between two lives are remarked on.
    fn verifies(&self) {
        let public = fs::read_to_string(self.path("k.pub")).unwrap();
        let policy = format!("client = \"c\"\n{}", trusted_key("k", &public));
        let trust = trust_by(Some(Policy::parse(&policy).unwrap())).unwrap();
        let options = provenance_audit::state::Options::default();
        let report =
            provenance_audit::state::verify(&self.path("state"), &trust, &options, &mut |_| {})
                .unwrap();
        let wrong = report.findings().iter().filter(|finding| {
            let code = finding.code.as_str();
            !code.starts_with("clock.") && code != "log.shrunk" && code != "chain.gap"
        });
        assert_eq!(wrong.count(), 0, "{:#?}", report.findings());
        assert_eq!(report.verdict(), Verdict::Verified, "{:#?}", report.gaps());
    }
}

/// Everything acknowledged is on disk, as it was acknowledged.
fn hold(state: &StateDir, acknowledged: &BTreeMap<u64, String>) {
    let found = on_disk(state);
    for (seq, hash) in acknowledged {
        assert_eq!(found.get(seq), Some(hash), "record {seq} is lost");
    }
}

/// What kill -9 cannot do and a power cut can: the beginning of an append, or
/// pages of zeros, behind the last record. Gives the digest of those bytes.
fn tear(state: &StateDir, random: &mut Random) -> Option<Digest> {
    let file = chain_files::list(&state.chain()).unwrap().files.pop()?;
    let whole = fs::read(&file.path).unwrap();
    let line = whole.strip_suffix(b"\n")?.rsplit(|byte| *byte == b'\n').next()?;
    let length = 1 + usize::try_from(random.below(line.len() as u64 - 1)).unwrap();
    let torn = match random.below(3) {
        0 => vec![0; 4096 + length],
        1 => [&line[..length], b"\n"].concat(),
        _ => line[..length].to_vec(),
    };
    let mut file = fs::OpenOptions::new().append(true).open(&file.path).unwrap();
    file.write_all(&torn).unwrap();
    Some(Digest::sha256(&torn))
}

fn set_aside_and_recorded(state: &StateDir, torn: &[Digest]) {
    let mut recorded = BTreeMap::new();
    each_line(state, |line| {
        let record = Record::parse(line).unwrap();
        if let Ok(Body::Recovered(Recovered { bytes, file: Some(file), sha256, .. })) =
            Body::read(&record)
        {
            let kept = fs::read(state.recovered().join(&*file)).unwrap();
            assert_eq!((kept.len() as u64, Some(Digest::sha256(&kept))), (bytes, sha256));
            assert_eq!(recorded.insert(file.into_owned(), Digest::sha256(&kept)), None, "twice");
        }
    });
    for digest in torn {
        assert!(recorded.values().any(|recorded| recorded == digest), "{digest} is not recorded");
    }
}

/// Starts the child, kills it some milliseconds later, or so long after its first
/// record, and returns what it acknowledged.
fn one_life(folder: &Path, millis: u64, at_work: bool) -> Vec<(u64, String)> {
    let mut child = own_process::test(module_path!(), "child")
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let (first, acknowledged) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let acks = lines.filter_map(|line| {
            let rest = line.split_once("ack ").map(|(_, rest)| rest.to_owned())?;
            let (seq, hash) = rest.split_once(' ')?;
            (hash.len() == 64).then(|| (seq.parse().unwrap(), hash.to_owned()))
        });
        acks.inspect(|_| first.send(()).unwrap_or(())).collect::<Vec<_>>()
    });
    if at_work {
        acknowledged.recv_timeout(PATIENCE).expect("the child acknowledges nothing");
    }
    std::thread::sleep(Duration::from_millis(15 + millis));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(!status.success());
    reading.join().unwrap()
}

fn on_disk(state: &StateDir) -> BTreeMap<u64, String> {
    let mut found = BTreeMap::new();
    each_line(state, |line| {
        if let Ok(record) = Record::parse(line) {
            found.insert(record.seq, Digest::sha256(line).to_hex());
        }
    });
    found
}

fn each_line(state: &StateDir, mut each: impl FnMut(&[u8])) {
    for file in chain_files::list(&state.chain()).unwrap().files {
        let source = chain_files::open(&file).unwrap();
        line_reader::for_each_line::<std::io::Error>(source, |line| {
            each(line);
            Ok(())
        })
        .unwrap();
    }
}

/// A linear congruential generator: the seed is printed, so that a run can be repeated.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let seed = std::env::var("MSP_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| std::process::id().into());
        println!("MSP_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}
