//! Wake-up: tells that files were created, renamed or deleted under a watched
//! pattern, so that the tail of a log that is being rotated is read before it
//! is compressed or deleted. Never for truth: without it, every tick finds
//! the same.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use notify::{
    Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::ModifyKind,
};

use crate::{Follower, file_id::is_below};

/// How long it has to be quiet before the caller is told.
const QUIET_PERIOD: Duration = Duration::from_millis(50);
/// The longest that a busy directory can put that off.
const MAX_DELAY: Duration = Duration::from_millis(500);

/// Watches for as long as it lives.
pub struct Waker {
    _watcher: RecommendedWatcher,
    unwatched: Vec<Unwatched>,
}

/// A directory that cannot be watched; it is looked at every tick all the
/// same.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch {dir} for rotations ({why}); it is still read every tick")]
pub struct Unwatched {
    pub dir: PathBuf,
    /// Such as the inotify limit (`fs.inotify.max_user_watches`).
    pub why: notify::Error,
}

impl Waker {
    /// Watches the directories of the follower's patterns, and calls `wake`
    /// from a thread of its own some 50 ms after the last of a burst of
    /// creations, renames and deletions. Plain writes do not wake.
    ///
    /// # Errors
    /// Where nothing can be watched at all, such as without inotify.
    pub fn new(
        follower: &Follower,
        wake: impl Fn() + Send + 'static,
    ) -> Result<Self, notify::Error> {
        let (sender, receiver) = mpsc::channel();
        let state = follower.patterns.state_path();
        let handler = move |event: notify::Result<Event>| {
            // An error, such as an overflow, is a reason to look too.
            if event.map_or(true, |event| is_move(&event, state.as_os_str().as_bytes())) {
                // The receiver is gone only while everything ends.
                let _ = sender.send(());
            }
        };
        let config = Config::default().with_follow_symlinks(false);
        let mut watcher = RecommendedWatcher::new(handler, config)?;
        let mut unwatched = Vec::new();
        for (dir, deep) in follower.patterns.directories() {
            let mode = if deep { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            if let Err(why) = watcher.watch(&dir, mode) {
                unwatched.push(Unwatched { dir, why });
            }
        }
        thread::Builder::new()
            .name("log-waker".into())
            .spawn(move || debounce(&receiver, &wake))
            .map_err(notify::Error::io)?;
        Ok(Self { _watcher: watcher, unwatched })
    }

    /// What could not be watched.
    pub fn unwatched(&self) -> &[Unwatched] {
        &self.unwatched
    }
}

fn is_move(event: &Event, state: &[u8]) -> bool {
    let kind = matches!(
        event.kind,
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
    );
    let own = |path: &PathBuf| is_below(OsStr::as_bytes(path.as_os_str()), state);
    kind && !event.paths.iter().all(own)
}

/// Ends when the watcher does.
fn debounce(events: &mpsc::Receiver<()>, wake: &impl Fn()) {
    while events.recv().is_ok() {
        let first = Instant::now();
        while first.elapsed() < MAX_DELAY {
            match events.recv_timeout(QUIET_PERIOD) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        wake();
    }
}
