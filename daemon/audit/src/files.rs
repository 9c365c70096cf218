//! Regular files and folders, as an auditor reads them.

use std::{fs, io, path::Path};

use provenance_core::encoding::digest::Digest;
use provenance_host::durable;

/// Folders below this depth are not entered.
const MAX_DEPTH: usize = 16;

/// The files below `folder`, as names with `/`.
pub(crate) fn walk(
    folder: &Path,
    below: &Path,
    depth: usize,
    found: &mut Vec<String>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        if entry.file_type()?.is_dir() && depth < MAX_DEPTH {
            walk(folder, &name, depth + 1, found)?;
        } else {
            found.push(name.to_string_lossy().into_owned());
        }
    }
    found.sort();
    Ok(())
}

/// The digest of a regular file.
pub(crate) fn digest(path: &Path) -> io::Result<Digest> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    durable::digest_of(path)
}
