//! A certificate revocation list.

use std::collections::BTreeMap;

use provenance_core::{
    encoding::{
        digest::{Digest, to_hex},
        time::Timestamp,
    },
    signing::public_key::PublicKey,
};
use x509_cert::{
    crl::CertificateList,
    der::{Decode as _, DecodePem as _, Encode as _, oid::AssociatedOid as _},
    ext::pkix::AuthorityKeyIdentifier,
};

use crate::{ED25519, MAX_CRL, X509Error, digest, time};

/// A list whose signature holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Crl {
    /// When it was made.
    pub this_update: Timestamp,
    /// Until when the next one is there.
    pub next_update: Timestamp,
    /// The revoked certificates' ids, each with the time of its revocation.
    pub revoked: BTreeMap<String, Timestamp>,
}

impl Crl {
    /// Reads a list in PEM or DER, by the key of its authority.
    ///
    /// # Errors
    /// [`X509Error`].
    pub fn parse(bytes: &[u8], authority: &PublicKey) -> Result<Self, X509Error> {
        let what = "a certificate revocation list";
        if bytes.len() as u64 > MAX_CRL {
            return Err(X509Error::Encoding(what, "over the limit of 8 MiB".into()));
        }
        let encoding = |error: x509_cert::der::Error| X509Error::Encoding(what, error.to_string());
        let pem = bytes.starts_with(b"-----");
        let read: Result<CertificateList, _> =
            if pem { CertificateList::from_pem(bytes) } else { CertificateList::from_der(bytes) };
        let list = read.map_err(encoding)?;
        let tbs = &list.tbs_cert_list;
        if list.signature_algorithm.oid != ED25519 || tbs.signature.oid != ED25519 {
            return Err(X509Error::Form("signed with Ed25519"));
        }
        let signed = tbs.to_der().map_err(encoding)?;
        let signature = list.signature.as_bytes().ok_or(X509Error::Signature)?;
        if issuer(&list)? != Some(authority.fingerprint())
            || !authority.verifies(&signed, signature)
        {
            return Err(X509Error::Signature);
        }
        let mut revoked = BTreeMap::new();
        for entry in tbs.revoked_certificates.iter().flatten() {
            revoked.insert(to_hex(entry.serial_number.as_bytes()), time(entry.revocation_date)?);
        }
        let next = tbs.next_update.ok_or(X509Error::Form("it says when the next one comes"))?;
        Ok(Self { this_update: time(tbs.this_update)?, next_update: time(next)?, revoked })
    }
}

fn issuer(list: &CertificateList) -> Result<Option<Digest>, X509Error> {
    let extensions = list.tbs_cert_list.crl_extensions.iter().flatten();
    let mut issuers =
        extensions.filter(|extension| extension.extn_id == AuthorityKeyIdentifier::OID);
    let Some(extension) = issuers.next() else { return Ok(None) };
    let id = AuthorityKeyIdentifier::from_der(extension.extn_value.as_bytes());
    let id = id.map_err(|_| X509Error::Form("an extension cannot be read"))?;
    Ok(id.key_identifier.as_ref().and_then(digest))
}
