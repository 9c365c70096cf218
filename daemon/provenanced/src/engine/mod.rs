//! What is to be done next: a pure function of the state and of what
//! happened. It decides, the host acts (docs/architecture.md, "One tick").

pub mod alerts;
pub mod anchor;

use std::collections::VecDeque;

use provenance_core::{
    encoding::{
        digest::Digest,
        time::{Day, Now, Timestamp},
    },
    record::{
        MAX_RECORD,
        chain::{Body, Recovered, Session, Tick},
        log_entry::{self, LogEntry},
        time_attestation::{Rule, Source, judge, step_between},
    },
};

/// A checkpoint is made this often.
const CHECKPOINT_EVERY_S: u64 = 3_600;
/// Room for everything in a tick but its log entries.
const ENTRIES_LIMIT: usize = MAX_RECORD - (256 << 10);

/// What the engine needs of the settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Name and version of the program.
    pub software: String,
    /// Digest of the settings in force.
    pub config_sha256: Digest,
    /// Seconds between ticks.
    pub interval_s: u64,
    /// When the clock counts as agreed.
    pub rule: Rule,
    /// A bundle for each such period.
    pub bundle_every_s: Option<u64>,
}

#[derive(Debug)]
pub enum Input {
    /// The process is ready to go on; what was set aside is to be recorded.
    Start {
        /// Why it starts.
        reason: String,
        /// What recovery found.
        recovered: Vec<Recovered<'static>>,
        /// Digest of the settings that were in force, where the chain knows.
        config: Option<Digest>,
    },
    /// The sources handed over what changed. To be asked for only while
    /// [`Engine::wants_logs`].
    Logs(Vec<LogEntry<'static>>),
    /// The interval is over; what the time sources say.
    Tick(Vec<Source<'static>>),
    /// The settings changed.
    Reload(Settings),
    /// The process is to end in order.
    Stop { reason: String },
    /// A checkpoint that another process made is not in the chain yet.
    Checkpoint {
        /// The note's text.
        note: String,
    },
    /// The record asked for is on disk.
    Appended,
    /// The record asked for could not be written, with this errno(3).
    Failed(Option<u32>),
}

/// What the host is to do, in this order. After an `Append` it reports
/// [`Input::Appended`] or [`Input::Failed`] before it goes on.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Write this record and fsync it.
    Append(Body<'static>),
    /// Commit a `head`, make a checkpoint, put it into the chain.
    Checkpoint,
    /// The same at the very end, where the chain's last record stays the
    /// `stop`, so that the checkpoint covers it.
    FinalCheckpoint,
    /// Record the files of the days before this one as closed.
    CloseDaysBefore(Day),
    /// Make the bundle of the period that ends now.
    Bundle,
}

/// The state that decisions rest on.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    /// The last record with both clocks.
    last: Option<Now>,
    /// What is to be written before the next tick, in this order.
    queue: VecDeque<Pending>,
    /// The record that was asked for and is not yet on disk.
    writing: Option<Writing>,
    tick_due: bool,
    /// The last record said that more of its tick follows.
    more: bool,
    logs: Vec<LogEntry<'static>>,
    sources: Vec<Source<'static>>,
    failing: Option<Failing>,
    next_checkpoint: Option<Timestamp>,
    next_bundle: Option<Timestamp>,
    day: Option<Day>,
}

/// A record to come; its clocks are read when it is written.
#[derive(Debug)]
enum Pending {
    Recovered(Recovered<'static>),
    Start(String),
    Stop(String),
    Config { old: Digest },
    Checkpoint(String),
}

#[derive(Debug)]
enum Writing {
    /// The first of the queue.
    Queued(Now),
    /// A tick with so many of the pending log entries.
    Tick { entries: usize, now: Now },
}

#[derive(Debug)]
struct Failing {
    since: Timestamp,
    attempts: u64,
    errno: Option<u32>,
}

impl Engine {
    /// An engine for a chain whose last record with both clocks is `last`.
    /// `last_bundle` is the end of the period of the newest bundle.
    pub fn new(settings: Settings, last: Option<Now>, last_bundle: Option<Timestamp>) -> Self {
        let day = last.as_ref().map(|last| last.time.day());
        let every = settings.bundle_every_s;
        Self {
            settings,
            last,
            queue: VecDeque::new(),
            writing: None,
            tick_due: false,
            more: false,
            logs: Vec::new(),
            sources: Vec::new(),
            failing: None,
            next_checkpoint: None,
            next_bundle: last_bundle.zip(every).map(|(end, every)| after(end, every)),
            day,
        }
    }

