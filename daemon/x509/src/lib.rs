//! Certificates and revocation lists of a local authority (RFC 5280), read
//! from bytes that anybody may have written (docs/format.md §16).
//!
//! Only the form that our authorities write is taken: Ed25519 signatures, one
//! level, no other critical extension. What it all says stands once more in one
//! JSON text inside (the extension `nsComment`), which the signature covers
//! and which `openssl x509 -text` prints.
#![forbid(unsafe_code)]

mod crl;
pub mod governance;

use provenance_core::{
    encoding::{
        digest::{Digest, to_hex},
        time::Timestamp,
    },
    registry::{Issued, SubjectKind},
    signing::public_key::PublicKey,
};
use x509_cert::{
    Certificate,
    certificate::Version,
    der::{
        Decode as _, DecodePem as _, Encode as _,
        asn1::{Ia5StringRef, ObjectIdentifier, OctetString},
        oid::AssociatedOid as _,
    },
    ext::{
        Extension,
        pkix::{
            AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName,
            SubjectKeyIdentifier, name::GeneralName,
        },
    },
    time::Time,
};

pub use crl::Crl;

/// A certificate is at most this long, in PEM too.
pub const MAX_CERTIFICATE: u64 = 32 << 10;
/// A revocation list is at most this long.
pub const MAX_CRL: u64 = 8 << 20;
/// RFC 8410.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// Netscape's comment: a text that stock tools print.
pub const COMMENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.113730.1.13");
/// How the names of packages and appliances begin.
pub const NAMES: &str = "https://msp-provenance.dev";

