//! The records of certificates: a local authority begins, a certificate is
//! issued, renewed or revoked.

use alloc::{boxed::Box, string::String, vec::Vec};

use base64ct::{Base64, Encoding as _};

use super::{EntryError, Members, wrong};
use crate::{
    encoding::{digest::Digest, json::Value, time::Timestamp},
    statement::is_chain_id,
};

/// What happened to a certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CertificateEntry {
    /// A certificate is valid from here on.
    Issued(Box<Issued>),
    /// A certificate vouches for nothing from here on.
    Revoked {
        /// Which.
        id: String,
        /// Who says so.
        by: String,
        /// Why, in words.
        reason: String,
    },
}

/// A certificate (RFC 5280) that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issued {
    /// Its serial number: 32 lower-case hex digits.
    pub id: String,
    /// What it is for.
    pub subject: SubjectKind,
    /// Of which package, service or appliance it is.
    pub name: String,
    /// A package's version, where it is for one alone.
    pub version: Option<String>,
    /// The certificate itself, in DER.
    pub der: Vec<u8>,
    /// Digest of that: its fingerprint.
    pub sha256: Digest,
    /// Digest of the certified key's SubjectPublicKeyInfo.
    pub key: Digest,
    /// The same of the key that signed.
    pub issuer: Digest,
    /// The first second of its validity.
    pub not_before: Timestamp,
    /// The last.
    pub not_after: Timestamp,
    /// The file that it is about: a package's archive.
    pub artifact_sha256: Option<Digest>,
    /// The certificate that it takes the place of.
    pub renews: Option<String>,
    /// Who decided it.
    pub governance: Governance,
}

/// Who approved a certificate, when, where, and under which rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Governance {
    /// The person.
    pub approved_by: String,
    /// The time.
    pub approved_at: Timestamp,
    /// The place: an office, a ticket.
    pub place: String,
    /// The version of the rules.
    pub policy_version: String,
}

/// What a certificate is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SubjectKind {
    /// The authority itself.
    Authority,
    /// A software package.
    Package,
    /// A server, by its DNS name.
    Service,
    /// An appliance, as `client/host`.
    Appliance,
}

impl SubjectKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Authority, Self::Package, Self::Service, Self::Appliance];

    /// The value of the member `subject`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authority => "authority",
            Self::Package => "package",
            Self::Service => "service",
            Self::Appliance => "appliance",
        }
    }
}

impl CertificateEntry {
    /// The serial number of the certificate that it is about.
    pub fn id(&self) -> &str {
        match self {
            Self::Issued(issued) => &issued.id,
            Self::Revoked { id, .. } => id,
        }
    }

    pub(super) fn read(members: &Members<'_>) -> Result<Self, EntryError> {
        let id = members.text("id")?;
        if !is_chain_id(&id) {
            return Err(wrong("id", "32 lower-case hex digits"));
        }
        match (members.text("action")?.as_str(), members.0.get("renews")) {
            ("revoke", None) => {
                Ok(Self::Revoked { id, by: members.text("by")?, reason: members.text("reason")? })
            }
            ("issue", None) | ("renew", Some(_)) => {
                Issued::read(members, id).map(|issued| Self::Issued(Box::new(issued)))
            }
            _ => Err(wrong("action", "issue, renew (with `renews`) or revoke")),
        }
    }

    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Issued(issued) => issued.to_value(),
            Self::Revoked { id, by, reason } => Value::object([
                ("action", "revoke".into()),
                ("by", by.as_str().into()),
                ("id", id.as_str().into()),
                ("reason", reason.as_str().into()),
            ]),
        }
    }
}

