//! The machine's clocks and names. The only module with `unsafe`: one call of
//! adjtimex(2), which no safe crate wraps.

use std::{fs, io};

use provenance_core::{
    encoding::{
        json::Value,
        time::{Now, Timestamp},
    },
    record::time_attestation::{Claim, KERNEL, Source},
};
use rustix::time::{ClockId, clock_gettime};

/// Where time comes from; tests hand in their own.
pub trait Clock {
    fn now(&self) -> Now;
}

/// The machine's own clocks.
#[derive(Clone, Debug)]
pub struct SystemClock {
    boot: String,
}

impl SystemClock {
    /// Reads the boot id once; it can't change while a process lives.
    ///
    /// # Errors
    /// Where /proc is not mounted.
    pub fn new() -> io::Result<Self> {
        Ok(Self { boot: one_line("/proc/sys/kernel/random/boot_id")? })
    }
}

impl Clock for SystemClock {
    /// Of three readings the one whose two clocks were read closest together,
    /// so that a preempted reading does not look like a stepped clock.
    fn now(&self) -> Now {
        let reading = || {
            let before = nanos(ClockId::Boottime);
            let time = nanos(ClockId::Realtime);
            let after = nanos(ClockId::Boottime);
            (after.saturating_sub(before), before, time)
        };
        let (_, up, time) = [reading(), reading(), reading()].into_iter().min().unwrap_or_default();
        Now {
            time: Timestamp::from_nanos(time),
            up_ms: u64::try_from(up / 1_000_000).unwrap_or_default(),
            boot: self.boot.clone(),
        }
    }
}

fn nanos(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

/// The kernel's clock state as a time source: its bound is `maxerror`, which
/// the NTP client sets and the kernel lets grow by 500 ppm (adjtimex(2)).
pub fn kernel_source(now: Timestamp) -> Source<'static> {
    // SAFETY: `timex` is a plain C struct of integers, for which all zeros is
    // a valid value; adjtimex with `modes` 0 only reads, needs no privilege,
    // and writes nothing but this struct, which outlives the call.
    #[allow(unsafe_code)]
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    if state < 0 {
        let reason = format!("adjtimex: {}", io::Error::last_os_error());
        return Source::rejected(KERNEL, reason, None);
    }
    let flag = |bit: i32| timex.status & bit != 0;
    let nanos = if flag(libc::STA_NANO) { 1 } else { 1_000 };
    let detail = Value::object([
        ("esterror_us", timex.esterror.into()),
        ("maxerror_us", timex.maxerror.into()),
        ("status", i64::from(timex.status).into()),
        ("tai_s", i64::from(timex.tai).into()),
    ]);
    if flag(libc::STA_UNSYNC) || state == libc::TIME_ERROR {
        let reason = "the kernel's clock is not synchronised";
        return Source::rejected(KERNEL, reason, Some(&detail));
    }
    let claim = Claim::Interval {
        // What the kernel has still to slew is how far true time is ahead.
        offset_ns: timex.offset.saturating_mul(nanos),
        bound_ns: timex.maxerror.max(0).saturating_mul(1_000),
        as_of: now,
    };
    Source::claims(KERNEL, claim, Some(&detail))
}

/// The machine id (machine-id(5)), or `unknown` where the machine has none.
pub fn machine_id() -> String {
    let read = ["/etc/machine-id", "/var/lib/dbus/machine-id"].into_iter().find_map(|path| {
        one_line(path).ok().filter(|id| id.len() == 32 && id.bytes().all(|c| c.is_ascii_hexdigit()))
    });
    read.unwrap_or_else(|| "unknown".into())
}

/// The host's name.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The user of this process by the name in passwd(5), else by its number.
pub fn user() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let passwd = fs::read("/etc/passwd").unwrap_or_default();
    let passwd = String::from_utf8_lossy(&passwd).into_owned();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid {uid}"))
}

fn one_line(path: &str) -> io::Result<String> {
    Ok(fs::read_to_string(path)?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_advance_together() {
        let clock = SystemClock::new().unwrap();
        let a = clock.now();
        std::thread::sleep(std::time::Duration::from_millis(30));
        let b = clock.now();
        assert_eq!(a.boot, b.boot);
        let by_time = b.time.since(a.time) / 1_000_000;
        let by_boottime = i64::try_from(b.up_ms - a.up_ms).unwrap();
        assert!((29..5_000).contains(&by_time), "{by_time}");
        assert!((by_time - by_boottime).abs() <= 2, "{by_time} {by_boottime}");
    }

    #[test]
    fn the_kernel_says_how_sure_it_is_or_that_it_is_not() {
        use provenance_core::record::time_attestation::State;
        let source = kernel_source(Timestamp::from_nanos(1));
        match &source.state {
            State::Ok(Claim::Interval { bound_ns, .. }) => assert!(*bound_ns >= 0),
            State::Rejected(reason) => assert!(reason.contains("synchronised"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}
