//! Reading what was added to a file: opened with care, compared with the
//! generation's first bytes, digested in ranges.

use std::{
    ffi::OsStr,
    fs::File,
    os::unix::{ffi::OsStrExt, fs::FileExt},
    path::Path,
    time::Instant,
};

use provenance_core::{
    encoding::{
        digest::{Digest, Hasher},
        file_uri,
    },
    record::log_entry::{Event, LogEntry, What},
};
use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, openat},
    io::Errno,
};

use crate::{
    file_id::{FileStat, errno_number, look},
    generation::{Generation, Range},
};

/// Where the first range of a generation ends at the latest.
pub(super) const HEAD: u64 = 4096;
const BUFFER: usize = 256 << 10;
/// How many of the last bytes are kept to know a file again.
const EDGE: u64 = 64;
/// A last range longer than this is not read again.
const MAX_COMPARED: u64 = 64 << 20;

/// What a look at a generation's file found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Looked {
    /// Its file; what was added has been read, as far as the budget went.
    Same,
    /// Its file, and it holds less than was recorded.
    Shrunk { size: u64 },
    /// Other bytes than those that were recorded first.
    Foreign { size: u64 },
    /// It cannot be opened or read, by errno.
    Unreadable(u32),
    /// The name changed hands since the survey: the next one will tell.
    Raced,
}

/// The reading side of one collect: entries, buffer, and what may still be
/// read.
pub(super) struct Reader {
    pub entries: Vec<LogEntry<'static>>,
    pub buffer: Vec<u8>,
    pub deadline: Instant,
    started: Instant,
    /// Bytes that may still be read in this collect.
    left: u64,
    /// Bytes that one file may take of them, so that a huge one does not keep
    /// the others waiting.
    share: u64,
}

impl Reader {
    pub(super) fn new(buffer: Vec<u8>, budget: u64, deadline: Instant) -> Self {
        let mut buffer = buffer;
        buffer.resize(BUFFER, 0);
        let (started, share) = (Instant::now(), (budget / 4).max(1));
        Self { entries: Vec::new(), buffer, deadline, started, left: budget, share }
    }

    /// Records an event of a generation.
    pub(super) fn event(&mut self, src: &[u8], generation: u64, event: Event<'static>) {
        self.push(src, generation, What::Event(event));
    }

    /// Records a range of a generation, and takes note of it there.
    pub(super) fn range(&mut self, src: &[u8], generation: &mut Generation, range: Range) {
        let Range { from, to, sha256 } = range;
        self.push(src, generation.number, What::Range { from, to, sha256 });
        generation.extend(range);
    }

    /// Records that a generation could not be read in time.
    pub(super) fn late(&mut self, src: &[u8], generation: u64) {
        let ms = self.started.elapsed().as_millis();
        self.event(src, generation, Event::Late { ms: u64::try_from(ms).unwrap_or(u64::MAX) });
    }

    /// How much one file may take now.
    pub(super) fn allowance(&self) -> u64 {
        self.left.min(self.share)
    }

    /// Takes note of bytes read.
    pub(super) fn spend(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// Looks at the file that holds, or should hold, a generation's bytes, and
    /// records what was added to it.
    pub(super) fn look(
        &mut self,
        src: &[u8],
        generation: &mut Generation,
        at: &[u8],
        expected: &FileStat,
        follow: bool,
    ) -> Looked {
        let (file, stat) = match open(at, expected, follow) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Looked::Raced,
            Err(errno) => return Looked::Unreadable(errno_number(errno)),
        };
        match self.compare(&file, &stat, generation) {
            Looked::Same => {}
            other => return other,
        }
        generation.seen = Some(stat);
        generation.id = stat.id;
        generation.settled = false;
        match self.read(src, generation, &file, stat.size) {
            Ok(()) => generation.unreadable = false,
            Err(errno) => return Looked::Unreadable(errno),
        }
        generation.settled = generation.to == stat.size;
        generation.edge = edge(&file, generation).unwrap_or_default();
        Looked::Same
    }

    /// Whether the file still begins with the bytes that were recorded first.
    fn compare(&mut self, file: &File, stat: &FileStat, generation: &Generation) -> Looked {
        let size = stat.size;
        if size < generation.to {
            return Looked::Shrunk { size };
        }
        match self.begins_and_ends(file, size, generation) {
            Ok(true) => Looked::Same,
            Ok(false) => Looked::Foreign { size },
            Err(None) => Looked::Raced,
            Err(Some(errno)) => Looked::Unreadable(errno),
        }
    }

