use provenance_core::record::log_entry::What;

use super::*;

fn settings() -> Settings {
    Settings {
        software: "provenanced test".into(),
        config_sha256: Digest::sha256(b"1"),
        interval_s: 60,
        rule: Rule { alarm_ns: 100_000_000, min_agreeing: 1 },
        bundle_every_s: Some(86_400),
    }
}

fn at(seconds: i64) -> Now {
    let midnight = Timestamp::parse(b"2026-11-21T00:00:00.000000000Z").unwrap();
    Now {
        time: midnight.plus_nanos(seconds * 1_000_000_000),
        up_ms: u64::try_from(seconds).unwrap() * 1000,
        boot: "b".into(),
    }
}

fn range(from: u64) -> LogEntry<'static> {
    let what = What::Range { from, to: from + 1, sha256: Digest::ZERO };
    LogEntry { src: "file:/a".into(), generation: 0, what }
}

fn started() -> Engine {
    let mut engine = Engine::new(settings(), None, None);
    let actions = engine
        .step(&at(10), Input::Start { reason: "boot".into(), recovered: vec![], config: None });
    assert!(matches!(&actions[..], [Action::Append(Body::Start(_))]));
    assert_eq!(engine.step(&at(10), Input::Appended), [Action::Checkpoint]);
    engine
}

