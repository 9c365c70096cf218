use proptest::prelude::*;
use provenance_core::record::time_attestation::State;

use super::*;

const START: i64 = 1_795_000_000_000_000_000;
const SECOND: i64 = 1_000_000_000;

fn now(second: i64) -> Now {
    let up_ms = 100_000 + u64::try_from(second * 1000).unwrap();
    Now { time: Timestamp::from_nanos(START + second * SECOND), up_ms, boot: "b".into() }
}

fn claim(source: &Source<'_>) -> (i64, i64) {
    match &source.state {
        State::Ok(Claim::Interval { offset_ns, bound_ns, .. }) => (*offset_ns, *bound_ns),
        other => panic!("{other:?}"),
    }
}

fn reason(source: &Source<'_>) -> (bool, String) {
    match &source.state {
        State::Absent(reason) => (false, reason.to_string()),
        State::Rejected(reason) => (true, reason.to_string()),
        other => panic!("{other:?}"),
    }
}

/// A receiver that has told ten fixes, each `late` after it was, of a clock
/// that is `off` ahead of true time.
fn running(off: i64, late: i64) -> Tracker {
    let mut tracker = Tracker::new("gps:gpsd");
    for second in 0..10 {
        let mut at = now(second);
        at.time = at.time.plus_nanos(late + off);
        tracker.fix(START + second * SECOND, 5_000_000, true, &at);
    }
    tracker
}

#[test]
fn a_fix_bounds_true_time_by_one_cycle() {
    for late in [0, SECOND / 2, SECOND] {
        let mut at = now(10);
        at.time = at.time.plus_nanos(3 * SECOND / 10);
        let (offset, bound) = claim(&running(300_000_000, late).source(&at));
        // The clock is 300 ms ahead: true time minus clock is -300 ms.
        assert!((offset + 300_000_000).abs() <= bound, "{late}: {offset} ± {bound}");
        assert!(bound < 600_000_000);
    }
}

#[test]
fn a_pulse_is_finer_where_it_fits_the_fix() {
    let mut tracker = running(0, SECOND / 5);
    tracker.pulse(START + 9 * SECOND, START + 9 * SECOND + 2_000, 10_000, &now(9));
    let (offset, bound) = claim(&tracker.source(&now(10)));
    assert!((offset + 2_000).abs() <= bound && bound < 2_000_000, "{offset} ± {bound}");
    // A pulse of another second is not believed.
    tracker.pulse(START + 19 * SECOND, START + 9 * SECOND, 10_000, &now(9));
    assert!(claim(&tracker.source(&now(10))).1 > 400_000_000);
}

#[test]
fn a_clock_that_was_set_since_the_fix_shows_as_offset() {
    let mut at = now(10);
    at.time = at.time.plus_nanos(-7 * SECOND);
    let (offset, bound) = claim(&running(0, SECOND / 2).source(&at));
    assert!((offset - 7 * SECOND).abs() <= bound, "{offset} ± {bound}");
}

#[test]
fn no_fix_is_no_time_and_neither_is_silence_nor_a_time_that_stands() {
    let new = Tracker::new("gps:nmea");
    assert_eq!(reason(&new.source(&now(5))), (false, "nothing was heard yet".into()));
    let silent = running(0, 0);
    assert_eq!(reason(&silent.source(&now(43))), (false, "nothing was heard for 34 s".into()));
    let mut blind = running(0, 0);
    blind.no_fix(&now(12));
    assert_eq!(reason(&blind.source(&now(12))), (false, "no fix for 3 s".into()));
    let mut stuck = running(0, 0);
    for second in 10..40 {
        stuck.fix(START + 9 * SECOND, 0, true, &now(second));
    }
    let (gave, why) = reason(&stuck.source(&now(40)));
    assert!(gave && why.contains("repeats itself"), "{why}");
    let mut gone = running(0, 0);
    gone.down("cannot connect");
    assert_eq!(reason(&gone.source(&now(10))), (false, "cannot connect".into()));
}

#[test]
fn a_week_rollover_and_a_deceived_receiver_are_told_apart_from_a_wrong_clock() {
    for (times, expected) in [(-1, "-1024 weeks"), (-2, "-2048 weeks"), (1, "1024 weeks")] {
        let mut tracker = Tracker::new("gps:gpsd");
        tracker.fix(START + times * ROLLOVER_NS, 0, true, &now(0));
        let (gave, why) = reason(&tracker.source(&now(1)));
        assert!(gave && why.contains("rollover") && why.contains(expected), "{why}");
    }
    let mut off = Tracker::new("gps:gpsd");
    off.fix(START - ROLLOVER_NS + 3600 * SECOND, 0, true, &now(0));
    assert!(claim(&off.source(&now(1))).0 < -SECOND);
    let mut spoofed = running(0, 0);
    spoofed.distrust(Some("the receiver reports spoofing".into()));
    assert_eq!(reason(&spoofed.source(&now(10))).1, "the receiver reports spoofing");
    spoofed.distrust(None);
    claim(&spoofed.source(&now(10)));
}

proptest! {
    #[test]
    fn nothing_that_a_receiver_says_is_more_than_a_claim(
        told in proptest::collection::vec((any::<i64>(), any::<i64>(), any::<bool>(), any::<u32>()), 0..20),
        at in any::<u32>(),
    ) {
        let mut tracker = Tracker::new("gps:gpsd");
        for (time, error, fixed, second) in told {
            let now = now(i64::from(second));
            match fixed {
                true => tracker.fix(time, error, error % 2 == 0, &now),
                false => tracker.pulse(time, error, time, &now),
            }
        }
        let source = tracker.source(&now(i64::from(at)));
        if let State::Ok(Claim::Interval { bound_ns, .. }) = source.state {
            prop_assert!(bound_ns > 0);
        }
    }
}
