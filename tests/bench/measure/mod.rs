//! What the benches share: CPU time of this process and of others, ratios
//! judged against docs/performance.md, and an exit code for what was missed.
#![allow(dead_code, clippy::unwrap_used, reason = "each bench uses its own part, and may end")]

use std::{
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

static MISSED: AtomicBool = AtomicBool::new(false);

/// Whether to measure: `cargo test` and `cargo nextest` start benches too, to
/// list their tests.
pub(crate) fn is_asked() -> bool {
    !std::env::args().any(|arg| arg == "--list" || arg == "--test")
}

/// A number from the environment, such as how many days.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// The folder that is kept between runs.
pub(crate) fn folder() -> PathBuf {
    env!("CARGO_TARGET_TMPDIR").into()
}

/// Prints a value that must not be over `must`.
pub(crate) fn at_most(what: &str, value: f64, must: f64, moonshot: f64) {
    judge(what, value, (must, moonshot), value <= must, value <= moonshot);
}

/// Prints a value that must not be below `must`.
pub(crate) fn at_least(what: &str, value: f64, must: f64, moonshot: f64) {
    judge(what, value, (must, moonshot), value >= must, value >= moonshot);
}

fn judge(what: &str, value: f64, (must, moonshot): (f64, f64), met: bool, surpassed: bool) {
    let word = match (met, surpassed) {
        (_, true) => "ok, and the moonshot",
        (true, _) => "ok",
        _ => "MISSED",
    };
    if !met {
        MISSED.store(true, Ordering::Relaxed);
    }
    println!("{what}: {value:.2} (must {must}, moonshot {moonshot}): {word}");
}

/// What must still fail, or the figures mean nothing.
#[track_caller]
pub(crate) fn control(what: &str, found: bool) {
    assert!(found, "negative control, {what}: NOT found");
    println!("  negative control, {what}: found");
}

/// Ends with 1 where a limit was missed.
pub(crate) fn end() {
    if MISSED.load(Ordering::Relaxed) {
        std::process::exit(1);
    }
}

/// CPU time of this process, user and system, while `work` runs.
pub(crate) fn own_cpu<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let now = || Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap();
    let start = now();
    let result = work();
    (now() - start, result)
}

/// CPU time of a shell command, user and system, and its exit code.
pub(crate) fn cpu_of(command: &str) -> (Duration, i32) {
    let script =
        format!("TIMEFORMAT='%3U %3S'; time {{ {command} >/dev/null; code=$?; }}; exit $code");
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = text.lines().last().unwrap_or_default();
    let seconds = last.split_whitespace().map(|part| part.parse::<f64>().unwrap()).sum();
    (Duration::from_secs_f64(seconds), output.status.code().unwrap())
}

/// The most memory that one program held, in MiB, looked at while it runs.
pub(crate) fn peak_mib(program: &str) -> f64 {
    let script = format!(
        "{program} >/dev/null & peak=0
         while mark=$(sed -n 's/^VmHWM:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$!/status 2>/dev/null) \
           && [ -n \"$mark\" ]; do peak=$mark; sleep 0.01; done
         echo $peak"
    );
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse::<f64>().unwrap() / 1024.0
}

/// The middle one.
pub(crate) fn median(values: &mut [Duration]) -> f64 {
    values.sort();
    values.get(values.len() / 2).unwrap().as_secs_f64()
}
