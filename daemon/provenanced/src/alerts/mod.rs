//! Alerts of the running daemon: what its records and its machine show is put
//! to the tracker; what that says is recorded in the registry, and only then
//! sent (docs/operations.md, "Alerts").

mod delivery;
mod ledger_view;
pub mod outbox;
pub mod webhook;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use provenance_core::{
    encoding::time::{Now, Timestamp},
    record::{
        Record,
        alert::{Alert, AlertCode},
        chain::Body,
    },
    registry::{Entry, VerifyEntry},
    report::Head,
};
use provenance_host::{clock::Clock, config::Config, disk_space, state_dir::StateDir};
use provenance_registry::Reader;

use crate::{
    engine::alerts::{Condition, Scope, Tracker, Watch},
    error::ServiceError,
    ledger::Ledger,
};
use delivery::DeliveryWorker;
use ledger_view::{AlertState, Anchors, Copies, read_alert_state, verifications};
use webhook::{Message, Secret, Webhook};

/// While the registry refuses records, so many changes wait; then nothing more
/// is looked at.
const MAX_PENDING: usize = 512;
/// At its end the process waits so long for alerts on their way.
const FAREWELL: Duration = Duration::from_secs(2);

/// The daemon's alerts.
#[derive(Debug)]
pub struct Alerts {
    tracker: Tracker,
    watch: Watch,
    state_dir: PathBuf,
    /// The record of the chain up to which was looked at everything, as far as
    /// the registry's alerts say.
    looked_at: Option<u64>,
    /// The registry's record up to which verifications were looked at.
    verified_to: u64,
    anchoring: Anchors,
    copying: Copies,
    /// What is to be recorded.
    pending: Vec<Alert>,
    /// How many of those were sent although they could not be recorded yet.
    told: usize,
    /// Since when the registry refuses records.
    refused: Option<Timestamp>,
    unraised: u64,
    names: (String, String),
    courier: Option<DeliveryWorker>,
}

impl Alerts {
    /// Goes on with the alerts that are open in the registry, and starts the
    /// delivery where there is a webhook.
    ///
    /// # Errors
    /// [`ServiceError`]: no secret, no outbox, no registry.
    pub(crate) fn open(
        config: &Config,
        state: &StateDir,
        evidence: &Ledger,
        clock: impl Clock + Send + 'static,
    ) -> Result<Self, ServiceError> {
        let reader = evidence.reader()?;
        let AlertState { open, oldest, newest, verified } = read_alert_state(&reader)?;
        let names = (config.client.clone(), config.host.clone());
        let courier = match &config.alert.webhook {
            None => None,
            Some(webhook) => {
                let webhook = Webhook::new(&webhook.url, Secret::load(&webhook.secret_file)?)?;
                // A receiver that is new here learns what is open.
                let begin = oldest.unwrap_or(reader.len()?);
                Some(DeliveryWorker::start(state, names.clone(), webhook, begin, clock)?)
            }
        };
        Ok(Self {
            tracker: Tracker::new(evidence.chain(), open),
            watch: Watch::new(config.interval_s),
            state_dir: state.root().into(),
            looked_at: newest,
            verified_to: verified,
            anchoring: Anchors::default(),
            copying: Copies::default(),
            pending: vec![],
            told: 0,
            refused: None,
            unraised: 0,
            names,
            courier,
        })
    }

    /// Takes a record that an earlier process wrote. What it died too early to
    /// look at is looked at now: the looks at ticks follow from the records
    /// alone, so those behind the newest alert come out as they did.
    pub(crate) fn replay(&mut self, record: &Record<'_>, body: &Body<'_>) {
        let (up_ms, boot) = match body {
            Body::Tick(tick) => (tick.up_ms, &*tick.boot),
            Body::Start(session) | Body::Stop(session) => (session.up_ms, &*session.boot),
            _ => (0, ""),
        };
        let now = Now { time: record.time, up_ms, boot: boot.to_owned() };
        self.watch.record(&now, body);
        let Some(found) = self.watch.observe() else { return };
        if self.looked_at.is_none_or(|seq| record.seq > seq) && self.pending.len() < MAX_PENDING {
            let head = Head { seq: record.seq, hash: record.hash(), time: record.time };
            self.evaluate(record.time, head, Scope::Tick, found);
        }
    }

