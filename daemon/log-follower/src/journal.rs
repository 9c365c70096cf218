//! The systemd journal as a source: `journal:<machine id>`.
//!
//! Each collect records the entries behind the last cursor, as a count and a
//! digest over their Journal Export Format ([`provenance_core::journal_export`]), so
//! that `journalctl --after-cursor=… -o export` gives the same again.
//!
//! Generations: the first begins at the oldest entry there is. When the entry
//! at the last cursor is no longer there (vacuumed away while nobody looked,
//! or the files were replaced), what follows it cannot be told from what came
//! to be in between: the generation ends with `replaced`, and the next begins
//! at the oldest entry again, its first range without `after`. No entry that
//! is still there is left out; some may be recorded twice.

use std::{
    ffi::CString,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Instant,
};

use provenance_core::{
    encoding::json::Value,
    journal_export::EntryHasher,
    record::log_entry::{Event, LogEntry, What},
};
use systemd::{
    Journal,
    journal::{OpenDirectoryOptions, OpenOptions},
};

use crate::RestoreError;

/// What a journal source's name begins with.
pub const SCHEME: &str = "journal:";
/// `SD_MESSAGE_JOURNAL_DROPPED`: journald's rate limit suppressed messages.
const DROPPED: &[u8] = b"a596d6fe7bfa4994828e72309e95d61e";
/// `SD_MESSAGE_JOURNAL_MISSED`: the kernel's buffer ran over.
const MISSED: &[u8] = b"e9bf28e6e834481bb6f48f548ad13606";

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The one of this machine, all its files.
    System,
    /// The files of a directory.
    Directory(PathBuf),
}

/// Why a journal cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// libsystemd says so.
    #[error(
        "cannot open the journal ({0}); grant the group systemd-journal or set journal = false"
    )]
    Open(#[source] systemd::Error),
    /// A name with a NUL.
    #[error("the journal's directory has a NUL in its name; correct the settings")]
    Name,
}

/// Follows a journal. libsystemd ties a journal to the thread that opened
/// it: this type is not `Send`, and the caller gives it a thread of its own.
pub struct JournalFollower {
    journal: Journal,
    src: String,
    /// The current generation; none before the first entry was recorded.
    generation: Option<u64>,
    /// The last entry recorded in it.
    cursor: Option<String>,
    /// The journal stands at `cursor`.
    placed: bool,
    unreadable: bool,
}

/// How much one collect takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub entries: u64,
    /// When to stop.
    pub deadline: Instant,
}

impl JournalError {
    /// As errno(3).
    pub fn errno(&self) -> u32 {
        let code = match self {
            Self::Open(error) => error.raw_os_error().unwrap_or(libc::EIO),
            Self::Name => libc::EINVAL,
        };
        code.unsigned_abs()
    }
}

impl JournalFollower {
    /// A follower that has recorded nothing. `id` is the machine's
    /// ([`machine_id`]), or whatever tells a directory's journal from others.
    ///
    /// # Errors
    /// [`JournalError`]
    pub fn open(origin: &Origin, id: &str) -> Result<Self, JournalError> {
        let mut journal = match origin {
            Origin::System => OpenOptions::default().local_only(true).open(),
            Origin::Directory(dir) => OpenDirectoryOptions::default().open_directory(name(dir)?),
        }
        .map_err(JournalError::Open)?;
        // Values whole, whatever their size: they are digested.
        journal.set_data_threshold(0).map_err(JournalError::Open)?;
        // Without inotify new files are seen after the next start only; that
        // it failed shows again when the journal is processed.
        let _ = journal.fd();
        Ok(Self {
            journal,
            src: format!("{SCHEME}{id}"),
            generation: None,
            cursor: None,
            placed: false,
            unreadable: false,
        })
    }

    /// Takes note of an entry of the chain; every one, in order, before the
    /// first [`Self::collect`]. Those of other sources are passed over.
    pub fn replay(&mut self, entry: &LogEntry<'_>) {
        if entry.src != self.src {
            return;
        }
        match &entry.what {
            What::Event(Event::Appeared { .. }) => {
                (self.generation, self.cursor) = (Some(entry.generation), None);
            }
            What::Journal { upto, .. } => self.cursor = Some(upto.to_string()),
            What::Event(_) | What::Range { .. } => {}
        }
        self.placed = false;
    }

