//! The daemon: it waits, asks the sources, does what the engine decides, and
//! keeps going whatever fails.

mod actions;
mod alerts;
pub mod follower_thread;
pub mod metrics;
mod metrics_endpoint;
pub mod recovery;
mod reload;
mod startup;
mod status;
mod time;

use std::{collections::VecDeque, path::PathBuf, time::Duration};

use provenance_core::record::{
    chain::Body,
    log_entry::{Event, LogEntry, What},
};
use provenance_host::{clock::Clock, config::Config, state_dir::StateDir};
use provenance_time_sources::poller::SourcePoller;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};

use crate::{
    PROGRAM_VERSION,
    alerts::Alerts,
    bundle,
    chain::{ChainError, ChainWriter},
    engine::{Action, Engine, Input, Settings},
    error::ServiceError,
    ledger::{Ledger, signer::Signer, size_of},
    sd_notify,
};
use follower_thread::FollowerHandle;
use metrics_endpoint::Metrics;
use recovery::ReplayedState;
use startup::{OpenedState, open_followers, settle_bundles};

/// While records cannot be written, another attempt is made this often.
const RETRY: Duration = Duration::from_secs(5);
/// The followers' state is kept every so many ticks.
const SNAPSHOT_EVERY: u64 = 60;
/// Between two ticks the logs are read early at most this often.
const EARLY_READS: u32 = 8;

/// How the daemon is started.
pub struct Options {
    /// The settings file.
    pub config_path: PathBuf,
    /// What goes over it, from the command line.
    pub set: Vec<String>,
    /// End after so many ticks.
    pub ticks: Option<u64>,
}

/// Runs until a signal or the last tick asked for, and ends in order.
///
/// # Errors
/// [`ServiceError`] where it cannot begin; later failures are retried, said
/// and recorded.
pub async fn run(
    config: Config,
    options: Options,
    clock: impl Clock + Clone + Send + Sync + 'static,
) -> Result<(), ServiceError> {
    let (mut daemon, signals) = Daemon::start(config, clock).await?;
    daemon.publish_status();
    tracing::info!(
        client = daemon.config.client,
        state = %daemon.state.root().display(),
        interval_s = daemon.config.interval_s,
        "chaining"
    );
    let reason = daemon.serve(&options, signals).await;
    sd_notify::stopping();
    let end = daemon.stop(&reason).await;
    // The followers end with the process: where the disk refuses writes, the
    // watcher's own end would panic.
    std::mem::forget(daemon.followers);
    end
}

/// The signals that are heard.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> Result<Self, ServiceError> {
        let caught = |kind| signal(kind).map_err(ServiceError::io("cannot catch signals"));
        Ok(Self {
            terminate: caught(SignalKind::terminate())?,
            interrupt: caught(SignalKind::interrupt())?,
            hangup: caught(SignalKind::hangup())?,
        })
    }
}

struct Daemon<C> {
    config: Config,
    state: StateDir,
    clock: C,
    engine: Engine,
    chain: ChainWriter,
    evidence: Ledger,
    alerts: Alerts,
    metrics: Metrics,
    followers: FollowerHandle,
    /// The time sources.
    panel: SourcePoller,
    /// Tells that files were created, renamed or deleted.
    moved: std::sync::Arc<Notify>,
    early_reads: u32,
    /// The tree size of the newest checkpoint in the chain.
    chained_checkpoint: u64,
    ticks: u64,
    sources: (usize, usize),
    /// What could not be done and is to be done again after the next tick.
    undone: Vec<Action>,
    /// That it is ready has been said.
    ready: bool,
}

