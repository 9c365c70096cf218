use super::*;
use crate::record::{
    self,
    chain::Genesis,
    log_entry::{Event, LogEntry, What},
    time_attestation::{Claim, Source, judge},
};
use alloc::{vec, vec::Vec};

const RULE: Rule = Rule { alarm_ns: 100_000_000, min_agreeing: 0 };

/// Writes chains as the daemon would, with whatever the test wants wrong.
struct Writer {
    lines: Vec<Vec<u8>>,
    time: Timestamp,
    up_ms: u64,
}

impl Writer {
    fn new() -> Self {
        let time = Timestamp::parse(b"2026-11-21T23:58:00.000000000Z").unwrap();
        let mut writer = Self { lines: vec![], time, up_ms: 1000 };
        writer.push(&Body::Genesis(Genesis {
            chain: "c".into(),
            client: "clinic".into(),
            config_sha256: Digest::ZERO,
            host: "h".into(),
            interval_s: 60,
            machine: "m".into(),
            software: "s".into(),
            tier: "essential".into(),
        }));
        writer.session(true);
        writer
    }

    fn push(&mut self, body: &Body<'_>) {
        let prev = self.lines.last().map_or(Digest::ZERO, |line| Digest::sha256(line));
        let seq = self.lines.len() as u64;
        self.lines.push(record::encode(body.kind(), seq, prev, self.time, &body.to_value()));
    }

    fn session(&mut self, start: bool) {
        let session = Session {
            boot: "b".into(),
            config_sha256: Digest::ZERO,
            reason: "test".into(),
            software: "s".into(),
            up_ms: self.up_ms,
        };
        self.push(&if start { Body::Start(session) } else { Body::Stop(session) });
    }

    fn wait(&mut self, seconds: i64) -> &mut Self {
        self.time = self.time.plus_nanos(seconds * 1_000_000_000);
        self.up_ms += u64::try_from(seconds).unwrap() * 1000;
        self
    }

    fn tick(&mut self, logs: Vec<LogEntry<'static>>) -> &mut Self {
        let claim = Claim::Interval { offset_ns: 0, bound_ns: 5, as_of: self.time };
        let clock = judge(self.time, RULE, None, vec![Source::claims("kernel", claim, None)]);
        let tick = Tick { boot: "b".into(), clock, logs, more: false, up_ms: self.up_ms };
        self.push(&Body::Tick(tick));
        self
    }
}

fn entry(generation: u64, what: What<'static>) -> LogEntry<'static> {
    LogEntry { src: "file:/a".into(), generation, what }
}

fn range(generation: u64, from: u64, to: u64) -> LogEntry<'static> {
    entry(generation, What::Range { from, to, sha256: Digest::ZERO })
}

fn appeared(generation: u64) -> LogEntry<'static> {
    entry(generation, What::Event(Event::Appeared { id: None }))
}

fn verify(lines: &[Vec<u8>]) -> Report {
    let mut report = Report::new();
    let mut verifier = ChainVerifier::new(false, false);
    let mut day = None;
    for line in lines {
        let of_line = Record::parse(line).ok().map(|record| record.time.day());
        if of_line > day {
            day = of_line;
            verifier.begin_file(&format!("chain/{}", day.unwrap().path()), day);
        }
        verifier.line(line, &mut report);
    }
    verifier.finish(&mut report);
    report
}

fn codes(report: &Report) -> Vec<&'static str> {
    report.counts().map(|(code, _)| code.as_str()).collect()
}

fn good() -> Writer {
    let mut writer = Writer::new();
    writer.wait(60).tick(vec![appeared(0), range(0, 0, 10)]);
    writer.wait(60).tick(vec![range(0, 10, 30)]);
    writer.wait(60).tick(vec![]);
    writer.wait(60).tick(vec![
        entry(0, What::Event(Event::Rotated { location: Some("file:/a.1".into()) })),
        appeared(1),
        range(1, 0, 3),
    ]);
    writer
}

