//! What the registry says of alerts, and of verifications that alerts are
//! about.

use std::{collections::BTreeMap, path::Path};

use provenance_core::{
    encoding::time::Timestamp,
    record::{
        Record,
        alert::{Alert, OpenAlerts},
    },
    registry::{Entry, VerifyEntry},
};

use provenance_host::{config::Config, state_dir::StateDir};
use provenance_registry::Reader;

use crate::{
    anchoring,
    engine::{
        alerts::{Anchoring, Condition, Copying, anchors, replication::copies},
        anchor::AnchorIndex,
    },
    error::ServiceError,
    ledger::{Ledger, read_entry},
    replication,
};

/// What the registry says of alerts.
pub(super) struct AlertState {
    /// Those that are open.
    pub(super) open: Vec<Alert>,
    /// The registry record of the oldest of them.
    pub(super) oldest: Option<u64>,
    /// The chain's record on which the newest of all rests.
    pub(super) newest: Option<u64>,
    /// The last verification's record; where there is none, the next record.
    pub(super) verified: u64,
}

pub(super) fn read_alert_state(reader: &Reader) -> Result<AlertState, ServiceError> {
    let (mut open, mut rows, mut newest) = (OpenAlerts::default(), BTreeMap::new(), None);
    for row in reader.rows_of_kind("alert", 0) {
        let row = row?;
        let Some((alert, _)) = read(&row.body) else { continue };
        newest = newest.max(Some(alert.seq));
        match alert.until {
            None => rows.insert(alert.id.clone(), row.seq),
            Some(_) => rows.remove(&alert.id),
        };
        if let Err(error) = open.apply(alert) {
            tracing::warn!("registry record {}: {error}", row.seq);
        }
    }
    let oldest = rows.into_values().min();
    let verified = match reader.last_of_kind("verify")? {
        Some(row) => row.seq,
        None => reader.len()?,
    };
    Ok(AlertState { open: open.into_open().collect(), oldest, newest, verified })
}

/// A registry record's alert, and the record's time.
pub(super) fn read(body: &[u8]) -> Option<(Alert, Timestamp)> {
    let record = Record::parse(body).ok()?;
    match Entry::read(record.kind, record.data).ok()? {
        Entry::Alert(alert) => Some((alert, record.time)),
        _ => None,
    }
}

/// The verifications on record from number `from` on, which then is the
/// registry's length.
pub(super) fn verifications(
    evidence: &mut Ledger,
    from: &mut u64,
) -> Result<Vec<VerifyEntry>, ServiceError> {
    let len = evidence.size()?;
    if len <= *from {
        return Ok(vec![]);
    }
    let reader = evidence.reader()?;
    let (mut entries, mut next) = (vec![], len);
    for row in reader.rows_of_kind("verify", *from) {
        let row = row?;
        // One may have come after the length was read.
        next = next.max(row.seq.saturating_add(1));
        if let Some(Entry::Verify(entry)) = read_entry(&row.body) {
            entries.push(entry);
        }
    }
    *from = next;
    Ok(entries)
}

/// The registry's anchors, read again when it has grown.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    book: AnchorIndex,
    begun: Option<Timestamp>,
    size: u64,
}

impl Anchors {
    pub(super) fn refresh(
        &mut self,
        state_dir: &Path,
        evidence: &mut Ledger,
        now: Timestamp,
    ) -> Result<Vec<Condition>, ServiceError> {
        let size = evidence.size()?;
        if size > self.size {
            let reader = evidence.reader()?;
            self.book = anchoring::book(&reader)?;
            let genesis = reader.record(0)?;
            self.begun =
                genesis.and_then(|row| Record::parse(&row.body).ok().map(|record| record.time));
            self.size = size;
        }
        let status = anchoring::Status::read(&StateDir::new(state_dir));
        let known = Anchoring {
            book: &self.book,
            begun: self.begun.unwrap_or(now),
            error: status.as_ref().and_then(|status| status.error.as_deref()),
            balance: status.as_ref().and_then(|status| status.balance),
        };
        Ok(anchors(&known, now))
    }
}

/// The runs of copies on record, read on from where the last look ended.
#[derive(Debug, Default)]
pub(super) struct Copies {
    next: u64,
    begun: Option<Timestamp>,
    /// By place: when the newest run was recorded, and what it found unlocked.
    places: BTreeMap<String, (Timestamp, u64)>,
}

impl Copies {
    pub(super) fn refresh(
        &mut self,
        config: &Config,
        evidence: &mut Ledger,
        now: Timestamp,
    ) -> Result<Vec<Condition>, ServiceError> {
        let Some(settings) = &config.store else { return Ok(vec![]) };
        let size = evidence.size()?;
        if self.next < size {
            let (reader, mut next) = (evidence.reader()?, size);
            for row in reader.rows_of_kind("store", self.next) {
                let row = row?;
                next = next.max(row.seq.saturating_add(1));
                if let (Ok(record), Some(Entry::Store(run))) =
                    (Record::parse(&row.body), read_entry(&row.body))
                {
                    self.places.insert(run.place, (record.time, run.unlocked));
                }
            }
            self.next = next;
        }
        // Where nothing was ever copied, all that there is waits for it.
        if self.begun.is_none() {
            let genesis = evidence.reader()?.record(0)?;
            self.begun = genesis.and_then(|row| Some(Record::parse(&row.body).ok()?.time));
        }
        let begun = self.begun.unwrap_or(now);
        let state = StateDir::new(&config.state_dir);
        let places = replication::places(config, settings, evidence.chain());
        Ok(places
            .iter()
            .flat_map(|place| {
                let (last, unlocked) = self.places.get(place).copied().unwrap_or((begun, 0));
                let unlocked = if place.starts_with("s3:") { unlocked } else { 0 };
                let error = replication::Status::error(&state, place);
                copies(&Copying { place, last, unlocked, error: error.as_deref() }, now)
            })
            .collect())
    }
}