    /// Whether the head is what was recorded and, where bytes were added, also
    /// what stands before them: many logs begin alike, and one that was cut
    /// may have grown past its old size. Before the first look after a start
    /// that is the whole last range. Where nothing was added, a changed byte
    /// is for the auditor to find, who knows every range.
    fn begins_and_ends(
        &mut self,
        file: &File,
        size: u64,
        generation: &Generation,
    ) -> Result<bool, Option<u32>> {
        let grown = size > generation.to;
        let last = generation.last.filter(|last| {
            grown && generation.edge.is_empty() && last.to - last.from <= MAX_COMPARED
        });
        for range in [generation.head, last].into_iter().flatten() {
            if self.digest(file, range.from, range.to)? != range.sha256 {
                return Ok(false);
            }
        }
        Ok(!grown || generation.edge.is_empty() || edge(file, generation)? == generation.edge)
    }

    /// The digest of a range; `Err(None)` where the file does not reach that
    /// far.
    fn digest(&mut self, file: &File, from: u64, to: u64) -> Result<Digest, Option<u32>> {
        let (mut at, mut hasher) = (from, Hasher::new());
        while at < to {
            let want = usize::try_from(to - at).unwrap_or(usize::MAX).min(BUFFER);
            let Some(window) = self.buffer.get_mut(..want) else { return Err(None) };
            read_exact(file, window, at)?;
            hasher.update(window);
            at += want as u64;
        }
        Ok(hasher.finish())
    }

    /// Records the bytes behind what was recorded, up to `size`, in one range;
    /// in two at the beginning, so that the first is the head.
    fn read(
        &mut self,
        src: &[u8],
        generation: &mut Generation,
        file: &File,
        size: u64,
    ) -> Result<(), u32> {
        if generation.to == 0 && size > 0 {
            self.read_range(src, generation, file, size.min(HEAD))?;
        }
        // Nothing read above: the file shrank under the reader.
        if generation.to > 0 && generation.to < size {
            let stopped = self.read_range(src, generation, file, size)?;
            if stopped {
                self.late(src, generation.number);
            }
        }
        Ok(())
    }

    /// Records the bytes up to `end`; says whether time or budget stopped it.
    fn read_range(
        &mut self,
        src: &[u8],
        generation: &mut Generation,
        file: &File,
        end: u64,
    ) -> Result<bool, u32> {
        let from = generation.to;
        // The head is read whatever the budget says: it is small, and a range
        // that ended too soon would tell too little.
        let limit = if from == 0 { end } else { from.saturating_add(self.allowance()) };
        let mut hasher = Hasher::new();
        let (mut at, mut result) = (from, Ok(true));
        while at < end.min(limit) && (from == 0 || Instant::now() < self.deadline) {
            let want = usize::try_from(end.min(limit) - at).unwrap_or(usize::MAX);
            let Some(window) = self.buffer.get_mut(..want.min(BUFFER)) else { break };
            match file.read_at(window, at) {
                Ok(count) if count > 0 => {
                    hasher.update(window.get(..count).unwrap_or_default());
                    at += count as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                end => {
                    result = end.map(|_| false).map_err(|error| io_number(&error));
                    break;
                }
            }
        }
        self.spend(at - from);
        if at > from {
            self.range(src, generation, Range { from, to: at, sha256: hasher.finish() });
        }
        result.map(|stopped| stopped && at < end)
    }

    fn push(&mut self, src: &[u8], generation: u64, what: What<'static>) {
        self.entries.push(LogEntry { src: file_uri::encode(src).into(), generation, what });
    }
}

/// Opens a regular file for reading, without waiting for anybody and without
/// marking it as accessed where that is allowed. `None` where it is no longer
/// the file that was expected.
///
/// # Errors
/// Why it cannot be opened.
pub(super) fn open(
    at: &[u8],
    expected: &FileStat,
    follow: bool,
) -> Result<Option<(File, FileStat)>, Errno> {
    let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    let at = Path::new(OsStr::from_bytes(at));
    let quietly = openat(CWD, at, flags | OFlags::NOATIME, Mode::empty());
    let opened = match quietly {
        Err(Errno::PERM) => openat(CWD, at, flags, Mode::empty()),
        opened => opened,
    };
    let file = match opened {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let (kind, stat) = look(&file, b"", AtFlags::EMPTY_PATH)?;
    Ok((kind == FileType::RegularFile && stat.id == expected.id).then_some((file, stat)))
}

/// The last bytes that were recorded of a generation, as they stand in the
/// file.
fn edge(file: &File, generation: &Generation) -> Result<Vec<u8>, Option<u32>> {
    let length = generation.to.min(EDGE);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    read_exact(file, &mut bytes, generation.to - length)?;
    Ok(bytes)
}

/// # Errors
/// The errno, or `None` where the file ends before.
fn read_exact(file: &File, window: &mut [u8], at: u64) -> Result<(), Option<u32>> {
    file.read_exact_at(window, at).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => None,
        _ => Some(io_number(&error)),
    })
}

fn io_number(error: &std::io::Error) -> u32 {
    let other = errno_number(Errno::IO);
    error.raw_os_error().map_or(other, i32::unsigned_abs)
}
