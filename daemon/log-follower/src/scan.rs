//! What is on the disk now: a walk over the patterns that gives every regular
//! file they name, with its `statx`, sorted by path.

use std::{mem::MaybeUninit, os::fd::OwnedFd};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, openat},
    io::Errno,
};

use crate::{
    file_id::{FileId, FileStat, errno_number, look, path},
    patterns::{Pattern, Patterns},
};

/// How many files a survey holds at most; the rest is said to be unseen.
pub const MAX_FILES: usize = 100_000;
/// How deep directories are walked below a pattern's literal part.
const MAX_DEPTH: u8 = 64;

/// A file that a pattern names.
#[derive(Debug)]
pub(super) struct SurveyedFile {
    start: usize,
    end: usize,
    pub stat: FileStat,
    /// A literal path may be a symbolic link; one met by a wildcard may not.
    pub follow: bool,
    /// Some generation owns it.
    pub claimed: bool,
    /// Undecided: it may be a generation's compressed form in the making.
    pub held: bool,
}

/// One look at the disk. Its memory is used again for the next.
#[derive(Debug, Default)]
pub(super) struct DirectorySurvey {
    /// The bytes of all paths.
    paths: Vec<u8>,
    pub found: Vec<SurveyedFile>,
    /// Directories that could not be read, by errno: nothing is known about
    /// what is below them.
    pub blind: Vec<(Vec<u8>, u32)>,
    /// More than [`MAX_FILES`] were there; the pattern is in `blind` then, with
    /// `EOVERFLOW`.
    pub full: bool,
}

impl DirectorySurvey {
    /// Looks at everything the patterns name.
    pub(super) fn take(&mut self, patterns: &Patterns) {
        self.paths.clear();
        self.found.clear();
        self.blind.clear();
        self.full = false;
        let state = patterns.state_dir();
        for pattern in patterns.watched() {
            Walk { survey: self, patterns, pattern, state }.start();
        }
        let Self { paths, found, .. } = self;
        let path = |one: &SurveyedFile| paths.get(one.start..one.end).unwrap_or_default();
        found.sort_unstable_by(|a, b| path(a).cmp(path(b)));
        found.dedup_by(|a, b| path(a) == path(b));
        self.blind.sort();
        self.blind.dedup();
    }

    /// The path of the file at `index`.
    pub(super) fn path(&self, index: usize) -> &[u8] {
        let range = self.found.get(index).and_then(|one| self.paths.get(one.start..one.end));
        range.unwrap_or_default()
    }

    /// Where the file of this path stands.
    pub(super) fn find(&self, path: &[u8]) -> Option<usize> {
        let at =
            |one: &SurveyedFile| self.paths.get(one.start..one.end).unwrap_or_default().cmp(path);
        self.found.binary_search_by(at).ok()
    }

    fn add(&mut self, path: &[u8], stat: FileStat, follow: bool) {
        if self.found.len() >= MAX_FILES {
            self.full = true;
            return;
        }
        let start = self.paths.len();
        self.paths.extend_from_slice(path);
        let end = self.paths.len();
        self.found.push(SurveyedFile { start, end, stat, follow, claimed: false, held: false });
    }
}

struct Walk<'s> {
    survey: &'s mut DirectorySurvey,
    patterns: &'s Patterns,
    pattern: &'s Pattern,
    state: Option<FileId>,
}

impl Walk<'_> {
    fn start(mut self) {
        let base = self.pattern.base().to_vec();
        self.enter_base(&base);
        if self.survey.full {
            self.blind(&base, Errno::OVERFLOW);
        }
    }

    fn enter_base(&mut self, base: &[u8]) {
        if self.patterns.in_state_dir(base) {
            return;
        }
        if self.pattern.is_literal() {
            match look(CWD, base, AtFlags::empty()) {
                Ok((FileType::RegularFile, stat)) => self.survey.add(base, stat, true),
                Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => self.blind(base, errno),
            }
            return;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(CWD, path(base), flags, Mode::empty()) {
            Ok(dir) => self.walk(&mut base.to_vec(), &dir, 0),
            Err(errno) => self.blind(base, errno),
        }
    }

    fn walk(&mut self, at: &mut Vec<u8>, dir: &OwnedFd, depth: u8) {
        match look(dir, b"", AtFlags::EMPTY_PATH) {
            Ok((_, stat)) if Some(stat.id) == self.state => return,
            Ok(_) => {}
            Err(errno) => return self.blind(at, errno),
        }
        // The directories below are walked after the buffer is free again.
        let below = self.list(at, dir, depth);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        for name in below {
            let length = enter(at, &name);
            if !self.patterns.is_excluded(at) {
                match openat(dir, path(&name), flags, Mode::empty()) {
                    Ok(inner) => self.walk(at, &inner, depth + 1),
                    Err(errno) => self.blind(at, errno),
                }
            }
            at.truncate(length);
        }
    }

    /// Adds the files of one directory; gives the names of those inside it.
    fn list(&mut self, at: &mut Vec<u8>, dir: &OwnedFd, depth: u8) -> Vec<Vec<u8>> {
        let mut below = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut entries = RawDir::new(dir, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(errno) => {
                    self.blind(at, errno);
                    break;
                }
            };
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let mut kind = entry.file_type();
            if kind == FileType::Unknown {
                kind = look(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_or(kind, |(kind, _)| kind);
            }
            match kind {
                FileType::Directory if depth < self.pattern.depth().min(MAX_DEPTH) => {
                    below.push(name.to_vec());
                }
                FileType::RegularFile => self.file(at, dir, name),
                _ => {}
            }
        }
        below
    }

    fn file(&mut self, at: &mut Vec<u8>, dir: &OwnedFd, name: &[u8]) {
        let length = enter(at, name);
        if self.pattern.matches(at) && !self.patterns.is_excluded(at) {
            match look(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok((FileType::RegularFile, stat)) => self.survey.add(at, stat, false),
                Ok(_) | Err(Errno::NOENT) => {}
                Err(errno) => self.blind(at, errno),
            }
        }
        at.truncate(length);
    }

    /// What went away or changed its kind since its name was read is no
    /// finding; everything else is.
    fn blind(&mut self, at: &[u8], errno: Errno) {
        if !matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP) {
            self.survey.blind.push((at.to_vec(), errno_number(errno)));
        }
    }
}

fn enter(at: &mut Vec<u8>, name: &[u8]) -> usize {
    let length = at.len();
    if !at.ends_with(b"/") {
        at.push(b'/');
    }
    at.extend_from_slice(name);
    length
}
