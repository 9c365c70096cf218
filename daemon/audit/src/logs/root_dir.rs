//! Files below a root, opened with care: only regular ones, without waiting
//! for anybody, and nothing outside the root whatever links say.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Dir, FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2},
    io::Errno,
};

/// How many names of a directory are looked at.
const MAX_NAMES: usize = 100_000;

/// A directory that is put before every path.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    dir: OwnedFd,
}

/// An open regular file.
#[derive(Debug)]
pub(super) struct Opened {
    pub file: File,
    pub id: FileId,
    pub size: u64,
}

/// Device and inode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct FileId {
    pub dev: u64,
    pub ino: u64,
}

/// Why a file was not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// There is none.
    Absent,
    /// Something else stands there.
    Other(&'static str),
    /// The system says no.
    Failed(Errno),
}

impl Root {
    /// # Errors
    /// As open(2).
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = open(path, flags, Mode::empty()).map_err(|errno| {
            let error = io::Error::from(errno);
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        Ok(Self { path: path.into(), dir })
    }

    /// Whether this is the machine's own.
    pub(super) fn is_machine(&self) -> bool {
        self.path == Path::new("/")
    }

    /// Opens a regular file. A symbolic link in its place is followed only
    /// where it leads to one of `inodes`, as it did when it was recorded; in a
    /// copy, where inodes tell nothing, anywhere below the root.
    ///
    /// # Errors
    /// [`Refused`]
    pub(super) fn file(&self, path: &[u8], inodes: &[u64]) -> Result<Opened, Refused> {
        match self.regular(path, OFlags::NOFOLLOW) {
            Err(Refused::Failed(Errno::LOOP)) => {}
            opened => return opened,
        }
        match self.regular(path, OFlags::empty()) {
            Ok(opened) if !self.is_machine() || inodes.contains(&opened.id.ino) => Ok(opened),
            _ => Err(Refused::Other("a symbolic link")),
        }
    }

    /// The first bytes of a small file, if it can be read.
    pub(super) fn small(&self, path: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let opened = self.regular(path, OFlags::empty()).ok()?;
        opened.file.take(4096).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// The names in a directory; those of one that cannot be read are none.
    pub(super) fn names(&self, dir: &[u8]) -> Vec<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let Ok(entries) = self.resolve(dir, flags).and_then(|dir| Dir::read_from(&dir)) else {
            return Vec::new();
        };
        let names = entries.flatten().take(MAX_NAMES);
        let mut names: Vec<_> = names.map(|entry| entry.file_name().to_bytes().to_vec()).collect();
        names.sort();
        names
    }

    fn regular(&self, path: &[u8], extra: OFlags) -> Result<Opened, Refused> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | extra;
        let opened = match self.resolve(path, flags | OFlags::NOATIME) {
            Err(Errno::PERM) => self.resolve(path, flags),
            opened => opened,
        };
        let file = match opened {
            Ok(file) => File::from(file),
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(Refused::Absent),
            Err(Errno::NXIO) => return Err(Refused::Other("a socket or a device")),
            Err(errno) => return Err(Refused::Failed(errno)),
        };
        let stat = fstat(&file).map_err(Refused::Failed)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let id = FileId { dev: stat.st_dev, ino: stat.st_ino };
                let size = u64::try_from(stat.st_size).unwrap_or_default();
                return Ok(Opened { file, id, size });
            }
            FileType::Directory => "a directory",
            FileType::Fifo => "a FIFO",
            _ => "a device",
        };
        Err(Refused::Other(kind))
    }

    fn resolve(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let start = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
        let below = Path::new(OsStr::from_bytes(path.get(start..).unwrap_or_default()));
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        match openat2(&self.dir, below, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            // An old kernel. What is below "/" cannot lead out of it.
            Err(Errno::NOSYS) if self.is_machine() => {
                open(self.path.join(below), flags, Mode::empty())
            }
            opened => opened,
        }
    }
}
