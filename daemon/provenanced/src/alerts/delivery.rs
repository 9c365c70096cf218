//! The delivery, on a thread of its own: whatever the receiver or the network
//! does, no tick waits for it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use provenance_core::encoding::time::Timestamp;
use tokio::sync::{Notify, oneshot};

use provenance_host::{clock::Clock, state_dir::StateDir};
use provenance_registry::{Reader, reader::Row};

use super::webhook::{
    self, DeliveryOutcome, MAX_BACKOFF, MAX_FILES, Message, Outbox, Placement, Webhook,
};
use crate::error::ServiceError;

/// Alerts that another process recorded are found this often.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// After so many rows without an alert it is noted that they were seen.
const NOTE_EVERY: u64 = 1_000;
/// A message that is refused so often is put aside: the others wait behind it.
const REFUSALS: u32 = 5;
/// So many messages wait in memory while the disk takes none.
const MAX_URGENT: usize = 64;

/// The daemon's side of the thread.
#[derive(Debug)]
pub(super) struct DeliveryWorker(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    wake: Notify,
    urgent: Mutex<Vec<Message>>,
    flush: Mutex<Option<oneshot::Sender<()>>>,
}

impl DeliveryWorker {
    /// Starts the thread. `begin` is the number of the first record to send
    /// where the outbox is new.
    pub(super) fn start(
        state: &StateDir,
        names: (String, String),
        webhook: Webhook,
        begin: u64,
        clock: impl Clock + Send + 'static,
    ) -> Result<Self, ServiceError> {
        let outbox = Outbox::open(&state.outbox(), begin).map_err(webhook::AlertError::from)?;
        let failed = |what: &str| ServiceError::io(format!("alerts cannot be sent: {what}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed("no runtime"))?;
        let shared = Arc::new(Shared::default());
        let mut worker = Worker {
            state: state.clone(),
            names,
            webhook,
            outbox,
            clock,
            shared: shared.clone(),
            full: false,
            gone: false,
            said: String::new(),
        };
        thread::Builder::new()
            .name("alerts".into())
            .spawn(move || runtime.block_on(worker.run()))
            .map_err(failed("no thread"))?;
        Ok(Self(shared))
    }

    /// There are new records.
    pub(super) fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Sends a message that is on no disk yet.
    pub(super) fn urgent(&self, message: Message) {
        let mut urgent = self.0.urgent.lock().unwrap_or_else(PoisonError::into_inner);
        if urgent.len() < MAX_URGENT {
            urgent.push(message);
        }
        drop(urgent);
        self.wake();
    }

    /// Waits until everything is delivered or waits for a later attempt; at
    /// most `time`.
    pub(super) async fn flush(&self, time: Duration) {
        let (sender, done) = oneshot::channel();
        *self.0.flush.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        self.wake();
        // What is not delivered by then is, after the next start.
        let _ = tokio::time::timeout(time, done).await;
    }
}

struct Worker<C> {
    state: StateDir,
    names: (String, String),
    webhook: Webhook,
    outbox: Outbox,
    clock: C,
    shared: Arc<Shared>,
    /// That the outbox is full has been said.
    full: bool,
    /// The receiver wants nothing any more.
    gone: bool,
    /// What went wrong last beside the receiver: said once.
    said: String,
}

impl<C: Clock> Worker<C> {
    async fn run(&mut self) {
        loop {
            let asked = self.shared.flush.lock().unwrap_or_else(PoisonError::into_inner).take();
            let wait = loop {
                if let Some(wait) = self.step().await {
                    break wait;
                }
            };
            let _ = asked.map(|asked| asked.send(()));
            tokio::select! {
                () = self.shared.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One step; how long to wait where there is nothing to do now.
    async fn step(&mut self) -> Option<Duration> {
        let taken = self.take_over();
        self.log_failure("alerts could not be put into the outbox", taken);
        if self.gone {
            return Some(LOOK_EVERY);
        }
        if let Some(wait) = self.back_off() {
            return Some(wait.min(LOOK_EVERY));
        }
        match self.outbox.first() {
            Ok(Some((seq, Some(message)))) => self.send(seq, &message).await,
            Ok(Some((seq, None))) => self.restore(seq),
            Ok(None) => {
                let Some(message) = self.urgent().first().cloned() else {
                    return Some(LOOK_EVERY);
                };
                match self.webhook.send(&message, self.seconds()).await {
                    DeliveryOutcome::Delivered => drop(self.urgent().remove(0)),
                    outcome => self.failed(&message.id, outcome),
                }
            }
            Err(error) => {
                self.log_failure("the outbox could not be read", Err(error.into()));
                return Some(LOOK_EVERY);
            }
        }
        None
    }

    async fn send(&mut self, seq: u64, message: &Message) {
        let sent = match self.webhook.send(message, self.seconds()).await {
            DeliveryOutcome::Delivered => {
                tracing::info!(id = message.id, "alert delivered");
                self.outbox.remove_delivered(seq)
            }
            DeliveryOutcome::Refused(why) if self.outbox.progress().refusals + 1 >= REFUSALS => {
                tracing::error!(
                    id = message.id,
                    "{why}, {REFUSALS} times: put aside into outbox/refused; registry record \
                     {seq} has it"
                );
                self.outbox.refused(seq)
            }
            outcome => return self.failed(&message.id, outcome),
        };
        self.log_failure("the outbox could not be written", sent.map_err(ServiceError::from));
    }

    fn failed(&mut self, id: &str, outcome: DeliveryOutcome) {
        let refused = matches!(outcome, DeliveryOutcome::Refused(_));
        let (why, after) = match outcome {
            DeliveryOutcome::Delivered => return,
            DeliveryOutcome::Gone => {
                self.gone = true;
                return tracing::error!(
                    "the receiver answered 410 Gone: alerts are recorded and kept, and sent to \
                     it no more before the next start"
                );
            }
            DeliveryOutcome::Later(why, after) => (why, after),
            DeliveryOutcome::Refused(why) => (why, None),
        };
        let failures = self.outbox.progress().failures.saturating_add(1);
        let random = getrandom::u32().unwrap_or_default();
        let wait = webhook::delay(failures, random).max(after.unwrap_or_default()).min(MAX_BACKOFF);
        let nanos = i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX);
        tracing::warn!(id, failures, "alert not delivered, again in {} s: {why}", wait.as_secs());
        let noted = self.outbox.failed(self.now().plus_nanos(nanos), refused);
        self.log_failure("the outbox could not be written", noted.map_err(ServiceError::from));
    }

    /// How long no attempt is made. A clock that was set back must not silence
    /// alerts for long.
    fn back_off(&self) -> Option<Duration> {
        let left = self.outbox.progress().not_before?.since(self.now());
        let left = Duration::from_nanos(u64::try_from(left).ok().filter(|left| *left > 0)?);
        Some(left.min(MAX_BACKOFF))
    }

    /// Puts what the registry has recorded since into the outbox, as far as
    /// there is room.
    fn take_over(&mut self) -> Result<(), ServiceError> {
        let reader = Reader::open(&self.state.registry())?;
        let upto = self.outbox.progress().upto;
        let (mut next, mut found, mut end) = (upto, false, reader.len()?);
        let mut taken = Ok(Placement::Kept);
        for row in reader.rows_of_kind("alert", upto) {
            found = true;
            taken = self.take_over_row(&row?, &mut next);
            if !matches!(taken, Ok(Placement::Kept)) {
                end = next;
                break;
            }
        }
        match &taken {
            Ok(Placement::Kept) => self.full = false,
            Ok(Placement::Full) => self.say_full(),
            Err(_) => {}
        }
        // Also where a write failed: what is in the outbox is not put there
        // again when it has been delivered. Rows that came after `end` was
        // read may be on the page, or not.
        let next = next.max(end);
        if next > upto && (found || next - upto >= NOTE_EVERY) {
            self.outbox.set_progress(next)?;
        }
        Ok(taken.map(drop)?)
    }

    /// Takes a row over where there is room; `next` is the first not taken.
    fn take_over_row(&mut self, row: &Row, next: &mut u64) -> std::io::Result<Placement> {
        *next = row.seq;
        if let Some(message) = self.message(row.seq, &row.body)
            && self.outbox.put(row.seq, &message)? == Placement::Full
        {
            return Ok(Placement::Full);
        }
        *next = row.seq.saturating_add(1);
        Ok(Placement::Kept)
    }

    fn say_full(&mut self) {
        if !std::mem::replace(&mut self.full, true) {
            tracing::error!(
                "the outbox is full: {MAX_FILES} alerts wait for the webhook. Later ones are in \
                 the registry, and follow when there is room"
            );
        }
    }

    /// A file that is damaged or gone is written anew from the registry.
    fn restore(&mut self, seq: u64) {
        let row = Reader::open(&self.state.registry()).and_then(|reader| reader.record(seq));
        let message = row.ok().flatten().and_then(|row| self.message(seq, &row.body));
        let restored = match message {
            Some(message) => self.outbox.put(seq, &message).map(drop),
            None => Err(std::io::Error::other("its record could not be read either")),
        };
        if let Err(error) = restored {
            tracing::error!("the alert of registry record {seq} could not be sent: {error}");
            let done = self.outbox.remove_delivered(seq);
            self.log_failure("the outbox could not be written", done.map_err(ServiceError::from));
        }
    }

    fn message(&self, seq: u64, body: &[u8]) -> Option<Message> {
        let (alert, time) = super::ledger_view::read(body)?;
        Some(Message::new(&self.names.0, &self.names.1, &alert, time, Some(seq)))
    }

    fn urgent(&self) -> MutexGuard<'_, Vec<Message>> {
        self.shared.urgent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.clock.now().time
    }

    fn seconds(&self) -> u64 {
        u64::try_from(self.now().nanos() / 1_000_000_000).unwrap_or_default()
    }

    /// Says what went wrong, once while it stays the same.
    fn log_failure(&mut self, what: &str, result: Result<(), ServiceError>) {
        match result {
            Ok(()) => self.said.clear(),
            Err(error) => {
                let text = format!("{what}: {error}");
                if text != self.said {
                    tracing::error!("{text}");
                    self.said = text;
                }
            }
        }
    }
}
