//! What is counter-signed: a folder without its signing file, or a file; and
//! that signing file. Both may have been written by anybody.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use provenance_core::{
    encoding::digest::Digest,
    statement::countersignature::{MAX_FILE, SIGNING_FILE, Tree as Kind},
};
use provenance_host::durable;

use crate::rehash::{self, ContentsError, RehashLimits};

/// Of a folder, so many entries and bytes are told at most; of a file as many
/// bytes.
const MAX_ENTRIES: u64 = 1 << 20;
const MAX_BYTES: u64 = 64 << 30;

/// Where something lies that can be signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TreeRoot {
    /// A folder or a file.
    pub kind: Kind,
    /// Where, without links on the way.
    pub path: PathBuf,
    /// What it is called: the last part of that.
    pub name: String,
    /// Where its signatures are, unless they were put elsewhere.
    pub signing_file: PathBuf,
}

/// What lies at `path`; a link to it, such as `result`, is followed.
///
/// # Errors
/// [`ContentsError`]; that nothing is there is an `Io` of `NotFound`.
pub fn find(path: &Path) -> Result<TreeRoot, ContentsError> {
    let failed = |source| ContentsError::Io { path: path.into(), source };
    let refuse = |why| ContentsError::NotStored { name: path.into(), why };
    let real = fs::canonicalize(path).map_err(failed)?;
    let name = real.file_name().and_then(OsStr::to_str).ok_or_else(|| refuse("it has no name"))?;
    let name = name.to_owned();
    let kind = fs::symlink_metadata(&real).map_err(failed)?.file_type();
    let (kind, signing_file) = if kind.is_dir() {
        (Kind::Nar, real.join(SIGNING_FILE))
    } else if kind.is_file() {
        (Kind::File, real.with_file_name(format!("{name}.{SIGNING_FILE}")))
    } else {
        return Err(refuse("neither a file nor a folder"));
    };
    Ok(TreeRoot { kind, path: real, name, signing_file })
}

impl TreeRoot {
    /// The digest of what lies there: of a folder without the signing file at
    /// its top. No link within it is followed.
    ///
    /// # Errors
    /// [`ContentsError`].
    pub fn digest(&self) -> Result<Digest, ContentsError> {
        let failed = |source| ContentsError::Io { path: self.path.clone(), source };
        if self.kind == Kind::Nar {
            see_to_signing_file(&self.signing_file)?;
            let without = Some(OsStr::new(SIGNING_FILE));
            let bounds = RehashLimits { without, entries: MAX_ENTRIES, bytes: MAX_BYTES };
            let found = rehash::read_within(&self.path, bounds)?;
            return found.map(|found| found.nar).ok_or(failed(io::ErrorKind::NotFound.into()));
        }
        let file = open(&self.path).map_err(failed)?;
        let (sha256, length) = durable::digest(file.take(MAX_BYTES + 1)).map_err(failed)?;
        if length > MAX_BYTES {
            let (name, why) = (self.path.clone(), "too many bytes");
            return Err(ContentsError::NotStored { name, why });
        }
        Ok(sha256)
    }

    /// Whether a file at `path` would be a part of what is signed.
    pub fn holds(&self, path: &Path) -> bool {
        let path = without_links(path);
        path.is_ok_and(|path| path.starts_with(&self.path) && path != self.signing_file)
    }

    /// Whether `path` is where the signatures are unless they were put
    /// elsewhere.
    pub fn is_signing_file(&self, path: &Path) -> bool {
        without_links(path).is_ok_and(|path| path == self.signing_file)
    }
}

/// A file, which need not be there, in a folder that is.
fn without_links(path: &Path) -> io::Result<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")))?;
    Ok(folder.join(path.file_name().unwrap_or_default()))
}

/// What is left out of a digest is a file of signatures, and nothing else can
/// be hidden under its name.
fn see_to_signing_file(path: &Path) -> Result<(), ContentsError> {
    let refuse = |name: &Path, why| Err(ContentsError::NotStored { name: name.into(), why });
    match fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() => refuse(path, "the signing file's name, and no file"),
        Ok(there) if there.len() > MAX_FILE as u64 => refuse(path, "too long for a signing file"),
        _ => Ok(()),
    }?;
    let beside = durable::beside(path);
    if fs::symlink_metadata(&beside).is_ok() {
        return refuse(&beside, "left by a signing that was interrupted: remove it");
    }
    Ok(())
}

/// The bytes of a file of signatures; `None` where there is none.
///
/// # Errors
/// `InvalidData` where it is too long, or no file; else as the system calls.
pub fn signatures(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let file = match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    if !file.metadata()?.is_file() {
        return Err(invalid("not a file"));
    }
    let mut bytes = vec![];
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_FILE {
        Err(invalid("too long for a signing file"))
    } else {
        Ok(Some(bytes))
    }
}

/// No link, and no waiting for whoever might write.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

#[cfg(test)]
mod tests;
