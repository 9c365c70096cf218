//! What `provctl` does: it reads and judges. No key, no writing registry, no
//! network unless told; what it reads may have been written by anybody.

pub mod anchor;
pub mod attestation;
pub mod bundle;
pub mod certificate;
pub mod chain;
mod chronicle;
pub mod copies;
pub mod countersign;
mod coverage;
mod documents;
pub mod fleet;
mod join;
pub mod logs;
pub mod packages;
pub mod packet;
pub mod pki;
mod published;
mod recovered;
pub mod registry;
pub mod sbom;
pub mod status;
pub mod store;
mod target;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use provenance_core::report::{Head, Report};
use provenance_verifier::{Given, VerifyError};

use crate::{
    host::policy::{Policy, PolicyError},
    registry::reader::RegistryError,
};

/// What an auditor gives besides the thing to verify.
#[derive(Debug, Default)]
pub struct Trust {
    /// The policy file's content; without it the best verdict is inconclusive.
    pub policy: Option<Policy>,
    /// What is known of Bitcoin's blocks.
    pub blocks: anchor::Blocks,
    /// Whether somebody still waits for the report.
    pub stop: Stop,
}

/// Ends a verification from another thread.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Nobody waits any more.
    pub fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_now(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn check(&self) -> Result<(), AuditError> {
        if self.is_now() { Err(AuditError::Stopped) } else { Ok(()) }
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// There is nothing there.
    #[error("{0}: no such file or folder")]
    Missing(PathBuf),
    /// Something is there, and it is nothing that can be verified.
    #[error("{path}: {why}")]
    NotEvidence {
        /// What.
        path: PathBuf,
        /// Why not, and what would be.
        why: String,
    },
    /// A file could not be read.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The registry could not be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The policy could not be read.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The copies could not be read.
    #[error(transparent)]
    Copies(#[from] crate::copies::CopyError),
    /// [`Stop::now`] was called.
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

impl Trust {
    /// What this policy trusts, with the headers that it names.
    ///
    /// # Errors
    /// [`AuditError`] where these cannot be read.
    pub fn of(policy: Option<Policy>) -> Result<Self, AuditError> {
        let mut blocks = anchor::Blocks::default();
        if let Some(policy) = &policy {
            if let Some(path) = &policy.anchor.headers {
                anchor::read_headers(&mut blocks, path.as_ref())?;
            }
            blocks.take(&policy.anchor);
        }
        Ok(Self { policy, blocks, stop: Stop::default() })
    }

    /// As those take it that judge without reading files.
    fn given<'a>(&'a self, stopped: &'a dyn Fn() -> bool) -> Given<'a> {
        Given { policy: self.policy.as_ref(), blocks: &self.blocks, stopped }
    }

    /// The trusted keys.
    pub fn keys(&self) -> &[provenance_core::verify::bundle::Trusted] {
        self.given(&|| false).keys()
    }

    /// Whether the policy accepts evidence that nobody signed.
    pub fn allows_unsigned(&self) -> bool {
        self.given(&|| false).allows_unsigned()
    }

    /// Says that without a policy nothing can be verified.
    fn demand_policy(&self, report: &mut Report) {
        self.given(&|| false).demand_policy(report);
    }

    /// Holds client and host against the policy.
    fn check_identity(&self, identity: (&str, &str), report: &mut Report) {
        self.given(&|| false).check_identity(identity, report);
    }
}

pub use provenance_verifier::Progress;

/// The newest of two heads.
fn later(a: Option<Head>, b: Option<Head>) -> Option<Head> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.seq >= a.seq { b } else { a }),
        (a, b) => a.or(b),
    }
}
