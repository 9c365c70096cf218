//! A fault in each write, fsync, rename and truncation of a whole run of the
//! daemon, injected by strace into the real program (and so into SQLite too):
//! it never panics, loses nothing that was on disk, and the next run repairs
//! what is to be repaired and verifies. And a disk that stays broken, or is
//! read-only for a while.
//!
//! By default every third call is hit; `MSP_FULL=1` hits each.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::{Command, Output, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::common::{
    files::walk,
    programs::{PROVCTL, PROVENANCED},
    test_appliance::TestAppliance,
    wait::{PATIENCE, holds, poll, wait_for},
};

/// What makes something durable, or takes it away.
const CALLS: [&str; 9] =
    ["write", "pwrite64", "fsync", "fdatasync", "rename", "ftruncate", "unlink", "mkdir", "openat"];
/// Exit codes that docs/operations.md names.
const DOCUMENTED: [i32; 8] = [0, 64, 65, 66, 70, 74, 75, 78];
/// Runs wait for most of their second: many fit onto a core.
const AT_ONCE: usize = 12;

/// A run of one tick, or a bundle, under strace with these expressions.
fn traced(appliance: &TestAppliance, expressions: &[String], bundle: bool) -> Output {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(appliance.path("trace"));
    for expression in expressions {
        strace.args(["-e", expression]);
    }
    strace.arg(PROVENANCED);
    finish(appliance, strace, bundle)
}

fn finish(appliance: &TestAppliance, mut command: Command, bundle: bool) -> Output {
    let config = appliance.path("p.toml");
    match bundle {
        true => command.args(["bundle", "--config"]).arg(config),
        false => command.args(["run", "--ticks", "1", "--config"]).arg(config),
    };
    command.output().unwrap()
}

/// What nothing disturbs.
fn clean_run(appliance: &TestAppliance) -> Output {
    finish(appliance, Command::new(PROVENANCED), false)
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
fn long_run(
    appliance: &TestAppliance,
    inject: &str,
    enough: impl Fn(&str) -> bool,
) -> (Option<i32>, String) {
    let stderr = appliance.path("stderr");
    let mut child = Command::new("strace")
        // The daemon is our child, and strace its detached grandchild.
        .args(["-D", "-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("inject={inject}"))
        .arg(PROVENANCED)
        .args(["run", "--config"])
        .arg(appliance.path("p.toml"))
        .stdout(Stdio::null())
        .stderr(fs::File::create(&stderr).unwrap())
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(&stderr).unwrap();
    wait_for(inject, PATIENCE, || {
        let ended = child.try_wait().unwrap().is_some();
        holds(ended || enough(&said()), said())
    });
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    let ended = poll(Duration::from_secs(20), || child.try_wait().unwrap().ok_or(()));
    let Ok(status) = ended else {
        child.kill().unwrap();
        panic!("{inject}: it hangs: {}", said());
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
        let appliance = TestAppliance::new();
        let calls = "fsync,fdatasync,pwrite64,rename,ftruncate,mkdir";
        let inject = format!("{calls}:error={error}:when={from}+");
        let (code, said) = long_run(&appliance, &inject, |said| said.matches(FAILED).count() >= 2);
        assert!(code.is_some_and(|code| DOCUMENTED.contains(&code)), "{from}: {code:?} {said}");
        assert!(said.contains("provenanced: ") && code != Some(0), "{from}: {code:?} {said}");
        let before = appliance.lines();
        let clean = clean_run(&appliance);
        assert!(clean.status.success(), "{}", String::from_utf8_lossy(&clean.stderr));
        assert_eq!(appliance.lines().get(..before.len()), Some(&before[..]), "{from}: {said}");
        verified(&appliance).and_then(|()| left_over(&appliance)).unwrap();
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
        let appliance = TestAppliance::new();
        // In a thread of the daemon the third to the eighth of them.
        let inject = format!("fdatasync:error={error}:when=3..8");
        let back = |said: &str| said.contains("records are written again");
        let (code, said) = long_run(&appliance, &inject, back);
        assert_eq!(code, Some(0), "{said}");
        let attempts = said.matches(FAILED).count();
        let lines = appliance.lines();
        let recovered: Vec<_> =
            lines.iter().filter(|line| line.contains("\"kind\":\"recovered\"")).collect();
        assert_eq!(recovered.len(), 1, "{said}");
        let expected =
            format!("{{\"data\":{{\"attempts\":{attempts},\"bytes\":0,\"errno\":{number}");
        assert!(attempts >= 3 && recovered[0].starts_with(&expected), "{recovered:?}");
        verified(&appliance).unwrap();
    }
}

fn check(fault: &Fault) -> Result<(), String> {
    let appliance = TestAppliance::new();
    if fault.bundle {
        let clean = clean_run(&appliance);
        assert!(clean.status.success());
    }
    let inject = format!("inject={}:{}:when={}", fault.call, fault.how, fault.at);
    let hit = traced(&appliance, &[format!("trace={}", fault.call), inject], fault.bundle);
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
    let before = appliance.lines();
    if hit.status.success() && message.contains("a record could not be written") {
        let recorded = before.iter().any(|line| line.contains("\"kind\":\"recovered\""));
        if !recorded {
            return Err(format!("the failure is not recorded: {message}"));
        }
    }
    fs::write(appliance.path("log/a.log"), "one\ntwo\n").unwrap();
    let clean = clean_run(&appliance);
    if !clean.status.success() {
        return Err(format!("the next run: {}", String::from_utf8_lossy(&clean.stderr)));
    }
    let after = appliance.lines();
    // Every whole record stays, acknowledged or not.
    if after.get(..before.len()) != Some(&before[..]) {
        return Err(format!("records were lost: {} of {}", after.len(), before.len()));
    }
    verified(&appliance)?;
    left_over(&appliance)
}

fn verified(appliance: &TestAppliance) -> Result<(), String> {
    let output = Command::new(PROVCTL)
        .args(["verify-chain", "--state"])
        .arg(appliance.path("state"))
        .arg("--policy")
        .arg(appliance.path("policy.toml"))
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Nothing half-written lies about after a clean run.
fn left_over(appliance: &TestAppliance) -> Result<(), String> {
    let files = walk(&appliance.path("state"));
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
    let appliance = TestAppliance::new();
    if bundle {
        assert!(clean_run(&appliance).status.success());
    }
    let output = traced(&appliance, &[format!("trace={}", CALLS.join(","))], bundle);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trace = fs::read_to_string(appliance.path("trace")).unwrap();
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