/// Why bytes are no certificate or list of ours.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum X509Error {
    /// Not DER or PEM of that type, or not its one encoding.
    #[error("not {0} in DER or PEM: {1}")]
    Encoding(&'static str, String),
    /// It is one, and not such as our authorities write.
    #[error("not of the form that an authority of msp-provenance writes: {0}")]
    Form(&'static str),
    /// Another key signed it, or it was changed.
    #[error("its signature is not by the key of that authority, or it was changed")]
    Signature,
}

/// A certificate as it was read; its signature is not checked yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParsedCertificate {
    /// What it says.
    pub issued: Issued,
    /// The certified key's SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

impl ParsedCertificate {
    /// Reads a certificate in PEM or DER.
    ///
    /// # Errors
    /// [`X509Error`].
    pub fn parse(bytes: &[u8]) -> Result<Self, X509Error> {
        let what = "a certificate";
        if bytes.len() as u64 > MAX_CERTIFICATE {
            return Err(X509Error::Encoding(what, "over the limit of 32 KiB".into()));
        }
        let encoding = |error: x509_cert::der::Error| X509Error::Encoding(what, error.to_string());
        let pem = bytes.starts_with(b"-----");
        let read = if pem { Certificate::from_pem(bytes) } else { Certificate::from_der(bytes) };
        let certificate = read.map_err(encoding)?;
        let der = certificate.to_der().map_err(encoding)?;
        if !pem && der != bytes {
            return Err(X509Error::Encoding(what, "not the one encoding of DER".into()));
        }
        let signed = certificate.tbs_certificate().to_der().map_err(encoding)?;
        // Bits that are not used could be changed unseen.
        let signature = certificate.signature().as_bytes().ok_or(X509Error::Signature)?.to_vec();
        let tbs = certificate.tbs_certificate();
        let spki = tbs.subject_public_key_info().to_der().map_err(encoding)?;
        let issued = issued(&certificate, der, &spki)?;
        Ok(Self { issued, spki, signed, signature })
    }

    /// Whether the authority's key signed it.
    ///
    /// # Errors
    /// [`X509Error::Signature`].
    pub fn verify(&self, authority: &PublicKey) -> Result<(), X509Error> {
        if self.issued.issuer == authority.fingerprint()
            && authority.verifies(&self.signed, &self.signature)
        {
            Ok(())
        } else {
            Err(X509Error::Signature)
        }
    }

    /// The certified key, where it is an Ed25519 key.
    pub(crate) fn key(&self) -> Option<PublicKey> {
        PublicKey::from_spki(&self.spki).ok()
    }
}

/// An authority's certificate: its key, by which it signed itself.
///
/// # Errors
/// [`X509Error`].
pub fn authority(bytes: &[u8]) -> Result<(ParsedCertificate, PublicKey), X509Error> {
    let certified = ParsedCertificate::parse(bytes)?;
    if certified.issued.subject != SubjectKind::Authority {
        return Err(X509Error::Form("this is no authority's certificate"));
    }
    let key = certified.key().ok_or(X509Error::Form("an authority has an Ed25519 key"))?;
    certified.verify(&key)?;
    Ok((certified, key))
}

/// What a certificate says, where all its parts say the same.
fn issued(certificate: &Certificate, der: Vec<u8>, spki: &[u8]) -> Result<Issued, X509Error> {
    let tbs = certificate.tbs_certificate();
    let algorithms = [tbs.signature(), certificate.signature_algorithm()];
    if tbs.version() != Version::V3 {
        return Err(X509Error::Form("version 3"));
    }
    if !algorithms.iter().all(|id| id.oid == ED25519 && id.parameters.is_none()) {
        return Err(X509Error::Form("signed with Ed25519"));
    }
    let serial = tbs.serial_number().as_bytes();
    if serial.len() != 16 {
        return Err(X509Error::Form("a serial number of 16 bytes"));
    }
    let extensions = Extensions::read(tbs.extensions().map_or(&[][..], |all| all))?;
    let key = Digest::sha256(spki);
    if extensions.own != Some(key) {
        return Err(X509Error::Form("the key's identifier is its SHA-256"));
    }
    let comment = extensions.comment.ok_or(X509Error::Form("a comment with what it says"))?;
    let said = governance::read(&comment).map_err(X509Error::Form)?;
    let is_authority = said.subject == SubjectKind::Authority;
    if is_authority != extensions.is_ca {
        return Err(X509Error::Form("only the authority's own certificate is one of a CA"));
    }
    let issuer = match (extensions.issuer, is_authority) {
        (Some(issuer), _) => issuer,
        (None, true) => key,
        (None, false) => return Err(X509Error::Form("the identifier of the key that signed")),
    };
    if extensions.name != alternative_name(said.subject, &said.name, said.version.as_deref()) {
        return Err(X509Error::Form("its alternative name is that of its subject"));
    }
    let sha256 = Digest::sha256(&der);
    let validity = tbs.validity();
    Ok(Issued {
        id: to_hex(serial),
        subject: said.subject,
        name: said.name,
        version: said.version,
        der,
        sha256,
        key,
        issuer,
        not_before: time(validity.not_before)?,
        not_after: time(validity.not_after)?,
        artifact_sha256: said.artifact_sha256,
        renews: said.renews,
        governance: said.governance,
    })
}

/// The subject alternative name: a DNS name, or a URI below [`NAMES`].
pub fn alternative_name(kind: SubjectKind, name: &str, version: Option<&str>) -> String {
    match (kind, version) {
        (SubjectKind::Service, _) => name.to_owned(),
        (_, Some(version)) => format!("{NAMES}/{}/{name}@{version}", kind.as_str()),
        (_, None) => format!("{NAMES}/{}/{name}", kind.as_str()),
    }
}

/// The extensions that we write, and no others.
#[derive(Default)]
struct Extensions {
    own: Option<Digest>,
    issuer: Option<Digest>,
    is_ca: bool,
    name: String,
    comment: Option<String>,
}

impl Extensions {
    fn read(all: &[Extension]) -> Result<Self, X509Error> {
        let mut found = Self::default();
        let mut seen = vec![];
        for extension in all {
            if seen.contains(&extension.extn_id) {
                return Err(X509Error::Form("each extension once"));
            }
            seen.push(extension.extn_id);
            found.take(extension).map_err(|_| X509Error::Form("an extension cannot be read"))??;
        }
        Ok(found)
    }

    fn take(
        &mut self,
        extension: &Extension,
    ) -> Result<Result<(), X509Error>, x509_cert::der::Error> {
        let bytes = extension.extn_value.as_bytes();
        match extension.extn_id {
            SubjectKeyIdentifier::OID => {
                self.own = digest(&SubjectKeyIdentifier::from_der(bytes)?.0);
            }
            AuthorityKeyIdentifier::OID => {
                let id = AuthorityKeyIdentifier::from_der(bytes)?.key_identifier;
                self.issuer = id.as_ref().and_then(digest);
            }
            BasicConstraints::OID => self.is_ca = BasicConstraints::from_der(bytes)?.ca,
            SubjectAltName::OID => match &SubjectAltName::from_der(bytes)?.0[..] {
                [GeneralName::UniformResourceIdentifier(name) | GeneralName::DnsName(name)] => {
                    self.name = name.to_string();
                }
                _ => return Ok(Err(X509Error::Form("one alternative name, a URI or DNS name"))),
            },
            COMMENT => self.comment = Some(Ia5StringRef::from_der(bytes)?.to_string()),
            // What stock tools go by; it follows from the subject.
            KeyUsage::OID | ExtendedKeyUsage::OID => {}
            _ if extension.critical => {
                return Ok(Err(X509Error::Form("no other critical extension")));
            }
            _ => {}
        }
        Ok(Ok(()))
    }
}

fn digest(bytes: &OctetString) -> Option<Digest> {
    bytes.as_bytes().try_into().ok().map(Digest)
}

fn time(time: Time) -> Result<Timestamp, X509Error> {
    let nanos = i64::try_from(time.to_unix_duration().as_nanos());
    nanos.map(Timestamp::from_nanos).map_err(|_| X509Error::Form("a time before the year 2262"))
}

#[cfg(test)]
mod tests;