    /// Whether all that began or is over is on record.
    pub(crate) fn is_settled(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes a record of the chain that is on disk, and its moment.
    pub(crate) fn appended(&mut self, now: Option<&Now>, body: &Body<'_>) {
        if let Some(now) = now {
            self.watch.record(now, body);
        }
    }

    /// Looks at everything, records what began and what is over, and wakes the
    /// delivery. What cannot be recorded is tried again at the next call.
    pub(crate) fn settle(
        &mut self,
        config: &Config,
        now: Timestamp,
        head: Option<Head>,
        failing: Option<Timestamp>,
        evidence: &mut Ledger,
    ) {
        let Some(head) = head else { return };
        if self.pending.len() < MAX_PENDING {
            if let Some(found) = self.watch.observe() {
                self.evaluate(now, head, Scope::Tick, found);
            }
            let found = self.disk(config.alert.disk_low_percent);
            self.evaluate(now, head, Scope::Disk, found);
            let found = unwritable("chain", failing).chain(unwritable("registry", self.refused));
            self.evaluate(now, head, Scope::Writing, found.collect());
            self.verifications(now, head, evidence);
            self.anchors(config, now, head, evidence);
            self.copies(config, now, head, evidence);
        }
        self.record(now, evidence);
    }

    /// Looks at the verifications that `provenanced health --verify`, or any
    /// other process, recorded since the last look. One that could not tell
    /// neither begins an alert nor ends it.
    fn verifications(&mut self, now: Timestamp, head: Head, evidence: &mut Ledger) {
        let found = match verifications(evidence, &mut self.verified_to) {
            Ok(found) => found,
            Err(error) => return tracing::warn!("verifications cannot be looked at: {error}"),
        };
        for entry in found {
            let conditions = match entry.verdict.as_str() {
                "verified" => vec![],
                "failed" => vec![verify_failed(&entry)],
                _ => continue,
            };
            self.evaluate(now, head, Scope::Verification, conditions);
        }
    }

    /// Looks at the anchors, which another process makes.
    fn anchors(&mut self, config: &Config, now: Timestamp, head: Head, evidence: &mut Ledger) {
        let found = match config.anchor {
            Some(_) => self.anchoring.refresh(&self.state_dir, evidence, now),
            None => Ok(vec![]),
        };
        match found {
            Ok(found) => self.evaluate(now, head, Scope::Anchors, found),
            Err(error) => tracing::warn!("the anchors cannot be looked at: {error}"),
        }
    }

    /// Looks at the copies, which another process makes.
    fn copies(&mut self, config: &Config, now: Timestamp, head: Head, evidence: &mut Ledger) {
        match self.copying.refresh(config, evidence, now) {
            Ok(found) => self.evaluate(now, head, Scope::Copies, found),
            Err(error) => tracing::warn!("the copies cannot be looked at: {error}"),
        }
    }

    /// How many are open, by code.
    pub(crate) fn open_by_code(&self) -> BTreeMap<&'static str, usize> {
        self.tracker.by_code()
    }

    /// Gives alerts that are on their way a moment before the process ends.
    pub(crate) async fn shutdown(&self) {
        if let Some(courier) = &self.courier {
            courier.flush(FAREWELL).await;
        }
    }

    fn evaluate(&mut self, now: Timestamp, head: Head, scope: Scope, found: Vec<Condition>) {
        let changes = self.tracker.observe(now, head, scope, found);
        for alert in &changes {
            tracing::warn!(
                code = alert.code,
                subject = alert.subject,
                "alert {}: {}",
                alert.state(),
                alert.message
            );
        }
        self.pending.extend(changes);
        let unraised = self.tracker.unraised();
        if unraised > std::mem::replace(&mut self.unraised, unraised) {
            tracing::warn!(unraised, "too many alerts are open: these conditions have none");
        }
    }

    fn record(&mut self, now: Timestamp, evidence: &mut Ledger) {
        if self.pending.is_empty() {
            self.refused = None;
            return;
        }
        let entries: Vec<Entry> = self.pending.iter().cloned().map(Entry::Alert).collect();
        match evidence.record_alerts(now, &entries) {
            Ok(()) => {
                self.refused = None;
                self.pending.clear();
                self.told = 0;
                if let Some(courier) = &self.courier {
                    courier.wake();
                }
            }
            Err(error) => {
                tracing::error!("alerts could not be recorded, trying again: {error}");
                self.refused.get_or_insert(now);
                self.deliver(now);
            }
        }
    }

    /// A disk that refuses records is what an alert is for: it goes out from
    /// memory, and once more with the same id when it is on record.
    fn deliver(&mut self, now: Timestamp) {
        let Some(courier) = &self.courier else { return };
        let names = (&*self.names.0, &*self.names.1);
        for alert in self.pending.iter().skip(self.told) {
            courier.urgent(Message::new(names.0, names.1, alert, now, None));
        }
        self.told = self.pending.len();
    }

    /// An open alert is over when there is a fifth more room: at the threshold
    /// itself each file that is written would begin a new one.
    fn disk(&self, limit: u8) -> Vec<Condition> {
        let room = match disk_space::room(&self.state_dir) {
            Ok(room) if limit > 0 => room,
            Ok(_) => return vec![],
            Err(error) => {
                tracing::warn!("how full the disk is cannot be told: {error}");
                return vec![];
            }
        };
        let low = |(subject, free): (&'static str, u8)| {
            let open = self.tracker.is_open(AlertCode::DiskLow, subject);
            let needed = if open { limit + limit.div_ceil(5) } else { limit };
            (free < needed).then(|| Condition {
                code: AlertCode::DiskLow,
                subject: subject.into(),
                message: format!(
                    "the disk of the state folder has {free} % of its {subject} left, under {limit} %"
                ),
            })
        };
        let kinds = [("space", Some(room.space)), ("inodes", room.inodes)];
        kinds.into_iter().filter_map(|(kind, free)| low((kind, free?))).collect()
    }
}

/// The alerts that a registry says are open.
///
/// # Errors
/// [`ServiceError`].
pub(crate) fn open_in(reader: &Reader) -> Result<Vec<Alert>, ServiceError> {
    Ok(read_alert_state(reader)?.open)
}

fn verify_failed(entry: &VerifyEntry) -> Condition {
    let codes: Vec<String> =
        entry.codes.iter().map(|(code, count)| format!("{code} × {count}")).collect();
    Condition {
        code: AlertCode::VerifyFailed,
        subject: "evidence".into(),
        message: format!("the verification of the {} failed: {}", entry.what, codes.join(", ")),
    }
}

fn unwritable(subject: &str, since: Option<Timestamp>) -> impl Iterator<Item = Condition> {
    since.into_iter().map(move |since| Condition {
        code: AlertCode::RecordsUnwritable,
        subject: subject.into(),
        message: format!("records of the {subject} cannot be written since {since}"),
    })
}
