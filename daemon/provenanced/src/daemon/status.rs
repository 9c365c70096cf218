//! Publishes the daemon's status to systemd (sd_notify) and the metrics endpoint.

use provenance_core::encoding::time::Timestamp;
use provenance_host::clock::Clock;

use super::{Daemon, RETRY};
use crate::sd_notify;

impl<C: Clock + Clone + Send + Sync + 'static> Daemon<C> {
    /// Tells systemd how it goes: ready once the `start` record is on disk.
    pub(super) fn publish_status(&mut self) {
        self.publish_metrics();
        match (self.engine.failing_since(), self.chain.head()) {
            (Some(since), _) => {
                sd_notify::status(&format!(
                    "records cannot be written since {since}; trying again"
                ));
                if !self.ready {
                    sd_notify::not_yet(RETRY * 4);
                }
            }
            (None, Some(head)) => {
                if !std::mem::replace(&mut self.ready, true) {
                    sd_notify::ready();
                }
                let sources = self.sources.0;
                let status = format!("record {} at {}; {sources} sources", head.seq, head.time);
                sd_notify::status(&status);
            }
            (None, None) => {}
        }
    }

    fn publish_metrics(&self) {
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
