//! PyPI's forms (PEP 740): provenance of a file, with whom the index calls its
//! publisher, and attestations that are Sigstore bundles in other words.

use serde::Deserialize;
use serde_json::{Value, json};
use sigstore_types::Bundle;

use crate::{
    bundle::signed,
    evidence::{MAX_PIECES, ParsedEvidence, Publisher},
};

/// Log entries of one attestation.
const MAX_ENTRIES: usize = 16;

#[derive(Deserialize)]
struct Provenance {
    version: u64,
    attestation_bundles: Vec<Attested>,
}

#[derive(Deserialize)]
struct Attested {
    publisher: Publisher,
    attestations: Vec<Value>,
}

#[derive(Deserialize)]
struct Attestation {
    version: u64,
    verification_material: Material,
    envelope: Envelope,
}

#[derive(Deserialize)]
struct Material {
    certificate: String,
    transparency_entries: Vec<Value>,
}

#[derive(Deserialize)]
struct Envelope {
    statement: String,
    signature: String,
}

/// A file's provenance, as the index gives it.
pub(super) fn provenance(value: &Value) -> Result<Vec<ParsedEvidence>, String> {
    let provenance =
        Provenance::deserialize(value).map_err(|error| format!("no provenance: {error}"))?;
    if provenance.version != 1 {
        return Err(format!("provenance of the unknown version {}", provenance.version));
    }
    let each = provenance.attestation_bundles.iter().flat_map(|bundle| {
        bundle.attestations.iter().map(|it| attestation(it, Some(bundle.publisher.clone())))
    });
    Ok(each.take(MAX_PIECES).collect())
}

/// One attestation, as the Sigstore bundle that it is.
pub(super) fn attestation(value: &Value, publisher: Option<Publisher>) -> ParsedEvidence {
    let attestation =
        Attestation::deserialize(value).map_err(|error| format!("no attestation: {error}"))?;
    if attestation.version != 1 {
        return Err(format!("an attestation of the unknown version {}", attestation.version));
    }
    let material = attestation.verification_material;
    if material.transparency_entries.is_empty() || material.transparency_entries.len() > MAX_ENTRIES
    {
        return Err(format!("an attestation without log entries, or with over {MAX_ENTRIES}"));
    }
    // What Python's encoder breaks into lines is one text to others.
    let joined = |text: &str| text.split_ascii_whitespace().collect::<String>();
    let bundle = json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "certificate": {"rawBytes": joined(&material.certificate)},
            "tlogEntries": material.transparency_entries,
        },
        "dsseEnvelope": {
            "payload": joined(&attestation.envelope.statement),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": joined(&attestation.envelope.signature)}],
        },
    });
    let bundle: Bundle =
        serde_json::from_value(bundle).map_err(|error| format!("no attestation: {error}"))?;
    signed(bundle, publisher, true)
}
