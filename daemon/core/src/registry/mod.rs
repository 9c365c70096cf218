//! What the registry's records hold, by kind (docs/format.md §4).

mod anchor;
mod certificate;
mod countersign;
mod documents;
mod kinds;
pub mod package;
mod replication;
mod verification;

use alloc::{
    format,
    string::{String, ToString},
};

pub use anchor::{
    AnchorEntry, AnchorStep, MAX_CALENDARS, MAX_OPERATIONS, NETWORKS, Previous, Promise, SignedTx,
};
pub use certificate::{CertificateEntry, Governance, Issued, SubjectKind};
pub use countersign::CountersignEntry;
pub use documents::{Document, PacketEntry, SbomEntry};
pub use kinds::KINDS;
pub use package::PackageEntry;
pub use replication::StoreEntry;
pub use verification::VerifyEntry;

use crate::{
    encoding::{digest::Digest, json::Value, time::Timestamp},
    opentimestamps::Commitment,
    record::alert::Alert,
    signing::public_key::PublicKey,
};

/// Why a record's data are not of its kind's form.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct EntryError(pub String);

/// The data of a registry record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// Record 0: whose registry this is, and to which log chain it belongs.
    Genesis {
        /// The log chain's id.
        chain: String,
        /// The client.
        client: String,
        /// The host.
        host: String,
        /// The machine id.
        machine: String,
        /// Name and version of the program.
        software: String,
    },
    /// A public key begins, succeeds another, or is revoked from here on.
    Key(KeyEntry),
    /// The log chain's last record at this point.
    Head {
        /// Its sequence number.
        seq: u64,
        /// Its hash.
        hash: Digest,
    },
    /// A day's chain file is closed.
    Segment(Segment),
    /// A bundle is complete.
    Bundle(BundleEntry),
    /// A bundle's artifacts were removed because their retention ended.
    Expire {
        /// The bundle's id.
        bundle: String,
        /// The retention applied, in days.
        retention_days: u64,
    },
    /// A person looked.
    Review {
        /// At what.
        what: String,
        /// Who.
        who: String,
        /// With which outcome.
        outcome: String,
    },
    /// A verification ran.
    Verify(VerifyEntry),
    /// A condition began, or is over.
    Alert(Alert),
    /// An anchor's state changed.
    Anchor(AnchorEntry),
    /// Others' submissions were taken; this commits to them.
    Batch(Commitment),
    /// An inventory of the system's software.
    Sbom(SbomEntry),
    /// A compliance packet was exported.
    Packet(PacketEntry),
    /// Copies were put into WORM storage.
    Store(StoreEntry),
    /// A certificate was issued, renewed or revoked.
    Certificate(CertificateEntry),
    /// Something happened to a package.
    Package(PackageEntry),
    /// Somebody vouched for a folder, a file or a build.
    Countersign(CountersignEntry),
    /// Another kind; its data are canonical JSON.
    Other,
}

/// What happens to a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyEntry {
    /// What happens.
    pub action: KeyAction,
    /// The key.
    pub key: PublicKey,
    /// What people call it.
    pub name: String,
    /// Why, in words.
    pub reason: Option<String>,
    /// The key that it takes the place of.
    pub succeeds: Option<Digest>,
}

/// What can happen to a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyAction {
    /// The registry's first key.
    Begin,
    /// Takes the place of another.
    Succeed,
    /// Signs nothing from here on.
    Revoke,
}

/// A closed chain file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    /// `chain/2026/11/21.jsonl`.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Digest of its bytes.
    pub sha256: Digest,
    /// Hash of its first record.
    pub first: Digest,
    /// The first record's sequence number.
    pub first_seq: u64,
    /// Hash of its last record.
    pub last: Digest,
    /// How many records.
    pub count: u64,
}

/// A complete bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BundleEntry {
    /// `EB-20261121-0001`.
    pub id: String,
    /// Digest of `statement.json`.
    pub statement_sha256: Digest,
    /// The first record that the bundle is about.
    pub first_seq: u64,
    /// Its hash.
    pub first_hash: Digest,
    /// The last record.
    pub last_seq: u64,
    /// Its hash.
    pub last_hash: Digest,
    /// The period's beginning.
    pub from: Timestamp,
    /// The period's end.
    pub to: Timestamp,
    /// Whether the statement is signed.
    pub signed: bool,
    /// How many artifacts.
    pub artifacts: u64,
    /// Why it was made.
    pub reason: String,
}

