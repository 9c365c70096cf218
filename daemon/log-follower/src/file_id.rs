//! Files by what the file system says of them.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

use rustix::{
    fs::{AtFlags, FileType, StatxFlags, statx},
    io::Errno,
};

/// Device and inode of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct FileId {
    pub dev: u64,
    pub ino: u64,
}

/// What tells whether a file has changed since it was last looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileStat {
    pub id: FileId,
    pub size: u64,
    /// Nanoseconds since the epoch.
    pub mtime: i64,
    pub ctime: i64,
    /// The time of birth, where the file system keeps one: tells a reused
    /// inode from a file rewritten in place.
    pub btime: Option<i64>,
}

/// Whether `path` is `dir` or below it.
pub(crate) fn is_below(path: &[u8], dir: &[u8]) -> bool {
    let dir = dir.strip_suffix(b"/").unwrap_or(dir);
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

pub(crate) fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// The kind and the stat of a file, relative to `dir`.
pub(crate) fn look(
    dir: impl rustix::fd::AsFd,
    name: &[u8],
    flags: AtFlags,
) -> Result<(FileType, FileStat), Errno> {
    let stat = statx(dir, path(name), flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
    let nanos = |time: rustix::fs::StatxTimestamp| {
        time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec.into())
    };
    let has_btime = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
    let id = FileId {
        dev: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
        ino: stat.stx_ino,
    };
    let kind = FileType::from_raw_mode(stat.stx_mode.into());
    Ok((
        kind,
        FileStat {
            id,
            size: stat.stx_size,
            mtime: nanos(stat.stx_mtime),
            ctime: nanos(stat.stx_ctime),
            btime: has_btime.then(|| nanos(stat.stx_btime)),
        },
    ))
}

/// The number of an error as in errno(3).
pub(crate) fn errno_number(errno: Errno) -> u32 {
    errno.raw_os_error().unsigned_abs()
}
