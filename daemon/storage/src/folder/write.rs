//! Writing to a folder.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use provenance_core::encoding::digest::Hasher;
use provenance_host::durable;
use rustix::fs::IFlags;

use super::{CHUNK, FolderReader, is_immutable};
use crate::{PutRequest, ReadStorage, StoreError, WriteStorage};

/// A folder to write to.
#[derive(Debug)]
pub struct FolderWriter {
    reader: FolderReader,
}

impl FolderWriter {
    /// The folder at `root`.
    pub fn new(root: &Path) -> Self {
        Self { reader: FolderReader::new(root) }
    }

    fn write(&self, put: &PutRequest<'_>, to: &Path) -> Result<(), StoreError> {
        let what = || to.display().to_string();
        let parent = to.parent().unwrap_or(&self.reader.root);
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
fn copy(put: &PutRequest<'_>, to: &mut File) -> Result<bool, StoreError> {
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

impl WriteStorage for FolderWriter {
    fn reader(&mut self) -> &mut dyn ReadStorage {
        &mut self.reader
    }

    fn check(&mut self) -> Result<(), StoreError> {
        let root = &self.reader.root;
        durable::create_dirs(root).map_err(StoreError::io(root.display().to_string()))
    }

    fn put(&mut self, put: &PutRequest<'_>) -> Result<Option<String>, StoreError> {
        let to = self.reader.path(put.key)?;
        self.write(put, &to)?;
        Ok(None)
    }

    fn refuses_removal(&mut self, key: &str, _version: Option<&str>) -> Result<bool, StoreError> {
        // Trying would remove it where the flag is not set; that is read back.
        let path = self.reader.path(key)?;
        let file = File::open(&path).map_err(StoreError::io(path.display().to_string()))?;
        Ok(is_immutable(&file))
    }
}