    /// Whether the sources may be asked for what changed. While a tick could
    /// not be written its entries wait, and no more are taken: memory stays
    /// bounded, and the next range begins where the last written one ended.
    pub(crate) fn wants_logs(&self) -> bool {
        self.logs.is_empty() || self.failing.is_none()
    }

    /// Since when records could not be written.
    pub(crate) fn failing_since(&self) -> Option<Timestamp> {
        self.failing.as_ref().map(|failing| failing.since)
    }

    /// The moment at which the record asked for is to be dated: its verdict on
    /// the clock was made then.
    pub fn writing_at(&self) -> Option<&Now> {
        match &self.writing {
            Some(Writing::Queued(now) | Writing::Tick { now, .. }) => Some(now),
            None => None,
        }
    }

    /// Whether everything that the sources handed over is on disk.
    pub fn is_settled(&self) -> bool {
        self.logs.is_empty() && self.failing.is_none()
    }

    /// Takes what happened at `now` and says what to do.
    pub fn step(&mut self, now: &Now, input: Input) -> Vec<Action> {
        match input {
            Input::Start { reason, recovered, config } => {
                self.queue.extend(recovered.into_iter().map(Pending::Recovered));
                self.queue.push_back(Pending::Start(reason));
                // Behind the start: the time before it is judged by the
                // interval that was in force then.
                let old = config.filter(|old| *old != self.settings.config_sha256);
                self.queue.extend(old.map(|old| Pending::Config { old }));
            }
            Input::Logs(entries) => {
                self.logs.extend(entries);
                return vec![];
            }
            Input::Tick(sources) => {
                self.sources = sources;
                self.tick_due = true;
            }
            Input::Reload(settings) => self.reload(now, settings),
            Input::Stop { reason } => self.queue.push_back(Pending::Stop(reason)),
            Input::Checkpoint { note } => self.queue.push_back(Pending::Checkpoint(note)),
            Input::Appended => return self.appended(now),
            Input::Failed(errno) => {
                self.failed(now, errno);
                return vec![];
            }
        }
        self.next(now).into_iter().collect()
    }

    /// The next record to write: the rest of a tick that was begun, what is
    /// queued, then the tick that is due.
    fn next(&mut self, now: &Now) -> Option<Action> {
        if self.more {
            return Some(self.tick(now));
        }
        let body = match self.queue.front() {
            Some(Pending::Recovered(recovered)) => Body::Recovered(recovered.clone()),
            Some(Pending::Start(reason)) => Body::Start(self.session(now, reason)),
            Some(Pending::Stop(reason)) => Body::Stop(self.session(now, reason)),
            Some(Pending::Checkpoint(note)) => Body::Checkpoint { note: note.clone().into() },
            Some(Pending::Config { old }) => Body::Config {
                old: *old,
                new: self.settings.config_sha256,
                interval_s: self.settings.interval_s,
            },
            None if self.tick_due => return Some(self.tick(now)),
            None => return None,
        };
        self.writing = Some(Writing::Queued(now.clone()));
        Some(Action::Append(body))
    }

    fn session(&self, now: &Now, reason: &str) -> Session<'static> {
        Session {
            boot: now.boot.clone().into(),
            config_sha256: self.settings.config_sha256,
            reason: reason.to_owned().into(),
            software: self.settings.software.clone().into(),
            up_ms: now.up_ms,
        }
    }

