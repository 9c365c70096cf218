//! A file tree as its NAR digest: read in pieces, no link followed.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use provenance_core::{encoding::digest::Hasher, nix::NarHasher, verify::nix_store::Contents};

/// Folders within folders.
const MAX_DEPTH: usize = 512;
/// Entries of one folder.
const MAX_ENTRIES: usize = 1 << 20;
const PIECE: usize = 128 << 10;

/// Why there is no digest.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// Something that Nix stores in no path.
    #[error("{name}: {why}")]
    NotStored { name: PathBuf, why: &'static str },
}

/// What is told of a tree, and how much of it at most.
#[derive(Clone, Copy, Debug)]
pub struct RehashLimits<'a> {
    /// An entry of the uppermost folder that is left out, where it is a file.
    pub without: Option<&'a OsStr>,
    /// Entries in all folders together.
    pub entries: u64,
    /// Bytes of all files together, with what is told of them.
    pub bytes: u64,
}

impl RehashLimits<'_> {
    /// All of it, as Nix has it.
    pub const NONE: Self = Self { without: None, entries: u64::MAX, bytes: u64::MAX };
}

/// A folder that is being told: what is left of it.
struct Open {
    path: PathBuf,
    left: std::collections::btree_set::IntoIter<OsString>,
}

/// What lies at `path`; `None` where nothing does.
///
/// # Errors
/// [`ContentsError`].
pub fn read(path: &Path) -> Result<Option<Contents>, ContentsError> {
    read_within(path, RehashLimits::NONE)
}

/// What lies at `path`, within `bounds`; `None` where nothing does.
///
/// # Errors
/// [`ContentsError`].
pub(crate) fn read_within(
    path: &Path,
    bounds: RehashLimits<'_>,
) -> Result<Option<Contents>, ContentsError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        _ => {}
    }
    let (mut nar, mut piece) = (NarHasher::new(), vec![0; PIECE]);
    let (mut folders, mut flat, mut entries) = (Vec::<Open>::new(), None, 0_u64);
    if let Some(folder) = node(path, &mut nar, &mut piece, bounds.bytes, Some(&mut flat))? {
        folders.push(folder);
    }
    while let Some(folder) = folders.last_mut() {
        let Some(name) = folder.left.next() else {
            nar.end();
            folders.pop();
            // The entry that it is, but for the uppermost.
            if !folders.is_empty() {
                nar.end();
            }
            continue;
        };
        let path = folder.path.join(&name);
        if folders.len() == 1 && bounds.without == Some(&*name) && is_file(&path)? {
            continue;
        }
        entries += 1;
        if entries > bounds.entries {
            return Err(ContentsError::NotStored { name: path, why: "too many entries" });
        }
        nar.entry(name.as_bytes());
        match node(&path, &mut nar, &mut piece, bounds.bytes, None)? {
            Some(_) if folders.len() >= MAX_DEPTH => {
                return Err(ContentsError::NotStored { name: path, why: "too deep" });
            }
            Some(below) => folders.push(below),
            None => nar.end(),
        }
    }
    let (nar, size) = nar.finish();
    Ok(Some(Contents { nar, size, flat }))
}

fn is_file(path: &Path) -> Result<bool, ContentsError> {
    let failed = |source| ContentsError::Io { path: path.into(), source };
    Ok(fs::symlink_metadata(path).map_err(failed)?.is_file())
}

/// Tells what lies at `path`; a folder's entries are for the caller.
fn node(
    path: &Path,
    nar: &mut NarHasher,
    piece: &mut [u8],
    limit: u64,
    flat: Option<&mut Option<provenance_core::encoding::digest::Digest>>,
) -> Result<Option<Open>, ContentsError> {
    let failed = |source| ContentsError::Io { path: path.into(), source };
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    let kind = metadata.file_type();
    if kind.is_symlink() {
        let target = fs::read_link(path).map_err(failed)?;
        nar.link(target.as_os_str().as_bytes());
        return Ok(None);
    }
    if kind.is_dir() {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            names.insert(entry.map_err(failed)?.file_name().into_vec());
            if names.len() > MAX_ENTRIES {
                return Err(ContentsError::NotStored {
                    name: path.into(),
                    why: "too many entries",
                });
            }
        }
        nar.folder();
        let names: BTreeSet<OsString> = names.into_iter().map(OsString::from_vec).collect();
        return Ok(Some(Open { path: path.into(), left: names.into_iter() }));
    }
    if !kind.is_file() {
        let why = "neither a file, a folder nor a link";
        return Err(ContentsError::NotStored { name: path.into(), why });
    }
    let file = open(path).map_err(failed)?;
    let now = file.metadata().map_err(failed)?;
    if (now.dev(), now.ino()) != (metadata.dev(), metadata.ino()) {
        return Err(failed(io::Error::other("it was replaced while it was read")));
    }
    // Before it is read: a file can say that it is as long as it likes.
    if nar.length().saturating_add(now.len()) > limit {
        return Err(ContentsError::NotStored { name: path.into(), why: "too many bytes" });
    }
    let digest = tell(file, &now, nar, piece, flat.is_some()).map_err(failed)?;
    if let Some(flat) = flat {
        *flat = digest;
    }
    Ok(None)
}

/// No link, and no waiting for whoever might write.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

fn tell(
    mut file: File,
    metadata: &Metadata,
    nar: &mut NarHasher,
    piece: &mut [u8],
    flat: bool,
) -> io::Result<Option<provenance_core::encoding::digest::Digest>> {
    let changed = || io::Error::other("it changed while it was read");
    let mut hasher = flat.then(Hasher::new);
    nar.file(metadata.mode() & 0o100 != 0, metadata.len());
    loop {
        let count = match file.read(piece) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let bytes = piece.get(..count).unwrap_or_default();
        if !nar.data(bytes) {
            return Err(changed());
        }
        if let Some(hasher) = &mut hasher {
            hasher.update(bytes);
        }
    }
    if nar.end_file() { Ok(hasher.map(Hasher::finish)) } else { Err(changed()) }
}
