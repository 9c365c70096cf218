use alloc::{format, vec};

use proptest::prelude::*;

use super::*;

const RULE: Rule = Rule { alarm_ns: 100_000_000, min_agreeing: 2 };
const MS: i64 = 1_000_000;

fn now() -> Timestamp {
    Timestamp::parse(b"2026-11-21T04:20:00.000000000Z").unwrap()
}

fn interval(src: &str, offset_ms: i64, bound_ms: i64) -> Source<'static> {
    let claim =
        Claim::Interval { offset_ns: offset_ms * MS, bound_ns: bound_ms * MS, as_of: now() };
    Source::claims(src, claim, Some(&Value::object([("stratum", Value::Int(2))])))
}

fn window(low_s: i64, high_s: i64) -> Source<'static> {
    let claim = Claim::Window {
        not_before: now().plus_nanos(low_s * 1000 * MS),
        not_after: now().plus_nanos(high_s * 1000 * MS),
    };
    Source::claims("btc:node", claim, None)
}

fn verdict_of(sources: Vec<Source<'static>>) -> (ClockVerdict, Vec<String>) {
    let attestation = judge(now(), RULE, None, sources);
    let liars = attestation.falsetickers().map(Into::into).collect();
    (attestation.verdict, liars)
}

#[test]
fn sources_that_meet_agree_on_their_intersection() {
    let attestation = judge(now(), RULE, None, vec![interval("a", 0, 10), interval("b", 6, 8)]);
    assert_eq!(attestation.verdict, ClockVerdict::Agreed);
    assert_eq!(attestation.agreed, Some((4 * MS, 6 * MS)));
    let (low, high) = attestation.window.unwrap();
    assert_eq!((low.since(now()), high.since(now())), (-2 * MS, 10 * MS));
}

#[test]
fn a_liar_among_three_is_named_and_two_apart_are_both_in_dispute() {
    let three = vec![interval("a", 0, 10), interval("b", 1, 10), interval("c", 1500, 10)];
    assert_eq!(verdict_of(three), (ClockVerdict::Disputed, vec!["c".into()]));
    let two = vec![interval("a", 0, 10), interval("b", 1500, 10)];
    assert_eq!(verdict_of(two), (ClockVerdict::Disputed, vec!["a".into(), "b".into()]));
}

#[test]
fn too_few_sources_degrade_and_the_kernel_does_not_count() {
    assert_eq!(verdict_of(vec![interval("a", 0, 10)]).0, ClockVerdict::Degraded);
    let kernel = vec![interval("a", 0, 10), interval(KERNEL, 0, 10)];
    assert_eq!(verdict_of(kernel).0, ClockVerdict::Degraded);
    let none = vec![Source::absent("gps:gpsd", "no fix for 34 s")];
    assert_eq!(verdict_of(none).0, ClockVerdict::Unsynchronised);
}

/// chronyd makes a correction over seconds or hours. The kernel vouches for the
/// corrected clock, and knows nothing of what is left.
#[test]
fn a_correction_that_is_not_made_yet_does_not_part_ntp_from_the_kernel() {
    let slewing = vec![interval(KERNEL, 0, 1), interval("ntp:chrony", 30, 1), interval("a", 25, 9)];
    assert_eq!(verdict_of(slewing), (ClockVerdict::Agreed, vec![]));
    let far = vec![interval(KERNEL, 0, 1), interval("ntp:chrony", 4_000, 1)];
    assert_eq!(verdict_of(far), (ClockVerdict::Anomalous, vec![]));
    // Where no NTP client claims anything, the kernel's word is one among others.
    let silent = vec![
        interval(KERNEL, 0, 1),
        Source::absent("ntp:chrony", "no answer"),
        interval("a", 25, 9),
    ];
    let liars = vec![KERNEL.into(), "a".into()];
    assert_eq!(verdict_of(silent), (ClockVerdict::Disputed, liars));
}

#[test]
fn an_agreed_offset_over_the_threshold_or_a_step_is_an_anomaly() {
    let off = vec![interval("a", 150, 10), interval("b", 151, 10)];
    assert_eq!(verdict_of(off).0, ClockVerdict::Anomalous);
    let wide = vec![interval("a", 150, 60), interval("b", 151, 60)];
    assert_eq!(verdict_of(wide).0, ClockVerdict::Agreed);
    let good = vec![interval("a", 0, 10), interval("b", 1, 10)];
    assert_eq!(judge(now(), RULE, Some(3_600_000 * MS), good).verdict, ClockVerdict::Anomalous);
}

