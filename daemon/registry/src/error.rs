//! What can be wrong with a registry.

/// Why the registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// There is none.
    #[error("there is no registry at {0}")]
    Missing(std::path::PathBuf),
    /// A database, but not a registry.
    #[error("{path} is not a registry: {why}")]
    Foreign { path: std::path::PathBuf, why: String },
    /// A database without anything in it: a registry is made in two steps.
    #[error("{0} is empty: no registry was made in it yet")]
    Empty(std::path::PathBuf),
    /// Written by a later version.
    #[error("{path} has format {found}; this program knows up to {known}: use a newer one")]
    Newer {
        path: std::path::PathBuf,
        found: i64,
        /// The newest known.
        known: i64,
    },
    /// The last records do not hold together; nothing is built upon them.
    #[error("the registry is damaged at record {seq}: {why}; run `provctl verify-chain`")]
    Damaged {
        seq: u64,
        /// What is wrong.
        why: String,
    },
    /// Another process holds the lock for longer than the time-out.
    #[error("the registry is busy: another process writes it; try again")]
    Busy,
    /// A record is over the limit.
    #[error("a record of {0} bytes is over the limit of 8 MiB")]
    TooLong(usize),
    /// SQLite's own words.
    #[error("the registry could not be read or written: {0}")]
    Sqlite(rusqlite::Error),
    /// The file system.
    #[error("the registry could not be read or written: {0}")]
    Io(#[from] std::io::Error),
}

impl RegistryError {
    /// Whether it tells of the file's content. Everything else (a lock, the
    /// disk, a permission) says nothing about it.
    pub fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode as Is;
        match self {
            Self::Missing(_)
            | Self::Empty(_)
            | Self::Foreign { .. }
            | Self::Damaged { .. }
            | Self::TooLong(_) => true,
            Self::Newer { .. } | Self::Busy | Self::Io(_) => false,
            Self::Sqlite(error) => !matches!(
                error.sqlite_error_code(),
                Some(
                    Is::PermissionDenied
                        | Is::DatabaseBusy
                        | Is::DatabaseLocked
                        | Is::OutOfMemory
                        | Is::ReadOnly
                        | Is::OperationInterrupted
                        | Is::SystemIoFailure
                        | Is::DiskFull
                        | Is::CannotOpen
                        | Is::FileLockingProtocolFailed
                        | Is::NoLargeFileSupport
                        | Is::AuthorizationForStatementDenied
                )
            ),
        }
    }
}

impl From<rusqlite::Error> for RegistryError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                Self::Busy
            }
            _ => Self::Sqlite(error),
        }
    }
}
