//! Every verdict again, by an independent implementation: a page of Python
//! that follows docs/format.md.

use std::{fmt::Write as _, io::Write as _};

use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    record::{
        self,
        chain::{Body, Tick},
        time_attestation::{Claim, Rule, Source, judge},
    },
};

use super::*;
use crate::common::files::walk;

/// Numbers that look random, the same ones each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        i64::try_from(self.0 >> 33).unwrap() % sides
    }
}

fn tick(dice: &mut Dice, now: Timestamp) -> Tick<'static> {
    let names = ["kernel", "ntp:chrony", "gps:gpsd", "btc:node", "x:1", "x:2"];
    let count = dice.roll(7);
    let sources = names.into_iter().take(usize::try_from(count).unwrap()).map(|name| {
        // Near one another, so that they often touch, miss and tie.
        let offset_ns = dice.roll(9) * 40_000_000 - 160_000_000;
        match dice.roll(8) {
            0 => Source::absent(name, "silence"),
            1 => Source::rejected(name, "nonsense", None),
            2 => {
                let not_before = now.plus_nanos(dice.roll(5) * 50_000_000 - 150_000_000);
                let not_after = not_before.plus_nanos(dice.roll(5) * 60_000_000);
                Source::claims(name, Claim::Window { not_before, not_after }, None)
            }
            3 => {
                let claim = Claim::Interval { offset_ns: i64::MAX - 5, bound_ns: 9, as_of: now };
                Source::claims(name, claim, None)
            }
            _ => {
                let bound_ns = dice.roll(4) * 40_000_000;
                Source::claims(name, Claim::Interval { offset_ns, bound_ns, as_of: now }, None)
            }
        }
    });
    let sources = sources.collect();
    let rule = Rule { alarm_ns: 50_000_000, min_agreeing: u32::try_from(dice.roll(4)).unwrap() };
    let step = (dice.roll(10) == 0).then_some(-200_000_000);
    let clock = judge(now, rule, step, sources);
    Tick { boot: "b".into(), clock, logs: vec![], more: false, up_ms: 1 }
}

/// Whether the other implementation finds that all follow, and what it says.
fn agrees(files: &[PathBuf]) -> (bool, String) {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/appliance/time_sources/verdicts.py");
    let output = Command::new("python3").arg(script).args(files).output().unwrap();
    let mut said = String::from_utf8(output.stdout).unwrap();
    let _ = write!(said, "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

#[test]
fn every_verdict_is_found_again_by_an_independent_implementation() {
    let (mut dice, mut text) = (Dice(7), vec![]);
    let mut verdicts = std::collections::BTreeSet::new();
    for seq in 0..5_000 {
        let now = Timestamp::from_nanos(1_795_000_000_000_000_000 + dice.roll(1 << 40));
        let tick = tick(&mut dice, now);
        verdicts.insert(tick.clock.verdict.as_str());
        let body = Body::Tick(tick);
        text.extend(record::encode("tick", seq, Digest::ZERO, now, &body.to_value()));
        text.push(b'\n');
    }
    assert_eq!(verdicts.len(), 5, "{verdicts:?}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ticks.jsonl");
    fs::write(&path, &text).unwrap();
    let (all, said) = agrees(std::slice::from_ref(&path));
    assert!(all && said.contains("5000 follow, 0 do not"), "{said}");
    // What does not follow is found.
    let text = String::from_utf8(text).unwrap();
    for (from, to) in [
        ("\"verdict\":\"agreed\"", "\"verdict\":\"degraded\""),
        ("\"state\":\"disagrees\"", "\"state\":\"ok\""),
        ("\"bound_ns\":40000000,\"offset_ns\"", "\"bound_ns\":39999999,\"offset_ns\""),
    ] {
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(text.replacen(from, to, 1).as_bytes()).unwrap();
        let (all, said) = agrees(std::slice::from_ref(&path));
        assert!(!all && said.contains("1 do not"), "{from}: {said}");
    }
}

#[test]
fn the_verdicts_of_a_recorded_chain_are_found_again() {
    let site = Site::new(&format!("[time.gps]\ngpsd = \"127.0.0.1:{}\"\n", free_port()));
    assert!(site.run(3).len() >= 3);
    let files = walk(&site.path("state/chain"));
    let (all, said) = agrees(&files);
    assert!(all && said.contains(" follow, 0 do not"), "{said}");
}
