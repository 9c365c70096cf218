//! An appliance that lies under its own, trusted key: what it recorded must
//! follow from what it recorded. And what nobody signed.

use provenance_audit::{policy_file::Policy, state::Options};
use provenance_core::{
    encoding::time::Timestamp,
    record::{
        chain::{Body, Tick},
        log_entry::What,
        time_attestation::{ClockVerdict, Source, State},
    },
    report::{Code, Report, Verdict},
};

use super::harness::{Appliance, agreeing, errors, policy, source, verify};
use crate::common::settings::trusted_key;

/// A signed life in which `forge` is done to every record.
fn forged(
    sources: fn(Timestamp) -> Vec<Source<'static>>,
    forge: fn(Body<'static>) -> Body<'static>,
) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let mut appliance = Appliance::signed(folder.path(), "key");
    (appliance.sources, appliance.forge) = (sources, forge);
    appliance.live();
    verify(appliance.state.root(), &policy(&appliance.public), &Options::default())
}

fn with_tick(body: Body<'static>, change: fn(&mut Tick<'static>)) -> Body<'static> {
    match body {
        Body::Tick(mut tick) => {
            change(&mut tick);
            Body::Tick(tick)
        }
        other => other,
    }
}

/// GPS a minute off.
fn disputed(now: Timestamp) -> Vec<Source<'static>> {
    vec![
        source("gps:gpsd", 60_000_000_000, now),
        source("ntp:chrony", 1_000_000, now),
        source("ntp:other", 2_000_000, now),
    ]
}

#[test]
fn a_lie_about_the_clock_is_found_under_the_right_signature() {
    type Lie =
        (&'static str, fn(Timestamp) -> Vec<Source<'static>>, fn(Body<'static>) -> Body<'static>);
    let lies: [Lie; 7] = [
        ("disputed called agreed", disputed, |body| {
            with_tick(body, |tick| tick.clock.verdict = ClockVerdict::Agreed)
        }),
        ("a falseticker called ok", disputed, |body| {
            with_tick(body, |tick| {
                for source in &mut tick.clock.sources {
                    if let State::Disagrees(claim) = source.state.clone() {
                        source.state = State::Ok(claim);
                    }
                }
            })
        }),
        ("another called the falseticker", disputed, |body| {
            with_tick(body, |tick| {
                for source in &mut tick.clock.sources {
                    source.state = match source.state.clone() {
                        State::Disagrees(claim) => State::Ok(claim),
                        State::Ok(claim) => State::Disagrees(claim),
                        other => other,
                    };
                }
            })
        }),
        ("a smaller offset", agreeing, |body| {
            with_tick(body, |tick| tick.clock.agreed = Some((0, 1)))
        }),
        ("a shifted window", agreeing, |body| {
            with_tick(body, |tick| {
                tick.clock.window = tick.clock.window.map(|(a, b)| (a.plus_nanos(1), b));
            })
        }),
        ("a step that was none", agreeing, |body| {
            with_tick(body, |tick| {
                tick.clock.step_ns = Some(5_000_000_000);
                tick.clock.verdict = ClockVerdict::Anomalous;
            })
        }),
        (
            "agreed where too few are",
            |now| vec![source("ntp:chrony", 0, now)],
            |body| {
                with_tick(body, |tick| {
                    tick.clock.rule.min_agreeing = 2;
                    tick.clock.verdict = ClockVerdict::Agreed;
                })
            },
        ),
    ];
    for (name, sources, lie) in lies {
        assert_eq!(forged(sources, |body| body).verdict(), Verdict::Verified, "{name}: honest");
        let report = forged(sources, lie);
        let found = report.findings().iter().find(|finding| finding.code == Code::ClockVerdict);
        let place = &found.unwrap_or_else(|| panic!("{name}: {:?}", errors(&report))).place;
        assert_eq!(report.verdict(), Verdict::Failed);
        assert!(place.file.is_some() && place.line.is_some() && place.seq.is_some(), "{name}");
    }
}

#[test]
fn a_hidden_step_of_the_clock_is_found() {
    for hidden in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut appliance = Appliance::signed(folder.path(), "key");
        if hidden {
            appliance.forge = |body| {
                with_tick(body, |tick| {
                    tick.clock.step_ns = None;
                    tick.clock.verdict = ClockVerdict::Agreed;
                })
            };
        }
        appliance.start();
        appliance.tick();
        appliance.now.time = appliance.now.time.plus_nanos(7_200_000_000_000);
        appliance.tick();
        appliance.tick();
        appliance.stop();
        let report =
            verify(appliance.state.root(), &policy(&appliance.public), &Options::default());
        let stepped = report.findings().iter().any(|f| f.code == Code::ClockStepped);
        if hidden {
            assert_eq!(errors(&report), ["clock.verdict"]);
        } else {
            assert_eq!((report.verdict(), stepped), (Verdict::Verified, true));
        }
    }
}

