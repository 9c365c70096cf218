//! How long this machine kept a process waiting, so that a limit on the product's
//! time is not broken by other tests that take the processor or the disk.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const STEP: Duration = Duration::from_millis(20);

/// Takes a small step over and over: a pause, and a few bytes that are made durable.
pub(crate) struct Stalls {
    worst_ms: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stalls {
    pub(crate) fn measure() -> Self {
        let (worst_ms, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (worst, end) = (worst_ms.clone(), ends.clone());
        let thread = thread::spawn(move || {
            let file = tempfile::NamedTempFile::new().unwrap();
            while !end.load(Ordering::Relaxed) {
                let begin = Instant::now();
                thread::sleep(STEP);
                fs::write(file.path(), "step").unwrap();
                file.as_file().sync_data().unwrap();
                let late = begin.elapsed().saturating_sub(STEP).as_millis();
                worst.fetch_max(u64::try_from(late).unwrap(), Ordering::Relaxed);
            }
        });
        Self { worst_ms, ends, thread: Some(thread) }
    }

    /// By how much one step took longer than its pause, at worst.
    pub(crate) fn worst_ms(&self) -> u64 {
        self.worst_ms.load(Ordering::Relaxed)
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
