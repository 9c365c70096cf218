//! Storage for copies: a folder, or a bucket with S3 Object Lock. Objects are
//! written once; what is asked for is what comes back, or it is an error.
#![forbid(unsafe_code)]

mod access_key;
mod credentials;
mod folder;
mod instance_role;
mod pace;
pub mod replica;
mod s3;
#[cfg(feature = "write")]
mod upload_body;

use std::io;
#[cfg(feature = "write")]
use std::path::Path;

use provenance_core::encoding::{
    digest::{Digest, Hasher},
    time::Timestamp,
};

pub use credentials::Access;
pub use folder::FolderReader;
pub use s3::S3Reader;
#[cfg(feature = "write")]
pub use {folder::FolderWriter, s3::S3Writer};

/// Why storage did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such bucket, or no such folder.
    #[error("{0}: there is no such bucket; make it with Object Lock enabled")]
    NoBucket(String),
    /// The bucket keeps nothing.
    #[error(
        "{0}: the bucket has no Object Lock, and keeps nothing that somebody wants to remove: it \
         can only be enabled when a bucket is made; make another one with it"
    )]
    NoLock(String),
    /// The access key is none, or may not do this.
    #[error(
        "{place}: access was refused while {doing} ({why}): see to the access key and its rights"
    )]
    Denied {
        place: String,
        /// What was tried.
        doing: &'static str,
        /// In the service's words.
        why: String,
    },
    #[error(
        "{0}: the service refuses requests because its clock and this machine's differ by over \
         15 minutes: `provctl check-time` tells whose is wrong"
    )]
    Skewed(String),
    /// There is no answer, or none that one could work with: try again.
    #[error("{place}: no answer while {doing} ({why}); what is missing is copied by the next run")]
    Unreachable {
        place: String,
        /// What was tried.
        doing: &'static str,
        why: String,
    },
    /// No object of that name.
    #[error("{0}: there is no such object")]
    Missing(String),
    /// The service refused for another reason.
    #[error("{place}: refused while {doing}: {why}")]
    Refused {
        place: String,
        /// What was tried.
        doing: &'static str,
        /// In the service's words.
        why: String,
    },
    /// Over what can be put at once.
    #[error("{0}: over 5 GiB, which is more than one object holds when it is put at once")]
    TooLarge(String),
    /// There is no access key.
    #[error("{0}")]
    Access(String),
    /// What is copied changed while it was read.
    #[error("{0} changed while it was copied")]
    Changed(String),
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
}

impl StoreError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// What keeps an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Retention {
    /// Nothing that is known of.
    None,
    /// Object Lock in the mode GOVERNANCE: an administrator can lift it.
    Governance(Timestamp),
    /// Object Lock in the mode COMPLIANCE, until then.
    Compliance(Timestamp),
    /// The file's immutable flag.
    Immutable,
}

impl Retention {
    /// Whether the object is kept at least until then.
    pub fn keeps_until(self, until: Timestamp) -> bool {
        match self {
            Self::Compliance(kept) => kept >= until,
            Self::Immutable => true,
            Self::None | Self::Governance(_) => false,
        }
    }
}

/// What is put.
#[cfg(feature = "write")]
#[derive(Clone, Copy, Debug)]
pub struct PutRequest<'a> {
    /// The object's name.
    pub key: &'a str,
    /// The file whose bytes it is.
    pub path: &'a Path,
    /// From where in the file on.
    pub from: u64,
    pub bytes: u64,
    pub sha256: Digest,
    /// Until when nobody may remove it, in whole seconds.
    pub until: Timestamp,
}

/// An object, or one of its versions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    pub key: String,
    /// Its version, where there are versions.
    pub version: Option<String>,
    /// How many bytes.
    pub bytes: u64,
    /// What the service calls its content: two alike have the same content.
    pub tag: String,
    /// Not an object, but the mark that it was deleted.
    pub deleted: bool,
}

/// What came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadResult {
    /// How many bytes.
    pub bytes: u64,
    pub sha256: Digest,
    /// What keeps the object; `None` where that cannot be told.
    pub lock: Option<Retention>,
}

/// Storage for copies, to read from. Nothing that has only this can write.
pub trait ReadStorage: Send {
    /// What it is called.
    fn name(&self) -> String;