    /// The state, to be kept together with the hash of the last record that
    /// holds what was collected.
    pub fn snapshot(&self) -> Value {
        Value::object([("v", Value::from(1_u32)), ("src", self.src.as_str().into())])
            .with_some("gen", self.generation)
            .with_some("cursor", self.cursor.as_deref())
    }

    /// Takes a snapshot's state.
    ///
    /// # Errors
    /// [`RestoreError`] where it is none of this journal's.
    pub fn restore(&mut self, snapshot: &Value) -> Result<(), RestoreError> {
        let version = snapshot.get("v").and_then(Value::as_int);
        let src = snapshot.get("src").and_then(Value::as_str);
        if version != Some(1) || src != Some(&self.src) {
            return Err(RestoreError);
        }
        let generation = snapshot.get("gen").and_then(Value::as_int);
        self.generation = generation.and_then(|number| u64::try_from(number).ok());
        self.cursor = snapshot.get("cursor").and_then(Value::as_str).map(str::to_owned);
        self.placed = false;
        Ok(())
    }

    /// The entries since the last call, as one range, with what else happened,
    /// in the order of a record. An error of the journal is an entry.
    ///
    /// The state advances: the caller collects again only after these entries
    /// have been appended durably, or else starts anew from the chain.
    pub fn collect(&mut self, limits: Limits) -> Vec<LogEntry<'static>> {
        let mut entries = Vec::new();
        match self.advance(limits, &mut entries) {
            Ok(()) => self.unreadable = false,
            Err(error) => {
                self.placed = false;
                if !std::mem::replace(&mut self.unreadable, true) {
                    let generation = self.opened(&mut entries);
                    entries
                        .push(self.event(generation, Event::Unreadable { errno: errno(&error) }));
                }
            }
        }
        provenance_core::record::log_entry::sort(&mut entries);
        entries
    }

    fn advance(
        &mut self,
        limits: Limits,
        entries: &mut Vec<LogEntry<'static>>,
    ) -> systemd::Result<()> {
        // Lets libsystemd see files that came or went; it goes on at the same
        // entry.
        self.journal.process()?;
        if !self.placed {
            self.place(entries)?;
        }
        let mut batch = Batch::default();
        let result = self.read(limits, &mut batch);
        self.record(batch, entries);
        // Before the first entry there is no place to go on from.
        self.placed = self.cursor.is_some();
        result
    }

    /// Goes to the last entry recorded, or before the oldest.
    fn place(&mut self, entries: &mut Vec<LogEntry<'static>>) -> systemd::Result<()> {
        if let Some(cursor) = &self.cursor {
            self.journal.seek_cursor(cursor.as_str())?;
            if self.journal.next()? > 0 && self.journal.test_cursor(cursor.as_str())? {
                return Ok(());
            }
            let generation = self.generation.unwrap_or_default();
            entries.push(self.event(generation, Event::Replaced));
            entries.push(self.event(generation + 1, Event::Appeared { id: None }));
            (self.generation, self.cursor) = (Some(generation + 1), None);
        }
        self.journal.seek_head()
    }

    /// Reads entries into the batch; what was read before an error counts.
    /// An entry that is damaged in itself is said to be unreadable and passed
    /// over, or it would be the last that is ever read.
    fn read(&mut self, limits: Limits, batch: &mut Batch) -> systemd::Result<()> {
        while batch.hasher.count() < limits.entries && Instant::now() < limits.deadline {
            if self.journal.next()? == 0 {
                break;
            }
            let cursor = self.read_entry(batch).and_then(|()| self.journal.cursor());
            match cursor {
                Ok(cursor) => {
                    batch.hasher.end_entry();
                    batch.upto = Some(cursor);
                }
                Err(error) => {
                    batch.hasher.abandon_entry();
                    batch.damaged = Some(errno(&error));
                }
            }
        }
        Ok(())
    }

    fn read_entry(&mut self, batch: &mut Batch) -> systemd::Result<()> {
        let realtime = self.journal.timestamp_usec()?.to_string();
        let (monotonic, boot) = self.journal.monotonic_timestamp()?;
        let hasher = &mut batch.hasher;
        hasher.field(b"__REALTIME_TIMESTAMP", realtime.as_bytes());
        hasher.field(b"__MONOTONIC_TIMESTAMP", monotonic.to_string().as_bytes());
        // The entry's own, as journalctl writes it; the field of that name is
        // passed over then.
        hasher.field(b"_BOOT_ID", boot.to_string().as_bytes());
        let mut loss = Loss::default();
        self.journal.restart_data();
        while let Some(field) = self.journal.enumerate_data()? {
            let (name, value) = (field.name(), field.value().unwrap_or_default());
            hasher.field(name, value);
            loss.see(name, value);
        }
        batch.lost = batch.lost.saturating_add(loss.count());
        Ok(())
    }

    fn record(&mut self, batch: Batch, entries: &mut Vec<LogEntry<'static>>) {
        let Batch { hasher, upto, lost, damaged } = batch;
        if upto.is_none() && damaged.is_none() {
            return;
        }
        let generation = self.opened(entries);
        if let Some(upto) = upto {
            let after = self.cursor.replace(upto.clone()).map(Into::into);
            let (count, sha256) = (hasher.count(), hasher.finish());
            entries.push(LogEntry {
                src: self.src.clone().into(),
                generation,
                what: What::Journal { after, upto: upto.into(), count, sha256 },
            });
        }
        if lost > 0 {
            entries.push(self.event(generation, Event::Lost { count: lost }));
        }
        if let Some(errno) = damaged {
            entries.push(self.event(generation, Event::Unreadable { errno }));
        }
    }

    /// The current generation; opens the first.
    fn opened(&mut self, entries: &mut Vec<LogEntry<'static>>) -> u64 {
        if let Some(generation) = self.generation {
            return generation;
        }
        entries.push(self.event(0, Event::Appeared { id: None }));
        *self.generation.insert(0)
    }

    fn event(&self, generation: u64, event: Event<'static>) -> LogEntry<'static> {
        LogEntry { src: self.src.clone().into(), generation, what: What::Event(event) }
    }
}

