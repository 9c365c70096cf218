//! The first pass: what the chain says of every generation of every source,
//! and where its bytes were at last.

use std::{collections::BTreeMap, io};

use provenance_core::{
    encoding::{digest::Digest, file_uri, time::Timestamp},
    record::log_entry::{Event, LogEntry, What},
};
use provenance_host::chain_files::ChainFile;

use super::{
    Options,
    directory_walk::{At, Line, Start, walk},
};

/// A witness is read once more than other ranges, and so it is short.
const MAX_WITNESS: u64 = 1 << 20;

/// A recorded range of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RecordedRange {
    pub from: u64,
    pub to: u64,
    pub sha256: Digest,
}

/// Where the chain says that the bytes of a generation are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum RecordedLocation {
    /// In the file of the source's name.
    Name,
    At(Vec<u8>),
    /// Nowhere, or it does not say where.
    Gone,
}

/// What is to be read again of a generation.
#[derive(Clone, Copy, Debug)]
pub(super) struct SoughtRange {
    /// The record of the first range.
    pub start: Start,
    /// The record of the last.
    pub end: Line,
    /// From the first range's beginning to the last one's end.
    pub bytes: (u64, u64),
    /// The last record's number.
    pub seq: u64,
    /// From the tick before the first record to the last.
    pub time: (Timestamp, Timestamp),
    /// How many ranges.
    pub ranges: u64,
}

/// One generation of a file.
#[derive(Clone, Debug)]
pub(super) struct Generation {
    pub number: u64,
    /// The inode that it had when it appeared.
    pub ino: Option<u64>,
    /// The end of all that is recorded.
    pub to: u64,
    /// The first range, 4096 bytes or less: with it a file is told.
    pub head: Option<RecordedRange>,
    /// The last range that is not long: with it one of several files is told
    /// that begin alike.
    pub witness: Option<RecordedRange>,
    pub place: RecordedLocation,
    /// `None` where no range lies in the span asked for.
    pub wanted: Option<SoughtRange>,
}

/// What the chain says.
#[derive(Debug, Default)]
pub(super) struct ChainIndex {
    /// The files' generations, by source, sorted by number.
    pub files: BTreeMap<String, Vec<Generation>>,
    /// The journals' last generations, and how many ranges of each source lie
    /// in the span.
    pub journals: BTreeMap<String, Journal>,
    /// The machine that the chain is of.
    pub machine: Option<String>,
    /// The last line seen: the second pass goes no further.
    pub end: Line,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Journal {
    /// The generation that has not ended.
    pub current: Option<u64>,
    pub ranges: u64,
}

impl ChainIndex {
    /// Reads the chain.
    ///
    /// # Errors
    /// As reading its files.
    pub(super) fn take(files: &[ChainFile], options: &Options<'_>) -> io::Result<Self> {
        let mut survey = Self::default();
        let mut machine = None;
        let genesis = |id: &str| machine = Some(id.to_owned());
        let end = walk(files, Start::default(), None, genesis, |at, tick| {
            for entry in &tick.logs {
                survey.entry(at, entry, options.wants(at.time));
            }
        })?;
        (survey.machine, survey.end) = (machine, end);
        Ok(survey)
    }

    fn entry(&mut self, at: At, entry: &LogEntry<'_>, wanted: bool) {
        if !entry.src.starts_with(file_uri::SCHEME) {
            return self.journal(entry, wanted);
        }
        if !self.files.contains_key(entry.src.as_ref()) {
            self.files.insert(entry.src.clone().into_owned(), Vec::new());
        }
        let Some(generations) = self.files.get_mut(entry.src.as_ref()) else { return };
        let index = match generations.binary_search_by_key(&entry.generation, |one| one.number) {
            Ok(index) => index,
            Err(index) => {
                generations.insert(index, Generation::new(entry.generation));
                index
            }
        };
        let Some(one) = generations.get_mut(index) else { return };
        match &entry.what {
            What::Range { from, to, sha256 } => {
                one.extend(RecordedRange { from: *from, to: *to, sha256: *sha256 });
                if wanted {
                    one.want(at, *from, *to);
                }
            }
            What::Event(event) => one.happened(event),
            What::Journal { .. } => {}
        }
    }

    fn journal(&mut self, entry: &LogEntry<'_>, wanted: bool) {
        let journal = self.journals.entry(entry.src.clone().into_owned()).or_default();
        match &entry.what {
            What::Journal { .. } => {
                journal.current = Some(entry.generation);
                journal.ranges += u64::from(wanted);
            }
            What::Event(Event::Appeared { .. }) => journal.current = Some(entry.generation),
            What::Event(Event::Replaced) => journal.current = None,
            What::Event(_) | What::Range { .. } => {}
        }
    }
}

impl Generation {
    fn new(number: u64) -> Self {
        Self {
            number,
            ino: None,
            to: 0,
            head: None,
            witness: None,
            place: RecordedLocation::Name,
            wanted: None,
        }
    }

    /// Where the chain says that the file is.
    pub(super) fn path<'a>(&'a self, src: &'a [u8]) -> Option<&'a [u8]> {
        match &self.place {
            RecordedLocation::Name => Some(src),
            RecordedLocation::At(path) => Some(path),
            RecordedLocation::Gone => None,
        }
    }

    fn extend(&mut self, piece: RecordedRange) {
        if self.head.is_none() {
            self.head = Some(piece);
        } else if piece.to - piece.from <= MAX_WITNESS {
            self.witness = Some(piece);
        }
        self.to = self.to.max(piece.to);
    }

    fn want(&mut self, at: At, from: u64, to: u64) {
        let wanted = self.wanted.get_or_insert(SoughtRange {
            start: Start { line: at.line, before: Some(at.since) },
            end: at.line,
            bytes: (from, to),
            seq: at.seq,
            time: (at.since, at.time),
            ranges: 0,
        });
        wanted.end = at.line;
        wanted.bytes = (wanted.bytes.0.min(from), wanted.bytes.1.max(to));
        wanted.seq = at.seq;
        wanted.time.1 = at.time;
        wanted.ranges += 1;
    }

    fn happened(&mut self, event: &Event<'_>) {
        match event {
            Event::Appeared { id } => {
                let ino = id.as_deref().and_then(|id| id.split_once(':'));
                self.ino = ino.and_then(|(_, ino)| u64::from_str_radix(ino, 16).ok());
            }
            Event::Rotated { location } => {
                self.place = match location.as_deref().and_then(file_uri::decode) {
                    Some(location) => RecordedLocation::At(location),
                    None => RecordedLocation::Gone,
                };
            }
            Event::Truncated { .. } | Event::Replaced | Event::Vanished => {
                self.place = RecordedLocation::Gone;
            }
            Event::Unreadable { .. } | Event::Lost { .. } | Event::Late { .. } => {}
        }
    }
}
