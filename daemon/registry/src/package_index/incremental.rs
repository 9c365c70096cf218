//! The catalogue of who asks it often: kept, and brought up to what the
//! registry has grown by. It is made of nothing but the registry's records.

use std::collections::{BTreeMap, HashMap};

use provenance_core::registry::Entry;

use super::{CertificateIndex, Event, VersionIndex, each};
use crate::reader::{Reader, RegistryError};

/// What the registry's first records say of certificates and packages.
#[derive(Debug, Default)]
pub struct IncrementalIndex {
    certificates: CertificateIndex,
    versions: VersionIndex,
    /// The record of each event, by its id.
    by_id: HashMap<String, u64>,
    /// The records of each package's events.
    by_package: BTreeMap<String, Vec<u64>>,
    /// How many records were read, and the hash of the last of them.
    size: u64,
    last: Vec<u8>,
}

impl IncrementalIndex {
    /// Takes what has come since the last time; all anew where the registry is
    /// another one.
    ///
    /// # Errors
    /// [`RegistryError`]; nothing is lost by it.
    pub fn catch_up(&mut self, reader: &Reader) -> Result<(), RegistryError> {
        let size = reader.len()?;
        let hash = |size: u64| match size.checked_sub(1) {
            Some(seq) => Ok(reader.record(seq)?.map(|row| row.hash).unwrap_or_default()),
            None => Ok::<_, RegistryError>(vec![]),
        };
        if size < self.size || hash(self.size)? != self.last {
            *self = Self::default();
        }
        let from = self.size;
        if size == from {
            return Ok(());
        }
        // Until all is taken, the next time begins from nothing.
        let mut next = std::mem::take(self);
        each(reader, "certificate", from, |row, record, entry| {
            if let Entry::Certificate(entry) = entry
                && row.seq < size
            {
                // The first word counts; the auditor says what cannot follow.
                let _ = next.certificates.apply(entry, row.seq, record.time);
            }
            row.seq < size
        })?;
        super::events(reader, from, |event| {
            let within = event.seq < size;
            if within {
                next.take(event);
            }
            within
        })?;
        (next.size, next.last) = (size, hash(size)?);
        *self = next;
        Ok(())
    }

    fn take(&mut self, event: Event) {
        let Event { entry, seq, .. } = &event;
        self.by_id.entry(entry.id.clone()).or_insert(*seq);
        self.by_package.entry(entry.package.clone()).or_default().push(*seq);
        // What cannot follow changes nothing; the auditor says so.
        let _ = self.versions.apply(event);
    }

    /// How many of the registry's records it knows.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Every certificate on record.
    pub fn certificates(&self) -> &CertificateIndex {
        &self.certificates
    }

    /// Every version of every package.
    pub fn versions(&self) -> &VersionIndex {
        &self.versions
    }

    /// The record of the event with this id.
    pub fn event(&self, id: &str) -> Option<u64> {
        self.by_id.get(id).copied()
    }

    /// The records of a package's events from number `from` on.
    pub fn events(&self, package: &str, from: u64) -> &[u64] {
        let all = self.by_package.get(package).map_or(&[][..], Vec::as_slice);
        all.get(all.partition_point(|seq| *seq < from)..).unwrap_or_default()
    }
}
