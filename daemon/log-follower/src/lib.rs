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
#![forbid(unsafe_code)]

mod collect;
mod compressed_match;
mod file_id;
mod follower;
mod generation;
mod generation_end;
pub mod inotify;
mod job;
pub mod journal;
mod patterns;
mod range_reader;
mod scan;
mod snapshot;

pub use follower::{Follower, Settings};

use std::{collections::BTreeMap, time::Instant};

use provenance_core::{
    encoding::json::Value,
    record::log_entry::{self, LogEntry},
};

use collect::Collect;
use generation::State;
use patterns::Patterns;
use range_reader::Reader;
use scan::DirectorySurvey;

pub use patterns::PatternError;
pub use scan::MAX_FILES;
pub use snapshot::RestoreError;

/// How many bytes a collect reads at most, unless the settings say otherwise.
pub const DEFAULT_BUDGET: u64 = 4 << 30;

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
            survey: DirectorySurvey::default(),
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
