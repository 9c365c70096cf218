//! A fault in each write, fsync, rename and truncation of a whole run of the
//! daemon, injected by strace into the real program (and so into SQLite too):
//! it never panics, loses nothing that was on disk, and the next run repairs
//! what is to be repaired and verifies.
//!
//! By default every third call is hit; `MSP_FULL=1` hits each.
#![cfg(test)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
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
    /// `error=EIO`, `error=ENOSPC`, `signal=KILL`
    how: &'static str,
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
        for (call, count) in baseline(bundle) {
            for (kind, how) in ["error=EIO", "error=ENOSPC", "signal=KILL"].into_iter().enumerate()
            {
                // An openat that fails reading libraries only shows the loader.
                if call == "openat" && how.starts_with("error") {
                    continue;
                }
                let first = 1 + kind % stride;
                faults.extend((first..=count).step_by(stride).map(|at| Fault {
                    call,
                    how,
                    at,
                    bundle,
                }));
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
    fs::write(world.path("log/a.log"), "one\ntwo\n").unwrap();
    let clean = world.finish(Command::new(PROVENANCED), false);
    if !clean.status.success() {
        return Err(format!("the next run: {}", String::from_utf8_lossy(&clean.stderr)));
    }
    let after = world.lines();
    // A last line that was never acknowledged may be set aside.
    let kept = before.len().saturating_sub(1);
    if after.get(..kept) != before.get(..kept) {
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

/// How often each call is made in a run that nothing disturbs.
fn baseline(bundle: bool) -> Vec<(&'static str, usize)> {
    let world = World::new();
    if bundle {
        assert!(world.finish(Command::new(PROVENANCED), false).status.success());
    }
    let output = world.traced(&[format!("trace={}", CALLS.join(","))], bundle);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trace = fs::read_to_string(world.path("trace")).unwrap();
    let count =
        |call: &str| trace.lines().filter(|line| line.contains(&format!(" {call}("))).count();
    CALLS.into_iter().map(|call| (call, count(call))).collect()
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