impl Entry {
    /// Reads the data of a record of this kind, strictly: what
    /// [`Self::to_value`] would not write is refused.
    ///
    /// # Errors
    /// [`EntryError`] naming the member.
    pub fn read(kind: &str, data: &[u8]) -> Result<Self, EntryError> {
        let value = Value::parse(data).map_err(|error| EntryError(error.to_string()))?;
        let members = Members(&value);
        let entry = match kind {
            "genesis" => Self::Genesis {
                chain: members.text("chain")?,
                client: members.text("client")?,
                host: members.text("host")?,
                machine: members.text("machine")?,
                software: members.text("software")?,
            },
            "key" => Self::Key(members.key()?),
            "head" => Self::Head { seq: members.count("seq")?, hash: members.digest("hash")? },
            "segment" => Self::Segment(members.segment()?),
            "bundle" => Self::Bundle(members.bundle()?),
            "expire" => Self::Expire {
                bundle: members.text("bundle")?,
                retention_days: members.count("retention_days")?,
            },
            "review" => Self::Review {
                what: members.text("what")?,
                who: members.text("who")?,
                outcome: members.text("outcome")?,
            },
            "verify" => Self::Verify(VerifyEntry::read(&members)?),
            "anchor" => Self::Anchor(AnchorEntry::read(&members)?),
            "batch" => {
                let commitment = Commitment::from_hex(&members.text("commitment")?);
                Self::Batch(commitment.ok_or_else(|| {
                    EntryError("commitment: expected 80 lower-case hex digits".into())
                })?)
            }
            "alert" => Self::Alert(Alert::read(&value).map_err(EntryError)?),
            "sbom" => Self::Sbom(SbomEntry::read(&members)?),
            "packet" => Self::Packet(PacketEntry::read(&members)?),
            "store" => Self::Store(StoreEntry::read(&members)?),
            "certificate" => Self::Certificate(CertificateEntry::read(&members)?),
            "package" => Self::Package(PackageEntry::read(&members)?),
            "countersign" => Self::Countersign(CountersignEntry::read(&members)?),
            _ => return Ok(Self::Other),
        };
        if entry.to_value() == value {
            Ok(entry)
        } else {
            Err(EntryError(format!("a {kind} with members that do not belong to it")))
        }
    }

    /// The record's kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Genesis { .. } => "genesis",
            Self::Key(_) => "key",
            Self::Head { .. } => "head",
            Self::Segment(_) => "segment",
            Self::Bundle(_) => "bundle",
            Self::Expire { .. } => "expire",
            Self::Review { .. } => "review",
            Self::Verify(_) => "verify",
            Self::Alert(_) => "alert",
            Self::Anchor(_) => "anchor",
            Self::Batch(_) => "batch",
            Self::Sbom(_) => "sbom",
            Self::Packet(_) => "packet",
            Self::Store(_) => "store",
            Self::Certificate(_) => "certificate",
            Self::Package(_) => "package",
            Self::Countersign(_) => "countersign",
            Self::Other => "other",
        }
    }

    /// The data as JSON.
    pub fn to_value(&self) -> Value {
        let text = |text: &String| Value::from(text.as_str());
        match self {
            Self::Genesis { chain, client, host, machine, software } => Value::object([
                ("chain", text(chain)),
                ("client", text(client)),
                ("host", text(host)),
                ("machine", text(machine)),
                ("software", text(software)),
            ]),
            Self::Key(key) => key.to_value(),
            Self::Head { seq, hash } => {
                Value::object([("seq", (*seq).into()), ("hash", (*hash).into())])
            }
            Self::Segment(segment) => segment.to_value(),
            Self::Bundle(bundle) => bundle.to_value(),
            Self::Expire { bundle, retention_days } => Value::object([
                ("bundle", text(bundle)),
                ("retention_days", (*retention_days).into()),
            ]),
            Self::Review { what, who, outcome } => Value::object([
                ("what", text(what)),
                ("who", text(who)),
                ("outcome", text(outcome)),
            ]),
            Self::Verify(verify) => verify.to_value(),
            Self::Alert(alert) => alert.to_value(),
            Self::Anchor(anchor) => anchor.to_value(),
            Self::Batch(commitment) => Value::object([("commitment", commitment.to_hex().into())]),
            Self::Sbom(sbom) => sbom.to_value(),
            Self::Packet(packet) => packet.to_value(),
            Self::Store(store) => store.to_value(),
            Self::Certificate(certificate) => certificate.to_value(),
            Self::Package(package) => package.to_value(),
            Self::Countersign(signed) => signed.to_value(),
            Self::Other => Value::object([]),
        }
    }
}

