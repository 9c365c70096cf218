//! The log followers on a thread of their own, so that a slow disk or a
//! remote file system delays no tick.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use provenance_core::{
    encoding::json::Value,
    record::log_entry::{self, Event, LogEntry, What},
};
use provenance_host::{
    clock,
    config::{Config, Journal},
    state_dir::StateDir,
};
use provenance_log_follower::{DEFAULT_BUDGET, Follower, Settings, inotify::Waker, journal};
use tokio::sync::{Notify, oneshot};

use super::recovery::Replay;
use crate::error::ServiceError;

/// How many journal entries a tick takes at most; the rest comes with the next.
const JOURNAL_ENTRIES: u64 = 200_000;

pub struct Followers {
    files: Follower,
    journal: Option<journal::JournalFollower>,
    /// That the journal could not be opened, and by which errno, until it has
    /// been recorded.
    unreadable: Option<u32>,
    /// Watches for as long as it lives.
    waker: Option<Waker>,
}

/// What was collected, with the followers' state behind it.
pub struct Collected {
    /// The entries, sorted.
    pub entries: Vec<LogEntry<'static>>,
    /// How many sources and generations are followed.
    pub sources: (usize, usize),
}

enum Request {
    Collect(Duration, oneshot::Sender<Collected>),
    Snapshot(oneshot::Sender<Value>),
}

/// The thread's other end. Requests are answered in their order; an answer
/// that comes late is kept for whoever asks next.
pub struct FollowerHandle {
    requests: mpsc::Sender<Request>,
    outstanding: Option<(oneshot::Receiver<Collected>, Instant)>,
}

impl Followers {
    /// Followers of what the settings name.
    ///
    /// # Errors
    /// [`ServiceError::Pattern`]. A journal that cannot be opened is none: that
    /// is said, and recorded.
    pub(crate) fn open(config: &Config, state: &StateDir) -> Result<Self, ServiceError> {
        let settings = Settings {
            watch: config.watch.clone(),
            exclude: config.exclude.clone(),
            state_dir: state.root().to_owned(),
            budget_bytes: DEFAULT_BUDGET,
        };
        let origin = match &config.journal {
            Journal::Off => None,
            Journal::System => Some(journal::Origin::System),
            Journal::Folder(folder) => Some(journal::Origin::Directory(folder.clone())),
        };
        let (mut journal, mut unreadable) = (None, None);
        if let Some(origin) = origin {
            match journal::JournalFollower::open(&origin, &clock::machine_id()) {
                Ok(opened) => journal = Some(opened),
                Err(error) => {
                    tracing::error!("the journal is not read until the next start: {error}");
                    unreadable = Some(error.errno());
                }
            }
        }
        Ok(Self { files: Follower::new(&settings)?, journal, unreadable, waker: None })
    }

    /// From now on `moved` is notified when watched files are created, renamed
    /// or deleted, so that a rotated file is read before it is compressed.
    pub(crate) fn watch(&mut self, moved: &Arc<Notify>) {
        let moved = moved.clone();
        self.waker = Waker::new(&self.files, move || moved.notify_one())
            .inspect_err(|error| tracing::warn!("no early look at rotated files: {error}"))
            .ok();
        for unwatched in self.waker.iter().flat_map(Waker::unwatched) {
            tracing::warn!("{unwatched}");
        }
    }

    fn collect(&mut self, time: Duration) -> Collected {
        let deadline = Instant::now() + time;
        let mut entries = self.files.collect(deadline);
        if let Some(journal) = &mut self.journal {
            let limits = journal::Limits { entries: JOURNAL_ENTRIES, deadline };
            entries.extend(journal.collect(limits));
        }
        entries.extend(self.unreadable.take().map(|errno| LogEntry {
            src: format!("{}{}", journal::SCHEME, clock::machine_id()).into(),
            generation: 0,
            what: What::Event(Event::Unreadable { errno }),
        }));
        log_entry::sort(&mut entries);
        Collected { entries, sources: self.files.followed() }
    }

    fn snapshot(&self) -> Value {
        Value::object([("files", self.files.snapshot())])
            .with_some("journal", self.journal.as_ref().map(journal::JournalFollower::snapshot))
    }
}

impl Replay for Followers {
    fn restore(&mut self, snapshot: &Value) -> bool {
        // The files last: a journal that was restored in vain takes its place
        // again from the chain, files would not.
        let journal = match (&mut self.journal, snapshot.get("journal")) {
            (Some(journal), Some(value)) => journal.restore(value).is_ok(),
            // The journal's past is in the chain only.
            (Some(_), None) => false,
            (None, _) => true,
        };
        journal && snapshot.get("files").is_some_and(|files| self.files.restore(files).is_ok())
    }

    fn entry(&mut self, entry: &LogEntry<'_>) {
        self.files.replay(entry);
        if let Some(journal) = &mut self.journal {
            journal.replay(entry);
        }
    }
}

impl FollowerHandle {
    /// Starts the thread; `make` opens the followers on it, since libsystemd
    /// binds a journal to the thread that opened it.
    ///
    /// # Errors
    /// What `make` returns.
    pub(crate) async fn start<T: Send + 'static>(
        make: impl FnOnce() -> Result<(Followers, T), ServiceError> + Send + 'static,
    ) -> Result<(Self, T), ServiceError> {
        let (requests, inbox) = mpsc::channel();
        let (ready, made) = oneshot::channel();
        let work = move || match make() {
            Ok((mut followers, made)) => {
                if ready.send(Ok(made)).is_ok() {
                    serve(&mut followers, &inbox);
                }
            }
            Err(error) => drop(ready.send(Err(error))),
        };
        thread::Builder::new()
            .name("followers".into())
            .spawn(work)
            .map_err(ServiceError::io("cannot start the followers' thread"))?;
        let made = made.await.map_err(|_| gone())??;
        Ok((Self { requests, outstanding: None }, made))
    }

    /// What was added, if it comes within `time`; else `Err` with how long the
    /// followers have been at work, and the entries come with a later call.
    ///
    /// # Errors
    /// The time since the request that is still being worked on.
    pub(crate) async fn collect(&mut self, time: Duration) -> Result<Collected, Duration> {
        let (mut answer, since) = match self.outstanding.take() {
            Some(outstanding) => outstanding,
            None => {
                let (reply, answer) = oneshot::channel();
                // A thread that is gone shows as an answer that never comes.
                let _ = self.requests.send(Request::Collect(time / 2, reply));
                (answer, Instant::now())
            }
        };
        match tokio::time::timeout(time, &mut answer).await {
            Ok(Ok(collected)) => Ok(collected),
            Ok(Err(_)) => Err(since.elapsed()),
            Err(_) => {
                self.outstanding = Some((answer, since));
                Err(since.elapsed())
            }
        }
    }

    /// The followers' state, if they are not at work.
    pub(crate) async fn snapshot(&mut self) -> Option<Value> {
        if self.outstanding.is_some() {
            return None;
        }
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Snapshot(reply)).ok()?;
        tokio::time::timeout(Duration::from_secs(5), answer).await.ok()?.ok()
    }
}

fn serve(followers: &mut Followers, inbox: &mpsc::Receiver<Request>) {
    while let Ok(request) = inbox.recv() {
        match request {
            Request::Collect(time, reply) => drop(reply.send(followers.collect(time))),
            Request::Snapshot(reply) => drop(reply.send(followers.snapshot())),
        }
    }
}

fn gone() -> ServiceError {
    ServiceError::State("the followers' thread ended unexpectedly".into())
}