    fn tick(&mut self, now: &Now) -> Action {
        log_entry::sort(&mut self.logs);
        let entries = fitting(&self.logs);
        let last = self.last.as_ref().filter(|last| last.boot == now.boot);
        let rule = self.settings.rule;
        let step =
            last.and_then(|last| step_between(last.time, last.up_ms, now.time, now.up_ms, rule));
        self.writing = Some(Writing::Tick { entries, now: now.clone() });
        Action::Append(Body::Tick(Tick {
            boot: now.boot.clone().into(),
            clock: judge(now.time, rule, step, self.sources.clone()),
            logs: self.logs.iter().take(entries).cloned().collect(),
            more: entries < self.logs.len(),
            up_ms: now.up_ms,
        }))
    }

    fn reload(&mut self, now: &Now, settings: Settings) {
        let old = self.settings.config_sha256;
        if self.settings.bundle_every_s != settings.bundle_every_s {
            self.next_bundle = settings.bundle_every_s.map(|every| after(now.time, every));
        }
        self.settings = settings;
        if self.settings.config_sha256 != old {
            self.queue.push_back(Pending::Config { old });
        }
    }

    fn failed(&mut self, now: &Now, errno: Option<u32>) {
        self.writing = None;
        let failing = self.failing.get_or_insert(Failing { since: now.time, attempts: 0, errno });
        failing.attempts += 1;
        failing.errno = errno.or(failing.errno);
    }

    /// The record is on disk: only now what it holds is done.
    fn appended(&mut self, now: &Now) -> Vec<Action> {
        match self.writing.take() {
            Some(Writing::Tick { entries, now: written }) => {
                self.logs.drain(..entries);
                self.more = !self.logs.is_empty();
                self.tick_due = self.more;
                self.last = Some(written);
            }
            Some(Writing::Queued(written)) => match self.queue.pop_front() {
                Some(Pending::Stop(_)) => return vec![Action::FinalCheckpoint],
                Some(Pending::Start(_)) => self.last = Some(written),
                _ => {}
            },
            None => return vec![],
        }
        if let Some(failing) = self.failing.take() {
            self.queue.push_front(Pending::Recovered(Recovered {
                attempts: Some(failing.attempts),
                errno: failing.errno,
                reason: "records could not be written".into(),
                since: Some(failing.since),
                ..Recovered::default()
            }));
        }
        match self.next(now) {
            Some(action) => vec![action],
            None => self.due(now),
        }
    }

    fn due(&mut self, now: &Now) -> Vec<Action> {
        let mut actions = vec![];
        let today = now.time.day();
        let new_day = self.day.is_some_and(|day| day < today);
        self.day = self.day.max(Some(today));
        if new_day {
            actions.push(Action::CloseDaysBefore(today));
        }
        let bundle = self.settings.bundle_every_s.filter(|every| {
            let due = *self.next_bundle.get_or_insert_with(|| after(now.time, *every));
            due <= now.time
        });
        if let Some(every) = bundle {
            self.next_bundle = Some(after(now.time, every));
            actions.push(Action::Bundle);
        }
        let checkpoint = self.next_checkpoint.is_none_or(|due| due <= now.time);
        // A clock that was set back must not silence checkpoints for long.
        let latest = after(now.time, CHECKPOINT_EVERY_S);
        let ahead = self.next_checkpoint.is_some_and(|due| due > latest);
        if checkpoint || ahead || new_day {
            self.next_checkpoint = Some(latest);
            actions.push(Action::Checkpoint);
        }
        actions
    }
}

fn after(time: Timestamp, seconds: u64) -> Timestamp {
    let nanos = i64::try_from(seconds.saturating_mul(1_000_000_000)).unwrap_or(i64::MAX);
    time.plus_nanos(nanos)
}

/// How many of the entries fit into one record.
fn fitting(entries: &[LogEntry<'_>]) -> usize {
    let mut room = ENTRIES_LIMIT;
    for (i, entry) in entries.iter().enumerate() {
        let size = entry.to_value().encode().len() + 1;
        match room.checked_sub(size) {
            Some(rest) => room = rest,
            None => return i.max(1),
        }
    }
    entries.len()
}

#[cfg(test)]
mod tests;