impl<C: Clock + Clone + Send + Sync + 'static> Daemon<C> {
    async fn start(config: Config, clock: C) -> Result<(Self, Signals), ServiceError> {
        let state = StateDir::new(&config.state_dir);
        let chain = ChainWriter::open(&state)?;
        let signer = config.signing_key.as_deref().map(Signer::load).transpose()?;
        let now = clock.now().time;
        let fresh = !state.registry().exists();
        if fresh && chain.head().is_some() {
            return Err(ServiceError::State(format!(
                "{} has a chain and no registry.db: put it back from a copy, or begin with a new \
                 state_dir",
                state.root().display()
            )));
        }
        let mut evidence = Ledger::open(&config, &state, signer, now)?;
        // What a crash left of a bundle is no reason to let the logs wait: the
        // next bundle tries again.
        if let Err(error) = settle_bundles(&state, &mut evidence, now) {
            tracing::error!("bundles/ could not be put in order: {error}");
        }
        evidence.reaches(chain.head())?;
        let last_bundle = bundle::last_bundle(&evidence.reader()?)?.map(|bundle| bundle.to);
        let alerts = Alerts::open(&config, &state, &evidence, clock.clone())?;
        let moved = std::sync::Arc::new(Notify::new());
        let opened =
            open_followers(&config, &state, &clock, chain, evidence, alerts, &moved).await?;
        let (followers, OpenedState { past, chain, evidence, alerts }) = opened;
        let engine = Engine::new(settings(&config), past.last.clone(), last_bundle);
        let mut daemon = Self {
            panel: SourcePoller::new(&config, clock.clone()),
            state,
            clock,
            engine,
            chain,
            evidence,
            alerts,
            metrics: Metrics::default(),
            followers,
            moved,
            early_reads: 0,
            chained_checkpoint: past.checkpoint,
            ticks: 0,
            sources: (0, 0),
            undone: vec![],
            ready: false,
            config,
        };
        // From the first record on, an end is an end in order.
        let signals = Signals::catch()?;
        daemon.record_start(past).await;
        daemon.settle_alerts();
        daemon.metrics.listen(daemon.config.metrics.as_ref()).await;
        Ok((daemon, signals))
    }

    async fn record_start(&mut self, past: ReplayedState) {
        let reason = match (&past.last, past.stopped) {
            (None, _) => "first start",
            (_, true) => "after an orderly stop",
            (_, false) => "after an end without a stop record",
        };
        let (reason, recovered, config) = (reason.into(), past.recovered, past.config_sha256);
        let input = Input::Start { reason, recovered, config };
        self.decide(input).await;
    }

    /// Waits and acts; returns why it ends.
    async fn serve(&mut self, options: &Options, signals: Signals) -> String {
        let Signals { mut terminate, mut interrupt, mut hangup } = signals;
        let mut ticks = every(Duration::from_secs(self.config.interval_s));
        let mut retry = every(RETRY);
        let mut watchdog =
            every(sd_notify::watchdog_interval().unwrap_or(Duration::from_secs(3600)));
        let moved = self.moved.clone();
        loop {
            tokio::select! {
                biased;
                _ = terminate.recv() => return self.last_tick("SIGTERM").await,
                _ = interrupt.recv() => return self.last_tick("SIGINT").await,
                _ = hangup.recv() => {
                    if self.reload(options).await {
                        ticks = every(Duration::from_secs(self.config.interval_s));
                    }
                }
                _ = ticks.tick() => {
                    self.tick().await;
                    if options.ticks.is_some_and(|limit| self.ticks >= limit) {
                        return format!("{} ticks were asked for", self.ticks);
                    }
                }
                _ = retry.tick(), if self.engine.failing_since().is_some() => self.tick().await,
                () = moved.notified(), if self.early_reads < EARLY_READS => {
                    self.early_reads += 1;
                    self.collect(Duration::from_secs(2), false).await;
                }
                _ = watchdog.tick() => {}
            }
            // The loop goes round: that is what the watchdog is to know. A
            // disk that refuses records is said and recorded, not restarted.
            sd_notify::alive();
        }
    }

    /// What was written to the logs since the last tick, and what was read
    /// early of a file that is gone by now, is not left to the next start.
    async fn last_tick(&mut self, reason: &str) -> String {
        self.tick_within(Duration::from_secs(5)).await;
        reason.to_owned()
    }

    async fn tick(&mut self) {
        let half = Duration::from_secs(self.config.interval_s).div_f64(2.0);
        self.tick_within(half.min(Duration::from_secs(30))).await;
    }

    async fn tick_within(&mut self, time: Duration) {
        let began = Instant::now();
        self.early_reads = 0;
        self.metrics.listen(self.config.metrics.as_ref()).await;
        self.panel.start_round();
        self.collect(time, true).await;
        self.await_sources(time).await;
        let failing = self.engine.failing_since().is_some();
        let now = self.clock.now();
        let sources = self.panel.readings(&now);
        self.decide(Input::Tick(sources)).await;
        self.settle_alerts();
        if self.engine.failing_since().is_none() {
            self.ticks += 1;
            self.metrics.record_duration(began);
            if failing {
                tracing::info!("records are written again");
            }
            self.settle_checkpoint().await;
            let undone = std::mem::take(&mut self.undone);
            for action in undone {
                self.act(action).await;
            }
            if self.ticks % SNAPSHOT_EVERY == 1 {
                self.snapshot().await;
            }
        }
        self.publish_status();
    }

    async fn collect(&mut self, time: Duration, tick: bool) {
        if !self.engine.wants_logs() {
            return;
        }
        match self.followers.collect(time).await {
            Ok(collected) => {
                self.sources = collected.sources;
                self.engine.step(&self.clock.now(), Input::Logs(collected.entries));
            }
            Err(at_work) if tick => {
                tracing::warn!(?at_work, "the logs could not be read in time for this tick");
                let ms = u64::try_from(at_work.as_millis()).unwrap_or(u64::MAX);
                let what = What::Event(Event::Late { ms });
                let entry = LogEntry { src: "files:all".into(), generation: 0, what };
                self.engine.step(&self.clock.now(), Input::Logs(vec![entry]));
            }
            Err(_) => {}
        }
    }

    /// Does what the engine decides until nothing is left to do.
    async fn decide(&mut self, input: Input) {
        let mut actions: VecDeque<Action> = self.engine.step(&self.clock.now(), input).into();
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Append(_) => {
                    let outcome = self.append(action);
                    let now = self.clock.now();
                    actions.extend(self.engine.step(&now, outcome));
                }
                action => self.act(action).await,
            }
        }
    }

    /// The record's time is read here, as close to its commit as can be; the
    /// clock's verdict in it was made at that moment too.
    fn append(&mut self, action: Action) -> Input {
        let Action::Append(body) = action else { return Input::Failed(None) };
        let time = match self.engine.writing_at() {
            Some(now) => now.time,
            None => self.clock.now().time,
        };
        match self.chain.append(time, &body) {
            Ok(_) => {
                self.alerts.appended(self.engine.writing_at(), &body);
                match &body {
                    Body::Tick(tick) => self.metrics.record_tick(tick),
                    Body::Checkpoint { note } => {
                        self.chained_checkpoint = size_of(note).unwrap_or(self.chained_checkpoint);
                    }
                    _ => {}
                }
                Input::Appended
            }
            Err(error) => {
                tracing::error!("a record could not be written, trying again: {error}");
                let errno = match &error {
                    ChainError::Io(error) => error.raw_os_error(),
                    _ => None,
                };
                Input::Failed(errno.and_then(|errno| u32::try_from(errno).ok()))
            }
        }
    }

    async fn act(&mut self, action: Action) {
        let now = self.clock.now();
        let done = match &action {
            Action::Append(_) => Ok(()),
            Action::Checkpoint | Action::FinalCheckpoint => self.checkpoint(&now),
            Action::CloseDaysBefore(day) => {
                self.evidence.close_days(now.time, *day).and_then(|()| self.expire(&now))
            }
            Action::Bundle => self.bundle(&now),
        };
        if let Err(error) = done {
            tracing::error!("{action:?} failed, trying again at the next tick: {error}");
            if !self.undone.contains(&action) {
                self.undone.push(action);
            }
        }
    }

    async fn snapshot(&mut self) {
        if let (Some(head), Some(snapshot)) = (self.chain.head(), self.followers.snapshot().await)
            && self.engine.is_settled()
            && self.alerts.is_settled()
            && let Err(error) =
                recovery::keep_snapshot(&self.state, head, self.config.sha256, snapshot)
        {
            tracing::warn!("the followers' snapshot could not be kept: {error}");
        }
    }

    /// Ends in order, or says that the chain does not show it.
    async fn stop(&mut self, reason: &str) -> Result<(), ServiceError> {
        tracing::info!(reason, "stopping");
        self.decide(Input::Stop { reason: reason.into() }).await;
        self.snapshot().await;
        self.alerts.shutdown().await;
        match self.engine.failing_since() {
            None => Ok(()),
            Some(since) => Err(ServiceError::Unrecorded(since)),
        }
    }
}

fn settings(config: &Config) -> Settings {
    Settings {
        software: PROGRAM_VERSION.into(),
        config_sha256: config.sha256,
        interval_s: config.interval_s,
        rule: config.rule,
        bundle_every_s: config.bundle_every_s,
    }
}

/// A missed beat is not made up for: the next record says the gap.
fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