impl KeyAction {
    /// The value of the member `action`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Succeed => "succeed",
            Self::Revoke => "revoke",
        }
    }
}

impl KeyEntry {
    fn to_value(&self) -> Value {
        Value::object([
            ("action", self.action.as_str().into()),
            ("fingerprint", self.key.fingerprint().into()),
            ("name", self.name.as_str().into()),
            ("spki", self.key.spki_base64().into()),
        ])
        .with_some("reason", self.reason.as_deref())
        .with_some("succeeds", self.succeeds)
    }
}

impl Segment {
    fn to_value(&self) -> Value {
        Value::object([
            ("name", self.name.as_str().into()),
            ("bytes", self.bytes.into()),
            ("sha256", self.sha256.into()),
            ("first", self.first.into()),
            ("first_seq", self.first_seq.into()),
            ("last", self.last.into()),
            ("count", self.count.into()),
        ])
    }
}

impl BundleEntry {
    fn to_value(&self) -> Value {
        Value::object([
            ("id", self.id.as_str().into()),
            ("statement_sha256", self.statement_sha256.into()),
            ("first_seq", self.first_seq.into()),
            ("first_hash", self.first_hash.into()),
            ("last_seq", self.last_seq.into()),
            ("last_hash", self.last_hash.into()),
            ("from", self.from.into()),
            ("to", self.to.into()),
            ("signed", self.signed.into()),
            ("artifacts", self.artifacts.into()),
            ("reason", self.reason.as_str().into()),
        ])
    }
}

struct Members<'a>(&'a Value);

impl Members<'_> {
    fn text(&self, name: &str) -> Result<String, EntryError> {
        self.maybe_text(name).ok_or_else(|| wrong(name, "a string"))
    }

    fn maybe_text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(Value::as_str).map(String::from)
    }

    fn count(&self, name: &str) -> Result<u64, EntryError> {
        let int = self.0.get(name).and_then(Value::as_int);
        int.and_then(|int| u64::try_from(int).ok()).ok_or_else(|| wrong(name, "a count"))
    }

    fn digest(&self, name: &str) -> Result<Digest, EntryError> {
        let text = self.text(name)?;
        Digest::from_hex(text.as_bytes()).ok_or_else(|| wrong(name, "a SHA-256 digest"))
    }

    fn time(&self, name: &str) -> Result<Timestamp, EntryError> {
        let text = self.text(name)?;
        Timestamp::parse(text.as_bytes()).ok_or_else(|| wrong(name, "a time"))
    }

    fn key(&self) -> Result<KeyEntry, EntryError> {
        let action = self.text("action")?;
        let actions = [KeyAction::Begin, KeyAction::Succeed, KeyAction::Revoke];
        let action = actions.into_iter().find(|known| known.as_str() == action);
        let key = PublicKey::parse(&self.text("spki")?);
        Ok(KeyEntry {
            action: action.ok_or_else(|| wrong("action", "begin, succeed or revoke"))?,
            key: key.map_err(|error| EntryError(format!("spki: {error}")))?,
            name: self.text("name")?,
            reason: self.maybe_text("reason"),
            succeeds: match self.0.get("succeeds") {
                Some(_) => Some(self.digest("succeeds")?),
                None => None,
            },
        })
    }

    fn segment(&self) -> Result<Segment, EntryError> {
        Ok(Segment {
            name: self.text("name")?,
            bytes: self.count("bytes")?,
            sha256: self.digest("sha256")?,
            first: self.digest("first")?,
            first_seq: self.count("first_seq")?,
            last: self.digest("last")?,
            count: self.count("count")?,
        })
    }

    fn bundle(&self) -> Result<BundleEntry, EntryError> {
        Ok(BundleEntry {
            id: self.text("id")?,
            statement_sha256: self.digest("statement_sha256")?,
            first_seq: self.count("first_seq")?,
            first_hash: self.digest("first_hash")?,
            last_seq: self.count("last_seq")?,
            last_hash: self.digest("last_hash")?,
            from: self.time("from")?,
            to: self.time("to")?,
            signed: self.0.get("signed") == Some(&Value::Bool(true)),
            artifacts: self.count("artifacts")?,
            reason: self.text("reason")?,
        })
    }
}

fn wrong(name: &str, expected: &str) -> EntryError {
    EntryError(format!("{name} is not {expected}"))
}

#[cfg(test)]
mod tests;
