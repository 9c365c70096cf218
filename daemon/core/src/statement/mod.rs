//! What all our signed statements share: the frame of an in-toto Statement v1
//! in canonical JSON, and the parts that more than one predicate has
//! (docs/format.md §6).

pub mod build_provenance;
pub mod countersignature;
pub mod evidence;
pub mod publication;
pub mod replication_manifest;

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use crate::{
    encoding::{
        digest::Digest,
        json::Value,
        json_scanner::{ScanError, Scanner},
        time::Timestamp,
    },
    record::log_entry::read_digest,
};

/// The `_type` of an in-toto Statement v1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// A statement is at most 8 MiB.
pub const MAX_STATEMENT: usize = 8 << 20;

/// What a statement is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subject {
    /// What it is called.
    pub name: String,
    /// The digest of its bytes.
    pub sha256: Digest,
}

/// A run of records of one log chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainRange {
    /// The chain's id: 32 lower-case hex digits.
    pub id: String,
    /// The first record.
    pub first: Link,
    /// The last record; not before `first`.
    pub last: Link,
}

/// A record by place and hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its place in the chain.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

/// A program and its version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Collector {
    /// Such as `provenanced`.
    pub name: String,
    /// Such as `0.1.0`.
    pub version: String,
}

/// The canonical bytes of a statement.
pub(crate) fn encode<'a>(
    predicate_type: &str,
    predicate: Value,
    subjects: impl Iterator<Item = (&'a str, Digest)>,
) -> Vec<u8> {
    let subjects: Vec<Value> = subjects.map(|(name, sha256)| descriptor(name, sha256)).collect();
    Value::object([
        ("_type", STATEMENT_TYPE.into()),
        ("predicate", predicate),
        ("predicateType", predicate_type.into()),
        ("subject", subjects.into()),
    ])
    .encode()
}

/// A resource descriptor.
fn descriptor(name: &str, sha256: Digest) -> Value {
    let digest = Value::object([("sha256", sha256.into())]);
    Value::object([("digest", digest), ("name", name.into())])
}

/// Reads exactly what [`encode`] writes; `None` for a statement of another
/// type, whose predicate was not looked at.
pub(crate) fn parse<P>(
    bytes: &[u8],
    predicate_type: &str,
    read: impl FnOnce(&mut Scanner<'_>) -> Result<P, ScanError>,
) -> Result<Option<(P, Vec<Subject>)>, ScanError> {
    let mut scan = Scanner::new(bytes);
    scan.open()?;
    scan.key("_type")?;
    if scan.string()? != STATEMENT_TYPE {
        return Ok(None);
    }
    scan.key("predicate")?;
    // A later predicate may have other members: its type comes first.
    let mut predicate = scan.clone();
    scan.value()?;
    scan.key("predicateType")?;
    if scan.string()? != predicate_type {
        return Ok(None);
    }
    let predicate = read(&mut predicate)?;
    scan.key("subject")?;
    let mut subjects = Vec::new();
    scan.array(|scan| {
        subjects.push(Subject::read(scan)?);
        Ok(())
    })?;
    scan.close()?;
    scan.finish()?;
    Ok(Some((predicate, subjects)))
}

impl Subject {
    pub(crate) fn to_value(&self) -> Value {
        descriptor(&self.name, self.sha256)
    }

    pub(crate) fn read(scan: &mut Scanner<'_>) -> Result<Self, ScanError> {
        scan.open()?;
        scan.key("digest")?;
        scan.open()?;
        scan.key("sha256")?;
        let sha256 = read_digest(scan)?;
        scan.close()?;
        let name = text(scan, "name")?;
        scan.close()?;
        Ok(Self { name, sha256 })
    }
}

impl ChainRange {
    pub(crate) fn to_value(&self) -> Value {
        let link =
            |link: &Link| Value::object([("seq", link.seq.into()), ("hash", link.hash.into())]);
        Value::object([
            ("id", self.id.as_str().into()),
            ("first", link(&self.first)),
            ("last", link(&self.last)),
        ])
    }

    pub(crate) fn read(scan: &mut Scanner<'_>) -> Result<Self, ScanError> {
        scan.open()?;
        scan.key("first")?;
        let first = Link::read(scan)?;
        scan.key("id")?;
        let id = scan.plain()?.to_owned();
        if !is_chain_id(&id) {
            return scan.fail("a chain's id is 32 lower-case hex digits");
        }
        scan.key("last")?;
        let last = Link::read(scan)?;
        if last.seq < first.seq || last.seq == first.seq && last.hash != first.hash {
            return scan.fail("the chain's range ends before it begins");
        }
        scan.close()?;
        Ok(Self { id, first, last })
    }
}

impl Link {
    fn read(scan: &mut Scanner<'_>) -> Result<Self, ScanError> {
        scan.open()?;
        scan.key("hash")?;
        let hash = read_digest(scan)?;
        scan.key("seq")?;
        let seq = scan.uint()?;
        scan.close()?;
        Ok(Self { seq, hash })
    }
}

impl Collector {
    pub(crate) fn to_value(&self) -> Value {
        Value::object([
            ("name", self.name.as_str().into()),
            ("version", self.version.as_str().into()),
        ])
    }

    /// The member `collector`.
    pub(crate) fn read(scan: &mut Scanner<'_>) -> Result<Self, ScanError> {
        scan.key("collector")?;
        scan.open()?;
        let collector = Self { name: text(scan, "name")?, version: text(scan, "version")? };
        scan.close()?;
        Ok(collector)
    }
}

/// A period as its member `period`.
pub(crate) fn period(from: Timestamp, to: Timestamp) -> Value {
    Value::object([("from", from.into()), ("to", to.into())])
}

/// The member `period`; it may be empty.
pub(crate) fn read_period(scan: &mut Scanner<'_>) -> Result<(Timestamp, Timestamp), ScanError> {
    scan.key("period")?;
    scan.open()?;
    let (from, to) = (time(scan, "from")?, time(scan, "to")?);
    if to < from {
        return scan.fail("the period ends before it begins");
    }
    scan.close()?;
    Ok((from, to))
}

/// The member `name`, a text.
pub(crate) fn text(scan: &mut Scanner<'_>, name: &str) -> Result<String, ScanError> {
    scan.key(name)?;
    Ok(scan.string()?.into_owned())
}

/// The member `name`, a time.
pub(crate) fn time(scan: &mut Scanner<'_>, name: &str) -> Result<Timestamp, ScanError> {
    scan.key(name)?;
    match Timestamp::parse(scan.plain()?.as_bytes()) {
        Some(time) => Ok(time),
        None => scan.fail("expected a time"),
    }
}

/// Whether a text is a log chain's id.
pub fn is_chain_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}
