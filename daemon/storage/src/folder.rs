//! A folder as storage: files with mode 0444, and with the immutable flag where
//! the file system has it and the process may set it (CAP_LINUX_IMMUTABLE).
//! Else nothing but the mode keeps them; the answers say so.

#[cfg(feature = "write")]
mod write;

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use provenance_core::{encoding::file_uri, packet::is_safe_name};
use rustix::fs::IFlags;
#[cfg(feature = "write")]
pub use write::FolderWriter;

use crate::{Object, ReadStorage, Retention, StoreError};

/// What is read at once.
const CHUNK: usize = 128 << 10;

/// A folder to read from.
#[derive(Debug)]
pub struct FolderReader {
    root: PathBuf,
}

impl FolderReader {
    /// The folder at `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, key: &str) -> Result<PathBuf, StoreError> {
        if !is_safe_name(key) {
            return Err(StoreError::Missing(format!("{}: {key:?}", self.name())));
        }
        Ok(self.root.join(key))
    }
}

impl ReadStorage for FolderReader {
    fn name(&self) -> String {
        file_uri::encode(std::os::unix::ffi::OsStrExt::as_bytes(self.root.as_os_str())) + "/"
    }

    fn get(
        &mut self,
        key: &str,
        _version: Option<&str>,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Option<Retention>, StoreError> {
        let path = self.path(key)?;
        let what = || path.display().to_string();
        let missing = fs::symlink_metadata(&path).map_or(true, |metadata| !metadata.is_file());
        if missing {
            return Err(StoreError::Missing(what()));
        }
        let mut file = File::open(&path).map_err(StoreError::io(what()))?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = file.read(&mut buffer).map_err(StoreError::io(what()))?;
            match buffer.get(..count) {
                Some(chunk) if !chunk.is_empty() => sink(chunk).map_err(StoreError::io(what()))?,
                _ => break,
            }
        }
        Ok(Some(if is_immutable(&file) { Retention::Immutable } else { Retention::None }))
    }

    fn list(
        &mut self,
        prefix: &str,
        after: &str,
        each: &mut dyn FnMut(Object) -> bool,
    ) -> Result<(), StoreError> {
        // A prefix ends where a folder does.
        let (folder, _) = prefix.rsplit_once('/').unwrap_or_default();
        let what = StoreError::io(self.root.join(folder).display().to_string());
        let below = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let listed = walk(&self.root.join(folder), &below, prefix, after, each);
        listed.map(|_| ()).map_err(what)
    }

    fn folders(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let (folder, _) = prefix.rsplit_once('/').unwrap_or_default();
        let path = self.root.join(folder);
        let what = StoreError::io(path.display().to_string());
        let names = entries(&path).map_err(what)?;
        let below = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let folders = names.into_iter().filter(|(_, _, is_dir)| *is_dir);
        Ok(folders.map(|(name, ..)| format!("{below}{name}/")).collect())
    }
}

fn is_immutable(file: &File) -> bool {
    rustix::fs::ioctl_getflags(file).is_ok_and(|flags| flags.contains(IFlags::IMMUTABLE))
}

/// The names in a folder, with their paths and whether they are folders, in
/// the order of the names of the objects below them.
fn entries(folder: &Path) -> io::Result<Vec<(String, PathBuf, bool)>> {
    let read = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        read => read?,
    };
    let mut entries = vec![];
    for entry in read {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        entries.push((name, entry.path(), entry.file_type()?.is_dir()));
    }
    // `a/b` comes behind `a-b`: a folder's names are sorted with their slash.
    entries.sort_by_cached_key(|(name, _, is_dir)| match is_dir {
        true => format!("{name}/"),
        false => name.clone(),
    });
    Ok(entries)
}

fn walk(
    folder: &Path,
    below: &str,
    prefix: &str,
    after: &str,
    each: &mut dyn FnMut(Object) -> bool,
) -> io::Result<bool> {
    for (name, path, is_dir) in entries(folder)? {
        let key = format!("{below}{name}");
        if is_dir {
            let inner = format!("{key}/");
            // Nothing in it comes behind `after`, or begins with the prefix.
            let passed = *inner < *after && !after.starts_with(&inner);
            let outside = !inner.starts_with(prefix) && !prefix.starts_with(&inner);
            if !passed && !outside && !walk(&path, &inner, prefix, after, each)? {
                return Ok(false);
            }
            continue;
        }
        // One in the making, or left by a run that was killed.
        let making = name.starts_with('.') && name.ends_with(".tmp");
        if making || !key.starts_with(prefix) || *key <= *after {
            continue;
        }
        let bytes = fs::symlink_metadata(&path)?.len();
        let object = Object { key, version: None, bytes, tag: String::new(), deleted: false };
        if !each(object) {
            return Ok(false);
        }
    }
    Ok(true)
}
