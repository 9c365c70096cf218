//! Alerts follow from what is on disk: they are settled behind each attempt at
//! a record, whether it could be written or not.

use super::Daemon;

impl<C: provenance_host::clock::Clock> Daemon<C> {
    pub(super) fn settle_alerts(&mut self) {
        let shown = (self.chain.head(), self.engine.failing_since());
        let now = self.clock.now().time;
        self.alerts.settle(&self.config, now, shown.0, shown.1, &mut self.evidence);
    }
}