#[test]
fn a_good_chain_over_midnight_has_no_finding() {
    let mut writer = good();
    writer.session(false);
    let report = verify(&writer.lines);
    assert_eq!(report.findings(), []);
    assert_eq!(report.head.unwrap().hash, Digest::sha256(writer.lines.last().unwrap()));
    assert_eq!(report.count_checked("records"), 7);
}

#[test]
fn a_changed_record_is_named_by_file_line_and_number() {
    let mut writer = good();
    let text = String::from_utf8(writer.lines[2].clone()).unwrap();
    writer.lines[2] = text.replace("\"to\":10", "\"to\":11").into_bytes();
    let report = verify(&writer.lines);
    let finding = &report.findings().iter().find(|f| f.code == Code::ChainBroken).unwrap();
    assert_eq!(finding.place.seq, Some(2));
    assert_eq!(finding.place.file.as_deref(), Some("chain/2026/11/21"));
    assert_eq!(finding.place.line, Some(3));
    assert!(codes(&report).contains(&"log.range"));
}

#[test]
fn removed_repeated_and_swapped_records_are_found() {
    let lines = good().lines;
    let mut removed = lines.clone();
    removed.remove(3);
    assert_eq!(codes(&verify(&removed))[..2], ["chain.seq", "chain.broken"]);
    let mut repeated = lines.clone();
    repeated.insert(3, lines[3].clone());
    assert!(codes(&verify(&repeated)).starts_with(&["chain.seq", "chain.broken"]));
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    assert!(codes(&verify(&swapped)).starts_with(&["chain.seq", "chain.broken"]));
    assert!(codes(&verify(&lines[1..])).contains(&"chain.genesis"));
    assert_eq!(verify(&lines[..4]).findings(), []);
}

#[test]
fn a_gap_is_a_finding_unless_a_stop_explains_it() {
    let mut crashed = good();
    crashed.wait(121);
    crashed.session(true);
    let report = verify(&crashed.lines);
    assert_eq!(codes(&report), ["chain.gap"]);
    let mut stopped = good();
    stopped.session(false);
    stopped.wait(86_400);
    stopped.session(true);
    assert_eq!(verify(&stopped.lines).findings(), []);
}

#[test]
fn a_stepped_clock_must_be_recorded_as_such() {
    let mut writer = good();
    writer.time = writer.time.plus_nanos(3_600_000_000_000);
    writer.wait(60).tick(vec![]);
    let report = verify(&writer.lines);
    assert_eq!(codes(&report), ["clock.verdict"]);
    assert_eq!(report.findings()[0].expected.as_deref(), Some("3600 s"));
}

#[test]
fn log_rules_hold_over_the_chain() {
    let cases: [(&str, Vec<LogEntry<'static>>); 6] = [
        ("range without a beginning", vec![range(2, 0, 5)]),
        ("hole", vec![range(1, 4, 5)]),
        ("overlap", vec![range(1, 2, 5)]),
        ("generation skipped", vec![entry(1, What::Event(Event::Replaced)), appeared(3)]),
        ("generation before the last ended", vec![appeared(2)]),
        (
            "truncated from elsewhere",
            vec![entry(1, What::Event(Event::Truncated { to: 9, size: 0 }))],
        ),
    ];
    for (name, logs) in cases {
        let mut writer = good();
        writer.wait(60).tick(logs);
        assert!(codes(&verify(&writer.lines)).contains(&"log.range"), "{name}");
    }
}

#[test]
fn garbage_is_a_finding_with_its_line() {
    for garbage in [&b""[..], b"x", b"{}", b"{\"v\":1}", b"\xff\xfe"] {
        let mut writer = good();
        writer.lines[3] = garbage.to_vec();
        let report = verify(&writer.lines);
        let finding = report.findings().first().unwrap();
        assert!(finding.code.as_str().starts_with("record."), "{garbage:?}");
        assert_eq!((finding.place.line, finding.place.seq), (Some(4), Some(3)));
    }
}
