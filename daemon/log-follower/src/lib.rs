//! The log follower: what was added to the watched files since the last tick,
//! and what else happened to them (docs/format.md §2).
//!
//! A *source* is a path that a pattern names. Its *generations* are the files
//! that held the name one after the other; each is known by device, inode and
//! the digest of its first bytes, never by its name alone. A generation is
//! followed for as long as its bytes are somewhere: under the name, under the
//! one that log rotation gave it, or compressed.
//!
//! The state follows from the chain ([`Follower::replay`]); a snapshot only
//! saves time. [`journal`] follows the systemd journal, [`wake`] tells when it
//! is worth looking before the tick is due.

mod collect;
mod compressed_match;
mod generation;
mod generation_end;
pub mod inotify;
pub mod journal;
mod patterns;
mod range_reader;
mod scan;
mod snapshot;

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use provenance_core::{
    encoding::json::Value,
    record::log_entry::{self, LogEntry},
};

use collect::Collect;
use generation::State;
use patterns::Patterns;
use range_reader::Reader;
use scan::{FileId, FileStat, Survey};

pub use patterns::PatternError;
pub use scan::MAX_FILES;
pub use snapshot::RestoreError;

/// How many bytes a collect reads at most, unless the settings say otherwise.
pub const DEFAULT_BUDGET: u64 = 4 << 30;

/// What to follow.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Globs such as `/var/log/**` and `/var/log/*.log`, and literal paths.
    /// `*` stays within a directory; symbolic links are followed only where a
    /// literal path or the part before the first wildcard is one.
    pub watch: Vec<String>,
    /// Globs of files, and of directories with all that is below them, that
    /// are left out.
    pub exclude: Vec<String>,
    /// Never watched, nor anything below it, under whatever name.
    pub state_dir: PathBuf,
    /// How many bytes a collect reads at most; what is left is read by the
    /// next, and the generation has an event `late`.
    pub budget_bytes: u64,
}

/// Follows files. See the module.
pub struct Follower {
    patterns: Patterns,
    budget: u64,
    state: State,
    /// The state comes from the chain, and the disk has not been seen since:
    /// device numbers may have changed with a reboot.
    restored: bool,
    /// Directories of which has been said that they cannot be read.
    blind: BTreeMap<Vec<u8>, u32>,
    /// Comparisons that were not finished in one collect.
    jobs: Vec<generation_end::Job>,
    /// Files that look like compressed forms in the making.
    held: BTreeMap<FileId, (FileStat, u8)>,
    survey: Survey,
    buffer: Vec<u8>,
}

impl Follower {
    /// A follower that has seen nothing.
    ///
    /// # Errors
    /// [`PatternError`] for a pattern that cannot be followed.
    pub fn new(settings: &Settings) -> Result<Self, PatternError> {
        let Settings { watch, exclude, state_dir, budget_bytes } = settings;
        Ok(Self {
            patterns: Patterns::new(watch, exclude, state_dir)?,
            budget: *budget_bytes,
            state: State::default(),
            restored: false,
            blind: BTreeMap::new(),
            jobs: Vec::new(),
            held: BTreeMap::new(),
            survey: Survey::default(),
            buffer: Vec::new(),
        })
    }

    /// Takes note of an entry of the chain; every one, in order, before the
    /// first [`Self::collect`]. Entries of journals are passed over.
    pub fn replay(&mut self, entry: &LogEntry<'_>) {
        self.restored = true;
        self.state.replay(entry);
    }

    /// The state as a value, to be kept together with the hash of the last
    /// record that holds what was collected.
    pub fn snapshot(&self) -> Value {
        snapshot::write(&self.state)
    }

    /// Takes a snapshot's state. Entries recorded behind it are replayed
    /// after.
    ///
    /// # Errors
    /// [`RestoreError`] where it is none; the state is then as it was.
    pub fn restore(&mut self, snapshot: &Value) -> Result<(), RestoreError> {
        self.state = snapshot::read(snapshot)?;
        self.restored = true;
        Ok(())
    }

    /// Looks at all files and gives what happened since the last call, sorted
    /// as a record holds it. Whatever goes wrong with a source is an entry.
    ///
    /// The state advances: the caller collects again only after these entries
    /// have been appended durably, or else starts anew from the chain.
    pub fn collect(&mut self, deadline: Instant) -> Vec<LogEntry<'static>> {
        let buffer = std::mem::take(&mut self.buffer);
        let mut reader = Reader::new(buffer, self.budget, deadline);
        let mut survey = std::mem::take(&mut self.survey);
        Collect { follower: self, survey: &mut survey, reader: &mut reader }.run();
        self.restored = false;
        self.survey = survey;
        self.buffer = reader.buffer;
        let mut entries = reader.entries;
        log_entry::sort(&mut entries);
        entries
    }

    /// How many sources and generations are followed now.
    pub fn followed(&self) -> (usize, usize) {
        let generations = self.state.sources.values().map(|source| source.generations.len());
        (self.state.sources.len(), generations.sum())
    }
}