#[test]
fn a_lie_about_ranges_and_generations_is_found() {
    let lies: [fn(Body<'static>) -> Body<'static>; 3] = [
        |body| {
            with_tick(body, |tick| {
                for entry in &mut tick.logs {
                    if let What::Range { from, to, .. } = &mut entry.what {
                        (*from, *to) = (*from + 1, *to + 1);
                    }
                }
            })
        },
        |body| with_tick(body, |tick| tick.logs.retain(|entry| entry.generation != 0)),
        |body| with_tick(body, |tick| tick.logs.retain(|e| !matches!(e.what, What::Event(_)))),
    ];
    for (at, lie) in lies.into_iter().enumerate() {
        let report = forged(agreeing, lie);
        assert!(errors(&report).contains(&"log.range"), "{at}: {:?}", errors(&report));
    }
}

#[test]
fn what_nobody_signed_is_never_verified_without_what_the_auditor_holds() {
    let folder = tempfile::tempdir().unwrap();
    let mut appliance = Appliance::unsigned(folder.path());
    appliance.start();
    appliance.tick();
    appliance.tick();
    let middle = appliance.head();
    appliance.tick();
    appliance.stop();
    let head = appliance.head();
    let judge = |policy: &str, expect_head| {
        let policy = Policy::parse(policy).unwrap();
        let options = Options { expect_head, ..Options::default() };
        verify(appliance.state.root(), &policy, &options)
    };
    for policy in ["", "allow_unsigned = true", "client = \"clinic-001\""] {
        for expected in [None, Some(middle), Some(head)] {
            let report = judge(policy, expected);
            assert_eq!(report.verdict(), Verdict::Inconclusive, "{policy}: {expected:?}");
            assert_eq!(errors(&report), Vec::<&str>::new());
            let says = |what: &str| report.gaps().iter().any(|gap| gap.what.contains(what));
            assert!(says("the registry was not rewritten"), "{:?}", report.gaps());
            assert_eq!(says("the chain was not rewritten"), expected.is_none());
            assert_eq!(says("records "), expected != Some(head), "{:?}", report.gaps());
        }
    }
    // Who expects signatures is not content with their absence.
    let (secret, public, _) =
        provenanced::ledger::signer::keygen(folder.path(), "auditor").unwrap();
    drop(secret);
    let public = std::fs::read_to_string(public).unwrap();
    let named = trusted_key("k", &public);
    assert_eq!(errors(&judge(&named, Some(head))), ["checkpoint.invalid"]);
}

#[test]
fn unsigned_bundles_are_refused_or_where_a_policy_allows_them_undecided() {
    let folder = tempfile::tempdir().unwrap();
    let mut appliance = Appliance::unsigned(folder.path());
    appliance.live();
    let refused = verify(
        appliance.state.root(),
        &Policy::parse("client = \"clinic-001\"").unwrap(),
        &Options::default(),
    );
    assert_eq!(errors(&refused), ["bundle.unsigned"; 2]);
    let allowed = Policy::parse("allow_unsigned = true").unwrap();
    let report = verify(appliance.state.root(), &allowed, &Options::default());
    assert_eq!((report.verdict(), errors(&report)), (Verdict::Inconclusive, vec![]));
}

#[test]
fn the_span_of_a_key_ends_where_the_registry_and_the_policy_say() {
    let folder = tempfile::tempdir().unwrap();
    let mut appliance = Appliance::signed(folder.path(), "key");
    appliance.live();
    let last = appliance.public.clone();
    let state = appliance.state.root().to_owned();
    drop(appliance);
    // The same state goes on under another key.
    let mut second = Appliance::signed(folder.path(), "second");
    second.now.time = second.now.time.plus_nanos(3_600_000_000_000);
    second.resume();
    second.tick();
    second.bundle();
    second.stop();
    let both = trusted_key("a", &last) + &trusted_key("b", &second.public);
    let both = Policy::parse(&both).unwrap();
    let report = verify(&state, &both, &Options::default());
    assert_eq!(report.verdict(), Verdict::Verified, "{:#?}", report.findings());
    // The old key alone covers neither the newest checkpoint nor the bundle.
    let found = errors(&verify(&state, &policy(&last), &Options::default()));
    assert!(found.contains(&"checkpoint.signature") && found.contains(&"bundle.key"), "{found:?}");
}
