//! What a verification says: a verdict, what was checked, what was not and
//! why, and findings with a stable code and a place (docs/format.md §9).

mod block;
pub mod codes;
mod severity;

pub use block::{Basis, BlockReference};

pub use severity::Severity;

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};

use crate::encoding::{digest::Digest, json::Value, time::Timestamp};
pub use codes::Code;

/// How many findings of one code a report keeps; the rest are counted.
pub const MAX_PER_CODE: usize = 100;

/// The answer of a verification.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// Everything asked for was checked and holds.
    Verified,
    /// Nothing is wrong as far as could be seen, but something that the
    /// answer rests on could not be checked.
    Inconclusive,
    /// Something is wrong.
    Failed,
}

impl Verdict {
    /// `verified`, `inconclusive` or `failed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Inconclusive => "inconclusive",
            Self::Failed => "failed",
        }
    }
}

/// Where a finding points, as closely as the evidence allows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Location {
    /// A file, relative to what was verified.
    pub file: Option<String>,
    /// A line of it, from 1.
    pub line: Option<u64>,
    /// The sequence number of a record.
    pub seq: Option<u64>,
    /// The last sequence number of a run of like findings.
    pub to_seq: Option<u64>,
    /// A log source.
    pub src: Option<String>,
    /// Its generation.
    pub generation: Option<u64>,
    /// A byte range `[from, to)` of that generation.
    pub bytes: Option<(u64, u64)>,
    /// Between which times.
    pub time: Option<(Timestamp, Timestamp)>,
    /// A bundle's id.
    pub bundle: Option<String>,
}

impl Location {
    /// A file.
    pub fn file(name: impl Into<String>) -> Self {
        Self { file: Some(name.into()), ..Self::default() }
    }

    /// A record by its sequence number.
    pub fn seq(seq: u64) -> Self {
        Self { seq: Some(seq), ..Self::default() }
    }

    /// This place with a line.
    pub fn line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    /// This place with a record.
    pub fn at_seq(mut self, seq: u64) -> Self {
        self.seq = Some(seq);
        self
    }

    /// This place with a log source and its generation.
    pub fn source(mut self, src: &str, generation: u64) -> Self {
        (self.src, self.generation) = (Some(src.into()), Some(generation));
        self
    }

    /// This place with a bundle.
    pub fn bundle(mut self, id: &str) -> Self {
        self.bundle = Some(id.into());
        self
    }

    /// As JSON.
    pub fn to_value(&self) -> Value {
        Value::object([])
            .with_some("file", self.file.as_deref())
            .with_some("line", self.line)
            .with_some("seq", self.seq)
            .with_some("to_seq", self.to_seq)
            .with_some("src", self.src.as_deref())
            .with_some("gen", self.generation)
            .with_some("from", self.bytes.map(|(from, _)| from))
            .with_some("to", self.bytes.map(|(_, to)| to))
            .with_some("after", self.time.map(|(after, _)| after))
            .with_some("before", self.time.map(|(_, before)| before))
            .with_some("bundle", self.bundle.as_deref())
    }
}

/// One thing found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What kind of thing.
    pub code: Code,
    /// What it does to the verdict.
    pub severity: Severity,
    /// Where.
    pub place: Location,
    /// In words.
    pub message: String,
    /// What should be there, where that can be said.
    pub expected: Option<String>,
    /// What is there.
    pub got: Option<String>,
}

impl Finding {
    /// A finding of its code's usual severity.
    pub fn new(code: Code, place: Location, message: impl Into<String>) -> Self {
        let severity = code.severity();
        Self { code, severity, place, message: message.into(), expected: None, got: None }
    }

    /// This finding with what was expected and what was found.
    pub fn values(mut self, expected: impl ToString, got: impl ToString) -> Self {
        (self.expected, self.got) = (Some(expected.to_string()), Some(got.to_string()));
        self
    }

    /// This finding with another severity.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// As JSON.
    pub fn to_value(&self) -> Value {
        Value::object([
            ("code", self.code.as_str().into()),
            ("severity", self.severity.as_str().into()),
            ("where", self.place.to_value()),
            ("message", self.message.as_str().into()),
        ])
        .with_some("expected", self.expected.as_deref())
        .with_some("got", self.got.as_deref())
    }
}

