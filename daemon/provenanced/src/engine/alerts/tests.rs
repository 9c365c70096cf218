use proptest::prelude::*;
use provenance_core::record::{
    chain::{Session, Tick},
    log_entry::LogEntry,
    time_attestation::{ClockVerdict, Rule, Source, judge},
};

use super::*;

const RULE: Rule = Rule { alarm_ns: 100_000_000, min_agreeing: 2 };

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_nanos(seconds * 1_000_000_000)
}

fn now(seconds: i64) -> Now {
    Now { time: at(seconds), up_ms: u64::try_from(seconds * 1_000).unwrap(), boot: "b".into() }
}

fn head(seq: u64) -> Head {
    Head { seq, hash: Digest::sha256(b"h"), time: at(0) }
}

fn condition(code: AlertCode, subject: &str) -> Condition {
    Condition { code, subject: subject.into(), message: "m".into() }
}

fn source(name: &str, offset_ms: i64) -> Source<'static> {
    let (offset_ns, bound_ns) = (offset_ms * 1_000_000, 5_000_000);
    Source::claims(name, Claim::Interval { offset_ns, bound_ns, as_of: at(0) }, None)
}

fn tick(sources: Vec<Source<'static>>, logs: Vec<LogEntry<'static>>, more: bool) -> Body<'static> {
    let clock = judge(at(0), RULE, None, sources);
    Body::Tick(Tick { boot: "b".into(), clock, logs, more, up_ms: 0 })
}

fn honest() -> Vec<Source<'static>> {
    vec![source("ntp:a", 1), source("gps:g", 2)]
}

fn session() -> Session<'static> {
    Session {
        boot: "b".into(),
        config_sha256: Digest::ZERO,
        reason: "".into(),
        software: "".into(),
        up_ms: 0,
    }
}

fn shrunk(name: &str) -> LogEntry<'static> {
    let what = What::Event(Event::Truncated { to: 9, size: 1 });
    LogEntry { src: name.to_owned().into(), generation: 0, what }
}

/// Codes and subjects.
fn names(found: &[Condition]) -> Vec<(&'static str, &str)> {
    found.iter().map(|found| (found.code.as_str(), &*found.subject)).collect()
}

#[test]
fn a_condition_is_raised_once_and_resolved_after_two_looks_without_it() {
    let mut tracker = Tracker::new("chain", []);
    let mut look = |second: i64, found: bool| {
        let found = found.then(|| condition(AlertCode::ClockDisputed, "gps:g"));
        let seq = u64::try_from(second).unwrap();
        tracker.observe(at(second), head(seq), Scope::Tick, found.into_iter().collect())
    };
    assert!(look(1, false).is_empty());
    let [raised] = &look(2, true)[..] else { panic!("one alert") };
    assert_eq!((raised.state(), raised.since, raised.seq), ("raised", at(2), 2));
    assert_eq!((&*raised.code, &*raised.subject, raised.id.len()), ("clock.disputed", "gps:g", 32));
    for second in 3..20 {
        assert!(look(second, second % 2 == 1).is_empty(), "it comes and goes: one alert");
    }
    assert!(look(20, true).is_empty() && look(21, false).is_empty());
    let [resolved] = &look(22, false)[..] else { panic!("it is over") };
    assert_eq!((resolved.state(), resolved.until, resolved.seq), ("resolved", Some(at(21)), 22));
    let of = |alert: &Alert| (alert.id.clone(), alert.code.clone(), alert.since);
    assert_eq!(of(resolved), of(raised));
    assert_eq!(resolved.message, "over: m");
    let [again] = &look(23, true)[..] else { panic!("a new one") };
    assert_ne!(again.id, raised.id);
}

#[test]
fn after_a_restart_an_open_alert_is_not_raised_again_and_is_resolved() {
    let mut before = Tracker::new("chain", []);
    let found = || vec![condition(AlertCode::DiskLow, "space")];
    let raised = before.observe(at(1), head(1), Scope::Disk, found());
    let mut after = Tracker::new("chain", raised.clone());
    assert!(after.is_open(AlertCode::DiskLow, "space"));
    assert!(after.observe(at(9), head(9), Scope::Disk, found()).is_empty());
    assert!(after.observe(at(10), head(10), Scope::Disk, vec![]).is_empty());
    let resolved = after.observe(at(11), head(11), Scope::Disk, vec![]);
    assert_eq!((resolved.len(), &resolved[0].id), (1, &raised[0].id));
    let later = Alert { code: "later.code".into(), ..raised[0].clone() };
    assert!(Tracker::new("chain", [later]).is_empty(), "left to the version that knows it");
}

