//! What the registry says of certificates and packages: read from its records
//! each time, so that nothing beside it can be wrong; who asks often follows
//! them.

mod incremental;

use std::collections::BTreeMap;

use provenance_core::{
    encoding::{digest::Digest, json::Value, time::Timestamp},
    record::Record,
    registry::{
        CertificateEntry, Entry, Issued, PackageEntry, SubjectKind,
        package::{Refusal, Status},
    },
};

use crate::reader::{Reader, RegistryError, Row};
pub use incremental::IncrementalIndex;

/// A certificate on record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateState {
    /// What was issued.
    pub issued: Issued,
    /// Its record's number.
    pub seq: u64,
    /// Its revocation, where there is one.
    pub revoked: Option<Revoked>,
}

/// That a certificate was revoked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revoked {
    /// The record's number.
    pub seq: u64,
    /// The record's time.
    pub time: Timestamp,
    /// Who said so.
    pub by: String,
    pub reason: String,
}

impl CertificateState {
    /// Whether it vouches for what an event says of a package, by all that was
    /// on record then.
    ///
    /// # Errors
    /// Why not.
    pub fn vouches_for(&self, entry: &PackageEntry) -> Result<(), &'static str> {
        let issued = &self.issued;
        if issued.subject != SubjectKind::Package || issued.name != entry.package {
            return Err("it is for something else");
        }
        if issued.version.as_ref().is_some_and(|version| *version != entry.version) {
            return Err("it is for another version");
        }
        if self.revoked.is_some() {
            return Err("it is revoked");
        }
        match (issued.artifact_sha256, entry.sha256) {
            (Some(certified), Some(archive)) if certified != archive => {
                Err("it is for another archive")
            }
            _ => Ok(()),
        }
    }

    pub fn to_value(&self) -> Value {
        let entry = CertificateEntry::Issued(Box::new(self.issued.clone()));
        let revoked = self.revoked.as_ref().map(|revoked| {
            Value::object([
                ("by", revoked.by.as_str().into()),
                ("reason", revoked.reason.as_str().into()),
                ("registry_record", revoked.seq.into()),
                ("time", revoked.time.into()),
            ])
        });
        let value = Entry::Certificate(entry).to_value();
        value.with("registry_record", self.seq).with_some("revoked", revoked)
    }
}

/// Every certificate on record, by its id.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CertificateIndex(BTreeMap<String, CertificateState>);

/// Reads every certificate's records.
///
/// # Errors
/// [`RegistryError`].
pub fn certificates(reader: &Reader) -> Result<CertificateIndex, RegistryError> {
    certificates_at(reader, u64::MAX)
}

/// What the registry's first `size` records say of certificates.
///
/// # Errors
/// [`RegistryError`].
pub fn certificates_at(reader: &Reader, size: u64) -> Result<CertificateIndex, RegistryError> {
    let mut known = CertificateIndex::default();
    each(reader, "certificate", 0, |row, record, entry| {
        if let Entry::Certificate(entry) = entry
            && row.seq < size
        {
            // The first word counts; the auditor says what cannot follow.
            let _ = known.apply(entry, row.seq, record.time);
        }
        row.seq < size
    })?;
    Ok(known)
}

impl CertificateIndex {
    /// Takes the next record, of this number and time.
    ///
    /// # Errors
    /// Why it cannot follow from those before it.
    pub fn apply(
        &mut self,
        entry: CertificateEntry,
        seq: u64,
        time: Timestamp,
    ) -> Result<(), &'static str> {
        match entry {
            CertificateEntry::Issued(issued) => {
                let known = |id| self.get(id).is_some_and(|known| known.revoked.is_none());
                if self.get(&issued.id).is_some() {
                    return Err("a certificate of this id is on record already");
                }
                if issued.renews.as_deref().is_some_and(|id| !known(id)) {
                    return Err("it renews one that is not on record, or revoked");
                }
                self.0.insert(
                    issued.id.clone(),
                    CertificateState { issued: *issued, seq, revoked: None },
                );
                Ok(())
            }
            CertificateEntry::Revoked { id, by, reason } => match self.0.get_mut(&id) {
                None => Err("it revokes one that is not on record"),
                Some(CertificateState { revoked: Some(_), .. }) => Err("it is revoked already"),
                Some(known) => {
                    known.revoked = Some(Revoked { seq, time, by, reason });
                    Ok(())
                }
            },
        }
    }

    /// The certificate with this id.
    pub fn get(&self, id: &str) -> Option<&CertificateState> {
        self.0.get(id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &CertificateState> {
        self.0.values()
    }

    /// What was issued, by id.
    pub fn issued(&self) -> impl Iterator<Item = &Issued> {
        self.iter().map(|known| &known.issued)
    }

    /// The certificate of the authority with this key.
    pub fn authority(&self, key: Digest) -> Option<&Issued> {
        let own = |issued: &&Issued| issued.subject == SubjectKind::Authority && issued.key == key;
        self.issued().find(own)
    }

    /// What that authority revoked, and when.
    pub fn revoked_by(&self, key: Digest) -> Vec<(String, Timestamp)> {
        let of = self.iter().filter(|known| known.issued.issuer == key);
        of.filter_map(|known| Some((known.issued.id.clone(), known.revoked.as_ref()?.time)))
            .collect()
    }
}

/// An event on record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub entry: PackageEntry,
    /// Its record's number.
    pub seq: u64,
    /// Its record's time.
    pub time: Timestamp,
}

