//! gpsd (its JSON protocol, gpsd_json(5)), on a thread of its own.
//!
//! Trust: who answers at this address can claim any time, and shows where the
//! other sources disagree. Lines are bounded and read with a deadline.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use gpsd_proto::{Mode, ResponseData};
use provenance_core::{
    encoding::time::{Now, Timestamp},
    record::time_attestation::Source,
};
use provenance_host::clock::Clock;
use serde::Deserialize;

use crate::gps::Tracker;

/// The name in records.
pub const NAME: &str = "gps:gpsd";
/// gpsd's own limit for a line is 10,240 bytes (GPS_JSON_RESPONSE_MAX).
const MAX_LINE: usize = 16 << 10;
const CONNECT: Duration = Duration::from_secs(2);
/// How long a read waits before the thread looks whether it is still wanted.
const READ: Duration = Duration::from_millis(500);
const RETRY: Duration = Duration::from_secs(2);
const WATCH: &[u8] = b"?WATCH={\"enable\":true,\"json\":true,\"pps\":true};\n";

/// A receiver that is listened to for as long as this lives.
#[derive(Debug)]
pub struct Listener {
    tracker: Arc<Mutex<Tracker>>,
    ended: Arc<AtomicBool>,
}

impl Listener {
    /// Listens by `work`, which gets the tracker and whether it may end.
    pub(super) fn start(
        name: &'static str,
        work: impl FnOnce(&Mutex<Tracker>, &AtomicBool) + Send + 'static,
    ) -> io::Result<Self> {
        let tracker = Arc::new(Mutex::new(Tracker::new(name)));
        let ended = Arc::new(AtomicBool::new(false));
        let (theirs, stop) = (tracker.clone(), ended.clone());
        thread::Builder::new().name("gps".into()).spawn(move || work(&theirs, &stop))?;
        Ok(Self { tracker, ended })
    }

    /// What the receiver gives now.
    pub(crate) fn source(&self, now: &Now) -> Source<'static> {
        self.tracker.lock().unwrap_or_else(PoisonError::into_inner).source(now)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Listens to gpsd at `address`, such as `127.0.0.1:2947`.
///
/// # Errors
/// Where no thread can be started.
pub(crate) fn listen(address: &str, clock: impl Clock + Send + 'static) -> io::Result<Listener> {
    let address = address.to_owned();
    Listener::start(NAME, move |tracker, ended| {
        while !ended.load(Ordering::Relaxed) {
            let why = match connect(&address) {
                Ok(stream) => match follow(stream, &clock, tracker, ended) {
                    Ok(()) => return,
                    Err(error) => format!("gpsd at {address}: {error}"),
                },
                Err(error) => format!("cannot connect to gpsd at {address}: {error}"),
            };
            with(tracker, |tracker| tracker.down(why));
            thread::sleep(RETRY);
        }
    })
}

pub(super) fn with(tracker: &Mutex<Tracker>, change: impl FnOnce(&mut Tracker)) {
    change(&mut tracker.lock().unwrap_or_else(PoisonError::into_inner));
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let address = address
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, CONNECT)?;
    stream.set_read_timeout(Some(READ))?;
    stream.set_write_timeout(Some(CONNECT))?;
    stream.write_all(WATCH)?;
    Ok(stream)
}

fn follow(
    mut stream: TcpStream,
    clock: &impl Clock,
    tracker: &Mutex<Tracker>,
    ended: &AtomicBool,
) -> io::Result<()> {
    let mut lines = Lines::new(MAX_LINE);
    with(tracker, Tracker::up);
    while !ended.load(Ordering::Relaxed) {
        lines.read(&mut stream, |line| {
            let now = clock.now();
            with(tracker, |tracker| hear(line, &now, tracker));
        })?;
    }
    Ok(())
}

/// Lines of a stream that may drip, babble or end.
pub(super) struct Lines {
    buffer: Vec<u8>,
    limit: usize,
}

impl Lines {
    pub(super) fn new(limit: usize) -> Self {
        Self { buffer: vec![], limit }
    }

