//! What is known of each source: its generations and where their bytes are.
//! All of it follows from the entries of the chain ([`State::replay`]).

use std::collections::BTreeMap;

use provenance_core::{
    encoding::{digest::Digest, file_uri},
    record::log_entry::{Event, LogEntry, What},
};
use provenance_host::decompress::Packing;

use crate::file_id::{FileId, FileStat};

/// A digested range of a generation's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Range {
    pub from: u64,
    pub to: u64,
    pub sha256: Digest,
}

/// Where the bytes of a generation are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum GenerationPlace {
    /// In the file of the source's name: the generation that still grows.
    Name,
    /// In another file, compressed or not.
    At(Vec<u8>),
    /// In a file that is yet to be found, or is still being compressed.
    Unknown,
    /// Nowhere, unless the next entry says otherwise.
    Lost,
}

/// One generation of a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Generation {
    pub number: u64,
    /// The file that holds the bytes, or last held them.
    pub id: FileId,
    pub to: u64,
    /// The first range: it ends at 4096 or before and tells the file again.
    pub head: Option<Range>,
    /// The last range: with the head it tells a compressed form or a copy.
    pub last: Option<Range>,
    pub place: GenerationPlace,
    /// The file when it was last looked at; unknown after [`State::replay`].
    pub seen: Option<FileStat>,
    /// The last bytes that were read, to know them again; unknown after a
    /// start.
    pub edge: Vec<u8>,
    /// Nothing was left to read then.
    pub settled: bool,
    /// The file at `place` is the compressed form.
    pub packed: bool,
    /// That it cannot be read has been said.
    pub unreadable: bool,
    /// For how many surveys the generation has been waited for.
    pub waits: u8,
}

impl Generation {
    pub(super) fn new(number: u64, id: FileId) -> Self {
        Self {
            number,
            id,
            to: 0,
            head: None,
            last: None,
            place: GenerationPlace::Name,
            seen: None,
            edge: Vec::new(),
            settled: false,
            packed: false,
            unreadable: false,
            waits: 0,
        }
    }

    /// The path of the file that holds the bytes, as far as it is known.
    pub(super) fn path<'a>(&'a self, src: &'a [u8]) -> Option<&'a [u8]> {
        match &self.place {
            GenerationPlace::Name => Some(src),
            GenerationPlace::At(path) => Some(path),
            GenerationPlace::Unknown | GenerationPlace::Lost => None,
        }
    }

    /// When its file was born, where that is known.
    pub(super) fn born(&self) -> Option<i64> {
        self.seen.and_then(|seen| seen.btime)
    }

    /// After a start, the chain has said where the bytes are, but not whether
    /// that file is the generation's own or a compressed form, which may even
    /// have the inode that the generation's own file had.
    pub(super) fn may_be_packed(&self) -> bool {
        let packed = |path: &[u8]| Packing::of(path) != Packing::Plain;
        self.seen.is_none() && matches!(&self.place, GenerationPlace::At(path) if packed(path))
    }

    /// Takes note of a range that was recorded.
    pub(super) fn extend(&mut self, range: Range) {
        if range.from == 0 {
            self.head = Some(range);
        }
        self.to = range.to;
        self.last = Some(range);
    }

    /// Whether a file of this stat can be the generation's. `moved_device`:
    /// device numbers may have changed since; the head is then asked too.
    pub(super) fn may_be(&self, stat: &FileStat, moved_device: bool) -> bool {
        let born = self.born().zip(stat.btime);
        stat.id.ino == self.id.ino
            && (stat.id.dev == self.id.dev || moved_device && self.head.is_some())
            && born.is_none_or(|(then, now)| then == now)
    }
}

/// A source: all generations whose bytes still are somewhere.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Source {
    /// The number of the next generation.
    pub next: u64,
    pub generations: Vec<Generation>,
}

impl Source {
    pub(super) fn has_live(&self) -> bool {
        self.generations.iter().any(|one| one.place == GenerationPlace::Name)
    }

    fn get(&mut self, number: u64) -> Option<&mut Generation> {
        self.generations.iter_mut().find(|one| one.number == number)
    }
}

