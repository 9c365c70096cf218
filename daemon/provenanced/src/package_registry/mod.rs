//! The chronicle of packages (docs/format.md §17): what happened to which
//! version, and how it stands. Each event is a registry record; one that cannot
//! follow from those before it is refused.

pub mod metadata;
mod publish;

use std::{collections::BTreeMap, fs};

use provenance_core::{
    encoding::{
        digest::{Digest, to_hex},
        time::Timestamp,
    },
    registry::{
        Entry, PackageEntry,
        package::{Status, is_package, is_version},
    },
};

pub use publish::{Published, Publishing};

use crate::{error::ServiceError, ledger::Ledger, random, state_lock::lock};
use provenance_host::state_dir::StateDir;
use provenance_registry::package_index::{self, IncrementalIndex};

/// Something that is reported of a package.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// The event's id, where whoever reports gives one: the same report twice
    /// is one event.
    pub id: Option<String>,
    pub event: String,
    /// To which package.
    pub package: String,
    /// To which version.
    pub version: String,
    /// Who says so.
    pub who: String,
    /// More, in words.
    pub details: BTreeMap<String, String>,
    /// Digest of the archive.
    pub sha256: Option<Digest>,
    /// The certificate that goes with it.
    pub certificate: Option<String>,
}

/// An event on record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordedEvent {
    /// What is on record.
    pub entry: PackageEntry,
    /// Its record's number.
    pub seq: u64,
    /// How the version stands with it.
    pub status: Status,
    /// Whether it was on record before.
    pub before: bool,
}

/// The chronicle, while nobody else writes it.
#[derive(Debug)]
pub struct Chronicle {
    _turn: fs::File,
}

impl Chronicle {
    /// Keeps others out.
    ///
    /// # Errors
    /// [`ServiceError::Locked`].
    pub(crate) fn open(state: &StateDir) -> Result<Self, ServiceError> {
        Ok(Self { _turn: lock(state, "packages.lock")? })
    }

    /// Records an event, if it can follow from those before it.
    ///
    /// # Errors
    /// [`ServiceError`]: `Request` where it makes no sense, `Conflict` where
    /// it contradicts what is on record.
    pub(crate) fn record(
        &self,
        evidence: &mut Ledger,
        known: &mut IncrementalIndex,
        now: Timestamp,
        report: Report,
    ) -> Result<RecordedEvent, ServiceError> {
        let entry = entry(report)?;
        known.catch_up(&evidence.reader()?)?;
        // The first time is more than a report: archive, certificate and
        // statement lie beside it.
        let publishes = entry.event == Status::Published.event();
        if publishes && status(known, &entry) == Some(Status::Registered) {
            let message = "publish it with `provenanced package publish`, which signs it";
            return Err(ServiceError::Conflict(message.into()));
        }
        self.append(evidence, known, now, entry)
    }

    /// Records what can follow from what is known, which is all on record.
    fn append(
        &self,
        evidence: &mut Ledger,
        known: &IncrementalIndex,
        now: Timestamp,
        entry: PackageEntry,
    ) -> Result<RecordedEvent, ServiceError> {
        let before = match known.event(&entry.id) {
            Some(seq) => package_index::event(&evidence.reader()?, seq)?,
            None => None,
        };
        if let Some(event) = before {
            if event.entry != entry {
                let message = format!("event {} is on record, and says otherwise", entry.id);
                return Err(ServiceError::Conflict(message));
            }
            let status = status(known, &entry).unwrap_or(Status::Registered);
            return Ok(RecordedEvent { entry, seq: event.seq, status, before: true });
        }
        let status = Status::after(status(known, &entry), &entry.event).map_err(|refusal| {
            ServiceError::Conflict(format!("{} {}: {refusal}", entry.package, entry.version))
        })?;
        fits_certificate(known, &entry, now)?;
        let seq = evidence.record_at(now, &Entry::Package(entry.clone()))?;
        Ok(RecordedEvent { entry, seq, status, before: false })
    }
}

/// The event as it is put on record.
fn entry(report: Report) -> Result<PackageEntry, ServiceError> {
    let id = match report.id {
        Some(id) => id,
        None => {
            let mut bytes = [0; 16];
            random::fill(&mut bytes)?;
            to_hex(&bytes)
        }
    };
    let Report { event, package, version, who, details, sha256, certificate, .. } = report;
    let entry = PackageEntry { id, event, package, version, who, details, sha256, certificate };
    entry.check().map_err(|error| ServiceError::Request(error.to_string()))?;
    if entry.who.chars().any(char::is_control) {
        return Err(ServiceError::Request("who: without control characters".into()));
    }
    Ok(entry)
}

/// How a version stands; `None` where nothing is known of it.
fn status(known: &IncrementalIndex, entry: &PackageEntry) -> Option<Status> {
    known.versions().get(&entry.package, &entry.version).map(|version| version.status)
}

/// A certificate that an event names is one for this package, in force.
fn fits_certificate(
    known: &IncrementalIndex,
    entry: &PackageEntry,
    now: Timestamp,
) -> Result<(), ServiceError> {
    let Some(id) = &entry.certificate else { return Ok(()) };
    let refuse = |why: &str| Err(ServiceError::Conflict(format!("certificate {id}: {why}")));
    let Some(known) = known.certificates().get(id) else {
        return refuse("there is none with this id");
    };
    if let Err(why) = known.vouches_for(entry) {
        return refuse(why);
    }
    if !(known.issued.not_before..=known.issued.not_after).contains(&now) {
        return refuse("it is not valid now");
    }
    Ok(())
}

/// A package and its version as somebody typed them.
///
/// # Errors
/// What would be right.
pub(crate) fn named(package: &str, version: &str) -> Result<(), ServiceError> {
    if is_package(package) && is_version(version) {
        return Ok(());
    }
    let message = "a package is `name` or `@scope/name` of letters, digits and . _ - +, a version \
                   of the same and ~";
    Err(ServiceError::Request(message.into()))
}
