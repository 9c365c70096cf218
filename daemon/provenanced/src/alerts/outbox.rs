//! The messages that the receiver does not have yet: one file each, named by
//! the number of the registry's record that it tells of.
//!
//! The registry is the whole queue, `progress` says how far it was taken over,
//! and the files are the next ones. So a crash between any two steps loses
//! nothing: what was taken over and not noted is taken over again under the
//! same name, what was delivered and not removed is sent again with the same
//! id, and what finds no room waits in the registry.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use provenance_core::encoding::{json::Value, time::Timestamp};
use provenance_host::durable;

use super::webhook::message::{MAX_MESSAGE_FILE, Message};

/// So many files at most; later messages wait in the registry.
pub const MAX_FILES: usize = 1_000;
/// Of the messages that the receiver refused, so many are kept.
const MAX_REFUSED: usize = 100;
const SUFFIX: &str = ".json";

/// How far it went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The registry's records before this one have been taken over.
    pub upto: u64,
    /// Attempts that failed one after the other.
    pub failures: u32,
    /// How often the first message was refused.
    pub refusals: u32,
    /// Before this no attempt is made.
    pub not_before: Option<Timestamp>,
}

/// Whether a message was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// It is on disk.
    Kept,
    /// There is no room; it may be put again later.
    Full,
}

#[derive(Debug)]
pub struct Outbox {
    folder: PathBuf,
    waiting: BTreeSet<u64>,
    progress: Progress,
}

impl Outbox {
    /// Opens the folder, or makes it: then the registry's records from number
    /// `begin` on are what it is to take over.
    ///
    /// # Errors
    /// As the system calls.
    pub(crate) fn open(folder: &Path, begin: u64) -> io::Result<Self> {
        durable::create_dirs(folder)?;
        let mut waiting = BTreeSet::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.ends_with(".tmp") {
                // A crash's left-over; what it was is written again.
                let _ = fs::remove_file(folder.join(name));
            }
            waiting.extend(number(name));
        }
        let fresh = Progress { upto: begin, failures: 0, refusals: 0, not_before: None };
        let mut outbox = Self { folder: folder.into(), waiting, progress: fresh };
        match durable::read_limited(&outbox.folder.join("progress"), 4 << 10) {
            Ok(bytes) => match Progress::parse(&bytes) {
                Some(progress) => outbox.progress = progress,
                None => tracing::warn!(
                    "outbox/progress is damaged: alerts from registry record {begin} on are sent"
                ),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => outbox.note()?,
            Err(error) => return Err(error),
        }
        Ok(outbox)
    }

    /// How far it went.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// How many messages wait in it.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the message of registry record `seq`.
    ///
    /// # Errors
    /// As the system calls.
    pub(crate) fn put(&mut self, seq: u64, message: &Message) -> io::Result<Placement> {
        if self.waiting.len() >= MAX_FILES && !self.waiting.contains(&seq) {
            return Ok(Placement::Full);
        }
        durable::replace(&self.path(seq), &message.body, 0o640)?;
        self.waiting.insert(seq);
        Ok(Placement::Kept)
    }

    /// Everything before registry record `upto` has been taken.
    ///
    /// # Errors
    /// As the system calls; then it is taken again after the next start.
    pub(crate) fn set_progress(&mut self, upto: u64) -> io::Result<()> {
        self.progress.upto = upto;
        self.note()
    }

    /// The message to send next, with the number of its record; no message
    /// where its file is damaged or gone.
    ///
    /// # Errors
    /// As reading it.
    pub(crate) fn first(&self) -> io::Result<Option<(u64, Option<Message>)>> {
        let Some(seq) = self.waiting.first().copied() else { return Ok(None) };
        match durable::read_limited(&self.path(seq), MAX_MESSAGE_FILE) {
            Ok(body) => Ok(Some((seq, Message::parse(body)))),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) =>
            {
                Ok(Some((seq, None)))
            }
            Err(error) => Err(error),
        }
    }

    /// The receiver has it, or nobody can: it is not sent again.
    ///
    /// # Errors
    /// As the system calls; then it is sent again after the next start.
    pub(crate) fn remove_delivered(&mut self, seq: u64) -> io::Result<()> {
        self.waiting.remove(&seq);
        let removed = match fs::remove_file(self.path(seq)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| durable::sync_dir(&self.folder)),
        };
        removed.and(self.reset())
    }

    /// The receiver refuses it: it is put aside into `refused/`, where the
    /// newest are kept.
    ///
    /// # Errors
    /// As the system calls; then it is tried again after the next start.
    pub(crate) fn refused(&mut self, seq: u64) -> io::Result<()> {
        self.waiting.remove(&seq);
        let folder = self.folder.join("refused");
        durable::create_dirs(&folder)?;
        let mut kept: Vec<_> = fs::read_dir(&folder)?.collect::<Result<_, _>>()?;
        kept.sort_by_key(fs::DirEntry::file_name);
        for old in kept.iter().take((kept.len() + 1).saturating_sub(MAX_REFUSED)) {
            fs::remove_file(old.path())?;
        }
        fs::rename(self.path(seq), folder.join(name(seq)))?;
        durable::sync_dir(&folder)?;
        durable::sync_dir(&self.folder)?;
        self.reset()
    }

    /// An attempt failed; the next one is not made before `not_before`.
    ///
    /// # Errors
    /// As the system calls; it holds until the process ends.
    pub(crate) fn failed(&mut self, not_before: Timestamp, refused: bool) -> io::Result<()> {
        self.progress.failures = self.progress.failures.saturating_add(1);
        self.progress.refusals = self.progress.refusals.saturating_add(u32::from(refused));
        self.progress.not_before = Some(not_before);
        self.note()
    }

    fn reset(&mut self) -> io::Result<()> {
        let Progress { failures, refusals, not_before, .. } = &mut self.progress;
        if (*failures, *refusals, *not_before) == (0, 0, None) {
            return Ok(());
        }
        (*failures, *refusals, *not_before) = (0, 0, None);
        self.note()
    }

    fn note(&self) -> io::Result<()> {
        durable::replace(&self.folder.join("progress"), &self.progress.to_bytes(), 0o640)
    }

    fn path(&self, seq: u64) -> PathBuf {
        self.folder.join(name(seq))
    }
}

impl Progress {
    fn to_bytes(&self) -> Vec<u8> {
        Value::object([
            ("upto", self.upto.into()),
            ("failures", self.failures.into()),
            ("refusals", self.refusals.into()),
        ])
        .with_some("not_before", self.not_before)
        .encode()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let value = Value::parse(bytes).ok()?;
        let count = |name: &str| value.get(name)?.as_int();
        let not_before = match value.get("not_before") {
            Some(time) => Some(Timestamp::parse(time.as_str()?.as_bytes())?),
            None => None,
        };
        Some(Self {
            upto: u64::try_from(count("upto")?).ok()?,
            failures: u32::try_from(count("failures")?).ok()?,
            refusals: u32::try_from(count("refusals")?).ok()?,
            not_before,
        })
    }
}

/// Names sort as numbers do.
fn name(seq: u64) -> String {
    format!("{seq:020}{SUFFIX}")
}

fn number(text: &str) -> Option<u64> {
    let seq = text.strip_suffix(SUFFIX)?.parse().ok()?;
    (name(seq) == text).then_some(seq)
}

#[cfg(test)]
mod tests;
