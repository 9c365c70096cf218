//! A fault in each write, fsync, rename and truncation of a whole run of the
//! daemon, injected by strace into the real program (and so into SQLite too):
//! it never panics, loses nothing that was on disk, and the next run repairs
//! what is to be repaired and verifies. And a disk that stays broken, or is
//! read-only for a while.
//!
//! By default every third call is hit; `MSP_FULL=1` hits each.
#![cfg(test)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const PROVENANCED: &str = env!("CARGO_BIN_EXE_provenanced");
const PROVCTL: &str = env!("CARGO_BIN_EXE_provctl");
/// What makes something durable, or takes it away.
const CALLS: [&str; 9] =
    ["write", "pwrite64", "fsync", "fdatasync", "rename", "ftruncate", "unlink", "mkdir", "openat"];
/// Exit codes that docs/operations.md names.
const DOCUMENTED: [i32; 8] = [0, 64, 65, 66, 70, 74, 75, 78];
/// Runs wait for most of their second: many fit onto a core.
const AT_ONCE: usize = 12;

struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(world.path("log")).unwrap();
        fs::write(world.path("log/a.log"), "one\n").unwrap();
        let made = Command::new(PROVENANCED).args(["keygen", "--out"]).arg(world.path("")).output();
        assert!(made.unwrap().status.success());
        let settings = format!(
            "client = \"c\"\nhost = \"h\"\ntier = \"enterprise\"\nstate_dir = \"{}\"\n\
             signing_key = \"{}\"\n[chain]\ninterval_s = 1\nwatch = [\"{}/**\"]\njournal = false\n",
            world.path("state").display(),
            world.path("signing.key").display(),
            world.path("log").display()
        );
        fs::write(world.path("p.toml"), settings).unwrap();
        let key = fs::read_to_string(world.path("signing.pub")).unwrap();
        let policy = format!("[[keys]]\nname = \"k\"\npublic_key = \"\"\"\n{key}\"\"\"\n");
        fs::write(world.path("policy.toml"), policy).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A run of one tick, or a bundle, under strace with these expressions.
    fn traced(&self, expressions: &[String], bundle: bool) -> Output {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o"]).arg(self.path("trace"));
        for expression in expressions {
            strace.args(["-e", expression]);
        }
        strace.arg(PROVENANCED);
        self.finish(strace, bundle)
    }

    fn finish(&self, mut command: Command, bundle: bool) -> Output {
        let config = self.path("p.toml");
        match bundle {
            true => command.args(["bundle", "--config"]).arg(config),
            false => command.args(["run", "--ticks", "1", "--config"]).arg(config),
        };
        command.output().unwrap()
    }

    fn lines(&self) -> Vec<String> {
        let mut files = vec![];
        walk(&self.path("state/chain"), &mut files);
        files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
        files.sort();
        let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        // Bytes behind the last LF are no record yet.
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect()
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

/// A fault to inject.
#[derive(Clone, Debug)]
struct Fault {
    call: &'static str,
    /// `error=EIO`, `error=ENOSPC`, `error=EROFS`, `signal=KILL`
    how: &'static str,
    /// Which call of a thread, counted from 1, as strace does.
    at: usize,
    bundle: bool,
}

#[test]
fn a_fault_in_any_call_loses_nothing_and_the_next_run_repairs_it() {
    if !can_trace() {
        return;
    }
    let stride = if std::env::var_os("MSP_FULL").is_some() { 1 } else { 3 };
    if stride > 1 {
        eprintln!("every {stride}rd call is hit; MSP_FULL=1 hits each");
    }
    let mut faults = vec![];
    for bundle in [false, true] {
        for (call, places) in baseline(bundle) {
            let kinds = ["error=EIO", "error=ENOSPC", "signal=KILL", "error=EROFS"];
            for (kind, how) in kinds.into_iter().enumerate() {
                // Only what makes or changes a name fails so from the start on.
                if how == "error=EROFS" && !matches!(call, "openat" | "mkdir" | "rename") {
                    continue;
                }
                let hit = places.iter().skip(kind % stride).step_by(stride);
                faults.extend(hit.map(|at| Fault { call, how, at: *at, bundle }));
            }
        }
    }
    println!("{} faults", faults.len());
    assert!(faults.len() > 100);
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(vec![]));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = check(fault) {
                        failures.lock().unwrap().push(format!("{fault:?}: {why}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        faults.len(),
        failures.join("\n")
    );
}

/// The daemon with faults that begin amid its run, by these expressions, until
/// `enough` of what it says; then SIGTERM. Gives exit code and stderr.
fn long_run(world: &World, inject: &str, enough: impl Fn(&str) -> bool) -> (Option<i32>, String) {
    let stderr = world.path("stderr");
    let mut child = Command::new("strace")
        // The daemon is our child, and strace its detached grandchild.
        .args(["-D", "-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("inject={inject}"))
        .arg(PROVENANCED)
        .args(["run", "--config"])
        .arg(world.path("p.toml"))
        .stdout(Stdio::null())
        .stderr(fs::File::create(&stderr).unwrap())
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(&stderr).unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() && !enough(&said()) {
        assert!(begin.elapsed() < Duration::from_secs(40), "{inject}: {}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    let ending = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if ending.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("{inject}: it hangs: {}", said());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(!said().contains("panicked"), "{inject}: {}", said());
    (status.code(), said())
}

const FAILED: &str = "a record could not be written";

/// From a call on nothing becomes durable any more: it says so, ends when it
/// is told to, and says that it could not record its end.
#[test]
fn a_disk_that_stays_broken_is_said_and_does_not_keep_it_from_ending() {
    if !can_trace() {
        return;
    }
    let one = |from: usize, error: &str| {
        let world = World::new();
        let calls = "fsync,fdatasync,pwrite64,rename,ftruncate,mkdir";
        let inject = format!("{calls}:error={error}:when={from}+");
        let (code, said) = long_run(&world, &inject, |said| said.matches(FAILED).count() >= 2);
        assert!(code.is_some_and(|code| DOCUMENTED.contains(&code)), "{from}: {code:?} {said}");
        assert!(said.contains("provenanced: ") && code != Some(0), "{from}: {code:?} {said}");
        let before = world.lines();
        let clean = world.finish(Command::new(PROVENANCED), false);
        assert!(clean.status.success(), "{}", String::from_utf8_lossy(&clean.stderr));
        assert_eq!(world.lines().get(..before.len()), Some(&before[..]), "{from}: {said}");
        verified(&world).and_then(|()| left_over(&world)).unwrap();
    };
    std::thread::scope(|scope| {
        for from in [1, 2, 3, 5, 8, 13, 21, 34] {
            for error in ["EIO", "EROFS"] {
                scope.spawn(move || one(from, error));
            }
        }
    });
}

/// What `mount -o remount,ro` would do, which the kernel refuses while a file
/// is open for writing: a damaged file system turns read-only so.
#[test]
fn a_disk_that_is_read_only_for_a_while_is_recorded_when_it_is_back() {
    if !can_trace() {
        return;
    }
    for (error, number) in [("EROFS", 30), ("EIO", 5)] {
        let world = World::new();
        // In a thread of the daemon the third to the eighth of them.
        let inject = format!("fdatasync:error={error}:when=3..8");
        let back = |said: &str| said.contains("records are written again");
        let (code, said) = long_run(&world, &inject, back);
        assert_eq!(code, Some(0), "{said}");
        let attempts = said.matches(FAILED).count();
        let lines = world.lines();
        let recovered: Vec<_> =
            lines.iter().filter(|line| line.contains("\"kind\":\"recovered\"")).collect();
        assert_eq!(recovered.len(), 1, "{said}");
        let expected =
            format!("{{\"data\":{{\"attempts\":{attempts},\"bytes\":0,\"errno\":{number}");
        assert!(attempts >= 3 && recovered[0].starts_with(&expected), "{recovered:?}");
        verified(&world).unwrap();
    }
}

fn check(fault: &Fault) -> Result<(), String> {
    let world = World::new();
    if fault.bundle {
        let clean = world.finish(Command::new(PROVENANCED), false);
        assert!(clean.status.success());
    }
    let inject = format!("inject={}:{}:when={}", fault.call, fault.how, fault.at);
    let hit = world.traced(&[format!("trace={}", fault.call), inject], fault.bundle);
    let message = String::from_utf8_lossy(&hit.stderr).into_owned();
    // tokio wakes its threads by writing to an eventfd, which no disk can make
    // fail: such a hit is as good as a crash, and is repaired like one.
    let eventfd = message.contains("failed to wake I/O driver");
    if message.contains("panicked") && !eventfd {
        return Err(message);
    }
    match hit.status.code() {
        _ if eventfd => {}
        Some(code) if DOCUMENTED.contains(&code) => {}
        None if fault.how.starts_with("signal") => {}
        other => return Err(format!("ended with {other:?}: {message}")),
    }
    let before = world.lines();
    if hit.status.success() && message.contains("a record could not be written") {
        let recorded = before.iter().any(|line| line.contains("\"kind\":\"recovered\""));
        if !recorded {
            return Err(format!("the failure is not recorded: {message}"));
        }
    }
    fs::write(world.path("log/a.log"), "one\ntwo\n").unwrap();
    let clean = world.finish(Command::new(PROVENANCED), false);
    if !clean.status.success() {
        return Err(format!("the next run: {}", String::from_utf8_lossy(&clean.stderr)));
    }
    let after = world.lines();
    // Every whole record stays, acknowledged or not.
    if after.get(..before.len()) != Some(&before[..]) {
        return Err(format!("records were lost: {} of {}", after.len(), before.len()));
    }
    verified(&world)?;
    left_over(&world)
}

fn verified(world: &World) -> Result<(), String> {
    let output = Command::new(PROVCTL)
        .args(["verify-chain", "--state"])
        .arg(world.path("state"))
        .arg("--policy")
        .arg(world.path("policy.toml"))
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Nothing half-written lies about after a clean run.
fn left_over(world: &World) -> Result<(), String> {
    let mut files = vec![];
    walk(&world.path("state"), &mut files);
    let half = files.iter().find(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let aside = file.to_string_lossy().contains("/aside/");
        name.ends_with(".tmp") && !aside || file.to_string_lossy().contains("/bundles/.")
    });
    half.map_or(Ok(()), |half| Err(format!("{} was left", half.display())))
}

/// Which calls are made in a run that nothing disturbs: their numbers within
/// their thread. Of openat only those that may make a file: a library that
/// cannot be read only shows the loader.
fn baseline(bundle: bool) -> Vec<(&'static str, BTreeSet<usize>)> {
    let world = World::new();
    if bundle {
        assert!(world.finish(Command::new(PROVENANCED), false).status.success());
    }
    let output = world.traced(&[format!("trace={}", CALLS.join(","))], bundle);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trace = fs::read_to_string(world.path("trace")).unwrap();
    let places = |call: &str| {
        let (mut places, mut made) = (BTreeSet::new(), BTreeMap::<&str, usize>::new());
        let started = format!(" {call}(");
        for line in trace.lines().filter(|line| line.contains(&started)) {
            let thread = line.split_whitespace().next().unwrap();
            let number = made.entry(thread).or_default();
            *number += 1;
            if call != "openat" || line.contains("O_CREAT") {
                places.insert(*number);
            }
        }
        places
    };
    CALLS.into_iter().map(|call| (call, places(call))).collect()
}

fn can_trace() -> bool {
    let works = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    let works = works.is_ok_and(|status| status.success());
    assert!(works || std::env::var_os("CI").is_none(), "CI must have strace and may trace");
    if !works {
        eprintln!("SKIPPED: strace is missing or may not trace; no fault was injected");
    }
    works
}