#[test]
fn a_window_bounds_and_never_sharpens() {
    let mut sources = vec![interval("a", 0, 10), interval("b", 1, 10), window(-3600, 3600)];
    assert_eq!(verdict_of(sources.clone()), (ClockVerdict::Agreed, vec![]));
    sources[2] = window(60, 3600);
    assert_eq!(verdict_of(sources), (ClockVerdict::Disputed, vec!["btc:node".into()]));
    assert_eq!(verdict_of(vec![window(-1, 1)]).0, ClockVerdict::Unsynchronised);
}

#[test]
fn a_step_shows_between_two_records_and_slewing_does_not() {
    let (a, b) = (now(), now().plus_nanos(60_000 * MS));
    assert_eq!(step_between(a, 5_000, b, 65_000, RULE), None);
    assert_eq!(step_between(a, 5_000, b, 65_100, RULE), None);
    assert_eq!(step_between(a, 5_000, b, 5_000, RULE), Some(60_000 * MS));
    assert_eq!(step_between(b, 5_000, a, 65_000, RULE), Some(-120_000 * MS));
    assert_eq!(step_between(a, u64::MAX, b, 0, RULE), Some(i64::MAX));
}

fn any_source() -> impl Strategy<Value = Source<'static>> {
    prop_oneof![
        ("[a-z]{1,6}", -400_i64..400, 0_i64..200).prop_map(|(src, o, b)| interval(&src, o, b)),
        // A GPS receiver a week rollover off: beyond 2^53 ns.
        Just(interval("gps:nmea", 1024 * 7 * 86_400_000, 40)),
        (-5_i64..5, 0_i64..9).prop_map(|(low, width)| window(low, low + width)),
        any::<String>().prop_map(|reason| Source::absent("gps:gpsd", reason)),
        any::<String>().prop_map(|reason| Source::rejected("ntp:chrony", reason, None)),
    ]
}

proptest! {
    #[test]
    fn every_attestation_survives_its_bytes_and_its_recheck(
        sources in prop::collection::vec(any_source(), 0..8),
        step in prop::option::of(any::<i64>()),
    ) {
        let attestation = judge(now(), RULE, step, sources);
        let bytes = attestation.to_value().encode();
        let mut scan = Scanner::new(&bytes);
        let again = read(&mut scan).unwrap();
        prop_assert_eq!(scan.finish(), Ok(()));
        prop_assert_eq!(&again, &attestation);
        prop_assert_eq!(again.recheck(now()), Ok(()));
    }

    #[test]
    fn the_agreed_interval_lies_in_every_agreeing_one(
        sources in prop::collection::vec(any_source(), 0..8),
    ) {
        let attestation = judge(now(), RULE, None, sources);
        let Some((offset, bound)) = attestation.agreed else { return Ok(()) };
        let ok = attestation.sources.iter().filter_map(|source| match &source.state {
            State::Ok(Claim::Interval { offset_ns, bound_ns, .. }) => Some((offset_ns, bound_ns)),
            _ => None,
        });
        for (o, b) in ok {
            let message = format!("{offset} ± {bound} against {o} ± {b}");
            prop_assert!(offset + bound >= o - b && offset - bound <= o + b, "{}", message);
        }
    }

    #[test]
    fn a_changed_verdict_or_interval_is_caught(
        sources in prop::collection::vec(any_source(), 0..8), shift in 1_i64..1000,
    ) {
        let good = judge(now(), RULE, None, sources);
        for (verdict, _) in VERDICTS {
            let bad = Attestation { verdict, ..good.clone() };
            prop_assert_eq!(bad.recheck(now()).is_ok(), verdict == good.verdict);
        }
        if let Some((offset, bound)) = good.agreed {
            let bad = Attestation { agreed: Some((offset + shift, bound)), ..good.clone() };
            prop_assert!(bad.recheck(now()).is_err());
            prop_assert!(good.recheck(now().plus_nanos(shift)).is_err());
        }
    }
}
