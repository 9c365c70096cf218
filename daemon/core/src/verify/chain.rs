//! The log chain, record by record (docs/format.md §2, steps 2.1 to 2.10).

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
};

use super::log_sources::Sources;
use crate::{
    encoding::{
        digest::{Digest, LineHasher},
        time::{Day, Timestamp, human_span},
    },
    record::{
        Record, RecordError,
        chain::{Body, Session, Tick},
        time_attestation::{ClockVerdict, Rule, step_between},
    },
    report::{Code, Finding, Head, Location, Report, Severity},
};

/// The threshold for a step where no tick has stated its own yet.
const DEFAULT_RULE: Rule = Rule { alarm_ns: 100_000_000, min_agreeing: 0 };

/// A record that was read, whatever was found about it.
#[derive(Debug)]
pub struct VerifiedRecord<'a> {
    /// Its place, hash and time.
    pub head: Head,
    /// What it holds.
    pub body: Body<'a>,
}

/// What a chain file turned out to be, to be held against its `segment`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileSummary {
    /// Its name, as given.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Digest of all its bytes, where it was asked for.
    pub sha256: Option<Digest>,
    /// How many lines.
    pub count: u64,
    /// The first record.
    pub first: Option<Head>,
    /// The last record.
    pub last: Option<Head>,
}

/// Verifies records in their order. Memory grows with the number of watched
/// sources, not with the number of records.
#[derive(Debug)]
pub struct ChainVerifier {
    /// The first record was not record 0: what came before is not known.
    partial: bool,
    file: File,
    last_file: Option<(String, u64)>,
    last: Option<Head>,
    /// The chain's id, client and host, from record 0.
    identity: Option<(String, String, String)>,
    interval_s: Option<u64>,
    running: bool,
    more: bool,
    moment: Option<Moment>,
    rule: Rule,
    sources: Sources,
    digests: bool,
    /// The longest time without a record that the policy accepts.
    max_gap_s: Option<u64>,
}

#[derive(Debug, Default)]
struct File {
    name: String,
    day: Option<Day>,
    line: u64,
    bytes: u64,
    hasher: Option<LineHasher>,
    first: Option<Head>,
}

/// When a record with both clocks was written.
#[derive(Clone, Debug)]
struct Moment {
    boot: String,
    time: Timestamp,
    up_ms: u64,
    /// Whether an orderly `stop` explains what follows.
    stopped: bool,
}

impl ChainVerifier {
    /// A verifier of a chain from its record 0, or (`partial`) of a part of
    /// one. With `digests`, each file's own digest is computed too.
    pub fn new(partial: bool, digests: bool) -> Self {
        Self {
            partial,
            file: File::default(),
            last_file: None,
            last: None,
            identity: None,
            interval_s: None,
            running: partial,
            more: false,
            moment: None,
            rule: DEFAULT_RULE,
            sources: Sources::new(partial),
            digests,
            max_gap_s: None,
        }
    }

    /// A longer time than this between two records, explained or not, is a
    /// finding of its own.
    pub fn with_max_gap(mut self, seconds: Option<u64>) -> Self {
        self.max_gap_s = seconds;
        self
    }

    /// The next chain file; `day` is what its name says.
    pub fn begin_file(&mut self, name: &str, day: Option<Day>) {
        if !self.file.name.is_empty() {
            self.last_file = Some((core::mem::take(&mut self.file.name), self.file.line));
        }
        let hasher = self.digests.then(LineHasher::new);
        self.file = File { name: name.to_owned(), day, hasher, ..File::default() };
    }

