//! Waiting for the time sources, so long as a tick may.

use std::time::Duration;

use provenance_host::clock::Clock;
use provenance_time_sources::poller::ROUND_TIMEOUT;

use super::Daemon;

impl<C: Clock + Clone + Send + Sync + 'static> Daemon<C> {
    /// Returns when all have answered, or when a tick can wait no longer.
    pub(super) async fn await_sources(&mut self, time: Duration) {
        let patience = time.min(ROUND_TIMEOUT);
        let all = async {
            while !self.panel.is_complete() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // Whoever has not answered by then is recorded as absent.
        let _ = tokio::time::timeout(patience, all).await;
    }
}