fn tick(engine: &mut Engine, now: &Now) -> (Tick<'static>, Vec<Action>) {
    let mut actions = engine.step(now, Input::Tick(vec![]));
    match actions.remove(0) {
        Action::Append(Body::Tick(tick)) => (tick, engine.step(now, Input::Appended)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_recovery_found_is_recorded_before_the_start() {
    let mut engine = Engine::new(settings(), None, None);
    let torn = Recovered { bytes: 3, reason: "torn".into(), ..Recovered::default() };
    let input = Input::Start { reason: "boot".into(), recovered: vec![torn], config: None };
    assert!(matches!(&engine.step(&at(1), input)[..], [Action::Append(Body::Recovered(_))]));
    let next = engine.step(&at(1), Input::Appended);
    assert!(matches!(&next[..], [Action::Append(Body::Start(_))]));
}

#[test]
fn log_entries_wait_until_their_record_is_on_disk() {
    let mut engine = started();
    engine.step(&at(60), Input::Logs(vec![range(0)]));
    let asked = engine.step(&at(60), Input::Tick(vec![]));
    assert!(matches!(&asked[..], [Action::Append(Body::Tick(tick))] if tick.logs.len() == 1));
    engine.step(&at(60), Input::Failed(Some(28)));
    assert!(!engine.wants_logs());
    engine.step(&at(70), Input::Failed(Some(5)));
    let (again, after) = tick(&mut engine, &at(120));
    assert_eq!(again.logs, [range(0)]);
    let [Action::Append(Body::Recovered(recovered))] = &after[..] else { panic!("{after:?}") };
    assert_eq!((recovered.attempts, recovered.errno), (Some(2), Some(5)));
    assert_eq!(recovered.since, Some(at(60).time));
    assert!(engine.wants_logs());
    assert_eq!(engine.step(&at(120), Input::Appended), []);
    assert_eq!(tick(&mut engine, &at(180)).0.logs, []);
}

#[test]
fn a_tick_too_large_for_a_record_goes_on_in_the_next_without_anything_between() {
    let mut engine = started();
    let name: std::borrow::Cow<'static, str> = format!("file:/{}", "n".repeat(4000)).into();
    let entries = (0..4000).map(|from| LogEntry { src: name.clone(), ..range(from) });
    engine.step(&at(60), Input::Logs(entries.collect()));
    engine.step(&at(60), Input::Checkpoint { note: "n".into() });
    assert_eq!(engine.step(&at(60), Input::Appended), []);
    let mut actions = engine.step(&at(60), Input::Tick(vec![]));
    let mut seen = 0;
    loop {
        let Some(Action::Append(Body::Tick(tick))) = actions.pop() else { panic!() };
        assert!(Body::Tick(tick.clone()).to_value().encode().len() < MAX_RECORD - 1000);
        seen += tick.logs.len();
        assert_eq!(tick.more, seen < 4000);
        if tick.more {
            // Even what fails or comes in between waits for the tick's rest.
            engine.step(&at(61), Input::Appended);
            engine.step(&at(61), Input::Failed(None));
            actions = engine.step(&at(62), Input::Checkpoint { note: "n".into() });
        } else {
            break;
        }
    }
    assert_eq!(seen, 4000);
}

#[test]
fn checkpoints_come_hourly_bundles_daily_and_files_close_at_midnight() {
    let mut engine = started();
    let mut actions = vec![];
    for minute in 1..=60 * 49 {
        let now = at(10 + minute * 60);
        for action in tick(&mut engine, &now).1 {
            actions.push((minute / 60, action));
        }
    }
    let count = |wanted: &Action| actions.iter().filter(|(_, action)| action == wanted).count();
    assert_eq!(count(&Action::Checkpoint), 49 + 2 - 2);
    assert_eq!(count(&Action::Bundle), 2);
    let closed = actions.iter().filter(|(_, a)| matches!(a, Action::CloseDaysBefore(_)));
    assert_eq!(closed.count(), 2);
}

#[test]
fn a_bundle_is_due_by_the_end_of_the_last_one_also_after_a_restart() {
    let mut engine = Engine::new(settings(), None, Some(at(0).time));
    engine
        .step(&at(90_000), Input::Start { reason: "boot".into(), recovered: vec![], config: None });
    assert!(engine.step(&at(90_000), Input::Appended).contains(&Action::Bundle));
}

#[test]
fn a_step_of_the_clock_is_in_the_attestation() {
    let mut engine = started();
    tick(&mut engine, &at(60));
    let mut now = at(120);
    now.time = now.time.plus_nanos(-3_600_000_000_000);
    let (tick, _) = tick(&mut engine, &now);
    assert_eq!(tick.clock.step_ns, Some(-3_600_000_000_000));
}

#[test]
fn changed_settings_are_recorded_and_equal_ones_are_not() {
    let mut engine = started();
    assert_eq!(engine.step(&at(20), Input::Reload(settings())), []);
    let other = Settings { config_sha256: Digest::sha256(b"2"), interval_s: 5, ..settings() };
    let actions = engine.step(&at(20), Input::Reload(other));
    let expected =
        Body::Config { old: Digest::sha256(b"1"), new: Digest::sha256(b"2"), interval_s: 5 };
    assert_eq!(actions, [Action::Append(expected)]);
}

#[test]
fn the_stop_is_the_last_record_and_the_checkpoint_covers_it() {
    let mut engine = started();
    let actions = engine.step(&at(30), Input::Stop { reason: "SIGTERM".into() });
    assert!(matches!(&actions[..], [Action::Append(Body::Stop(_))]));
    assert_eq!(engine.step(&at(30), Input::Appended), [Action::FinalCheckpoint]);
}

#[test]
fn settings_that_changed_between_two_runs_are_recorded_behind_the_start() {
    let old = Digest::sha256(b"0");
    let mut engine = Engine::new(settings(), None, None);
    let input = Input::Start { reason: "boot".into(), recovered: vec![], config: Some(old) };
    assert!(matches!(engine.step(&at(10), input)[..], [Action::Append(Body::Start(_))]));
    let Settings { config_sha256: new, interval_s, .. } = settings();
    let config = Action::Append(Body::Config { old, new, interval_s });
    assert_eq!(engine.step(&at(10), Input::Appended), [config]);
    let mut engine = Engine::new(settings(), None, None);
    let input = Input::Start { reason: "boot".into(), recovered: vec![], config: Some(new) };
    engine.step(&at(10), input);
    let next = engine.step(&at(10), Input::Appended);
    assert!(!matches!(next.first(), Some(Action::Append(_))), "{next:?}");
}
