//! Secrets: from a systemd credential, or from a file that only its owner can
//! read. What is read is wiped when it is dropped, and never appears in an
//! error or a log.

use std::{
    env,
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// A file with a secret is at most this long.
const MAX_BYTES: usize = 16 << 10;
const CREDENTIAL: &str = "credential:";

/// What a secret is called in errors.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// `signing key`
    pub what: &'static str,
    /// The setting that says where it is.
    pub setting: &'static str,
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// `credential:` outside a unit that loads it.
    #[error(
        "{setting} names the credential {name}, and systemd gave none: add \
         LoadCredential={name}:PATH to the unit, or set {setting} to a file"
    )]
    NoCredential {
        setting: &'static str,
        /// The credential's name.
        name: String,
    },
    /// The file is missing or unreadable.
    #[error("cannot read the {what} {path}: {source}")]
    Read {
        /// What is in the file.
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// Others can read it.
    #[error("the {what} {path} has mode {mode:04o}: others can read it; run chmod 0600 on it")]
    Mode {
        /// What is in the file.
        what: &'static str,
        path: PathBuf,
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("the {what} {path} belongs to user {owner}: chown it to the daemon's user")]
    Owner {
        /// What is in the file.
        what: &'static str,
        path: PathBuf,
        owner: u32,
    },
}

/// Reads what `place` names: `credential:NAME`, or a path. Also gives the file
/// that it was read from.
///
/// # Errors
/// [`SecretError`].
pub fn read(named: Named, place: &str) -> Result<(Zeroizing<Vec<u8>>, PathBuf), SecretError> {
    let Named { what, setting } = named;
    let (path, private) = match place.strip_prefix(CREDENTIAL) {
        // systemd itself sees to who can read a credential.
        Some(name) => {
            let folder = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
            let folder = folder.filter(|_| !name.contains('/'));
            let missing = || SecretError::NoCredential { setting, name: name.into() };
            (folder.ok_or_else(missing)?.join(name), false)
        }
        None => (PathBuf::from(place), true),
    };
    let failed = |source| SecretError::Read { what, path: path.clone(), source };
    let file = File::open(&path).map_err(failed)?;
    if private {
        is_private(what, &path, &file)?;
    }
    // Of its full size from the start: what grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > MAX_BYTES {
        let message = format!("it is over the limit of {MAX_BYTES} bytes");
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, message)));
    }
    Ok((bytes, path))
}

fn is_private(what: &'static str, path: &Path, file: &File) -> Result<(), SecretError> {
    let path = || path.to_owned();
    let metadata =
        file.metadata().map_err(|source| SecretError::Read { what, path: path(), source })?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Mode { what, path: path(), mode });
    }
    let (user, owner) = (rustix::process::geteuid().as_raw(), metadata.uid());
    if owner != user && owner != 0 {
        return Err(SecretError::Owner { what, path: path(), owner });
    }
    Ok(())
}
