//! `provenanced aggregate`: an OpenTimestamps calendar. Digests that others
//! submit go into the registry, a batch at a time, and with its root into
//! Bitcoin (docs/format.md §7, "Calendars"). `provenanced anchor` does the latter, as ever.
//!
//! Trust: nobody needs to trust it for the proofs that it gives. It promises to
//! anchor what it was given, and keeps no promise that its disk lost: hence
//! each submission is on disk before it is answered. Whoever can reach it may
//! submit, and sees nothing of what others do.

mod answers;
mod committer;
mod serve;

use std::{future::Future, sync::Arc};

use provenance_core::time::Timestamp;

use self::{answers::Answers, committer::Committer, serve::Calendar};
use super::{ServiceError, evidence::Evidence, notify};
use crate::{
    host::{config::Aggregate, durable::StateDir, http1, listen::Listen},
    registry::Reader,
};

/// Takes and answers until `end`.
///
/// # Errors
/// [`ServiceError`]: another is at it, or the address cannot be listened at.
pub async fn run(
    settings: &Aggregate,
    state: &StateDir,
    evidence: Evidence,
    now: impl Fn() -> Timestamp + Send + 'static,
    end: impl Future<Output = ()>,
) -> Result<(), ServiceError> {
    let _lock = super::lock(state, "aggregate.lock")?;
    http1::make_room(settings.max_connections);
    let what = format!("cannot listen at {}", settings.listen);
    let listener = Listen::Tcp(settings.listen).bind(None).await.map_err(ServiceError::io(what))?;
    let answers = Answers::new(Reader::open(&state.registry())?)?;
    let (queue, committer) = Committer::start(settings, evidence, now)?;
    let calendar = Arc::new(Calendar::new(queue, answers));
    if let Some(address) = listener.address() {
        tracing::info!("takes submissions at {address}, as {}", settings.url);
    }
    notify::ready();
    serve::until(listener, settings.max_connections, calendar, end).await;
    notify::stopping();
    // What was taken is committed before the end.
    committer.finish().await;
    Ok(())
}