impl Issued {
    fn read(members: &Members<'_>, id: String) -> Result<Self, EntryError> {
        let subject = members.text("subject")?;
        let subject = SubjectKind::ALL.into_iter().find(|kind| kind.as_str() == subject);
        let artifact_sha256 = match members.0.get("artifact_sha256") {
            Some(_) => Some(members.digest("artifact_sha256")?),
            None => None,
        };
        let der = Base64::decode_vec(&members.text("der")?);
        let der = der.map_err(|_| wrong("der", "canonical base64"))?;
        let sha256 = members.digest("sha256")?;
        if Digest::sha256(&der) != sha256 {
            return Err(wrong("sha256", "the digest of `der`"));
        }
        Ok(Self {
            id,
            der,
            subject: subject.ok_or_else(|| wrong("subject", "what a certificate is for"))?,
            name: members.text("name")?,
            version: members.maybe_text("version"),
            sha256,
            key: members.digest("key")?,
            issuer: members.digest("issuer")?,
            not_before: members.time("not_before")?,
            not_after: members.time("not_after")?,
            artifact_sha256,
            renews: members.maybe_text("renews"),
            governance: Governance::read(members)?,
        })
    }

    fn to_value(&self) -> Value {
        let action = if self.renews.is_some() { "renew" } else { "issue" };
        let value = Value::object([
            ("action", action.into()),
            ("der", Base64::encode_string(&self.der).into()),
            ("id", self.id.as_str().into()),
            ("issuer", self.issuer.into()),
            ("key", self.key.into()),
            ("name", self.name.as_str().into()),
            ("not_after", self.not_after.into()),
            ("not_before", self.not_before.into()),
            ("sha256", self.sha256.into()),
            ("subject", self.subject.as_str().into()),
        ]);
        self.governance
            .write(value)
            .with_some("artifact_sha256", self.artifact_sha256)
            .with_some("renews", self.renews.as_deref())
            .with_some("version", self.version.as_deref())
    }
}

impl Governance {
    fn read(members: &Members<'_>) -> Result<Self, EntryError> {
        Ok(Self {
            approved_by: members.text("approved_by")?,
            approved_at: members.time("approved_at")?,
            place: members.text("place")?,
            policy_version: members.text("policy_version")?,
        })
    }

    /// Adds its members.
    pub fn write(&self, value: Value) -> Value {
        value
            .with("approved_at", self.approved_at)
            .with("approved_by", self.approved_by.as_str())
            .with("place", self.place.as_str())
            .with("policy_version", self.policy_version.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Entry;

    fn issued() -> Issued {
        let (digest, time) = (Digest::sha256(b"x"), Timestamp::from_nanos(5));
        Issued {
            id: "0123456789abcdef0123456789abcdef".into(),
            subject: SubjectKind::Package,
            name: "@acme/agent".into(),
            version: Some("1.2.3".into()),
            der: b"x".to_vec(),
            sha256: digest,
            key: digest,
            issuer: digest,
            not_before: time,
            not_after: time,
            artifact_sha256: Some(digest),
            renews: None,
            governance: Governance {
                approved_by: "Anna Müller".into(),
                approved_at: time,
                place: "Ulm".into(),
                policy_version: "3".into(),
            },
        }
    }

    #[test]
    fn each_survives_its_bytes_and_nothing_else_passes() {
        let id = issued().id;
        let bare = Issued { version: None, artifact_sha256: None, ..issued() };
        for entry in [
            CertificateEntry::Issued(Box::new(issued())),
            CertificateEntry::Issued(Box::new(Issued { renews: Some(id.clone()), ..bare.clone() })),
            CertificateEntry::Issued(Box::new(bare)),
            CertificateEntry::Revoked { id, by: "anna".into(), reason: "key lost".into() },
        ] {
            let entry = Entry::Certificate(entry);
            let value = entry.to_value();
            assert_eq!(Entry::read("certificate", &value.encode()), Ok(entry));
            for (member, bad) in [("zz", "x"), ("action", "renewed"), ("id", "0123"), ("id", "")] {
                let bad = value.clone().with(member, bad).encode();
                assert!(Entry::read("certificate", &bad).is_err(), "{member}");
            }
        }
        let first = CertificateEntry::Issued(Box::new(issued())).to_value();
        for (member, bad) in [
            ("subject", "person"),
            ("not_after", "soon"),
            ("renews", "x"),
            ("der", "eA"),
            ("der", "eQ=="),
        ] {
            let bad = first.clone().with(member, bad).encode();
            assert!(Entry::read("certificate", &bad).is_err(), "{member}");
        }
    }
}
