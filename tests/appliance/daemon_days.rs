//! A week of the daemon in some seconds: its own loop, over 10,000 ticks, with
//! the timers of tokio and the clock handed in moved on by hand. Bundles,
//! checkpoints, closed days and retention fall due as they should, the week
//! verifies, and neither memory nor open files grow.
//!
//! The week runs in a process of its own, since other tests would disturb the
//! measurement.

use provenance_audit::trust::trust_by;
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use provenance_audit::{self, policy_file::Policy};
use provenance_core::{encoding::time::Now, report::Verdict};
use provenance_host::{
    clock::{Clock, SystemClock},
    config::Config,
};
use provenance_registry::Reader;
use provenanced::{
    daemon::{self, Options},
    ledger::signer,
};

use crate::common::{own_process, settings::trusted_key};

const TICKS: u64 = 10_050;
const MINUTE: Duration = Duration::from_secs(60);

/// The machine's clocks at the start, and from there on tokio's.
#[derive(Clone)]
struct Moved {
    start: Now,
    since: tokio::time::Instant,
}

impl Clock for Moved {
    fn now(&self) -> Now {
        let passed = self.since.elapsed();
        Now {
            time: self.start.time.plus_nanos(i64::try_from(passed.as_nanos()).unwrap()),
            up_ms: self.start.up_ms + u64::try_from(passed.as_millis()).unwrap(),
            boot: self.start.boot.clone(),
        }
    }
}

/// What the process takes.
#[derive(Clone, Copy, Debug)]
struct Taken {
    rss_kib: u64,
    files: usize,
}

impl Taken {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        Self {
            rss_kib: rss.trim().trim_end_matches(" kB").parse().unwrap(),
            files: fs::read_dir("/proc/self/fd").unwrap().count(),
        }
    }
}

const ALONE: &str = "MSP_WEEK_ALONE";

#[test]
fn a_week_of_ticks_does_all_that_falls_due_and_takes_no_more_memory() {
    if std::env::var_os(ALONE).is_none() {
        let name = "a_week_of_ticks_does_all_that_falls_due_and_takes_no_more_memory";
        let output = own_process::test(module_path!(), name).env(ALONE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{message}");
        // A name that is not found would be a success, too.
        assert!(said.contains("running 1 test"), "{said}");
        println!("{said}");
        return;
    }
    // In memory where there is such a folder: twenty thousand fsyncs else
    // take minutes.
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let dir = dir.unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("log")).unwrap();
    let (key, public, _) = signer::keygen(dir.path(), "k").unwrap();
    let settings = format!(
        "client = \"c\"\nhost = \"h\"\ntier = \"enterprise\"\nstate_dir = \"{}\"\n\
         signing_key = \"{}\"\n[chain]\ninterval_s = 60\nwatch = [\"{}/**\"]\njournal = false\n\
         [bundle]\nevery = \"24h\"\ncontrols = [\"164.312(b)\"]\n[retention]\nbundle_days = 2\n",
        at("state").display(),
        key.display(),
        at("log").display()
    );
    fs::write(at("p.toml"), settings).unwrap();
    let taken = a_week(dir.path());
    println!("resident and open after each 1000 ticks: {taken:?}");
    no_growth(&taken);
    done_what_fell_due(&at("state"));
    verifies(&at("state"), &public);
}

fn a_week(dir: &Path) -> Vec<Taken> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let config = Config::load(&dir.join("p.toml"), &[]).unwrap();
    let (config_path, state) = (dir.join("p.toml"), config.state_dir.clone());
    let options = Options { config_path, set: vec![], ticks: Some(TICKS) };
    runtime.unwrap().block_on(async {
        let start = SystemClock::new().unwrap().now();
        let clock = Moved { start, since: tokio::time::Instant::now() };
        let daemon = daemon::run(config, options, clock.clone());
        let mut taken = vec![];
        tokio::select! {
            ended = daemon => ended.unwrap(),
            () = move_on(dir, &state, &clock, &mut taken) => unreachable!(),
        }
        taken
    })
}