    /// The next line, without its LF.
    pub fn line<'a>(&mut self, line: &'a [u8], report: &mut Report) -> Option<VerifiedRecord<'a>> {
        self.file.line += 1;
        self.file.bytes += line.len() as u64 + 1;
        let hash = match &mut self.file.hasher {
            Some(hasher) => hasher.line(line),
            None => Digest::sha256(line),
        };
        report.checked("records", 1);
        let read = Record::parse(line).and_then(|record| match Body::read(&record) {
            Ok(body) => Ok((record, body)),
            Err(error) if Record::is_canonical(line) => Err(RecordError::Malformed(error)),
            Err(error) => Err(RecordError::NonCanonical(error)),
        });
        let (record, body) = match read {
            Ok(read) => read,
            Err(error) => {
                self.unreadable(&error, hash, report);
                return None;
            }
        };
        let head = Head { seq: record.seq, hash, time: record.time };
        self.link(&record, report);
        self.calendar(&record, report);
        self.content(&head, &body, report);
        self.file.first.get_or_insert(head);
        self.last = Some(head);
        Some(VerifiedRecord { head, body })
    }

    /// Bytes behind the last LF of the file at hand.
    pub fn torn(&mut self, bytes: u64, report: &mut Report) {
        self.file.bytes += bytes;
        let message = format!("{bytes} bytes behind the last line: an append that never finished");
        let place = Location::file(&self.file.name).line(self.file.line + 1);
        report.add_finding(Finding::new(Code::ChainTorn, place, message));
    }

    /// How many bytes the lines of the file at hand have.
    pub fn bytes(&self) -> u64 {
        self.file.bytes
    }

    /// What the file at hand was.
    pub fn end_file(&mut self) -> FileSummary {
        FileSummary {
            name: self.file.name.clone(),
            bytes: self.file.bytes,
            sha256: self.file.hasher.take().map(LineHasher::finish),
            count: self.file.line,
            first: self.file.first,
            last: self.last.filter(|_| self.file.first.is_some()),
        }
    }

    /// The last record read.
    pub fn head(&self) -> Option<Head> {
        self.last
    }

    /// The chain's id, client and host, where record 0 was read.
    pub fn identity(&self) -> Option<(&str, &str, &str)> {
        self.identity.as_ref().map(|(chain, client, host)| (&**chain, &**client, &**host))
    }

    /// The interval between ticks in force at the last record, in seconds.
    pub fn interval_s(&self) -> Option<u64> {
        self.interval_s
    }

    /// Says what can only be said at the end.
    pub fn finish(&mut self, report: &mut Report) {
        report.head = self.last;
        if self.more {
            // A crash between the two, or a daemon at work, looks alike; what
            // was cut off behind a head is shown by the registry.
            let message = "the last tick says that more of it follows, and nothing does";
            let finding = Finding::new(Code::ChainTruncated, self.here(), message);
            report.add_finding(finding.severity(Severity::Warning));
        }
        if self.last.is_none() {
            report.not_checked_decisive("the chain", "there is no record in it");
        }
    }

    fn here(&self) -> Location {
        Location::file(&self.file.name).line(self.file.line)
    }

    fn before(&self) -> Location {
        match &self.last_file {
            Some((name, line)) if self.file.line == 1 => Location::file(name).line(*line),
            _ => Location::file(&self.file.name).line(self.file.line.saturating_sub(1)),
        }
    }

    fn unreadable(&mut self, error: &RecordError, hash: Digest, report: &mut Report) {
        let code = match error {
            RecordError::NonCanonical(_) => Code::RecordNoncanonical,
            _ => Code::RecordMalformed,
        };
        let seq = self.last.map(|last| last.seq.saturating_add(1));
        let place = Location { seq, ..self.here() };
        report.add_finding(Finding::new(code, place, error.to_string()));
        // Stands in for the record, so that the next one is held against it.
        let time = self.last.map_or_else(Timestamp::default, |last| last.time);
        self.last = Some(Head { seq: seq.unwrap_or_default(), hash, time });
        self.more = false;
    }

    /// Steps 2.2 and 2.3: the successor of the record before it.
    fn link(&mut self, record: &Record<'_>, report: &mut Report) {
        let Some(last) = self.last else {
            if !self.partial && (record.seq != 0 || record.prev != Digest::ZERO) {
                let message = "the chain does not begin with record 0";
                let place = self.here().at_seq(record.seq);
                report.add_finding(
                    Finding::new(Code::ChainGenesis, place, message).values(0, record.seq),
                );
            }
            return;
        };
        if record.seq != last.seq.saturating_add(1) {
            let message = "records are missing, repeated or out of order here";
            let finding = Finding::new(Code::ChainSeq, self.here().at_seq(record.seq), message);
            report.add_finding(finding.values(last.seq.saturating_add(1), record.seq));
        }
        if record.prev != last.hash {
            let message = "this record is not the one that its successor was chained to: \
                           it was changed, or records around it were removed or added";
            let place = self.before().at_seq(last.seq);
            let finding = Finding::new(Code::ChainBroken, place, message);
            report.add_finding(finding.values(record.prev, last.hash));
        }
    }

    /// Step 2.4: times and the day's file.
    fn calendar(&mut self, record: &Record<'_>, report: &mut Report) {
        let last = self.last.map_or(record.time, |last| last.time);
        let back = last.since(record.time);
        if back > 0 {
            let message = format!("the time is {} before the record before it", human_span(back));
            let place = self.here().at_seq(record.seq);
            report.add_finding(Finding::new(Code::ChainTimeBackwards, place, message));
        }
        // Where the clock went back over midnight, the later file goes on.
        if let Some(day) = self.file.day
            && (record.time.day() > day
                || record.time.day() < day && back <= 0 && self.file.line == 1)
        {
            let message = "a record stands in the file of another day";
            let finding = Finding::new(Code::ChainFile, self.here().at_seq(record.seq), message);
            report.add_finding(finding.values(day, record.time.day()));
        }
    }

    fn content(&mut self, head: &Head, body: &Body<'_>, report: &mut Report) {
        if (head.seq == 0) != matches!(body, Body::Genesis(_)) {
            let message = "record 0, and no other, is of kind genesis";
            let place = self.here().at_seq(head.seq);
            report.add_finding(Finding::new(Code::ChainGenesis, place, message));
        }
        // A crash may come between the two; the ranges then go on in later ticks.
        let goes_on = matches!(body, Body::Tick(_) | Body::Recovered(_) | Body::Start(_));
        if self.more && !goes_on {
            let message = "the tick before says that more of it follows, and this is no tick";
            let place = self.here().at_seq(head.seq);
            report.add_finding(Finding::new(Code::RecordMalformed, place, message));
        }
        self.more = false;
        match body {
            Body::Genesis(genesis) => {
                self.interval_s = Some(genesis.interval_s);
                let text = |text: &str| text.to_owned();
                self.identity =
                    Some((text(&genesis.chain), text(&genesis.client), text(&genesis.host)));
            }
            Body::Start(session) => self.session(head, session, true, report),
            Body::Stop(session) => self.session(head, session, false, report),
            Body::Tick(tick) => self.tick(head, tick, report),
            Body::Config { interval_s, .. } => self.interval_s = Some(*interval_s),
            Body::Recovered(_) | Body::Checkpoint { .. } => {}
            Body::Unknown => {
                let why = "this version does not know that kind of record; use a newer provctl";
                report.not_checked_decisive(format!("the contents of record {}", head.seq), why);
            }
        }
    }

    fn session(&mut self, head: &Head, session: &Session<'_>, start: bool, report: &mut Report) {
        let step = self.step(head.time, &session.boot, session.up_ms);
        if let Some(step) = step {
            report.add_finding(stepped(self.here().at_seq(head.seq), step));
        }
        if start {
            self.gap(head, &session.boot, session.up_ms, report);
        } else if !self.running {
            let message = "a stop without a start before it";
            report.add_finding(Finding::new(
                Code::RecordMalformed,
                self.here().at_seq(head.seq),
                message,
            ));
        }
        self.running = start;
        self.note(head.time, &session.boot, session.up_ms, !start);
    }

    fn tick(&mut self, head: &Head, tick: &Tick<'_>, report: &mut Report) {
        if !self.running {
            let message = "a tick without a start before it";
            let place = self.here().at_seq(head.seq);
            report.add_finding(Finding::new(Code::RecordMalformed, place, message));
            self.running = true;
        }
        self.gap(head, &tick.boot, tick.up_ms, report);
        self.rule = tick.clock.rule;
        let step = self.step(head.time, &tick.boot, tick.up_ms);
        self.attestation(head, tick, step, report);
        report.checked("log entries", tick.logs.len() as u64);
        for entry in &tick.logs {
            let time = (self.moment.as_ref().map_or(head.time, |moment| moment.time), head.time);
            self.sources.entry(entry, |mut finding| {
                let (file, line) = (self.file.name.clone(), self.file.line);
                (finding.place.file, finding.place.line) = (Some(file), Some(line));
                (finding.place.seq, finding.place.time) = (Some(head.seq), Some(time));
                report.add_finding(finding);
            });
        }
        self.more = tick.more;
        self.note(head.time, &tick.boot, tick.up_ms, false);
    }

    /// Step 2.6: the clock's verdict follows from its sources.
    fn attestation(&self, head: &Head, tick: &Tick<'_>, step: Option<i64>, report: &mut Report) {
        let place = || self.here().at_seq(head.seq);
        let clock = &tick.clock;
        report.checked("clock verdicts", 1);
        if self.moment.is_some() && clock.step_ns != step {
            let text = |step: Option<i64>| step.map_or("no step".into(), human_span);
            let message = "the recorded step of the clock does not follow from the records";
            let finding = Finding::new(Code::ClockVerdict, place(), message);
            report.add_finding(finding.values(text(step), text(clock.step_ns)));
        }
        if let Err(again) = clock.recheck(head.time) {
            let message = "the recorded clock verdict does not follow from its sources";
            let text = |value: &crate::record::time_attestation::Attestation<'_>| {
                String::from_utf8_lossy(&value.to_value().encode()).into_owned()
            };
            let finding = Finding::new(Code::ClockVerdict, place(), message);
            report.add_finding(finding.values(text(&again), text(clock)));
        }
        if let Some(step) = clock.step_ns {
            report.add_finding(stepped(place(), step));
        }
        let (code, message) = match clock.verdict {
            ClockVerdict::Agreed | ClockVerdict::Degraded => return,
            ClockVerdict::Anomalous if clock.step_ns.is_some() => return,
            ClockVerdict::Disputed => {
                let liars = clock.falsetickers().collect::<alloc::vec::Vec<_>>().join(", ");
                (Code::ClockDisputed, format!("time sources disagree: {liars}"))
            }
            ClockVerdict::Anomalous => {
                let message = "the sources agree that the clock is off by more than the threshold";
                (Code::ClockAnomalous, message.into())
            }
            ClockVerdict::Unsynchronised => {
                (Code::ClockUnsynchronised, "no time source vouched for the clock".into())
            }
        };
        let mut place = place();
        place.time = Some((head.time, head.time));
        report.add_finding(Finding::new(code, place, message));
    }

    /// Step 2.5: no tick for over two intervals, and no `stop`.
    fn gap(&self, head: &Head, boot: &str, up_ms: u64, report: &mut Report) {
        let (Some(moment), Some(interval)) = (&self.moment, self.interval_s) else { return };
        let by_clock = head.time.since(moment.time) / 1_000_000;
        let by_boottime = up_ms.checked_sub(moment.up_ms).and_then(|ms| i64::try_from(ms).ok());
        // Within one boot CLOCK_BOOTTIME counts, also through a suspend, and
        // cannot be set; across boots there is only the system clock.
        let ms = if moment.boot == boot { by_boottime.unwrap_or(by_clock) } else { by_clock };
        let span = || human_span(ms.saturating_mul(1_000_000));
        if let Some(max) =
            self.max_gap_s.filter(|max| ms / 1_000 > i64::try_from(*max).unwrap_or(i64::MAX))
        {
            let message =
                format!("nothing was recorded for {}; the policy accepts {max} s", span());
            let mut place = self.here().at_seq(head.seq);
            place.time = Some((moment.time, head.time));
            report.add_finding(Finding::new(Code::PolicyCadence, place, message));
        }
        let limit = i64::try_from(interval.saturating_mul(2_000)).unwrap_or(i64::MAX);
        if moment.stopped || ms <= limit {
            return;
        }
        let mut place = self.here().at_seq(head.seq);
        place.time = Some((moment.time, head.time));
        let message = format!("nothing was recorded for {}, and no stop explains it", span());
        report.add_finding(Finding::new(Code::ChainGap, place, message));
    }

    fn step(&self, time: Timestamp, boot: &str, up_ms: u64) -> Option<i64> {
        let moment = self.moment.as_ref().filter(|moment| moment.boot == boot)?;
        step_between(moment.time, moment.up_ms, time, up_ms, self.rule)
    }

    fn note(&mut self, time: Timestamp, boot: &str, up_ms: u64, stopped: bool) {
        match &mut self.moment {
            // The boot id seldom changes: keep its allocation.
            Some(moment) if moment.boot == boot => {
                (moment.time, moment.up_ms, moment.stopped) = (time, up_ms, stopped);
            }
            _ => self.moment = Some(Moment { boot: boot.to_owned(), time, up_ms, stopped }),
        }
    }
}

fn stepped(place: Location, step: i64) -> Finding {
    let message = format!("the system clock jumped by {}", human_span(step));
    Finding::new(Code::ClockStepped, place, message)
}

#[cfg(test)]
mod tests;
