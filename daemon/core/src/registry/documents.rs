//! The records of documents: software bills of materials, compliance packets.

use alloc::{string::String, vec::Vec};

use super::{EntryError, Members, wrong};
use crate::{
    encoding::{digest::Digest, json::Value, time::Timestamp},
    record::coverage::Coverage,
};

/// An inventory of the system's software was written down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SbomEntry {
    /// The time that the documents name.
    pub created: Timestamp,
    /// The same inventory in one or more formats.
    pub documents: Vec<Document>,
    /// How many packages, the system itself included.
    pub packages: u64,
    /// Who told of them: `nix` or `dpkg`.
    pub source: String,
    /// The system: its store path, or `/`.
    pub system: String,
    /// How many of the packages of `reports` are vouched for.
    pub coverage: Option<Coverage>,
    /// Digests of what `provctl verify-package` found.
    pub reports: Vec<Digest>,
}

/// A file of an [`SbomEntry`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    /// `spdx-2.3` or `cyclonedx-1.6`.
    pub format: String,
    /// Its name below the state folder and in packets: `sboms/<sha256>.…`.
    pub name: String,
    /// Digest of its bytes.
    pub sha256: Digest,
    /// Its length.
    pub bytes: u64,
}

/// A compliance packet was exported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PacketEntry {
    /// What it is called: `MSP-<client>-<from>-<to>.zip`.
    pub name: String,
    /// Digest of its bytes.
    pub sha256: Digest,
    /// Its length.
    pub bytes: u64,
    /// The first instant of its period.
    pub from: Timestamp,
    /// The first instant behind its period.
    pub to: Timestamp,
    /// How many registry records it holds.
    pub registry: u64,
    /// Whether its manifest is signed.
    pub signed: bool,
    /// Who exported it.
    pub who: String,
}

impl SbomEntry {
    pub(super) fn read(members: &Members<'_>) -> Result<Self, EntryError> {
        let documents = members.0.get("documents").and_then(Value::as_array);
        let documents = documents.ok_or_else(|| wrong("documents", "a list"))?;
        let document = |value: &Value| {
            let members = Members(value);
            Ok(Document {
                format: members.text("format")?,
                name: members.text("name")?,
                sha256: members.digest("sha256")?,
                bytes: members.count("bytes")?,
            })
        };
        Ok(Self {
            created: members.time("created")?,
            documents: documents.iter().map(document).collect::<Result<_, EntryError>>()?,
            packages: members.count("packages")?,
            source: members.text("source")?,
            system: members.text("system")?,
            coverage: match members.0.get("coverage") {
                Some(value) => {
                    Some(Coverage::read(value).ok_or_else(|| wrong("coverage", "counts"))?)
                }
                None => None,
            },
            reports: match members.0.get("reports") {
                Some(value) => digests(value)?,
                None => Vec::new(),
            },
        })
    }

    pub(super) fn to_value(&self) -> Value {
        let document = |document: &Document| {
            Value::object([
                ("format", document.format.as_str().into()),
                ("name", document.name.as_str().into()),
                ("sha256", document.sha256.into()),
                ("bytes", document.bytes.into()),
            ])
        };
        let reports: Vec<Value> = self.reports.iter().map(|digest| (*digest).into()).collect();
        Value::object([
            ("created", self.created.into()),
            ("documents", self.documents.iter().map(document).collect::<Vec<_>>().into()),
            ("packages", self.packages.into()),
            ("source", self.source.as_str().into()),
            ("system", self.system.as_str().into()),
        ])
        .with_some("coverage", self.coverage.as_ref().map(Coverage::to_value))
        .with_some("reports", (!reports.is_empty()).then_some(Value::Array(reports)))
    }
}

fn digests(value: &Value) -> Result<Vec<Digest>, EntryError> {
    let digest = |value: &Value| Digest::from_hex(value.as_str()?.as_bytes());
    let list = value.as_array().and_then(|list| list.iter().map(digest).collect());
    list.ok_or_else(|| wrong("reports", "a list of digests"))
}

impl PacketEntry {
    pub(super) fn read(members: &Members<'_>) -> Result<Self, EntryError> {
        Ok(Self {
            name: members.text("name")?,
            sha256: members.digest("sha256")?,
            bytes: members.count("bytes")?,
            from: members.time("from")?,
            to: members.time("to")?,
            registry: members.count("registry")?,
            signed: members.0.get("signed") == Some(&Value::Bool(true)),
            who: members.text("who")?,
        })
    }

    pub(super) fn to_value(&self) -> Value {
        Value::object([
            ("name", self.name.as_str().into()),
            ("sha256", self.sha256.into()),
            ("bytes", self.bytes.into()),
            ("from", self.from.into()),
            ("to", self.to.into()),
            ("registry", self.registry.into()),
            ("signed", self.signed.into()),
            ("who", self.who.as_str().into()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Entry;
    use alloc::vec;

    #[test]
    fn both_survive_their_bytes_and_nothing_else_passes() {
        let (sha256, time) = (Digest::sha256(b"x"), Timestamp::from_nanos(5));
        let document =
            Document { format: "spdx-2.3".into(), name: "sboms/x".into(), sha256, bytes: 3 };
        let sbom = SbomEntry {
            created: time,
            documents: vec![document.clone(), document],
            packages: 7,
            source: "nix".into(),
            system: "/nix/store/x".into(),
            coverage: None,
            reports: vec![],
        };
        let mut coverage = Coverage::default();
        coverage.count("npm", crate::record::coverage::Level::Absent, []);
        let covered =
            SbomEntry { coverage: Some(coverage), reports: vec![sha256; 2], ..sbom.clone() };
        let packet = PacketEntry {
            name: "MSP-c-1-2.zip".into(),
            sha256,
            bytes: 9,
            from: time,
            to: time,
            registry: 4,
            signed: true,
            who: "anna".into(),
        };
        for entry in [Entry::Sbom(sbom), Entry::Sbom(covered), Entry::Packet(packet)] {
            let bytes = entry.to_value().encode();
            assert_eq!(Entry::read(entry.kind(), &bytes), Ok(entry.clone()));
            let mut more = String::from_utf8(bytes).unwrap();
            more.insert_str(1, "\"a\":1,");
            assert!(Entry::read(entry.kind(), more.as_bytes()).is_err(), "{more}");
        }
    }
}
