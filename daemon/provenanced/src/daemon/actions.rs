//! What falls due beside the records.

use provenance_core::encoding::time::Now;
use provenance_host::clock::Clock;

use super::Daemon;
use crate::{
    bundle::{self, Request, retention},
    engine::Input,
    error::ServiceError,
    ledger::size_of,
};

impl<C: Clock + Clone + Send + Sync + 'static> Daemon<C> {
    pub(super) fn checkpoint(&mut self, now: &Now) -> Result<(), ServiceError> {
        match self.chain.head() {
            Some(head) => self.evidence.commit(now.time, head, &[]).map(drop),
            None => Ok(()),
        }
    }

    /// A checkpoint that is newer than the chain's newest goes into it,
    /// whichever process made it.
    pub(super) async fn settle_checkpoint(&mut self) {
        let newest = match self.evidence.newest_checkpoint() {
            Ok(newest) => newest,
            Err(error) => return tracing::error!("{error}"),
        };
        if let Some(note) = newest
            && size_of(&note).is_some_and(|size| size > self.chained_checkpoint)
        {
            Box::pin(self.decide(Input::Checkpoint { note })).await;
        }
    }

    pub(super) fn bundle(&mut self, now: &Now) -> Result<(), ServiceError> {
        let request = Request { reason: "scheduled".into(), ..Request::default() };
        let made = bundle::make(&self.config, &self.state, &mut self.evidence, now.time, &request);
        match made {
            Ok(made) => tracing::info!(id = %made.id, "bundle made"),
            Err(ServiceError::Empty(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Once a day: retention counts in days.
    pub(super) fn expire(&mut self, now: &Now) -> Result<(), ServiceError> {
        let expired = retention::expire(&self.config, &self.state, &mut self.evidence, now.time)?;
        if !expired.is_empty() {
            tracing::info!(count = expired.len(), "artifacts removed: their retention ended");
        }
        Ok(())
    }
}