#[test]
fn a_look_in_one_place_says_nothing_about_another() {
    let mut tracker = Tracker::new("chain", []);
    let found =
        vec![condition(AlertCode::ClockDegraded, "clock"), condition(AlertCode::DiskLow, "space")];
    assert_eq!(tracker.observe(at(1), head(1), Scope::Tick, found).len(), 1, "not its place");
    for second in 2..9 {
        assert!(tracker.observe(at(second), head(1), Scope::Disk, vec![]).is_empty());
    }
    let failed = vec![condition(AlertCode::VerifyFailed, "evidence")];
    assert_eq!(tracker.observe(at(9), head(1), Scope::Verification, failed).len(), 1);
    let over = tracker.observe(at(10), head(1), Scope::Verification, vec![]);
    assert_eq!(over[0].state(), "resolved", "a verification that passes is an answer");
    assert_eq!(tracker.len(), 1);
}

#[test]
fn too_many_alerts_are_counted_and_not_raised() {
    let mut tracker = Tracker::new("chain", []);
    let many: Vec<_> =
        (0..300).map(|n| condition(AlertCode::LogShrunk, &format!("file:/{n}"))).collect();
    assert_eq!(tracker.observe(at(1), head(1), Scope::Tick, many.clone()).len(), MAX_OPEN);
    assert_eq!((tracker.len(), tracker.unraised()), (MAX_OPEN, 300 - MAX_OPEN as u64));
    assert!(tracker.observe(at(2), head(1), Scope::Tick, many).is_empty());
}

#[test]
fn the_clock_s_conditions_name_who_disagrees_and_do_not_hide_each_other() {
    let look = |sources: Vec<Source<'static>>, step| {
        let mut attestation = judge(at(0), RULE, step, sources);
        attestation.step_ns = step;
        clock(&attestation)
    };
    let liar = || source("ntp:liar", 3_000);
    assert_eq!(look(honest(), None), []);
    let found = look([honest(), vec![liar()]].concat(), None);
    assert_eq!(names(&found), [("clock.disputed", "ntp:liar")]);
    assert!(found[0].message.contains("3000.000 ± 5.000 ms"), "{}", found[0].message);
    let found = look(vec![source("ntp:a", 0), liar()], None);
    assert_eq!(names(&found), [("clock.disputed", "clock")]);
    assert!(found[0].message.ends_with("ntp:a, ntp:liar"), "{}", found[0].message);
    let found = look(vec![source("ntp:a", -700), source("gps:g", -701), liar()], None);
    assert_eq!(
        names(&found),
        [("clock.disputed", "ntp:liar"), ("clock.anomalous", "clock")],
        "who lies, and that the clock is off"
    );
    assert!(found[1].message.contains("off by -700.500 ms"), "{}", found[1].message);
    let found = look(honest(), Some(-2_000_000_000));
    assert!(found[0].message.contains("jumped by -2000.000 ms"), "{found:?}");
    let found = look(vec![source("ntp:a", 0), Source::absent("gps:g", "no fix")], None);
    assert_eq!(names(&found), [("clock.degraded", "clock")]);
    let found = look(vec![Source::absent("gps:g", "no fix")], None);
    assert_eq!(names(&found), [("clock.unsynchronised", "clock")]);
    let found = look(vec![Source::absent("gps:g", "no fix")], Some(3_600_000_000_000));
    assert_eq!(
        names(&found),
        [("clock.unsynchronised", "clock"), ("clock.anomalous", "clock")],
        "a step is one without a source too"
    );
}

#[test]
fn a_tick_in_several_records_is_one_look_and_many_shrunk_logs_are_few_alerts() {
    let mut watch = Watch::new(60);
    assert_eq!(watch.observe(), None);
    let logs = (0..30).map(|n| shrunk(&format!("file:/{n:02}"))).collect();
    watch.record(&now(10), &tick(honest(), logs, true));
    assert_eq!(watch.observe(), None, "its rest follows");
    watch.record(&now(10), &tick(honest(), vec![shrunk("file:/x")], false));
    let found = watch.observe().unwrap();
    assert_eq!(found.len(), MAX_SHRUNK + 1);
    assert_eq!(names(&found)[0], ("log.shrunk", "file:/00"));
    assert!(found[MAX_SHRUNK].message.starts_with("15 more"), "{found:?}");
    assert_eq!(watch.observe(), None);
    watch.record(&now(11), &tick(honest(), vec![], false));
    assert_eq!(watch.observe(), Some(vec![]));
}

