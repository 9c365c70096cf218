//! What differs, as findings: ranges that follow each other and differ in the
//! same way are one.

use provenance_core::{
    encoding::{digest::Digest, file_uri, time::Timestamp},
    report::{Code, Finding, Location, Report},
};

use super::{chain_index::RecordedRange, directory_walk::At};

/// How a range differs.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Other bytes, with this digest.
    Changed(Digest),
    /// The file ends at this byte.
    Cut(u64),
    /// The compressed file cannot be decoded, and why.
    Damaged(String),
    /// It could not be read, and why; it may be as it was.
    Unread(String),
}

/// A run of ranges that differ.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    kind: Kind,
    bytes: (u64, u64),
    seq: (u64, u64),
    time: (Timestamp, Timestamp),
    ranges: u64,
    expected: Digest,
}

impl Difference {
    /// Of one range, from the byte `from` on.
    pub(super) fn new(kind: Kind, from: u64, at: At, piece: RecordedRange) -> Self {
        Self {
            kind,
            bytes: (from, piece.to),
            seq: (at.seq, at.seq),
            time: (at.since, at.time),
            ranges: 1,
            expected: piece.sha256,
        }
    }

    fn continues(&self, last: &Self) -> bool {
        last.bytes.1 == self.bytes.0
            && std::mem::discriminant(&self.kind) == std::mem::discriminant(&last.kind)
    }
}

/// The differences of one generation, told as they end.
#[derive(Debug)]
pub(super) struct Differences<'s> {
    src: &'s str,
    generation: u64,
    file: String,
    /// The chain says that the bytes are in this file. Otherwise it is a copy
    /// that happens to be there, and nobody said that it is whole.
    vouched: bool,
    pending: Option<Difference>,
}

impl<'s> Differences<'s> {
    pub(super) fn new(src: &'s str, generation: u64, path: &[u8], vouched: bool) -> Self {
        Self { src, generation, file: shown(path), vouched, pending: None }
    }

    /// Source and generation.
    pub(super) fn key(&self) -> (&'s str, u64) {
        (self.src, self.generation)
    }

    /// Takes a range's difference; `None` for one that is as recorded.
    pub(super) fn add(&mut self, difference: Option<Difference>, report: &mut Report) {
        let Some(next) = difference else { return self.flush(report) };
        match &mut self.pending {
            Some(last) if next.continues(last) => {
                (last.bytes.1, last.seq.1, last.time.1) = (next.bytes.1, next.seq.1, next.time.1);
                last.ranges += 1;
            }
            _ => {
                self.flush(report);
                self.pending = Some(next);
            }
        }
    }

    /// Tells what is pending.
    pub(super) fn flush(&mut self, report: &mut Report) {
        let Some(Difference { kind, bytes, seq, time, ranges, expected }) = self.pending.take()
        else {
            return;
        };
        let (from, to) = bytes;
        let place = Location {
            file: Some(self.file.clone()),
            seq: Some(seq.0),
            to_seq: (seq.1 > seq.0).then_some(seq.1),
            bytes: Some(bytes),
            time: Some(time),
            ..Location::default().source(self.src, self.generation)
        };
        let (code, message) = match &kind {
            Kind::Changed(_) if ranges == 1 => {
                (Code::LogModified, format!("bytes {from} to {to} are not those recorded"))
            }
            Kind::Changed(_) => (
                Code::LogModified,
                format!("bytes {from} to {to} are not those recorded, in {ranges} ranges"),
            ),
            Kind::Cut(size) if self.vouched => (
                Code::LogModified,
                format!("bytes {from} to {to} are missing: the content ends at byte {size}"),
            ),
            Kind::Cut(size) => (
                Code::LogUnverifiable,
                format!("bytes {from} to {to} are gone: this copy ends at byte {size}"),
            ),
            Kind::Damaged(why) => (
                Code::LogModified,
                format!(
                    "bytes {from} to {to} cannot be compared: the compressed file is damaged {why}"
                ),
            ),
            Kind::Unread(why) => {
                let what = format!("bytes {from} to {to} of {}", self.file);
                report.not_checked_decisive(what, why.clone());
                return;
            }
        };
        let finding = Finding::new(code, place, message);
        report.add_finding(match kind {
            Kind::Changed(got) if ranges == 1 => finding.values(expected, got),
            _ => finding,
        });
    }
}

/// A path as a finding shows it: odd bytes are percent-encoded, as in `src`.
pub(super) fn shown(path: &[u8]) -> String {
    file_uri::encode(path).split_off(file_uri::SCHEME.len())
}
