//! Sigstore bundles as evidence.

use serde_json::Value;
use sigstore_types::{Bundle, SignatureContent, Statement};

use crate::{
    Digests, Kind,
    evidence::{Content, ParsedEvidence, Publisher, Signed, Subject},
    statement,
};

/// What one bundle may hold of each.
pub(crate) const MAX_PARTS: usize = 16;

/// What the bundle is about, as it says itself.
pub(crate) fn subjects(bundle: &Bundle) -> Vec<Subject> {
    match &bundle.content {
        SignatureContent::MessageSignature(signature) => {
            let mut digests = Digests::default();
            if let Some(digest) = &signature.message_digest {
                let name = match digest.algorithm {
                    sigstore_types::HashAlgorithm::Sha2256 => crate::Hash::Sha256,
                    sigstore_types::HashAlgorithm::Sha2384 => crate::Hash::Sha384,
                    sigstore_types::HashAlgorithm::Sha2512 => crate::Hash::Sha512,
                    _ => return vec![],
                };
                digests.insert(name, digest.digest.as_bytes());
            }
            vec![Subject { name: String::new(), digests }]
        }
        SignatureContent::DsseEnvelope(envelope) => {
            let statement = serde_json::from_slice::<Statement>(envelope.payload.as_bytes());
            statement.map(|statement| statement::subjects(&statement)).unwrap_or_default()
        }
        _ => vec![],
    }
}

/// A Sigstore bundle, its parts counted before anything looks into them.
pub(crate) fn bundle(value: Value) -> ParsedEvidence {
    for (part, most) in [
        ("/verificationMaterial/tlogEntries", MAX_PARTS),
        ("/verificationMaterial/timestampVerificationData/rfc3161Timestamps", MAX_PARTS),
        ("/verificationMaterial/x509CertificateChain/certificates", MAX_PARTS),
        ("/dsseEnvelope/signatures", MAX_PARTS),
    ] {
        if value.pointer(part).and_then(Value::as_array).is_some_and(|list| list.len() > most) {
            return Err(format!(
                "a bundle with over {most} {}",
                part.rsplit('/').next().unwrap_or(part)
            ));
        }
    }
    let hashes = "/inclusionProof/hashes";
    let entries = value.pointer("/verificationMaterial/tlogEntries").and_then(Value::as_array);
    let deep = |entry: &Value| {
        entry.pointer(hashes).and_then(Value::as_array).is_some_and(|list| list.len() > 64)
    };
    if entries.into_iter().flatten().any(deep) {
        return Err("a bundle with an inclusion proof of over 64 hashes".into());
    }
    let bundle: Bundle =
        serde_json::from_value(value).map_err(|error| format!("no Sigstore bundle: {error}"))?;
    signed(bundle, None, false)
}

pub(crate) fn signed(
    bundle: Bundle,
    publisher: Option<Publisher>,
    names_file: bool,
) -> ParsedEvidence {
    let statement = match &bundle.content {
        SignatureContent::DsseEnvelope(envelope)
            if envelope.payload_type == "application/vnd.in-toto+json" =>
        {
            let payload = envelope.payload.as_bytes();
            let statement = serde_json::from_slice::<Statement>(payload)
                .map_err(|error| format!("its payload is no in-toto statement: {error}"))?;
            Some(statement)
        }
        _ => None,
    };
    let kind = match (&statement, &bundle.content) {
        (Some(statement), _) => statement::kind(statement),
        (None, SignatureContent::MessageSignature(_)) => Kind::Signature,
        (None, _) => Kind::Attestation,
    };
    let signed = Signed { bundle, statement, publisher, names_file };
    Ok((kind, Content::Bundle(Box::new(signed))))
}
