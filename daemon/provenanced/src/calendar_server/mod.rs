//! `provenanced aggregate`: an OpenTimestamps calendar. Digests that others
//! submit go into the registry, a batch at a time, and with its root into
//! Bitcoin (docs/format.md §7, "Calendars"). `provenanced anchor` does the latter, as ever.
//!
//! Trust: nobody needs to trust it for the proofs that it gives. It promises to
//! anchor what it was given, and keeps no promise that its disk lost: hence
//! each submission is on disk before it is answered. Whoever can reach it may
//! submit, and sees nothing of what others do.

mod committer;
mod lookup;
mod server;

use std::{future::Future, sync::Arc};

use provenance_core::encoding::time::Timestamp;
use provenance_host::{
    config::{Aggregate, address::Listen},
    state_dir::StateDir,
};
use provenance_http::{listener, server::make_room};
use provenance_registry::Reader;

use crate::{error::ServiceError, ledger::Ledger, sd_notify};
use committer::Committer;
use lookup::CommitmentLookup;
use server::Calendar;

/// Takes and answers until `end`.
///
/// # Errors
/// [`ServiceError`]: another is at it, or the address cannot be listened at.
pub(crate) async fn run(
    settings: &Aggregate,
    state: &StateDir,
    evidence: Ledger,
    now: impl Fn() -> Timestamp + Send + 'static,
    end: impl Future<Output = ()>,
) -> Result<(), ServiceError> {
    let _lock = crate::state_lock::lock(state, "aggregate.lock")?;
    make_room(settings.max_connections);
    let what = format!("cannot listen at {}", settings.listen);
    let listener = listener::bind(&Listen::Tcp(settings.listen), None)
        .await
        .map_err(ServiceError::io(what))?;
    let answers = CommitmentLookup::new(Reader::open(&state.registry())?)?;
    let (queue, committer) = Committer::start(settings, evidence, now)?;
    let calendar = Arc::new(Calendar::new(queue, answers));
    if let Some(address) = listener.address() {
        tracing::info!("takes submissions at {address}, as {}", settings.url);
    }
    sd_notify::ready();
    server::serve(listener, settings.max_connections, calendar, end).await;
    sd_notify::stopping();
    // What was taken is committed before the end.
    committer.finish().await;
    Ok(())
}
