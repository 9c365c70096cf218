//! A GPS receiver on a serial line (NMEA 0183), without gpsd.
//!
//! Trust: as gpsd's. NMEA has a checksum against noise and nothing against a
//! liar; it carries neither the week nor leap seconds.

use std::{
    fs::File,
    io::{self, Read},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use nmea::{ParseResult, sentences::rmc::RmcStatusOfFix};
use provenance_core::encoding::time::Now;
use provenance_host::clock::Clock;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::OFlags,
    io::Errno,
    termios::{self, OptionalActions},
};

use crate::{
    gps::Tracker,
    gpsd::{Lines, Listener, with},
};

/// The name in records.
pub const NAME: &str = "gps:nmea";
/// A sentence has at most 82 bytes; vendors' own are somewhat longer.
const MAX_LINE: usize = 1024;
const READ: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
const RETRY: Duration = Duration::from_secs(2);
/// NMEA has no estimate of the time's error; without a pulse receivers round
/// to about this.
const ERROR_NS: i64 = 10_000_000;

/// Listens to the receiver on `device`.
///
/// # Errors
/// Where no thread can be started.
pub(crate) fn listen(
    device: &Path,
    baud: u32,
    clock: impl Clock + Send + 'static,
) -> io::Result<Listener> {
    let device = device.to_owned();
    Listener::start(NAME, move |tracker, ended| {
        while !ended.load(Ordering::Relaxed) {
            let why = match open(&device, baud) {
                Ok(port) => match follow(port, &clock, tracker, ended) {
                    Ok(()) => return,
                    Err(error) => format!("{}: {error}", device.display()),
                },
                Err(error) => format!("cannot open {}: {error}", device.display()),
            };
            with(tracker, |tracker| tracker.down(why));
            thread::sleep(RETRY);
        }
    })
}

/// Opens a serial line for reading, raw, at `baud`.
fn open(device: &Path, baud: u32) -> io::Result<File> {
    let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits();
    let flags = i32::try_from(flags).unwrap_or_default();
    let port = File::options().read(true).custom_flags(flags).open(device)?;
    let mut settings = termios::tcgetattr(&port)?;
    settings.make_raw();
    settings.set_speed(baud)?;
    termios::tcsetattr(&port, OptionalActions::Now, &settings)?;
    Ok(port)
}

/// Waits for what comes, but not for ever.
struct Port(File);

impl Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut fds = [PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)];
        match poll(&mut fds, Some(&READ)) {
            Ok(0) | Err(Errno::INTR) => Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => self.0.read(buffer),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn follow(
    port: File,
    clock: &impl Clock,
    tracker: &Mutex<Tracker>,
    ended: &AtomicBool,
) -> io::Result<()> {
    let (mut port, mut lines) = (Port(port), Lines::new(MAX_LINE));
    with(tracker, Tracker::up);
    while !ended.load(Ordering::Relaxed) {
        lines.read(&mut port, |line| {
            let now = clock.now();
            with(tracker, |tracker| hear(line, &now, tracker));
        })?;
    }
    Ok(())
}

/// Takes one sentence; a wrong checksum, a part of one, or one of no interest
/// changes nothing.
pub fn hear(line: &[u8], now: &Now, tracker: &mut Tracker) {
    // A line that was begun in the middle has its sentence behind the `$`.
    let start = line.iter().position(|byte| *byte == b'$').unwrap_or(line.len());
    let sentence = line.get(start..).unwrap_or_default();
    // The crate takes a sentence without a checksum; noise would pass as time.
    if sentence.iter().rev().nth(2).is_none_or(|byte| *byte != b'*') {
        return;
    }
    let Ok(parsed) = nmea::parse_bytes(sentence) else { return };
    match parsed {
        ParseResult::RMC(rmc) => {
            let valid = matches!(
                rmc.status_of_fix,
                RmcStatusOfFix::Autonomous | RmcStatusOfFix::Differential
            );
            let moment = rmc.fix_date.zip(rmc.fix_time).map(|(date, time)| date.and_time(time));
            match moment.and_then(|moment| moment.and_utc().timestamp_nanos_opt()) {
                Some(time) if valid => tracker.fix(time, ERROR_NS, false, now),
                Some(_) | None if !valid => tracker.no_fix(now),
                _ => tracker.heard(now),
            }
        }
        ParseResult::GGA(gga) => {
            if let Some(used) = gga.fix_satellites {
                tracker.satellites(used.into());
            }
            match gga.fix_type {
                Some(nmea::sentences::FixType::Invalid) | None => tracker.no_fix(now),
                Some(nmea::sentences::FixType::Simulation) => {
                    tracker.distrust(Some("the receiver says that its fix is simulated".into()));
                }
                Some(_) => tracker.distrust(None),
            }
        }
        ParseResult::GSA(gsa) => {
            if matches!(gsa.mode2, nmea::sentences::gsa::GsaMode2::NoFix) {
                tracker.no_fix(now);
            }
        }
        // ZDA comes without a fix too: it is heard, and is no time by itself.
        _ => tracker.heard(now),
    }
}

#[cfg(test)]
mod tests;
