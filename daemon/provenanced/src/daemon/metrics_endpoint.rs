//! The metrics and the address where they are served, which the settings may
//! change while the daemon runs.

use provenance_core::record::chain::Tick;
use provenance_host::config::address::Listen;
use tokio::time::Instant;

use super::metrics::{self, Server, SharedMetrics};

/// The metrics and where they are served.
#[derive(Default)]
pub(super) struct Metrics {
    pub(super) board: SharedMetrics,
    /// The address and its server; no server while the address cannot be bound.
    at: Option<(Listen, Option<Server>)>,
}

impl Metrics {
    /// Listens where the settings say. An address that cannot be had does
    /// not keep the logs waiting: it is logged once, and tried at each tick.
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
    pub(super) fn record_tick(&self, tick: &Tick<'_>) {
        self.board.change(|numbers| {
            numbers.attest(&tick.clock);
            numbers.entries = numbers.entries.saturating_add(tick.logs.len() as u64);
        });
    }

    /// A tick began at `began`, and its record was written.
    pub(super) fn record_duration(&self, began: Instant) {
        self.board.change(|numbers| numbers.tick_s = began.elapsed().as_secs_f64());
    }
}