/// Writes to the logs and lets a minute pass, as soon as the tick of the last
/// one is on disk. While a blocking task waits, tokio's clock stands still.
async fn move_on(dir: &Path, state: &Path, clock: &Moved, taken: &mut Vec<Taken>) {
    let mut length = 0;
    for minute in 0_u64.. {
        loop {
            pause(Duration::from_micros(50)).await;
            let day = clock.now().time.day().path();
            let file = fs::metadata(state.join(format!("chain/{day}.jsonl")));
            // Right after midnight the file is not there yet.
            let now = file.map_or(0, |file| file.len());
            if now != length || minute == 0 && now > 0 {
                length = now;
                break;
            }
        }
        if minute % 1_000 == 0 && minute > 0 {
            taken.push(Taken::now());
        }
        scribble(&dir.join("log"), minute);
        let day = clock.now().time.day();
        tokio::time::advance(MINUTE).await;
        if clock.now().time.day() != day {
            length = 0;
        }
    }
}

async fn pause(time: Duration) {
    tokio::task::spawn_blocking(move || std::thread::sleep(time)).await.unwrap();
}

/// Three logs; one is rotated each day, and the fourth oldest thrown away.
fn scribble(folder: &Path, minute: u64) {
    for name in ["a.log", "b.log", "c.log"] {
        let file = fs::OpenOptions::new().append(true).create(true).open(folder.join(name));
        writeln!(file.unwrap(), "minute {minute} of {name}").unwrap();
    }
    if minute % 1_440 == 700 {
        for n in (0..3).rev() {
            let name = |n: u64| match n {
                0 => folder.join("a.log"),
                n => folder.join(format!("a.log.{n}")),
            };
            let _ = fs::rename(name(n), name(n + 1));
        }
    }
}

/// From the second thousand on, when buffers have their size: a tick that
/// kept 100 bytes would show as 800 KiB.
fn no_growth(taken: &[Taken]) {
    let (second, last) = (taken[1], taken[taken.len() - 1]);
    assert!(taken.len() >= 10, "{}", taken.len());
    assert!(last.rss_kib <= second.rss_kib + 768, "memory grows: {taken:?}");
    assert!(last.files <= second.files, "open files grow: {taken:?}");
}

fn done_what_fell_due(state: &Path) {
    let reader = Reader::open(&state.join("registry.db")).unwrap();
    let count = |kind: &str| {
        let body = |row: &provenance_registry::reader::Row| {
            String::from_utf8_lossy(&row.body).contains(&format!("\"kind\":\"{kind}\",\"prev\""))
        };
        reader.page(0, 10_000).unwrap().iter().filter(|row| body(row)).count()
    };
    // 10,050 minutes are six days and 23.5 hours.
    assert_eq!(count("bundle"), 6);
    assert!((6..=7).contains(&count("segment")), "{}", count("segment"));
    assert!((160..190).contains(&count("head")), "{}", count("head"));
    let bundles: Vec<PathBuf> =
        fs::read_dir(state.join("bundles")).unwrap().map(|one| one.unwrap().path()).collect();
    assert_eq!(bundles.len(), 6, "nothing of a bundle but its artifacts expires");
    let gone = |path: &PathBuf| !path.join("artifacts").exists();
    let expired = bundles.iter().filter(|path| gone(path)).count();
    assert_eq!(expired, count("expire"));
    assert!((2..=4).contains(&expired), "{expired}");
    for name in ["statement.json", "statement.json.sig", "statement.sigstore.json", "proof.json"] {
        assert!(bundles.iter().all(|path| path.join(name).is_file()), "{name}");
    }
}

fn verifies(state: &Path, public: &Path) {
    let public = fs::read_to_string(public).unwrap();
    let policy = format!("client = \"c\"\n{}", trusted_key("k", &public));
    let trust = trust_by(Some(Policy::parse(&policy).unwrap())).unwrap();
    let options = provenance_audit::state::Options::default();
    let report = provenance_audit::state::verify(state, &trust, &options, &mut |_| {}).unwrap();
    let wrong = report.findings().iter().filter(|finding| {
        let code = finding.code.as_str();
        !code.starts_with("clock.") && !matches!(code, "log.unreadable" | "bundle.expired")
    });
    assert_eq!(wrong.count(), 0, "{:#?}", report.findings());
    assert_ne!(report.verdict(), Verdict::Failed);
    println!("{:?}: {:?}", report.verdict(), report.gaps());
}