/// The last record that a verification reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Its sequence number.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
    /// Its time.
    pub time: Timestamp,
}

impl Head {
    /// As JSON.
    pub fn to_value(&self) -> Value {
        Value::object([
            ("seq", self.seq.into()),
            ("hash", self.hash.into()),
            ("time", self.time.into()),
        ])
    }
}

/// Something that was not checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotChecked {
    /// What.
    pub what: String,
    /// Why, and what would be needed.
    pub why: String,
    /// Whether the answer rests on it, so that it can't be `verified`.
    pub decisive: bool,
}

/// A verification's result, growing while it runs. Memory is bounded: of each
/// code the first [`MAX_PER_CODE`] findings are kept, and all are counted.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order of their first count.
    checked: Vec<(&'static str, u64)>,
    not_checked: Vec<NotChecked>,
    findings: Vec<Finding>,
    counts: BTreeMap<Code, u64>,
    anchors: Vec<BlockReference>,
    worst: Option<Severity>,
    /// The chain's last record.
    pub head: Option<Head>,
    /// The last record that a trusted signature covers.
    pub signed_to: Option<Head>,
}

impl Report {
    /// A report that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts things that were checked.
    pub fn checked(&mut self, what: &'static str, count: u64) {
        match self.checked.iter_mut().find(|(known, _)| *known == what) {
            Some((_, sum)) => *sum += count,
            None => self.checked.push((what, count)),
        }
    }

    /// How many of `what` were checked.
    pub fn count_checked(&self, what: &str) -> u64 {
        self.checked.iter().find(|(known, _)| *known == what).map_or(0, |(_, sum)| *sum)
    }

    /// Says that something the answer rests on was not checked.
    pub fn not_checked_decisive(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.push_gap(what.into(), why.into(), true);
    }

    /// Says that something was not checked which the answer does not rest on.
    pub fn not_checked(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.push_gap(what.into(), why.into(), false);
    }

    /// Adds a finding; one that continues a run of like findings on
    /// successive records extends that run instead.
    pub fn add_finding(&mut self, finding: Finding) {
        *self.counts.entry(finding.code).or_default() += 1;
        self.worst = self.worst.max(Some(finding.severity));
        let same = self.findings.iter_mut().rev().take(4).find(|last| continues(last, &finding));
        if let Some(last) = same {
            last.place.to_seq = finding.place.seq;
            if let (Some((after, _)), Some((_, before))) = (last.place.time, finding.place.time) {
                last.place.time = Some((after, before));
            }
        } else if self.kept(finding.code) < MAX_PER_CODE {
            self.findings.push(finding);
        }
    }

    /// Names a block that vouches for something; of many the newest stay.
    pub fn anchor(&mut self, seen: BlockReference) {
        if self.anchors.len() == MAX_PER_CODE {
            self.anchors.remove(0);
        }
        self.anchors.push(seen);
    }

    /// The blocks that vouch for something.
    pub fn anchors(&self) -> &[BlockReference] {
        &self.anchors
    }

    /// Takes over what another report says (but not its head).
    pub fn absorb(&mut self, other: Self) {
        for (what, count) in other.checked {
            self.checked(what, count);
        }
        for note in other.not_checked {
            self.push_gap(note.what, note.why, note.decisive);
        }
        for (code, count) in other.counts {
            *self.counts.entry(code).or_default() += count;
        }
        for finding in other.findings {
            self.worst = self.worst.max(Some(finding.severity));
            if self.kept(finding.code) < MAX_PER_CODE {
                self.findings.push(finding);
            }
        }
        other.anchors.into_iter().for_each(|seen| self.anchor(seen));
        self.worst = self.worst.max(other.worst);
    }

