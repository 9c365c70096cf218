//! Copies in storage, read: which appliances are there, and a state folder made
//! anew from one's copies (docs/format.md §15). What is wrong with the copies
//! themselves is found here; what is wrong with what they hold is for whoever
//! verifies the state folder.

mod location;
mod restore;
mod runs;

use std::io;

pub use location::{appliances, only};
pub use restore::{Fetched, Trusting, fetch};
pub use runs::{Run, Runs};

use provenance_registry::reader::RegistryError;

use crate::StoreError;

/// Why no state folder could be made.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry could not be made.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// There are no copies, or more than were asked for.
    #[error("{0}")]
    Place(String),
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
}

impl CopyError {
    /// For `map_err`: an I/O error of this file.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// Where an appliance's copies are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Appliance {
    /// What its objects' names begin with, without a `/` at the end.
    pub base: String,
    /// The client, as the base names it.
    pub client: String,
    /// The host, as the base names it.
    pub host: String,
    /// The log chain's id.
    pub chain: String,
}