/// A version of a package, as its events leave it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// How it stands.
    pub status: Status,
    /// Digest of its archive.
    pub sha256: Option<Digest>,
    pub certificate: Option<String>,
    /// The number of the last record about it.
    pub seq: u64,
    /// That record's time.
    pub time: Timestamp,
}

/// A package's name, and a version.
pub type Named = (String, String);

/// Versions of packages, as their events leave them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VersionIndex(BTreeMap<Named, Version>);

/// Hands out the events from record `from` on, until `take` has enough.
///
/// # Errors
/// [`RegistryError`].
pub(crate) fn events(
    reader: &Reader,
    from: u64,
    mut take: impl FnMut(Event) -> bool,
) -> Result<(), RegistryError> {
    each(reader, "package", from, |row, record, entry| match entry {
        Entry::Package(entry) => take(Event { entry, seq: row.seq, time: record.time }),
        _ => true,
    })
}

/// The event of record `seq`, where that is one.
///
/// # Errors
/// [`RegistryError`].
pub fn event(reader: &Reader, seq: u64) -> Result<Option<Event>, RegistryError> {
    let Some(row) = reader.record(seq)? else { return Ok(None) };
    let Ok(record) = Record::parse(&row.body) else { return Ok(None) };
    Ok(match Entry::read(record.kind, record.data) {
        Ok(Entry::Package(entry)) => Some(Event { entry, seq, time: record.time }),
        _ => None,
    })
}

/// Every version of the packages that `wanted` takes, as the registry's first
/// `size` records leave them.
///
/// # Errors
/// [`RegistryError`].
pub fn versions_at(
    reader: &Reader,
    size: u64,
    wanted: impl Fn(&PackageEntry) -> bool,
) -> Result<VersionIndex, RegistryError> {
    let mut versions = VersionIndex::default();
    events(reader, 0, |event| {
        let within = event.seq < size;
        if within && wanted(&event.entry) {
            // What cannot follow changes nothing; the auditor says so.
            let _ = versions.apply(event);
        }
        within
    })?;
    Ok(versions)
}

/// Every version of the packages that `wanted` takes.
///
/// # Errors
/// [`RegistryError`].
pub fn versions(
    reader: &Reader,
    wanted: impl Fn(&PackageEntry) -> bool,
) -> Result<VersionIndex, RegistryError> {
    versions_at(reader, u64::MAX, wanted)
}

impl VersionIndex {
    /// Takes the next event.
    ///
    /// # Errors
    /// Why it cannot follow from those before it.
    pub fn apply(&mut self, event: Event) -> Result<Status, Refusal> {
        let Event { entry, seq, time } = event;
        let name = (entry.package, entry.version);
        let before = self.0.get(&name);
        let was = before.map(|version| version.status);
        let status = Status::after(was, &entry.event)?;
        let (sha256, certificate) = match (was, status) {
            (None, _) | (Some(Status::Registered), Status::Published) => {
                (entry.sha256, entry.certificate)
            }
            // What is published stays as it is, whatever is said later.
            _ => before.map(|v| (v.sha256, v.certificate.clone())).unwrap_or_default(),
        };
        self.0.insert(name, Version { status, sha256, certificate, seq, time });
        Ok(status)
    }

    pub fn get(&self, package: &str, version: &str) -> Option<&Version> {
        self.0.get(&(package.to_owned(), version.to_owned()))
    }

    /// All of them, by name and version.
    pub fn iter(&self) -> impl Iterator<Item = (&Named, &Version)> {
        self.0.iter()
    }

    /// Those of the packages from this name on.
    pub fn since(&self, package: &str) -> impl Iterator<Item = (&Named, &Version)> {
        self.0.range((package.to_owned(), String::new())..)
    }

    /// Those of one package.
    pub fn of(&self, package: &str) -> impl Iterator<Item = (&str, &Version)> {
        let same = self.since(package).take_while(move |((name, _), _)| name == package);
        same.map(|((_, number), version)| (number.as_str(), version))
    }
}

/// Hands out the records of a kind from number `from` on, until `take` has
/// enough; no more than a page of them is in memory.
fn each(
    reader: &Reader,
    kind: &str,
    from: u64,
    mut take: impl FnMut(&Row, &Record<'_>, Entry) -> bool,
) -> Result<(), RegistryError> {
    for row in reader.rows_of_kind(kind, from) {
        let row = row?;
        let Ok(record) = Record::parse(&row.body) else { continue };
        let Ok(entry) = Entry::read(record.kind, record.data) else { continue };
        if !take(&row, &record, entry) {
            break;
        }
    }
    Ok(())
}
