//! Waiting for a condition, with a deadline.

use std::{
    fmt::Debug,
    thread,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

/// For what takes a moment on an idle machine: other tests may take the processor
/// for seconds at a time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(20);

/// Asks until the answer is `Ok`; at the deadline it fails and says what it saw last.
#[track_caller]
pub(crate) fn wait_for<T, S: Debug>(
    what: &str,
    deadline: Duration,
    check: impl FnMut() -> Result<T, S>,
) -> T {
    poll(deadline, check)
        .unwrap_or_else(|seen| panic!("{what}: not within {deadline:?}; last seen: {seen:#?}"))
}

/// The same, for who goes on without it: `Err` is what it saw last.
pub(crate) fn poll<T, S>(
    deadline: Duration,
    mut check: impl FnMut() -> Result<T, S>,
) -> Result<T, S> {
    let begin = Instant::now();
    loop {
        match check() {
            Err(_) if begin.elapsed() < deadline => thread::sleep(INTERVAL),
            answer => return answer,
        }
    }
}

/// `Ok` where it holds, else what was seen instead.
pub(crate) fn holds<S>(condition: bool, seen: S) -> Result<(), S> {
    if condition { Ok(()) } else { Err(seen) }
}

/// For names that hold the second in which they were made. Programs ask `time()`,
/// which is a few milliseconds behind the finer clock.
pub(crate) fn next_second() {
    let second = || clock_gettime(ClockId::RealtimeCoarse).tv_sec;
    let this = second();
    wait_for("the next second", PATIENCE, || holds(second() > this, this));
}