/// All sources, by path.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct State {
    pub sources: BTreeMap<Vec<u8>, Source>,
    /// The next generation of sources that are gone, by the first 8 bytes of
    /// their path's SHA-256, so that no number is ever given twice. This is
    /// all that stays of a source: some 20 bytes for each name ever watched,
    /// 400 KiB for ten new names a day over five years. Two names that meet
    /// in their 8 bytes only begin at a higher number than they need to.
    pub retired: BTreeMap<u64, u64>,
}

impl State {
    /// The source of this path, new or known.
    pub(super) fn source(&mut self, path: &[u8]) -> &mut Source {
        let retired = &mut self.retired;
        self.sources.entry(path.to_vec()).or_insert_with(|| Source {
            next: retired.remove(&retired_key(path)).unwrap_or_default(),
            generations: Vec::new(),
        })
    }

    /// Takes a generation out, to work on it.
    pub(super) fn take(&mut self, path: &[u8], number: u64) -> Option<Generation> {
        let generations = &mut self.sources.get_mut(path)?.generations;
        let at = generations.iter().position(|one| one.number == number)?;
        Some(generations.swap_remove(at))
    }

    /// Puts a generation (back) in.
    pub(super) fn put(&mut self, path: &[u8], generation: Generation) {
        let generations = &mut self.source(path).generations;
        generations.push(generation);
        generations.sort_unstable_by_key(|one| one.number);
    }

    /// Forgets a source without generations but for its counter.
    pub(super) fn retire(&mut self, path: &[u8]) {
        if let Some(source) = self.sources.get(path).filter(|one| one.generations.is_empty()) {
            if source.next > 0 {
                self.retired.insert(retired_key(path), source.next);
            }
            self.sources.remove(path);
        }
    }

    /// Takes note of an entry of the chain. Whether a file was readable is
    /// not kept: what is unreadable after a start is said again.
    pub(super) fn replay(&mut self, entry: &LogEntry<'_>) {
        let Some(path) = file_uri::decode(&entry.src) else { return };
        if let What::Event(Event::Appeared { id: Some(id) }) = &entry.what {
            return self.replay_appeared(&path, entry.generation, id);
        }
        let Some(source) = self.sources.get_mut(&path) else { return };
        let Some(generation) = source.get(entry.generation) else { return };
        match &entry.what {
            What::Range { from, to, sha256 } => {
                generation.extend(Range { from: *from, to: *to, sha256: *sha256 });
            }
            What::Event(Event::Rotated { location }) => {
                generation.place = match location.as_deref().and_then(file_uri::decode) {
                    Some(location) => GenerationPlace::At(location),
                    None => GenerationPlace::Unknown,
                };
            }
            What::Event(Event::Truncated { .. } | Event::Replaced) => {
                generation.place = GenerationPlace::Lost;
            }
            What::Event(Event::Vanished) => {
                let number = generation.number;
                source.generations.retain(|one| one.number != number);
                self.retire(&path);
            }
            What::Event(_) | What::Journal { .. } => {}
        }
    }

    fn replay_appeared(&mut self, path: &[u8], number: u64, id: &str) {
        let Some(id) = parse_id(id) else { return };
        let source = self.source(path);
        source.next = source.next.max(number.saturating_add(1));
        // Entries stand sorted by generation: whatever an older one had to
        // tell in this tick has been read.
        source.generations.retain(|one| one.place != GenerationPlace::Lost);
        source.generations.push(Generation::new(number, id));
    }

    /// Forgets generations of which nothing is left.
    pub(super) fn drop_lost(&mut self) {
        let mut empty = Vec::new();
        for (path, source) in &mut self.sources {
            source.generations.retain(|one| one.place != GenerationPlace::Lost);
            if source.generations.is_empty() {
                empty.push(path.clone());
            }
        }
        for path in empty {
            self.retire(&path);
        }
    }
}

/// `dev:ino`, in hex.
pub(super) fn write_id(id: FileId) -> String {
    format!("{:x}:{:x}", id.dev, id.ino)
}

pub(super) fn parse_id(text: &str) -> Option<FileId> {
    let (dev, ino) = text.split_once(':')?;
    let number = |hex| u64::from_str_radix(hex, 16).ok();
    Some(FileId { dev: number(dev)?, ino: number(ino)? })
}

fn retired_key(path: &[u8]) -> u64 {
    let Digest(bytes) = Digest::sha256(path);
    bytes.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
