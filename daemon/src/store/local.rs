//! A folder as storage: files with mode 0444, and with the immutable flag where
//! the file system has it and the process may set it (CAP_LINUX_IMMUTABLE).
//! Else nothing but the mode keeps them; the answers say so.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use provenance_core::{digest::Hasher, packet::is_safe_name, path};
use rustix::fs::IFlags;

use super::{Bucket, Lock, Object, Put, StoreError};
use crate::host::durable;

/// What is read at once.
const CHUNK: usize = 128 << 10;

/// A folder.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
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

    fn write(&self, put: &Put<'_>, to: &Path) -> Result<(), StoreError> {
        let what = || to.display().to_string();
        let parent = to.parent().unwrap_or(&self.root);
        durable::create_dirs(parent).map_err(StoreError::io(what()))?;
        let mut name = std::ffi::OsString::from(".");
        name.push(to.file_name().unwrap_or_default());
        name.push(".tmp");
        let beside = parent.join(name);
        // Of a run that was killed; nobody else writes here.
        let _ = fs::remove_file(&beside);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o444).open(&beside);
        let mut file = file.map_err(StoreError::io(what()))?;
        let copied = copy(put, &mut file).and_then(|whole| {
            if !whole {
                return Err(StoreError::Changed(put.path.display().to_string()));
            }
            // A name is given once: what lies there already stays.
            file.sync_all()
                .and_then(|()| fs::hard_link(&beside, to))
                .map_err(StoreError::io(what()))
        });
        let removed = fs::remove_file(&beside);
        copied?;
        removed.and_then(|()| durable::sync_parent(to)).map_err(StoreError::io(what()))?;
        // Best effort: whether it is set is read back.
        if let Ok(flags) = rustix::fs::ioctl_getflags(&file) {
            let _ = rustix::fs::ioctl_setflags(&file, flags | IFlags::IMMUTABLE);
        }
        Ok(())
    }
}

/// Whether what was copied is what was to be.
fn copy(put: &Put<'_>, to: &mut File) -> Result<bool, StoreError> {
    let what = || put.path.display().to_string();
    let mut source = File::open(put.path).map_err(StoreError::io(what()))?;
    source.seek(SeekFrom::Start(put.from)).map_err(StoreError::io(what()))?;
    let mut source = source.take(put.bytes);
    let (mut hasher, mut buffer, mut bytes) = (Hasher::new(), vec![0; CHUNK], 0);
    loop {
        let count = source.read(&mut buffer).map_err(StoreError::io(what()))?;
        match buffer.get(..count) {
            Some(chunk) if !chunk.is_empty() => {
                hasher.update(chunk);
                to.write_all(chunk).map_err(StoreError::io("cannot write the copy"))?;
                bytes += count as u64;
            }
            _ => return Ok(bytes == put.bytes && hasher.finish() == put.sha256),
        }
    }
}

impl Bucket for Folder {
    fn name(&self) -> String {
        path::encode(std::os::unix::ffi::OsStrExt::as_bytes(self.root.as_os_str())) + "/"
    }

    fn check(&mut self) -> Result<(), StoreError> {
        durable::create_dirs(&self.root).map_err(StoreError::io(self.root.display().to_string()))
    }

    fn put(&mut self, put: &Put<'_>) -> Result<Option<String>, StoreError> {
        let to = self.path(put.key)?;
        self.write(put, &to)?;
        Ok(None)
    }

    fn get(
        &mut self,
        key: &str,
        _version: Option<&str>,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Option<Lock>, StoreError> {
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
        let flags = rustix::fs::ioctl_getflags(&file).unwrap_or(IFlags::empty());
        let lock = if flags.contains(IFlags::IMMUTABLE) { Lock::Immutable } else { Lock::None };
        Ok(Some(lock))
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
        let listed = walk(&self.root.join(folder), &below, (prefix, after), each);
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

    fn refuses_removal(&mut self, key: &str, _version: Option<&str>) -> Result<bool, StoreError> {
        // Trying would remove it where the flag is not set; that is read back.
        let path = self.path(key)?;
        let file = File::open(&path).map_err(StoreError::io(path.display().to_string()))?;
        let flags = rustix::fs::ioctl_getflags(&file).unwrap_or(IFlags::empty());
        Ok(flags.contains(IFlags::IMMUTABLE))
    }
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
    (prefix, after): (&str, &str),
    each: &mut dyn FnMut(Object) -> bool,
) -> io::Result<bool> {
    for (name, path, is_dir) in entries(folder)? {
        let key = format!("{below}{name}");
        if is_dir {
            let inner = format!("{key}/");
            // Nothing in it comes behind `after`, or begins with the prefix.
            let passed = *inner < *after && !after.starts_with(&inner);
            let outside = !inner.starts_with(prefix) && !prefix.starts_with(&inner);
            if !passed && !outside && !walk(&path, &inner, (prefix, after), each)? {
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
