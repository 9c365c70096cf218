//! What `journalctl` says, entry by entry.

use std::{
    ffi::OsString,
    fs::{self, File, FileType},
    io::{self, ErrorKind, Read},
    path::Path,
    time::Duration,
};

use provenance_core::journal_export::{EntryHasher, Reader};
use provenance_host::child_process::Running;

use super::JournalSource;

const BUFFER: usize = 64 << 10;
/// For how long journalctl may say nothing.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(120);

/// A running journalctl.
pub(super) struct JournalctlReader {
    child: Option<Running>,
    reader: Reader,
    buffer: Vec<u8>,
    /// What of the buffer has not been taken yet.
    rest: std::ops::Range<usize>,
}

impl JournalctlReader {
    /// The journal from the entry at this cursor on, or from its beginning.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    pub(super) fn start(source: &JournalSource, cursor: Option<&str>) -> Result<Self, String> {
        let mut arguments: Vec<OsString> =
            ["--no-pager", "--quiet", "--all", "--output=export"].map(OsString::from).into();
        arguments.extend(cursor.map(|cursor| format!("--cursor={cursor}").into()));
        match source {
            JournalSource::System => {}
            JournalSource::Root(dir) => arguments.extend(["--root".into(), dir.into()]),
            JournalSource::Directory(dir) => arguments.extend(["--directory".into(), dir.into()]),
        }
        let child =
            Running::start("journalctl", arguments, SILENCE_TIMEOUT).map_err(
                |error| match error.kind() {
                    ErrorKind::NotFound => "journalctl is not installed here".into(),
                    _ => format!("journalctl cannot be run: {error}"),
                },
            )?;
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
    match source {
        JournalSource::Directory(dir) => readable(dir, 1),
        JournalSource::System => below(Path::new("/")),
        JournalSource::Root(root) => below(root),
    }
}

fn below(root: &Path) -> Result<(), String> {
    ["var/log/journal", "run/log/journal"].iter().try_for_each(|dir| readable(&root.join(dir), 2))
}

fn readable(dir: &Path, depth: u8) -> Result<(), String> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| denied(dir, &error))?,
    };
    for entry in entries.flatten() {
        let (path, kind) = (entry.path(), entry.file_type());
        if kind.as_ref().is_ok_and(FileType::is_dir) && depth > 1 {
            readable(&path, depth - 1)?;
        } else if kind.is_ok_and(|kind| kind.is_file())
            && path.to_string_lossy().contains(".journal")
        {
            match File::open(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(denied(&path, &error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn denied(path: &Path, error: &io::Error) -> String {
    format!(
        "{}: {error}; run this as root or as a member of the group systemd-journal",
        path.display()
    )
}
