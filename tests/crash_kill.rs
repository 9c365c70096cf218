//! kill -9 at random instants, hundreds of times over thousands of ticks, on
//! one state folder whose logs are written and rotated meanwhile: no record
//! that was acknowledged is lost, and the chain verifies to its end.
#![cfg(test)]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use msp_provenance::{
    audit::{self, Trust},
    chain::ChainWriter,
    engine::{Action, Engine, Input, Settings},
    host::{
        chainfiles,
        config::Config,
        durable::StateDir,
        policy::Policy,
        systime::{Clock, SystemClock, kernel_source},
    },
    logs::{self, Follower},
    services::{bundle, evidence::Evidence, recover},
    signer::{self, Signer},
};
use provenance_core::{
    canon::Value, digest::Digest, logs::LogEntry, record::Record, report::Verdict,
};

const ROUNDS: u32 = 200;
const FOLDER: &str = "CRASH_KILL_FOLDER";

struct Files(Follower);

impl recover::Replay for Files {
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
    let mut evidence = Evidence::open(&config, &state, Some(signer), now).unwrap();
    let reader = evidence.reader().unwrap();
    bundle::settle(&state, &mut evidence, &reader, now).unwrap();
    let mut files = Files(
        Follower::new(&logs::Settings {
            watch: config.watch.clone(),
            exclude: vec![],
            state_dir: state.root().into(),
            budget_bytes: logs::DEFAULT_BUDGET,
        })
        .unwrap(),
    );
    let past = recover::recover(&config, &state, &mut chain, &evidence, now, &mut files).unwrap();
    let settings = Settings {
        software: "test".into(),
        config_sha256: config.sha256,
        interval_s: config.interval_s,
        rule: config.rule,
        bundle_every_s: None,
    };
    let mut engine = Engine::new(settings, past.last, None);
    let input = Input::Start { reason: "test".into(), recovered: past.recovered, old_config: None };
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
        scribble(&folder.join("log"), tick);
        let entries = files.0.collect(Instant::now() + Duration::from_secs(5));
        engine.step(&clock.now(), Input::Logs(entries));
        let head = chain.head().unwrap();
        match tick % 40 {
            10 => drop(evidence.commit(clock.now().time, head, &[]).unwrap()),
            20 => {
                let request = bundle::Request { reason: "test".into(), ..Default::default() };
                let now = clock.now().time;
                bundle::make(&config, &state, &mut evidence, now, &request).unwrap();
            }
            30 => recover::keep_snapshot(&state, head, files.0.snapshot()).unwrap(),
            _ => {}
        }
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
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("log")).unwrap();
    let (key, public, _) = signer::keygen(dir.path(), "k").unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let settings = format!(
        "client = \"c\"\nhost = \"h\"\ntier = \"enterprise\"\nstate_dir = \"{}\"\n\
         signing_key = \"{}\"\n[chain]\nwatch = [\"{}/**\"]\njournal = false\n",
        at("state"),
        key.display(),
        at("log")
    );
    fs::write(dir.path().join("p.toml"), settings).unwrap();
    let mut acknowledged: BTreeMap<u64, String> = BTreeMap::new();
    let mut random = Random(std::process::id().into());
    println!("seed {}", random.0);
    let (mut ends, mut round) = (0_u32, 0_u32);
    while round < ROUNDS {
        round += 1;
        let acks = one_life(dir.path(), random.below(220));
        ends += u32::from(!acks.is_empty());
        for (seq, hash) in acks {
            assert_eq!(*acknowledged.entry(seq).or_insert(hash.clone()), hash, "record {seq}");
        }
        if round % 10 == 0 || round == ROUNDS {
            let found = on_disk(&StateDir::new(dir.path().join("state")));
            for (seq, hash) in &acknowledged {
                assert_eq!(found.get(seq), Some(hash), "round {round}: record {seq} is lost");
            }
        }
    }
    assert!(acknowledged.len() > 2_000 && ends > ROUNDS / 4, "{} {ends}", acknowledged.len());
    let policy = format!(
        "client = \"c\"\n[[keys]]\nname = \"k\"\npublic_key = \"\"\"\n{}\"\"\"\n",
        fs::read_to_string(public).unwrap()
    );
    let trust = Trust { policy: Some(Policy::parse(&policy).unwrap()) };
    let options = audit::chain::Options::default();
    let state = dir.path().join("state");
    let report = audit::chain::verify(&state, &trust, &options, &mut |_| {}).unwrap();
    // The last life may have ended amid an append, or amid a bundle, which
    // the next start settles.
    let torn = |code: &str| code == "chain.torn" || code == "bundle.unregistered";
    let wrong = report.findings().iter().filter(|finding| {
        !finding.code.as_str().starts_with("clock.")
            && !torn(finding.code.as_str())
            && finding.code.as_str() != "log.shrunk"
    });
    assert_eq!(wrong.count(), 0, "{:#?}", report.findings());
    assert_ne!(report.verdict(), Verdict::Inconclusive, "{:#?}", report.gaps());
    println!("{} records acknowledged in {ROUNDS} lives", acknowledged.len());
}

/// Starts the child, kills it after some milliseconds of work, and returns
/// what it acknowledged.
fn one_life(folder: &Path, millis: u64) -> Vec<(u64, String)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let reading = std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let acks = lines.filter_map(|line| {
            let rest = line.split_once("ack ").map(|(_, rest)| rest.to_owned())?;
            let (seq, hash) = rest.split_once(' ')?;
            (hash.len() == 64).then(|| (seq.parse().unwrap(), hash.to_owned()))
        });
        acks.collect::<Vec<_>>()
    });
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
    for file in chainfiles::list(&state.chain()).unwrap().files {
        let source = chainfiles::open(&file).unwrap();
        chainfiles::for_each_line::<std::io::Error>(source, |line| {
            if let Ok(record) = Record::parse(line) {
                found.insert(record.seq, Digest::of(line).to_hex());
            }
            Ok(())
        })
        .unwrap();
    }
    found
}

/// A linear congruential generator: the seed is printed, so that a run can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}
