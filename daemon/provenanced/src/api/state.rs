//! What every request shares.

use std::{sync::Mutex, time::Duration};

use provenance_core::encoding::{digest::Digest, time::Timestamp};
use provenance_host::{config::Config, state_dir::StateDir};
use provenance_registry::package_index::IncrementalIndex;

use crate::ledger::Ledger;

/// A request's head comes within this time, its body too, and so does the next
/// request of a connection.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// What every request shares.
pub(super) struct AppState {
    pub(super) config: Config,
    pub(super) state: StateDir,
    pub(super) evidence: Mutex<Ledger>,
    pub(super) known: Mutex<IncrementalIndex>,
    pub(super) now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// The digest of the token; comparing it tells nothing of the token.
    pub(super) token: Option<Digest>,
    pub(super) private: bool,
}
