//! Why there is no report.

use std::{io, path::PathBuf};

use provenance_registry::RegistryError;
use provenance_storage::replica::CopyError;
use provenance_verifier::VerifyError;

use crate::policy_file::PolicyError;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// There is nothing there.
    #[error("{0}: no such file or folder")]
    Missing(PathBuf),
    /// Something is there, and it is nothing that can be verified.
    #[error("{path}: {why}")]
    NotEvidence {
        path: PathBuf,
        /// Why not, and what would be.
        why: String,
    },
    /// A file could not be read.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// The registry could not be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The policy could not be read.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The copies could not be read.
    #[error(transparent)]
    Copies(#[from] CopyError),
    /// [`provenance_verifier::Stop::now`] was called.
    #[error("stopped before the end: nobody waits for it any more")]
    Stopped,
}

impl AuditError {
    /// For `map_err`: an I/O error of this path.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::Missing(path),
            _ => Self::Io { path, source },
        }
    }
}

impl From<VerifyError> for AuditError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Io(source) => source.into(),
            VerifyError::Stopped => Self::Stopped,
        }
    }
}

impl From<io::Error> for AuditError {
    fn from(source: io::Error) -> Self {
        Self::Io { path: "while reading".into(), source }
    }
}
