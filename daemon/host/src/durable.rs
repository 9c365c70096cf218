//! Files that survive a power cut: written beside their place, fsynced,
//! renamed into it, and the folder fsynced.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use provenance_core::encoding::digest::{Digest, Hasher};

/// Writes `bytes` to `path` so that after a power cut there is either the
/// whole file or the one before it.
///
/// # Errors
/// As the system calls; the file at `path` is then the one before.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let tmp = beside(path);
    // Open, and so locked, until the file is in its place.
    let mut file = create(&tmp, mode)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&tmp, path))
        .and_then(|()| sync_parent(path));
    if written.is_err() {
        // Best effort: a left-over is overwritten by the next attempt.
        let _ = fs::remove_file(&tmp);
    }
    written
}

/// Makes `path` and the folders above it, each fsynced into its parent.
///
/// # Errors
/// As the system calls.
pub fn create_dirs(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_dirs(parent)?;
    }
    match fs::DirBuilder::new().mode(0o750).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_parent(path),
    }
}

/// fsync(2) of the folder that holds `path`, so that its name survives.
///
/// # Errors
/// As the system calls.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_dir(parent.unwrap_or(Path::new(".")))
}

/// fsync(2) of a folder.
///
/// # Errors
/// As the system calls.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Everything that was written to the file system of this folder is on disk.
///
/// # Errors
/// As the system calls.
pub fn sync_all_of(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(path)?)?)
}

/// The digest of a file.
///
/// # Errors
/// Where it cannot be read.
pub fn digest_of(path: &Path) -> io::Result<Digest> {
    digest(fs::File::open(path)?).map(|(digest, _)| digest)
}

/// The digest of what is read to its end, and how many bytes that are; no
/// more than a piece of it is in memory.
///
/// # Errors
/// As reading.
pub fn digest(mut source: impl Read) -> io::Result<(Digest, u64)> {
    let (mut hasher, mut total, mut buffer) = (Hasher::new(), 0, vec![0; 128 << 10]);
    loop {
        let count = source.read(&mut buffer)?;
        match buffer.get(..count) {
            Some(bytes) if !bytes.is_empty() => {
                hasher.update(bytes);
                total += bytes.len() as u64;
            }
            _ => return Ok((hasher.finish(), total)),
        }
    }
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// `InvalidData` where it is longer, else as the system calls.
pub fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read(File::open(path)?, path, limit)
}

/// The same of a regular file only: in a folder that somebody else made, a pipe
/// would keep its reader for ever.
///
/// # Errors
/// Those of reading; [`is_no_file`] tells the ones that say what lies there.
pub fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read(open_regular(path)?, path, limit)
}

/// Opens a regular file; anything else that lies there is an error at once.
///
/// # Errors
/// Those of opening; [`is_no_file`] tells the one of another kind of file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    let message = format!("{} is not a regular file", path.display());
    Err(io::Error::new(io::ErrorKind::InvalidData, message))
}

/// Whether it says that there is something, and not a file that could be it.
pub fn is_no_file(error: &io::Error) -> bool {
    // A socket; a link that leads to itself.
    let odd = matches!(error.raw_os_error(), Some(libc::ENXIO | libc::ELOOP));
    odd || matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::IsADirectory)
}

fn read(file: File, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let message = format!("{} is over the limit of {limit} bytes", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(bytes)
}

/// The name beside `path` of the file that [`replace`] puts into its place.
pub fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// Makes the file anew, but not while another process writes to one of that name:
/// two of ours may replace the same file at once.
fn create(path: &Path, mode: u32) -> io::Result<File> {
    loop {
        // In a folder of somebody else the name may be a link to elsewhere.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(mode);
        let file = options.custom_flags(libc::O_NOFOLLOW).open(path)?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
        let ours = file.metadata()?;
        match fs::symlink_metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => {
                file.set_len(0)?;
                return Ok(file);
            }
            // The other one put it in its place meanwhile.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_many_replace_at_once_is_always_one_of_theirs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::thread::scope(|scope| {
            for writer in 1..=4_u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..50 {
                        replace(path, &vec![writer; 1000 * usize::from(writer)], 0o640).unwrap();
                        let there = fs::read(path).unwrap();
                        let first = there[0];
                        assert_eq!(there, vec![first; 1000 * usize::from(first)]);
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_stays_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/file");
        create_dirs(path.parent().unwrap()).unwrap();
        replace(&path, b"one", 0o640).unwrap();
        replace(&path, b"two", 0o640).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_replacement_leaves_the_file_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("kept"), b"x").unwrap();
        assert!(replace(&path, b"new", 0o640).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, [0; 11]).unwrap();
        assert_eq!(read_limited(&path, 11).unwrap().len(), 11);
        assert_eq!(read_limited(&path, 10).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
