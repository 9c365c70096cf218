//! The record of a run that put copies into WORM storage.

use alloc::string::String;

use super::{EntryError, Members};
use crate::encoding::{digest::Digest, json::Value, time::Timestamp};

/// Copies were put into WORM storage, read back, and were what was put.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreEntry {
    /// Where: `s3://bucket/prefix/client/host/chain`, or `file:` and a path.
    pub place: String,
    /// The run's number.
    pub run: u64,
    /// The digest of its manifest.
    pub manifest_sha256: Digest,
    /// How many registry records the storage has with it.
    pub size: u64,
    /// How many objects.
    pub objects: u64,
    /// How many bytes in them.
    pub bytes: u64,
    /// What keeps them: `compliance`, `immutable` or `none`.
    pub lock: String,
    /// Of how many objects the storage did not say that they are kept.
    pub unlocked: u64,
    /// Until when every object is kept, as it was read back.
    pub retain_until: Option<Timestamp>,
}

impl StoreEntry {
    pub(super) fn read(members: &Members<'_>) -> Result<Self, EntryError> {
        Ok(Self {
            place: members.text("where")?,
            run: members.count("run")?,
            manifest_sha256: members.digest("manifest_sha256")?,
            size: members.count("size")?,
            objects: members.count("objects")?,
            bytes: members.count("bytes")?,
            lock: members.text("lock")?,
            unlocked: members.count("unlocked")?,
            retain_until: match members.0.get("retain_until") {
                Some(_) => Some(members.time("retain_until")?),
                None => None,
            },
        })
    }

    pub(super) fn to_value(&self) -> Value {
        Value::object([
            ("where", self.place.as_str().into()),
            ("run", self.run.into()),
            ("manifest_sha256", self.manifest_sha256.into()),
            ("size", self.size.into()),
            ("objects", self.objects.into()),
            ("bytes", self.bytes.into()),
            ("lock", self.lock.as_str().into()),
            ("unlocked", self.unlocked.into()),
        ])
        .with_some("retain_until", self.retain_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Entry;

    #[test]
    fn it_survives_its_bytes_and_nothing_else_passes() {
        for retain_until in [None, Some(Timestamp::from_nanos(7))] {
            let entry = Entry::Store(StoreEntry {
                place: "s3://evidence/msp/clinic/host/x".into(),
                run: 3,
                manifest_sha256: Digest::sha256(b"m"),
                size: 40,
                objects: 9,
                bytes: 12_345,
                lock: "compliance".into(),
                unlocked: 0,
                retain_until,
            });
            let value = entry.to_value();
            assert_eq!(Entry::read("store", &value.encode()), Ok(entry));
            assert!(Entry::read("store", &value.with("zz", true).encode()).is_err());
        }
    }
}
