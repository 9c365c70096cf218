//! Real gpsd, fed with NMEA.

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use super::*;

/// What the receiver does from now on.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Does {
    /// Fixes that are off by so many milliseconds.
    Fixes(i64),
    NoFix,
    Garbage,
    Silence,
    /// The same fix for ever.
    Repeats,
}

const WEEKS_1024: i64 = 1024 * 7 * 86_400_000;

/// A receiver, and gpsd that reads it.
struct Receiver {
    does: Arc<Mutex<Does>>,
    site: Site,
    _gpsd: Kept,
}

impl Receiver {
    fn new() -> Option<Self> {
        let gpsd = peers::find("gpsd").or_else(|| Some("/usr/sbin/gpsd".into()))?;
        let feed = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = feed.local_addr().unwrap();
        let does = Arc::new(Mutex::new(Does::Fixes(0)));
        let shared = does.clone();
        thread::spawn(move || {
            while let Ok((stream, _)) = feed.accept() {
                let does = shared.clone();
                thread::spawn(move || feed_one(stream, &does));
            }
        });
        let port = free_port();
        let child = Command::new(gpsd)
            .args(["-N", "-n", "-S", &port.to_string(), &format!("tcp://{address}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let site = Site::new(&format!("[time.gps]\ngpsd = \"127.0.0.1:{port}\"\n"));
        Some(Self { does, site, _gpsd: Kept(child) })
    }

    fn does(&self, what: Does) {
        *self.does.lock().unwrap() = what;
    }
}

/// Sentences each second, some time into the second as receivers do.
fn feed_one(mut stream: TcpStream, does: &Mutex<Does>) {
    let frozen = i64::try_from(epoch().as_millis()).unwrap();
    loop {
        let into = Duration::from_nanos(u64::from(epoch().subsec_nanos()));
        thread::sleep(Duration::from_millis(1150).saturating_sub(into));
        let now = i64::try_from(epoch().as_secs()).unwrap() * 1000;
        let text = match *does.lock().unwrap() {
            Does::Fixes(off) => sentences(now + off, true),
            Does::Repeats => sentences(frozen, true),
            Does::NoFix => sentences(now, false),
            Does::Garbage => "\u{1}\u{2}$GPRMC,x,y*00\r\n{\"class\":\"TPV\"}\r\n".repeat(5),
            Does::Silence => continue,
        };
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

/// One epoch at so many milliseconds since 1970.
pub(super) fn sentences(ms: i64, fix: bool) -> String {
    let output = Command::new("date")
        .args([
            "-u",
            "-d",
            &format!("@{}.{:03}", ms / 1000, ms % 1000),
            "+%H%M%S.%N %d%m%y %d,%m,%Y",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let parts: Vec<&str> = text.split_whitespace().collect();
    let (time, date, zda) = (&parts[0][..9], parts[1], parts[2]);
    let bodies = if fix {
        [
            format!("GPRMC,{time},A,4727.5000,N,00833.5000,E,0.02,54.7,{date},,,A"),
            format!("GPGGA,{time},4727.5000,N,00833.5000,E,1,08,1.01,499.6,M,48.0,M,,"),
            "GPGSA,A,3,04,05,09,12,17,22,24,28,,,,,1.94,1.01,1.65".into(),
            format!("GPZDA,{time},{zda},00,00"),
        ]
    } else {
        // The receiver's own clock goes on without a fix.
        [
            format!("GPRMC,{time},V,,,,,,,{date},,,N"),
            format!("GPGGA,{time},,,,,0,00,99.99,,,,,,"),
            "GPGSA,A,1,,,,,,,,,,,,,99.99,99.99,99.99".into(),
            format!("GPZDA,{time},{zda},00,00"),
        ]
    };
    bodies
        .iter()
        .map(|body| {
            let sum = body.bytes().fold(0, |sum, byte| sum ^ byte);
            format!("${body}*{sum:02X}\r\n")
        })
        .collect()
}

#[test]
fn a_receiver_behind_gpsd_is_believed_only_while_it_deserves_it() {
    let Some(receiver) = Receiver::new() else { return };
    let name = "gps:gpsd";
    let (good, _) = receiver.site.until(name, |source| is(source, "ok"));
    let (offset, bound) = (good["offset_ns"].as_i64().unwrap(), good["bound_ns"].as_i64().unwrap());
    assert!(offset.abs() <= bound && bound < 600_000_000, "{good}");
    // A tick of the daemon holds the same, and an auditor recomputes it.
    let ticks = receiver.site.run(3);
    let last = source(&ticks.last().unwrap()["data"]["clock"], name);
    assert!(is(&last, "ok"), "{last}");
    assert_eq!(
        receiver.site.verify()["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| finding["severity"] == "error")
            .count(),
        0
    );

    receiver.does(Does::NoFix);
    receiver.site.until(name, |source| is(source, "absent") && reason(source).contains("no fix"));
    receiver.does(Does::Fixes(1_500));
    let (wrong, _) = receiver.site.until(name, |source| source["offset_ns"].is_i64());
    let (offset, bound) =
        (wrong["offset_ns"].as_i64().unwrap(), wrong["bound_ns"].as_i64().unwrap());
    assert!((offset - 1_500_000_000).abs() <= bound, "{wrong}");
    // gpsd may know of rollovers and mend this one; it is never taken for time.
    receiver.does(Does::Fixes(-WEEKS_1024));
    receiver.site.until(name, |source| {
        let mended = || source["offset_ns"].as_i64().is_some_and(|ns| ns.abs() < 1_000_000_000);
        is(source, "rejected") && reason(source).contains("-1024 weeks") || mended()
    });
    receiver.does(Does::Garbage);
    receiver.site.until(name, |source| is(source, "absent"));
    receiver.does(Does::Silence);
    receiver.site.until(name, |source| is(source, "absent"));
    receiver.does(Does::Fixes(0));
    receiver.site.until(name, |source| is(source, "ok"));
}

#[test]
fn a_receiver_that_stops_or_repeats_itself_is_seen_by_the_running_daemon() {
    let Some(receiver) = Receiver::new() else { return };
    receiver.site.until("gps:gpsd", |source| is(source, "ok"));
    receiver.does(Does::Repeats);
    let ticks = receiver.site.run(16);
    let last = source(&ticks.last().unwrap()["data"]["clock"], "gps:gpsd");
    // gpsd itself may drop a fix that stands; then it is no fix.
    assert!(!is(&last, "ok") && !reason(&last).is_empty(), "{last}");
}

#[test]
fn nobody_at_gpsds_address_is_said() {
    let site = Site::new(&format!("[time.gps]\ngpsd = \"127.0.0.1:{}\"\n", free_port()));
    let (code, answer) = site.check_time();
    let source = source(&answer, "gps:gpsd");
    assert!(is(&source, "absent") && reason(&source).contains("refused"), "{source}");
    assert_eq!(code, 2);
}
