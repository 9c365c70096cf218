//! What is read again, and of which machine.

use std::path::{Path, PathBuf};

use provenance_core::encoding::time::Timestamp;

/// Where the logs are, as a user says it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Logs {
    /// The root of the file system that they are on.
    pub root: PathBuf,
    /// The journal's folder, if it is not that of the root.
    pub journal: Option<PathBuf>,
}

/// What to read again, and where.
pub struct Options<'a> {
    /// Put before every path: `/`, or where a copy of the logs is.
    pub root: PathBuf,
    /// Where the journal is; `None` leaves it out.
    pub journal: Option<JournalSource>,
    /// Only what was recorded from this time on.
    pub from: Option<Timestamp>,
    /// Only what was recorded before this time.
    pub to: Option<Timestamp>,
    /// Told how many bytes have been read, some thousand times a second.
    pub progress: &'a dyn Fn(u64),
}

/// Where the journal is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JournalSource {
    System,
    /// That of the system below a root.
    Root(PathBuf),
    /// The journal files in a directory.
    Directory(PathBuf),
}

impl Logs {
    /// All that was recorded from the first time on and before the second.
    pub(crate) fn options(
        &self,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Options<'static> {
        let root = self.root.clone();
        let journal = match &self.journal {
            Some(dir) => JournalSource::Directory(dir.clone()),
            None if root == Path::new("/") => JournalSource::System,
            None => JournalSource::Root(root.clone()),
        };
        Options { root, journal: Some(journal), from, to, progress: &|_| {} }
    }
}

impl Options<'_> {
    /// Whether what was recorded at `time` is asked for.
    pub(crate) fn wants(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time < to)
    }
}
