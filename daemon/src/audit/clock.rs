//! `provctl check-time`: asks every source now, and judges as the daemon does.

use std::{
    thread,
    time::{Duration, Instant},
};

use provenance_core::{
    clock::{Attestation, State, judge},
    time::Now,
};

use crate::{
    host::{config::Config, systime::Clock},
    panel::{PATIENCE, Panel},
};

/// A receiver tells a fix each second, after it has been connected to.
const FIRST_FIX: Duration = Duration::from_secs(4);

/// What the sources of these settings say, and the moment they said it.
pub fn check(
    config: &Config,
    clock: impl Clock + Clone + Send + Sync + 'static,
) -> (Attestation<'static>, Now) {
    let begin = Instant::now();
    let mut panel = Panel::new(config, clock.clone());
    panel.begin();
    while begin.elapsed() < PATIENCE && !panel.is_complete() {
        thread::sleep(Duration::from_millis(5));
    }
    let listens = config.sources.gps.is_some();
    loop {
        let now = clock.now();
        let sources = panel.look(&now);
        let heard = sources
            .iter()
            .all(|source| !source.src.starts_with("gps:") || matches!(source.state, State::Ok(_)));
        if !listens || heard || begin.elapsed() > FIRST_FIX {
            return (judge(now.time, config.rule, None, sources), now);
        }
        thread::sleep(Duration::from_millis(50));
    }
}
