//! Files: where the bytes of a generation are now is told by the digest of its
//! first bytes, never by a name alone.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use provenance_core::{
    digest::{Digest, Hasher},
    report::{Code, Finding, Place, Report},
    time::human_span,
};

use super::{Span, below};
use crate::host::unpack::{Content, Limits, Packing};

/// Files that are open at once.
const MAX_OPEN: usize = 128;
const BUFFER: usize = 256 << 10;
/// Files in a folder that are looked into for a generation.
const MAX_CANDIDATES: usize = 1_000;

/// What the chain says of a generation.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The source's own path.
    path: Vec<u8>,
    /// Whether the file still had that name at the end.
    pub current: bool,
    /// Where it was seen last, if elsewhere.
    pub place: Option<Vec<u8>>,
    /// Whether its bytes were seen to go.
    pub gone: bool,
    /// Device and inode when it appeared.
    pub id: Option<String>,
    /// The first range: it tells the file.
    pub head: Option<(u64, Digest)>,
}

/// A range to be read again.
pub(super) struct Range {
    pub from: u64,
    pub to: u64,
    pub sha256: Digest,
    pub seq: u64,
    pub span: Span,
}

/// A generation's file while it is read.
enum State {
    Reading {
        content: Content,
        at: u64,
        path: PathBuf,
    },
    /// Nothing more can be said of it; how many bytes were not checked.
    Ended(u64),
}

pub(super) struct Files {
    root: PathBuf,
    known: BTreeMap<(String, u64), Known>,
    states: BTreeMap<(String, u64), State>,
    buffer: Vec<u8>,
    unverifiable: u64,
    found_any: bool,
    /// This is the machine that the chain began on.
    here: bool,
    /// Files that are missing, which says something only where others are.
    missing: Vec<Finding>,
}

impl Known {
    pub(super) fn new(path: Vec<u8>) -> Self {
        Self { path, current: true, place: None, gone: false, id: None, head: None }
    }
}

impl Files {
    pub(super) fn new(root: PathBuf, known: BTreeMap<(String, u64), Known>, here: bool) -> Self {
        let (states, buffer, missing) = (BTreeMap::new(), vec![0; BUFFER], vec![]);
        Self { root, known, states, buffer, unverifiable: 0, found_any: false, here, missing }
    }

    /// Reads `[from, to)` of a generation again.
    pub(super) fn range(
        &mut self,
        (src, generation): (&str, u64),
        range: Range,
        report: &mut Report,
    ) {
        let key = (src.to_owned(), generation);
        let Some(known) = self.known.get(&key).cloned() else { return };
        let state = match self.states.remove(&key) {
            Some(state) => state,
            None => {
                self.make_room();
                self.open(&key, &known, &range, report)
            }
        };
        let state = match state {
            State::Reading { content, at, path } => {
                self.found_any = true;
                self.compare(&key, (content, at, path), &range, report)
            }
            State::Ended(unread) => State::Ended(unread + (range.to - range.from)),
        };
        self.states.insert(key, state);
    }

    pub(super) fn finish(&mut self, report: &mut Report) {
        let unread = |state: &State| if let State::Ended(bytes) = state { *bytes } else { 0 };
        self.unverifiable += self.states.values().map(unread).sum::<u64>();
        if self.unverifiable > 0 {
            let what = format!("{} bytes of logs", self.unverifiable);
            report.not_checked(what, "they are no longer where the chain saw them");
        }
        if !self.found_any && !self.states.is_empty() {
            let why = "none of the watched files is here: run it where the logs are, or name \
                       their root with --root";
            report.undecided("the logs", why);
        }
        if self.found_any || self.here {
            self.missing.drain(..).for_each(|finding| report.find(finding));
        }
    }

    fn open(
        &mut self,
        key: &(String, u64),
        known: &Known,
        range: &Range,
        report: &mut Report,
    ) -> State {
        let found = self.candidates(known).into_iter().find_map(|path| {
            let content = open(&path)?;
            let head = known.head?;
            begins_with(content, head).then_some(path)
        });
        // The same file with other first bytes is a changed one.
        let same = || {
            let path = below(&self.root, known.place.as_ref().unwrap_or(&known.path));
            let id = fs::metadata(&path).ok().map(|m| format!("{:x}:{:x}", m.dev(), m.ino()));
            (!known.gone && id.is_some() && id == known.id).then_some(path)
        };
        if let Some(path) = found.or_else(same)
            && let Some(content) = open(&path)
        {
            return State::Reading { content, at: 0, path };
        }
        let place = place(key, range);
        if known.gone {
            let message = "its bytes are gone, as the chain recorded: rotated away or truncated";
            report.find(Finding::new(Code::LogUnverifiable, place, message));
        } else {
            let message = "the chain saw this file last where it is no more, and no file beside \
                           it begins with its bytes";
            self.missing.push(Finding::new(Code::LogMissing, place, message));
        }
        State::Ended(0)
    }