    /// Reads once, and hands over the lines that are whole.
    ///
    /// # Errors
    /// At the end, or where a line is over the limit.
    pub(super) fn read(
        &mut self,
        source: &mut impl Read,
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let mut chunk = [0; 4096];
        let count = match source.read(&mut chunk) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended")),
            Ok(count) => count,
            Err(error) if is_only_late(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.buffer.extend_from_slice(chunk.get(..count).unwrap_or_default());
        while let Some(end) = memchr::memchr(b'\n', &self.buffer) {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            each(line.trim_ascii());
        }
        match self.buffer.len() > self.limit {
            true => Err(io::Error::other(format!("a line of over {} bytes", self.limit))),
            false => Ok(()),
        }
    }
}

fn is_only_late(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

/// What the crate does not know of, or reads with too few digits.
#[derive(Deserialize)]
struct More {
    class: String,
    /// TPV: 8 is a simulated fix.
    status: Option<i64>,
    /// TPV: 0 none to 255 severe.
    jam: Option<i64>,
    /// TPV and SKY of newer versions: over 0 where spoofing is suspected.
    spoof: Option<i64>,
    /// SKY: satellites used.
    #[serde(rename = "uSat")]
    used: Option<u64>,
    real_sec: Option<i64>,
    real_nsec: Option<i64>,
    clock_sec: Option<i64>,
    clock_nsec: Option<i64>,
    precision: Option<i32>,
}

/// Takes one line of gpsd's; what is no JSON, or of no interest, changes
/// nothing.
pub fn hear(line: &[u8], now: &Now, tracker: &mut Tracker) {
    let Ok(more) = serde_json::from_slice::<More>(line) else { return };
    match more.class.as_str() {
        "PPS" => pulse(&more, now, tracker),
        "TPV" | "SKY" => {
            if let Some(used) = more.used {
                tracker.satellites(used);
            }
            if more.class == "TPV" {
                tracker.distrust(distrust(&more));
            }
            match serde_json::from_slice(line) {
                Ok(ResponseData::Tpv(tpv)) => fix(&tpv, now, tracker),
                Ok(ResponseData::Sky(sky)) => {
                    let used = sky.satellites.iter().flatten().filter(|one| one.used).count();
                    tracker.satellites(used as u64);
                }
                _ => {}
            }
        }
        _ => {}
    }
}

fn fix(tpv: &gpsd_proto::Tpv, now: &Now, tracker: &mut Tracker) {
    // A time without a fix is the receiver's own clock, set by nobody.
    let time = tpv.time.as_deref().and_then(nanos);
    match (tpv.mode, time) {
        (Mode::Fix2d | Mode::Fix3d, Some(time)) => {
            // A receiver that estimates nothing gets a millisecond.
            let error = tpv.ept.map_or(0.001, f64::from).clamp(0.0, 3600.0);
            #[allow(clippy::cast_possible_truncation, reason = "clamped")]
            let error_ns = (error * 1e9) as i64;
            tracker.fix(time, error_ns, matches!(tpv.mode, Mode::Fix3d), now);
        }
        (Mode::NoFix, _) => tracker.no_fix(now),
        // A leap second, or a date that is none.
        _ => tracker.heard(now),
    }
}

fn distrust(more: &More) -> Option<String> {
    match (more.status, more.spoof, more.jam) {
        (Some(8), ..) => Some("the receiver says that its fix is simulated".into()),
        (_, Some(1..), _) => Some("the receiver reports spoofing".into()),
        (_, _, Some(level @ 200..)) => Some(format!("the receiver reports jamming ({level}/255)")),
        _ => None,
    }
}

fn pulse(more: &More, now: &Now, tracker: &mut Tracker) {
    let moment = |seconds: Option<i64>, nanos: Option<i64>| {
        seconds?.checked_mul(1_000_000_000)?.checked_add(nanos?)
    };
    let (Some(real), Some(clock)) =
        (moment(more.real_sec, more.real_nsec), moment(more.clock_sec, more.clock_nsec))
    else {
        return;
    };
    // The precision is a power of two of a second, such as -20.
    let shift = more.precision.unwrap_or(-10).clamp(-30, 0).unsigned_abs();
    let error_ns = (1_000_000_000_i64 >> shift).max(1) + 10_000;
    tracker.pulse(real, clock, error_ns, now);
}

/// ISO 8601 in UTC with a fraction of any length, as nanoseconds.
fn nanos(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let whole = format!("{seconds}.{fraction:0<9}Z");
    Timestamp::parse(whole.as_bytes()).map(Timestamp::nanos)
}

#[cfg(test)]
mod tests;
