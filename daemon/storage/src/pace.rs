//! How fast bytes go, and when they last did.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// How fast bytes may go, both ways together.
#[derive(Clone, Debug)]
pub(super) struct Throttle {
    kib_s: Option<u64>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    next: Option<Instant>,
    moved: Instant,
}

impl Throttle {
    pub(super) fn new(kib_s: Option<u64>) -> Self {
        let state = State { next: None, moved: Instant::now() };
        Self { kib_s, state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next bytes may go, after so many went.
    pub(super) fn after(&self, bytes: usize) -> Option<Instant> {
        let mut state = self.state();
        state.moved = Instant::now();
        let rate = self.kib_s?.saturating_mul(1024).max(1);
        let span = Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / rate);
        let due = state.next.unwrap_or(state.moved).max(state.moved) + span;
        state.next = Some(due);
        // What waits for its turn is not late.
        state.moved = due;
        Some(due)
    }

    pub(super) async fn wait(&self, bytes: usize) {
        if let Some(due) = self.after(bytes) {
            sleep_until(due).await;
        }
    }

    /// From when on silence counts: a request begins.
    pub(super) fn begin(&self) {
        self.state().moved = Instant::now();
    }

    /// When bytes last went, or may go next.
    pub(super) fn moved(&self) -> Instant {
        self.state().moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_go_no_faster_than_asked_and_what_waits_its_turn_is_not_late() {
        let begin = Instant::now();
        let pace = Throttle::new(Some(1));
        pace.wait(90 << 10).await;
        assert_eq!(begin.elapsed().as_secs(), 90);
        let due = pace.after(100 << 10).unwrap();
        assert_eq!(pace.moved(), due);
        let free = Throttle::new(None);
        assert_eq!(free.after(1 << 30), None);
    }
}
