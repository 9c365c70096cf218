//! What is put in order before the first tick.

use std::sync::Arc;

use provenance_core::time::Timestamp;
use tokio::sync::Notify;

use crate::{
    chain::ChainWriter,
    host::{config::Config, durable::StateDir, systime::Clock},
    services::{
        ServiceError, bundle,
        evidence::Evidence,
        follow::{Followers, Thread},
        recover::{self, Past},
    },
};

pub(super) fn settle_bundles(
    state: &StateDir,
    evidence: &mut Evidence,
    now: Timestamp,
) -> Result<(), ServiceError> {
    let _lock = bundle::lock(state)?;
    let reader = evidence.reader()?;
    bundle::settle(state, evidence, &reader, now)
}

pub(super) struct Opened {
    pub(super) past: Past,
    pub(super) chain: ChainWriter,
    pub(super) evidence: Evidence,
}

pub(super) async fn open_followers<C: Clock + Clone + Send + 'static>(
    config: &Config,
    state: &StateDir,
    clock: &C,
    mut chain: ChainWriter,
    evidence: Evidence,
    moved: &Arc<Notify>,
) -> Result<(Thread, Opened), ServiceError> {
    let (config, state, moved) = (config.clone(), state.clone(), moved.clone());
    let now = clock.now().time;
    Thread::start(move || {
        let mut followers = Followers::open(&config, &state)?;
        let past = recover::recover(&config, &state, &mut chain, &evidence, now, &mut followers)?;
        followers.watch(&moved);
        Ok((followers, Opened { past, chain, evidence }))
    })
    .await
}
