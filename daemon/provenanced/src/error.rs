//! What `provenanced` does: it puts the adapters to the engine's decisions.

use provenance_core::encoding::time::Timestamp;

use provenance_registry::RegistryError;

use crate::{alerts::webhook::AlertError, chain::ChainError, ledger::signer::SignerError};

/// What a service ends with.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error(transparent)]
    Chain(#[from] ChainError),
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
    Node(#[from] provenance_bitcoin_node::NodeError),
    #[error(transparent)]
    Calendar(#[from] crate::anchoring::calendar_client::CalendarError),
    /// Storage for copies.
    #[error(transparent)]
    Store(#[from] provenance_storage::StoreError),
    /// Copies that were read.
    #[error(transparent)]
    Copies(#[from] provenance_storage::replica::CopyError),
    /// Another process is at it.
    #[error("{0} is locked: another process is at work; try again")]
    Locked(String),
    /// An inventory of the system's software.
    #[error(transparent)]
    Sbom(#[from] provenance_sbom::SbomError),
    /// A pattern in the settings.
    #[error(transparent)]
    Pattern(#[from] provenance_log_follower::PatternError),
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
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
