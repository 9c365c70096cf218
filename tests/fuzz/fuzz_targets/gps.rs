//! What a receiver says, by gpsd (first byte even) or as NMEA (odd), line by
//! line and in any order: a source that can be recorded, and no negative bound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::{
    encoding::{
        json::Value,
        time::{Now, Timestamp},
    },
    record::time_attestation::{Claim, State},
};
use provenance_time_sources::{gps::Tracker, gpsd, nmea};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, text)) = bytes.split_first() else { return };
    let hear = if which % 2 == 0 { gpsd::hear } else { nmea::hear };
    let mut tracker = Tracker::new("gps:x");
    tracker.up();
    for (line, up_ms) in text.split(|byte| *byte == b'\n').zip((0..).step_by(400)) {
        let time = Timestamp::from_nanos(1_795_261_374_000_000_000 + up_ms as i64 * 1_000_000);
        let now = Now { time, up_ms, boot: "b".into() };
        hear(line, &now, &mut tracker);
        let source = tracker.source(&now);
        if let State::Ok(Claim::Interval { bound_ns, .. }) = source.state {
            assert!(bound_ns >= 0);
        }
        if let Some(detail) = &source.detail {
            assert!(Value::parse(detail).is_ok());
        }
    }
});
