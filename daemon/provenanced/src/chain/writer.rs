//! Appending records.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use provenance_core::{
    encoding::{
        digest::Digest,
        time::{Day, Timestamp},
    },
    record::{
        self, MAX_RECORD,
        chain::{Body, Recovered, file_name},
    },
    report::Head,
};
use provenance_host::{durable, state_dir::StateDir};

use super::{
    error::ChainError,
    tail::{self, ChainTail},
};

/// The one writer of a chain.
#[derive(Debug)]
pub struct ChainWriter {
    state: StateDir,
    head: Option<Head>,
    file: Option<Open>,
    /// The newest day of which there is a file: no record goes before it.
    day: Option<Day>,
    /// Held as long as this lives.
    _lock: File,
}

#[derive(Debug)]
struct Open {
    day: Day,
    file: File,
    path: PathBuf,
    /// Bytes of whole records.
    length: u64,
    /// Something may stand behind them: an append failed.
    dirty: bool,
    /// The file's name is not yet known to be durable.
    fresh: bool,
}

impl ChainWriter {
    /// Takes the lock and settles the end of the chain. Nothing but
    /// unacknowledged bytes behind the last record is ever moved.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn open(state: &StateDir) -> Result<Self, ChainError> {
        for folder in [state.chain(), state.cache()] {
            durable::create_dirs(&folder).map_err(|error| {
                let message = format!("cannot make {}: {error}", folder.display());
                io::Error::new(error.kind(), message)
            })?;
        }
        let lock = lock(state)?;
        let ChainTail { head, file, length } = tail::set_aside_torn_tail(state)?;
        let mut writer = Self {
            state: state.clone(),
            head,
            file: None,
            day: file.as_ref().and_then(|file| file.day),
            _lock: lock,
        };
        if let Some(chain_file) = file
            && let Some(day) = chain_file.day
        {
            let file = append_to(&chain_file.path)?;
            // A crash may have come before the name was durable.
            let path = chain_file.path;
            writer.file = Some(Open { day, file, path, length, dirty: false, fresh: true });
        }
        Ok(writer)
    }

    /// The last record.
    pub fn head(&self) -> Option<Head> {
        self.head
    }

    /// What was set aside and is not recorded yet; `known` tells the names
    /// that records from `seq` on hold.
    ///
    /// # Errors
    /// As reading the folder.
    pub fn unrecorded(
        &self,
        seq: u64,
        known: impl Fn(&str) -> bool,
    ) -> io::Result<Vec<Recovered<'static>>> {
        tail::unrecorded(&self.state, seq, known)
    }

    /// Writes a record at `time` and fsyncs it: from the return on it exists.
    /// In the steady state that is one write and one sync.
    ///
    /// # Errors
    /// [`ChainError`]; the chain then ends where it ended before, and the call
    /// can be repeated.
    pub fn append(&mut self, time: Timestamp, body: &Body<'_>) -> Result<Head, ChainError> {
        let (seq, prev) = self.head.map_or((0, Digest::ZERO), |head| (head.seq + 1, head.hash));
        let mut line = record::encode(body.kind(), seq, prev, time, &body.to_value());
        if line.len() > MAX_RECORD {
            return Err(ChainError::TooLong(line.len()));
        }
        let hash = Digest::sha256(&line);
        line.push(b'\n');
        self.file_for(time)?.append(&line)?;
        let head = Head { seq, hash, time };
        self.head = Some(head);
        Ok(head)
    }

    fn file_for(&mut self, time: Timestamp) -> Result<&mut Open, ChainError> {
        let day = self.day.map_or(time.day(), |day| day.max(time.day()));
        if self.file.as_ref().is_none_or(|open| open.day != day) {
            let start = day.start().unwrap_or(time);
            let path = self.state.root().join(file_name(start));
            if let Some(parent) = path.parent() {
                durable::create_dirs(parent)?;
            }
            let file = append_to(&path)?;
            let length = file.metadata()?.len();
            self.day = Some(day);
            self.file = Some(Open { day, file, path, length, dirty: false, fresh: true });
        }
        self.file.as_mut().ok_or_else(|| io::Error::other("no chain file").into())
    }
}

impl Open {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.dirty {
            self.file.set_len(self.length)?;
            self.dirty = false;
        }
        let written = self
            .file
            .write_all(line)
            .and_then(|()| self.file.sync_data())
            .and_then(|()| if self.fresh { durable::sync_parent(&self.path) } else { Ok(()) });
        match written {
            Ok(()) => {
                self.fresh = false;
                self.length += line.len() as u64;
                Ok(())
            }
            Err(error) => {
                // After a failed sync nobody knows what is on disk: cut it
                // off now, or before the next attempt.
                self.dirty = self.file.set_len(self.length).is_err();
                Err(error)
            }
        }
    }
}

fn append_to(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

fn lock(state: &StateDir) -> Result<File, ChainError> {
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .open(state.lock())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ChainError::Locked(state.root().into())),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
