//! What `provctl` does: it reads and judges. No key, no writing registry, no
//! network unless told; what it reads may have been written by anybody.

pub mod anchor;
pub mod bundle;
pub mod chain;
pub mod copies;
mod coverage;
pub mod fleet;
mod join;
pub mod logs;
pub mod packet;
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

    fn check(&self) -> Result<(), AuditError> {
        if self.0.load(Ordering::Relaxed) { Err(AuditError::Stopped) } else { Ok(()) }
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
            blocks.take(&policy.anchor)?;
        }
        Ok(Self { policy, blocks, stop: Stop::default() })
    }

    /// The trusted keys.
    pub fn keys(&self) -> &[provenance_core::verify::bundle::Trusted] {
        self.policy.as_ref().map(|policy| &*policy.keys).unwrap_or_default()
    }

    /// Whether the policy accepts evidence that nobody signed.
    pub fn allows_unsigned(&self) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.allow_unsigned)
    }

    /// Says that without a policy nothing can be verified.
    fn demand_policy(&self, report: &mut Report) {
        if self.policy.is_none() {
            let why = "no policy says whom to trust: give --policy FILE";
            report.undecided("whose records these are", why);
        }
    }

    /// Holds client and host against the policy.
    fn check_identity(&self, (client, host): (&str, &str), report: &mut Report) {
        use provenance_core::report::{Code, Finding, Place};
        let Some(policy) = &self.policy else { return };
        for (what, expected, got) in
            [("client", &policy.client, client), ("host", &policy.host, host)]
        {
            if expected.as_deref().is_some_and(|expected| expected != got) {
                let message = format!("the records are of another {what} than the policy names");
                let finding = Finding::new(Code::PolicyClient, Place::default(), message);
                report.find(finding.values(expected.as_deref().unwrap_or_default(), got));
            }
        }
    }
}

/// How many records have been read, for whoever waits.
pub type Progress<'a> = &'a mut dyn FnMut(u64);

/// The newest of two heads.
fn later(a: Option<Head>, b: Option<Head>) -> Option<Head> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.seq >= a.seq { b } else { a }),
        (a, b) => a.or(b),
    }
}