/// What one collect has read.
#[derive(Default)]
struct Batch {
    hasher: EntryHasher,
    upto: Option<String>,
    lost: u64,
    /// The last error of an entry that was passed over.
    damaged: Option<u32>,
}

/// An entry in which journald says that it dropped messages. Only journald
/// can set `_TRANSPORT=driver`; the message id alone anybody can write.
#[derive(Default)]
struct Loss {
    is_driver: bool,
    is_loss: bool,
    dropped: Option<u64>,
    /// From the text: "Missed 12 kernel messages", "Suppressed 3 messages
    /// from …"; the only place before systemd 235.
    told: Option<u64>,
}

impl Loss {
    fn see(&mut self, name: &[u8], value: &[u8]) {
        let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
        match name {
            b"_TRANSPORT" => self.is_driver = value == b"driver",
            b"MESSAGE_ID" => self.is_loss = value == DROPPED || value == MISSED,
            b"N_DROPPED" => self.dropped = number(value),
            b"MESSAGE" if value.len() < 1000 => {
                self.told = value.split(|byte| *byte == b' ').nth(1).and_then(number);
            }
            _ => {}
        }
    }

    /// At least one where the number cannot be read.
    fn count(&self) -> u64 {
        match self.is_driver && self.is_loss {
            true => self.dropped.or(self.told).unwrap_or(1),
            false => 0,
        }
    }
}

fn errno(error: &systemd::Error) -> u32 {
    error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error()).unsigned_abs()
}

fn name(dir: &Path) -> Result<CString, JournalError> {
    CString::new(dir.as_os_str().as_bytes()).map_err(|_| JournalError::Name)
}
