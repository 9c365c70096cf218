//! What `journalctl` says, entry by entry.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use provenance_core::export::{EntryHasher, Reader};

use super::JournalSource;
use crate::host::{command::Running, systime};

const BUFFER: usize = 64 << 10;
/// For how long journalctl may say nothing.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running journalctl.
pub(super) struct Feed {
    child: Option<Running>,
    reader: Reader,
    buffer: Vec<u8>,
    /// What of the buffer has not been taken yet.
    rest: std::ops::Range<usize>,
}

impl Feed {
    /// The journal from the entry at this cursor on, or from its beginning.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    pub(super) fn start(source: &JournalSource, cursor: Option<&str>) -> Result<Self, String> {
        let mut arguments: Vec<_> =
            ["--no-pager", "--quiet", "--all", "--output=export"].map(String::from).into();
        if let JournalSource::Directory(dir) = source {
            let dir = dir.to_str().ok_or("the journal's directory has a name that is not UTF-8")?;
            arguments.push(format!("--directory={dir}"));
        }
        arguments.extend(cursor.map(|cursor| format!("--cursor={cursor}")));
        let child =
            Running::start("journalctl", arguments, PATIENCE).map_err(|error| {
                match error.kind() {
                    ErrorKind::NotFound => "journalctl is not installed here".into(),
                    _ => format!("journalctl cannot be run: {error}"),
                }
            })?;
        let buffer = vec![0; BUFFER];
        Ok(Self { child: Some(child), reader: Reader::new(), buffer, rest: 0..0 })
    }

    /// The cursor of the next entry, whose fields go to the hasher; `None` at
    /// the journal's end.
    ///
    /// # Errors
    /// Why it cannot be read on, in words.
    pub(super) fn next(&mut self, hasher: &mut EntryHasher) -> Result<Option<String>, String> {
        loop {
            let bytes = self.buffer.get(self.rest.clone()).unwrap_or_default();
            let (entry, taken) = self.reader.read(bytes, hasher).map_err(|e| e.to_string())?;
            self.rest.start += taken;
            if let Some(entry) = entry {
                return Ok(Some(String::from_utf8_lossy(&entry.cursor).into_owned()));
            }
            let Some(child) = &mut self.child else { return Ok(None) };
            match child.read(&mut self.buffer) {
                Ok(0) => return self.end(hasher),
                Ok(count) => self.rest = 0..count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("journalctl: {error}")),
            }
        }
    }

    fn end(&mut self, hasher: &mut EntryHasher) -> Result<Option<String>, String> {
        let ended = self.child.take().map(Running::end).transpose();
        let ended = ended.map_err(|error| format!("journalctl: {error}"))?;
        if let Some(ended) = ended.filter(|ended| !ended.status.success()) {
            return Err(format!("journalctl failed ({}): {}", ended.status, ended.said));
        }
        self.rest = 0..0;
        let last = std::mem::take(&mut self.reader).finish(hasher).map_err(|e| e.to_string())?;
        Ok(last.map(|entry| String::from_utf8_lossy(&entry.cursor).into_owned()))
    }
}

/// Whether all files of the journal can be read: to others than root and the
/// group systemd-journal journalctl shows a part, and says nothing.
///
/// # Errors
/// Which cannot, and why.
pub(super) fn is_readable(source: &JournalSource) -> Result<(), String> {
    let dirs = match source {
        JournalSource::Directory(dir) => vec![dir.clone()],
        JournalSource::System => {
            let id = systime::machine_id();
            ["/var/log/journal", "/run/log/journal"].map(|dir| Path::new(dir).join(&id)).into()
        }
    };
    let denied = |path: PathBuf| {
        move |error: io::Error| {
            format!(
                "{}: {error}; run this as root or as a member of the group systemd-journal",
                path.display()
            )
        }
    };
    for dir in dirs {
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries.map_err(denied(dir))?,
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let is_journal = path.to_string_lossy().contains(".journal");
            if is_journal && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                match File::open(&path) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    opened => drop(opened.map_err(denied(path))?),
                }
            }
        }
    }
    Ok(())
}