    /// Hands over an object's bytes and says what keeps it.
    ///
    /// # Errors
    /// [`StoreError`], and what `sink` gives.
    fn get(
        &mut self,
        key: &str,
        version: Option<&str>,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Option<Retention>, StoreError>;

    /// Every object below `prefix` whose name sorts after `after`, by name; of
    /// one name the newest version first. It ends where `each` says no.
    ///
    /// # Errors
    /// [`StoreError`].
    fn list(
        &mut self,
        prefix: &str,
        after: &str,
        each: &mut dyn FnMut(Object) -> bool,
    ) -> Result<(), StoreError>;

    /// The names below `prefix` up to the next `/`, which they have at the end.
    ///
    /// # Errors
    /// [`StoreError`].
    fn folders(&mut self, prefix: &str) -> Result<Vec<String>, StoreError>;
}

/// Storage for copies, to write to.
#[cfg(feature = "write")]
pub trait WriteStorage: Send {
    /// The same storage, to read from.
    fn reader(&mut self) -> &mut dyn ReadStorage;

    /// Whether it is there, and keeps what is put.
    ///
    /// # Errors
    /// [`StoreError`].
    fn check(&mut self) -> Result<(), StoreError>;

    /// Puts an object and gives its version.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put(&mut self, put: &PutRequest<'_>) -> Result<Option<String>, StoreError>;

    /// Tries to remove an object that is kept, and says whether that was
    /// refused, as it must be.
    ///
    /// # Errors
    /// [`StoreError`].
    fn refuses_removal(&mut self, key: &str, version: Option<&str>) -> Result<bool, StoreError>;
}

/// Reads an object of at most `limit` bytes into `sink`, and gives the digest of
/// what came; of a longer one, that of the first `limit` bytes and one more.
///
/// # Errors
/// [`StoreError`].
pub fn read(
    bucket: &mut dyn ReadStorage,
    key: &str,
    version: Option<&str>,
    limit: u64,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<ReadResult, StoreError> {
    let (mut hasher, mut bytes) = (Hasher::new(), 0_u64);
    let got = bucket.get(key, version, &mut |chunk| {
        let room = limit.saturating_add(1).saturating_sub(bytes);
        let taken = chunk.get(..usize::try_from(room).unwrap_or(usize::MAX)).unwrap_or(chunk);
        hasher.update(taken);
        bytes += taken.len() as u64;
        sink(taken)?;
        if bytes > limit {
            Err(io::Error::new(io::ErrorKind::FileTooLarge, TOO_LONG_MSG))
        } else {
            Ok(())
        }
    });
    let lock = match got {
        Ok(lock) => lock,
        // It was enough. A sink that fails in the same way, its own file's limit for
        // one, has failed.
        Err(StoreError::Io { source, .. })
            if bytes > limit && source.kind() == io::ErrorKind::FileTooLarge =>
        {
            None
        }
        Err(error) => return Err(error),
    };
    Ok(ReadResult { bytes, sha256: hasher.finish(), lock })
}

const TOO_LONG_MSG: &str = "the object is longer than it should be";

/// The bytes of an object of at most `limit` bytes, and what keeps it.
///
/// # Errors
/// [`StoreError`].
pub fn read_whole(
    bucket: &mut dyn ReadStorage,
    key: &str,
    version: Option<&str>,
    limit: u64,
) -> Result<(Vec<u8>, ReadResult), StoreError> {
    let mut bytes = vec![];
    let got = read(bucket, key, version, limit, &mut |chunk| {
        bytes.extend_from_slice(chunk);
        Ok(())
    })?;
    Ok((bytes, got))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_that_is_full_is_an_error_and_no_object_that_came_whole() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), b"abc").unwrap();
        let mut folder = FolderReader::new(dir.path());
        let mut full = |_: &[u8]| Err(io::ErrorKind::FileTooLarge.into());
        let read_full = read(&mut folder, "a", None, 3, &mut full);
        assert!(matches!(read_full, Err(StoreError::Io { .. })), "{read_full:?}");
        let whole = read(&mut folder, "a", None, 3, &mut |_| Ok(())).unwrap();
        assert_eq!((whole.bytes, whole.sha256), (3, Digest::sha256(b"abc")));
        let long = read(&mut folder, "a", None, 2, &mut |_| Ok(())).unwrap();
        assert_eq!(long.bytes, 3, "more than was to be read");
    }
}
