//! What `provenanced` does: it puts the adapters to the engine's decisions.

pub mod aggregate;
pub mod alerts;
pub mod anchor;
pub mod api;
pub mod attest;
pub mod bundle;
pub mod certificates;
pub mod countersign;
pub mod evidence;
pub mod follow;
pub mod health;
pub mod metrics;
mod notify;
pub mod packages;
pub mod packet;
pub mod recover;
pub mod retain;
pub mod run;
pub mod sbom;
pub mod store;

use std::fs::File;

use provenance_core::time::Timestamp;

use crate::{
    alert::AlertError,
    chain::ChainError,
    host::durable::{self, StateDir},
    registry::RegistryError,
    signer::SignerError,
};

/// Name and version, as records hold it.
pub const SOFTWARE: &str = concat!("provenanced ", env!("CARGO_PKG_VERSION"));

/// What a service ends with.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The signing key.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The delivery of alerts.
    #[error(transparent)]
    Alert(#[from] AlertError),
    /// The Bitcoin node.
    #[error(transparent)]
    Node(#[from] crate::bitcoin::NodeError),
    /// A calendar.
    #[error(transparent)]
    Calendar(#[from] crate::calendar::CalendarError),
    /// Storage for copies.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// Copies that were read.
    #[error(transparent)]
    Copies(#[from] crate::copies::CopyError),
    /// Another process is at it.
    #[error("{0} is locked: another process is at work; try again")]
    Locked(String),
    /// An inventory of the system's software.
    #[error(transparent)]
    Sbom(#[from] crate::sbom::SbomError),
    /// A pattern in the settings.
    #[error(transparent)]
    Pattern(#[from] crate::logs::PatternError),
    /// The state folder is not in a state that this program leaves behind.
    #[error("{0}")]
    State(String),
    /// What the caller asked for cannot be done.
    #[error("{0}")]
    Request(String),
    /// It contradicts what is on record.
    #[error("{0}")]
    Conflict(String),
    /// Nothing was recorded that could be bundled.
    #[error("there is nothing to do: {0}")]
    Empty(String),
    /// The disk refused records up to the end.
    #[error(
        "records could not be written since {0}, and so neither was the stop: see to the disk; \
         the next start goes on behind the last record"
    )]
    Unrecorded(Timestamp),
    /// A file or folder.
    #[error("{what}: {source}")]
    Io {
        /// Which, and what was to be done with it.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
}

impl From<std::io::Error> for ServiceError {
    fn from(source: std::io::Error) -> Self {
        Self::Io { what: "the chain's files could not be read".into(), source }
    }
}

impl ServiceError {
    /// For `map_err`: an I/O error with what it was about.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// Keeps others of its kind out, as long as the file is open; waits for nobody.
fn lock(state: &StateDir, name: &str) -> Result<File, ServiceError> {
    let path = state.cache().join(name);
    let what = || format!("cannot open {}", path.display());
    durable::create_dirs(&state.cache()).map_err(ServiceError::io(what()))?;
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(ServiceError::io(what()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(ServiceError::Locked(path.display().to_string()))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(ServiceError::io(what())(error)),
    }
}