    /// The same report without remarks on records, which for a copy of a part
    /// of the chain are in the whole's report already. Errors stay.
    pub fn without_remarks_on_records(mut self) -> Self {
        let on_records = |code: Code| {
            ["chain.", "clock.", "log."].iter().any(|prefix| code.as_str().starts_with(prefix))
        };
        self.findings.retain(|f| f.severity == Severity::Error || !on_records(f.code));
        self.counts.retain(|code, _| self.findings.iter().any(|finding| finding.code == *code));
        self.checked
            .retain(|(what, _)| !matches!(*what, "records" | "log entries" | "clock verdicts"));
        self
    }

    /// The same report, its places inside the folder `name` of the bundle `id`.
    pub fn within(mut self, name: &str, id: &str) -> Self {
        let findings = self.findings.iter_mut().map(|finding| &mut finding.place);
        for place in findings.chain(self.anchors.iter_mut().map(|seen| &mut seen.place)) {
            place.file = Some(match place.file.take() {
                Some(file) => alloc::format!("{name}/{file}"),
                None => name.into(),
            });
            place.bundle = Some(id.into());
        }
        self
    }

    /// The findings kept.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How many findings there were of each code, kept or not.
    pub fn counts(&self) -> impl Iterator<Item = (Code, u64)> {
        self.counts.iter().map(|(code, count)| (*code, *count))
    }

    /// What was checked, and how many of each, by name.
    pub fn checks(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let mut checked = self.checked.clone();
        checked.sort_unstable();
        checked.into_iter()
    }

    /// What was not checked.
    pub fn gaps(&self) -> &[NotChecked] {
        &self.not_checked
    }

    /// The verdict, from the findings and from what was not checked.
    pub fn verdict(&self) -> Verdict {
        if self.worst == Some(Severity::Error) {
            Verdict::Failed
        } else if self.not_checked.iter().any(|note| note.decisive) {
            Verdict::Inconclusive
        } else {
            Verdict::Verified
        }
    }

    /// As the JSON of docs/json-output.md.
    pub fn to_value(&self) -> Value {
        let checked = self.checked.iter().map(|(what, count)| (*what, (*count).into()));
        let not_checked = self.not_checked.iter().map(|note| {
            Value::object([
                ("what", note.what.as_str().into()),
                ("why", note.why.as_str().into()),
                ("decisive", note.decisive.into()),
            ])
        });
        let counts = self.counts.iter().map(|(code, count)| (code.as_str(), (*count).into()));
        let anchors: Vec<Value> = self.anchors.iter().map(BlockReference::to_value).collect();
        Value::object([
            ("verdict", self.verdict().as_str().into()),
            ("checked", Value::object(checked)),
            ("not_checked", Value::Array(not_checked.collect())),
            ("findings", Value::Array(self.findings.iter().map(Finding::to_value).collect())),
            ("finding_counts", Value::object(counts)),
        ])
        .with_some("anchors", (!anchors.is_empty()).then_some(anchors))
        .with_some("head", self.head.map(|head| head.to_value()))
        .with_some("signed_to", self.signed_to.map(|head| head.to_value()))
    }

    fn push_gap(&mut self, what: String, why: String, decisive: bool) {
        let note = NotChecked { what, why, decisive };
        if !self.not_checked.contains(&note) && self.not_checked.len() < MAX_PER_CODE {
            self.not_checked.push(note);
        }
    }

    fn kept(&self, code: Code) -> usize {
        // A run of one code is usually at the end; the list is short.
        self.findings.iter().filter(|finding| finding.code == code).count()
    }
}

/// Between two ticks there may be other records, such as a checkpoint: what
/// is said of the clock goes on over these.
const OTHER_RECORDS: u64 = 8;

fn continues(last: &Finding, next: &Finding) -> bool {
    let end = last.place.to_seq.or(last.place.seq);
    let reach = if next.code.as_str().starts_with("clock.") { OTHER_RECORDS } else { 1 };
    last.code == next.code
        && last.message == next.message
        && last.severity == next.severity
        && last.place.src == next.place.src
        && last.place.file == next.place.file
        && end.zip(next.place.seq).is_some_and(|(end, seq)| seq > end && seq - end <= reach)
}

#[cfg(test)]
mod tests;
