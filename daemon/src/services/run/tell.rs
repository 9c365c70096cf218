//! How it goes, told to systemd and to whoever asks for the metrics.

use provenance_core::{chain::Tick, time::Timestamp};
use tokio::time::Instant;

use super::{Daemon, RETRY};
use crate::{
    host::{listen::Listen, systime::Clock},
    services::{
        metrics::{self, Board, Server},
        notify,
    },
};

/// The metrics and where they are told.
#[derive(Default)]
pub(super) struct Metrics {
    board: Board,
    /// Where it is told, and who answers there; nobody while it is not possible.
    at: Option<(Listen, Option<Server>)>,
}

impl Metrics {
    /// Listens where the settings say. An address that cannot be had is no
    /// reason to let the logs wait: it is said once, and tried at each tick.
    pub(super) async fn listen(&mut self, listen: Option<&Listen>) {
        let known = self.at.as_ref().is_some_and(|(at, _)| Some(at) == listen);
        match (&mut self.at, listen) {
            (Some((_, Some(_))), _) if known => {}
            (at, None) => *at = None,
            (at, Some(listen)) => {
                // The old address is free before the new one is taken.
                *at = None;
                let server = match metrics::serve(listen, self.board.clone()).await {
                    Ok(server) => {
                        tracing::info!(%listen, "metrics are told");
                        Some(server)
                    }
                    Err(error) if known => {
                        tracing::debug!(%listen, "metrics cannot be told yet: {error}");
                        None
                    }
                    Err(error) => {
                        tracing::error!(%listen, "metrics cannot be told, trying again: {error}");
                        None
                    }
                };
                *at = Some((listen.clone(), server));
            }
        }
    }

    /// A tick's record is on disk.
    pub(super) fn ticked(&self, tick: &Tick<'_>) {
        self.board.change(|numbers| {
            numbers.attest(&tick.clock);
            numbers.entries = numbers.entries.saturating_add(tick.logs.len() as u64);
        });
    }

    /// A tick began at `began`, and its record was written.
    pub(super) fn took(&self, began: Instant) {
        self.board.change(|numbers| numbers.tick_s = began.elapsed().as_secs_f64());
    }
}

impl<C: Clock + Clone + Send + Sync + 'static> Daemon<C> {
    /// Tells systemd how it goes: ready once the `start` record is on disk.
    pub(super) fn say(&mut self) {
        self.tell();
        match (self.engine.failing_since(), self.chain.head()) {
            (Some(since), _) => {
                notify::status(&format!("records cannot be written since {since}; trying again"));
                if !self.ready {
                    notify::not_yet(RETRY * 4);
                }
            }
            (None, Some(head)) => {
                if !std::mem::replace(&mut self.ready, true) {
                    notify::ready();
                }
                let sources = self.sources.0;
                let status = format!("record {} at {}; {sources} sources", head.seq, head.time);
                notify::status(&status);
            }
            (None, None) => {}
        }
    }

    fn tell(&self) {
        self.metrics.board.change(|numbers| {
            if let Some(head) = self.chain.head() {
                (numbers.head_seq, numbers.head_time_s) = (head.seq, unix_seconds(head.time));
            }
            numbers.ticks = self.ticks;
            numbers.sources = self.sources;
            numbers.failing = self.engine.failing_since().is_some();
            numbers.undone = self.undone.len();
            numbers.alerts = self.alerts.open_by_code();
        });
    }
}

#[allow(clippy::cast_precision_loss, reason = "metrics are floating-point numbers")]
fn unix_seconds(time: Timestamp) -> f64 {
    time.nanos() as f64 / 1e9
}
