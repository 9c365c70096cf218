//! What systemd is told (sd_notify(3)). Outside a unit nobody listens, and
//! nothing happens; a lost message is no reason to disturb the chain.

use std::time::Duration;

use systemd::daemon::{
    self, STATE_READY, STATE_RELOADING, STATE_STATUS, STATE_STOPPING, STATE_WATCHDOG,
};

/// The daemon's first record is on disk.
pub(crate) fn ready() {
    send(&[(STATE_READY, "1")]);
}

/// The first record cannot be written yet: starting may take `longer` from now
/// on, so that a disk that is full is not answered by restarts.
pub(crate) fn not_yet(longer: Duration) {
    send(&[("EXTEND_TIMEOUT_USEC", &longer.as_micros().to_string())]);
}

/// The settings are being read again (Type=notify-reload).
pub(crate) fn reloading() {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
    send(&[(STATE_RELOADING, "1"), ("MONOTONIC_USEC", &micros.to_string())]);
}

/// The daemon ends in order.
pub(crate) fn stopping() {
    send(&[(STATE_STOPPING, "1")]);
}

/// A line for `systemctl status`.
pub(crate) fn status(text: &str) {
    send(&[(STATE_STATUS, text)]);
}

/// The main loop goes round.
pub(crate) fn alive() {
    send(&[(STATE_WATCHDOG, "1")]);
}

/// How often the watchdog wants to hear: half of what the unit allows.
pub(crate) fn watchdog_interval() -> Option<Duration> {
    let micros = daemon::watchdog_enabled().ok()?;
    (micros > 0).then(|| Duration::from_micros(micros / 2))
}

fn send(state: &[(&str, &str)]) {
    let _ = daemon::notify(state.iter());
}