#[test]
fn a_gap_is_over_two_intervals_without_a_stop() {
    let look = |watch: &mut Watch, second: i64| {
        watch.record(&now(second), &tick(honest(), vec![], false));
        watch.observe().unwrap()
    };
    let mut watch = Watch::new(60);
    assert_eq!(look(&mut watch, 1_000), []);
    watch.record(&now(1_121), &Body::Start(session()));
    let found = look(&mut watch, 1_122);
    assert_eq!(names(&found), [("chain.gap", "chain")]);
    assert!(found[0].message.contains("no tick for 121 s"), "{found:?}");
    assert_eq!(look(&mut watch, 1_242), []);
    assert_eq!(names(&look(&mut watch, 1_363)), [("chain.gap", "chain")]);
    // Another boot: the clocks of the two do not compare, the time does.
    let mut later = now(1_400);
    later.boot = "c".into();
    watch.record(&later, &tick(honest(), vec![], false));
    assert_eq!(watch.observe(), Some(vec![]));
    watch.record(&now(1_410), &Body::Stop(session()));
    assert_eq!(look(&mut watch, 9_999), [], "an orderly end is no gap");
    let config = Body::Config { old: Digest::ZERO, new: Digest::ZERO, interval_s: 600 };
    watch.record(&now(10_000), &config);
    assert_eq!(look(&mut watch, 11_000), [], "the interval in force counts");
    let mut first = Watch::new(60);
    first.record(&now(5_000), &Body::Start(session()));
    assert_eq!(look(&mut first, 5_001), []);
}

fn any_source() -> impl Strategy<Value = Source<'static>> {
    let name = prop_oneof![Just("kernel"), Just("ntp:a"), Just("ntp:b"), Just("gps:g")];
    let window = (-3_000..3_000_i64, 0..4_000_i64).prop_map(|(from, width)| Claim::Window {
        not_before: Timestamp::from_nanos(from * 1_000_000),
        not_after: Timestamp::from_nanos((from + width) * 1_000_000),
    });
    let interval = (any::<i64>(), 0..i64::MAX).prop_map(|(offset_ns, bound_ns)| Claim::Interval {
        offset_ns,
        bound_ns,
        as_of: at(0),
    });
    prop_oneof![
        (name, prop_oneof![interval, window])
            .prop_map(|(name, claim)| { Source::claims(name, claim, None) }),
        (-300..300_i64).prop_map(|offset| source("ntp:c", offset)),
        Just(Source::absent("gps:x", "no fix")),
    ]
}

proptest! {
    #[test]
    fn whatever_the_verdict_its_condition_is_found_and_none_where_all_agree(
        sources in proptest::collection::vec(any_source(), 0..6),
        step in proptest::option::of(any::<i64>()),
    ) {
        let attestation = judge(at(0), RULE, step, sources);
        let found = clock(&attestation);
        let expected = match attestation.verdict {
            ClockVerdict::Agreed => {
                prop_assert_eq!(found, vec![]);
                return Ok(());
            }
            ClockVerdict::Degraded => AlertCode::ClockDegraded,
            ClockVerdict::Disputed => AlertCode::ClockDisputed,
            ClockVerdict::Anomalous => AlertCode::ClockAnomalous,
            ClockVerdict::Unsynchronised => AlertCode::ClockUnsynchronised,
        };
        prop_assert!(found.iter().any(|found| found.code == expected), "{:?}", found);
        if attestation.verdict == ClockVerdict::Degraded {
            prop_assert_eq!(found.len(), 1);
        }
    }

    #[test]
    fn in_any_order_raised_and_resolved_alternate_and_a_restart_changes_nothing(
        looks in proptest::collection::vec((0..8_u8, any::<bool>()), 0..60)
    ) {
        let mut tracker = Tracker::new("chain", []);
        let mut all = provenance_core::record::alert::OpenAlerts::default();
        let mut open: Vec<Alert> = vec![];
        for (second, (mask, restart)) in (1_i64..).zip(looks) {
            let found = (0..3).filter(|bit| mask & (1 << bit) != 0);
            let found = found.map(|bit| condition(AlertCode::LogShrunk, &bit.to_string()));
            let found: Vec<_> = found.collect();
            let changes = tracker.observe(at(second), head(1), Scope::Tick, found.clone());
            for change in changes {
                prop_assert!(all.apply(change.clone()).is_ok(), "{:?}", change);
                match change.until {
                    None => open.push(change),
                    Some(_) => open.retain(|open| open.id != change.id),
                }
            }
            for condition in &found {
                prop_assert!(tracker.is_open(condition.code, &condition.subject));
            }
            prop_assert_eq!(open.len(), tracker.len());
            if restart {
                tracker = Tracker::new("chain", open.clone());
            }
        }
    }
}
