use std::io::Write as _;

use proptest::prelude::*;
use provenance_core::{
    encoding::time::Timestamp,
    record::time_attestation::{Claim, State},
};
use provenance_host::clock::SystemClock;
use rustix::pty::{self, OpenptFlags};

use super::*;

fn now() -> Now {
    let time = Timestamp::parse(b"2026-11-21T04:20:00.500000000Z").unwrap();
    Now { time, up_ms: 1_000_000, boot: "b".into() }
}

/// With its checksum.
fn sentence(body: &str) -> String {
    let sum = body.bytes().fold(0, |sum, byte| sum ^ byte);
    format!("${body}*{sum:02X}")
}

fn rmc(status: &str) -> String {
    sentence(&format!("GPRMC,042000.00,{status},4727.5000,N,00833.5000,E,0.02,54.7,211126,,,A"))
}

fn heard(lines: &[String]) -> State<'static> {
    let mut tracker = Tracker::new(NAME);
    for line in lines {
        hear(line.as_bytes(), &now(), &mut tracker);
    }
    tracker.source(&now()).state
}

#[test]
fn a_valid_rmc_is_a_fix_and_an_invalid_one_is_none() {
    let State::Ok(Claim::Interval { offset_ns, bound_ns, .. }) = heard(&[rmc("A")]) else {
        panic!()
    };
    assert!(offset_ns.abs() < 1_000_000 && bound_ns < 600_000_000, "{offset_ns} {bound_ns}");
    for last in [
        rmc("V"),
        sentence("GPGGA,042000.00,4727.5000,N,00833.5000,E,0,00,,,M,,M,,"),
        sentence("GPGSA,A,1,,,,,,,,,,,,,,,"),
    ] {
        let state = heard(&[rmc("A"), last.clone()]);
        assert_eq!(state, State::Absent("no fix for 0 s".into()), "{last}");
    }
    let simulated = sentence("GPGGA,042000.00,4727.5000,N,00833.5000,E,8,08,1.01,499.6,M,48.0,M,,");
    assert!(matches!(heard(&[rmc("A"), simulated]), State::Rejected(_)));
}

#[test]
fn a_date_of_1024_weeks_ago_is_a_rollover() {
    let old = sentence("GPRMC,042000.00,A,4727.5000,N,00833.5000,E,0.02,54.7,070407,,,A");
    assert!(matches!(heard(&[old]), State::Rejected(why) if why.contains("-1024 weeks")));
}

#[test]
fn noise_parts_and_wrong_checksums_are_nothing() {
    let good = rmc("A");
    for line in [
        good[..good.len() - 3].to_owned(),
        good[10..].to_owned(),
        good.replace("0420", "0520"),
        "$GPRMC".into(),
        "*".into(),
        String::new(),
        "\u{0}\u{1}".into(),
    ] {
        assert_eq!(
            heard(std::slice::from_ref(&line)),
            State::Absent("nothing was heard yet".into()),
            "{line}"
        );
    }
    assert!(matches!(heard(&[format!("noise{good}")]), State::Ok(_)));
    // The 60th second of a minute with a leap second is passed over.
    let leap = sentence("GPRMC,235960.00,A,4727.5000,N,00833.5000,E,0.02,54.7,311216,,,A");
    assert!(!matches!(heard(&[leap]), State::Disagrees(_)));
}

#[test]
fn a_receiver_on_a_serial_line_is_heard_and_its_going_is_told() {
    let open = pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    pty::grantpt(&open).unwrap();
    pty::unlockpt(&open).unwrap();
    let device = pty::ptsname(&open, vec![]).unwrap().into_string().unwrap();
    let clock = SystemClock::new().unwrap();
    let listener = listen(Path::new(&device), 9600, clock.clone()).unwrap();
    let mut line = File::from(open);
    let until = |what: &str, holds: &dyn Fn(&State<'_>) -> bool| {
        let begin = std::time::Instant::now();
        loop {
            let state = listener.source(&clock.now()).state;
            if holds(&state) {
                return;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "{what}: {state:?}");
            thread::sleep(Duration::from_millis(50));
        }
    };
    thread::sleep(Duration::from_millis(300));
    // In three parts, with garbage before.
    for part in ["\u{1}garbage\r\n$GPRMC,0420", &rmc("A")[11..30], &rmc("A")[30..], "\r\n"] {
        line.write_all(part.as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    until("a fix", &|state| matches!(state, State::Ok(_)));
    line.write_all(format!("{}\r\n", rmc("V")).as_bytes()).unwrap();
    until("no fix", &|state| matches!(state, State::Absent(why) if why.starts_with("no fix")));
    drop(line);
    until("gone", &|state| matches!(state, State::Absent(why) if why.contains(&device)));
}

proptest! {
    #[test]
    fn no_sentence_is_too_much(body in "[ -~]{0,120}", kind in "(RMC|ZDA|GGA|GSA)", fields in "[0-9,.AVN]{0,60}") {
        let mut tracker = Tracker::new(NAME);
        for body in [body, format!("GP{kind},{fields}")] {
            hear(sentence(&body).as_bytes(), &now(), &mut tracker);
        }
        let _ = tracker.source(&now());
    }

    #[test]
    fn no_bytes_are_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut tracker = Tracker::new(NAME);
        hear(&bytes, &now(), &mut tracker);
        let _ = tracker.source(&now());
    }
}
