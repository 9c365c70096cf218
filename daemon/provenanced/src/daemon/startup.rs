//! What is put in order before the first tick.

use std::sync::Arc;

use provenance_core::{
    encoding::{json::Value, time::Timestamp},
    record::{Record, chain::Body, log_entry::LogEntry},
};
use tokio::sync::Notify;

use provenance_host::{clock::Clock, config::Config, state_dir::StateDir};

use super::{
    follower_thread::{FollowerHandle, Followers},
    recovery::{self, ReplayedState},
};
use crate::{alerts::Alerts, bundle, chain::ChainWriter, error::ServiceError, ledger::Ledger};

pub(super) fn settle_bundles(
    state: &StateDir,
    evidence: &mut Ledger,
    now: Timestamp,
) -> Result<(), ServiceError> {
    let _lock = bundle::lock(state)?;
    let reader = evidence.reader()?;
    bundle::settle_unfinished(state, evidence, &reader, now)
}

pub(super) struct OpenedState {
    pub(super) past: ReplayedState,
    pub(super) chain: ChainWriter,
    pub(super) evidence: Ledger,
    pub(super) alerts: Alerts,
}

/// What the chain's past is told to.
struct ReplayTarget<'a>(&'a mut Followers, &'a mut Alerts);

impl recovery::Replay for ReplayTarget<'_> {
    fn restore(&mut self, snapshot: &Value) -> bool {
        self.0.restore(snapshot)
    }

    fn entry(&mut self, entry: &LogEntry<'_>) {
        self.0.entry(entry);
    }

    fn record(&mut self, record: &Record<'_>, body: &Body<'_>) {
        self.1.replay(record, body);
    }
}

pub(super) async fn open_followers<C: Clock + Clone + Send + 'static>(
    config: &Config,
    state: &StateDir,
    clock: &C,
    mut chain: ChainWriter,
    evidence: Ledger,
    mut alerts: Alerts,
    moved: &Arc<Notify>,
) -> Result<(FollowerHandle, OpenedState), ServiceError> {
    let (config, state, moved) = (config.clone(), state.clone(), moved.clone());
    let now = clock.now().time;
    FollowerHandle::start(move || {
        let mut followers = Followers::open(&config, &state)?;
        let mut told = ReplayTarget(&mut followers, &mut alerts);
        let past = recovery::recover(&config, &state, &mut chain, &evidence, now, &mut told)?;
        followers.watch(&moved);
        Ok((followers, OpenedState { past, chain, evidence, alerts }))
    })
    .await
}