    /// The recorded place first, then every file beside it or beside the
    /// source whose name begins like the source's.
    fn candidates(&self, known: &Known) -> Vec<PathBuf> {
        let own = below(&self.root, &known.path);
        let recorded = known.place.as_ref().map(|place| below(&self.root, place));
        let mut candidates: Vec<PathBuf> = match &recorded {
            Some(recorded) => vec![recorded.clone()],
            None => vec![own.clone()],
        };
        let stem = own.file_name().unwrap_or_default().as_bytes().to_vec();
        // log-20261121 and log.1 both begin with the name less its ending.
        let short = own.file_stem().unwrap_or_default().as_bytes().to_vec();
        let folders = [own.parent(), recorded.as_deref().and_then(Path::parent)];
        for folder in folders.into_iter().flatten() {
            let Ok(entries) = fs::read_dir(folder) else { continue };
            let mut names: Vec<PathBuf> = entries
                .flatten()
                .filter(|entry| {
                    let name = entry.file_name();
                    name.as_bytes().starts_with(&stem) || name.as_bytes().starts_with(&short)
                })
                .map(|entry| entry.path())
                .take(MAX_CANDIDATES)
                .collect();
            names.sort();
            candidates.extend(names);
        }
        candidates
    }

    fn compare(
        &mut self,
        key: &(String, u64),
        (mut content, at, path): (Content, u64, PathBuf),
        range: &Range,
        report: &mut Report,
    ) -> State {
        let read = move_to(&mut content, at, range.from, &mut self.buffer)
            .and_then(|()| digest(&mut content, range.to - range.from, &mut self.buffer));
        report.checked("log ranges", 1);
        let mut place = place(key, range);
        place.file = Some(path.display().to_string());
        let minute = human_span(range.span.1.since(range.span.0));
        match read {
            Ok((length, sha256)) if range.from + length == range.to => {
                report.checked("log bytes", length);
                if sha256 != range.sha256 {
                    let message =
                        format!("these bytes are not those that were recorded (within {minute})");
                    let finding = Finding::new(Code::LogModified, place, message);
                    report.find(finding.values(range.sha256, sha256));
                }
                State::Reading { content, at: range.to, path }
            }
            Ok((length, _)) => {
                place.bytes = Some((range.from + length, range.to));
                let message = "the file ends before bytes that were recorded: it was cut";
                report.find(Finding::new(Code::LogModified, place, message));
                State::Ended(0)
            }
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                let message = format!("the file cannot be decompressed here: {error}");
                report.find(Finding::new(Code::LogUnverifiable, place, message));
                State::Ended(range.to - range.from)
            }
            Err(error) => {
                let message = format!("the file cannot be read to where it was recorded: {error}");
                report.find(Finding::new(Code::LogModified, place, message));
                State::Ended(0)
            }
        }
    }

    /// Closes files; one that is needed again is opened again.
    fn make_room(&mut self) {
        let open = self.states.values().filter(|state| matches!(state, State::Reading { .. }));
        if open.count() >= MAX_OPEN {
            self.states.retain(|_, state| matches!(state, State::Ended(_)));
        }
    }
}

fn place((src, generation): &(String, u64), range: &Range) -> Place {
    let place = Place::seq(range.seq).source(src, *generation);
    Place { bytes: Some((range.from, range.to)), time: Some(range.span), ..place }
}

/// Only a regular file is opened, and nothing waits for a FIFO's writer.
fn open(path: &Path) -> Option<Content> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    let regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
    let packing = Packing::of(path.as_os_str().as_bytes());
    regular.then(|| Content::new(file, packing, Limits::AUDIT))
}

fn begins_with(mut content: Content, (length, sha256): (u64, Digest)) -> bool {
    let mut buffer = vec![0; 4096];
    digest(&mut content, length, &mut buffer).is_ok_and(|read| read == (length, sha256))
}

fn move_to(content: &mut Content, at: u64, to: u64, buffer: &mut [u8]) -> io::Result<()> {
    if let Content::Plain(file) = content {
        return file_to(file, to);
    }
    let mut left = to.saturating_sub(at);
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        match content.read(buffer.get_mut(..want).unwrap_or_default())? {
            0 => return Ok(()),
            count => left -= count as u64,
        }
    }
    Ok(())
}

fn file_to(file: &mut File, to: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(to)).map(drop)
}

/// The digest of up to `length` bytes, and how many there were.
fn digest(content: &mut Content, length: u64, buffer: &mut [u8]) -> io::Result<(u64, Digest)> {
    let (mut hasher, mut left) = (Hasher::new(), length);
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = content.read(buffer.get_mut(..want).unwrap_or_default())?;
        if count == 0 {
            break;
        }
        hasher.update(buffer.get(..count).unwrap_or_default());
        left -= count as u64;
    }
    Ok((length - left, hasher.finish()))
}
