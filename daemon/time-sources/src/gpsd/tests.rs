use proptest::prelude::*;
use provenance_core::record::time_attestation::{Claim, State};

use super::*;

const FIX: &str = r#"{"class":"TPV","device":"/dev/ttyS0","status":1,"mode":3,"time":"2026-11-21T04:20:00.000Z","ept":0.005,"lat":47.4,"lon":8.5}"#;

fn now() -> Now {
    let time = Timestamp::parse(b"2026-11-21T04:20:00.500000000Z").unwrap();
    Now { time, up_ms: 1_000_000, boot: "b".into() }
}

fn heard(lines: &[&str]) -> State<'static> {
    let mut tracker = Tracker::new(NAME);
    for line in lines {
        hear(line.as_bytes(), &now(), &mut tracker);
    }
    tracker.source(&now()).state
}

fn why(lines: &[&str]) -> String {
    match heard(lines) {
        State::Absent(why) | State::Rejected(why) => why.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_fix_a_pulse_and_the_sky_are_heard() {
    let State::Ok(Claim::Interval { offset_ns, bound_ns, .. }) = heard(&[FIX]) else { panic!() };
    assert!(offset_ns.abs() < 1_000_000 && (500_000_000..520_000_000).contains(&bound_ns));
    let pulse = r#"{"class":"PPS","device":"/dev/pps0","real_sec":1795234800,"real_nsec":0,"clock_sec":1795234800,"clock_nsec":1200,"precision":-20}"#;
    let State::Ok(Claim::Interval { offset_ns, bound_ns, .. }) = heard(&[FIX, pulse]) else {
        panic!()
    };
    assert!((offset_ns + 1200).abs() <= bound_ns && bound_ns < 2_000_000, "{offset_ns} {bound_ns}");
    let mut tracker = Tracker::new(NAME);
    let sky = r#"{"class":"SKY","satellites":[{"PRN":1,"used":true},{"PRN":2,"used":false}]}"#;
    for line in [FIX, sky] {
        hear(line.as_bytes(), &now(), &mut tracker);
    }
    let detail = tracker.source(&now()).detail.unwrap();
    assert!(String::from_utf8_lossy(&detail).contains("\"satellites\":1"), "{detail:?}");
}

#[test]
fn no_fix_simulated_spoofed_and_jammed_are_said() {
    let no_fix = r#"{"class":"TPV","mode":1,"time":"2026-11-21T04:20:00.000Z"}"#;
    assert_eq!(why(&[FIX, no_fix]), "no fix for 0 s");
    for (member, expected) in [
        ("\"status\":8", "simulated"),
        ("\"status\":1,\"spoof\":1", "spoofing"),
        ("\"status\":1,\"jam\":255", "jamming"),
    ] {
        let line = FIX.replace("\"status\":1", member);
        assert!(why(&[&line]).contains(expected), "{line}");
    }
}

#[test]
fn what_is_no_time_changes_nothing() {
    for line in [
        "",
        "garbage",
        "{}",
        r#"{"class":"TPV"}"#,
        r#"{"class":"VERSION","release":"3.25","rev":"x","proto_major":3,"proto_minor":15}"#,
        r#"{"class":"PPS","real_sec":9223372036854775807,"real_nsec":0,"clock_sec":0,"clock_nsec":0}"#,
    ] {
        assert_eq!(why(&[line]), "nothing was heard yet", "{line}");
    }
    let leap = FIX.replace("04:20:00.000", "23:59:60.000");
    assert!(why(&[&leap]).starts_with("no fix"), "{}", why(&[&leap]));
}

#[test]
fn lines_are_bounded_however_they_come() {
    let text = [FIX.as_bytes(), b"\r\n", FIX.as_bytes(), b"\n"].concat();
    for step in [1, 7, 10_000] {
        let (mut count, mut lines) = (0, Lines::new(MAX_LINE));
        for mut chunk in text.chunks(step) {
            lines.read(&mut chunk, |line| count += usize::from(line == FIX.as_bytes())).unwrap();
        }
        assert_eq!(count, 2, "{step}");
    }
    let mut lines = Lines::new(MAX_LINE);
    let mut endless = io::repeat(b'x');
    let error = (0..100).find_map(|_| lines.read(&mut endless, |_| ()).err()).unwrap();
    assert!(error.to_string().contains("16384"), "{error}");
}

proptest! {
    #[test]
    fn no_line_is_too_much(line in "\\PC{0,200}", member in "[a-z_]{1,10}", value in any::<i64>()) {
        let mut tracker = Tracker::new(NAME);
        hear(line.as_bytes(), &now(), &mut tracker);
        let odd = format!("{{\"class\":\"TPV\",\"mode\":3,\"{member}\":{value}}}");
        hear(odd.as_bytes(), &now(), &mut tracker);
        let pulse = format!(
            "{{\"class\":\"PPS\",\"real_sec\":{value},\"real_nsec\":{value},\"clock_sec\":1,\
             \"clock_nsec\":0,\"precision\":{value}}}"
        );
        hear(pulse.as_bytes(), &now(), &mut tracker);
        let _ = tracker.source(&now());
    }
}
