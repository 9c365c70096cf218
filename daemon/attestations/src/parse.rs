//! What vouches for packages, out of the files in which it comes: Sigstore
//! bundles, one or many, npm's attestations and metadata, PyPI's provenance.

use serde_json::Value;
use sigstore_types::{Bundle, SignatureContent, Statement, bundle::VerificationMaterialContent};

use crate::{
    Digests, Kind,
    npm::{self, RegistrySignature},
    pypi::{self, Publisher},
    statement,
};

/// A file of attestations is at most this long.
pub const MAX_FILE: u64 = 64 << 20;
/// Pieces of evidence in one file.
pub const MAX_PIECES: usize = 10_000;
/// What one bundle may hold of each.
const MAX_PARTS: usize = 16;

/// Where a piece of evidence is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Source {
    /// The file.
    pub file: String,
    /// Which one in it, from 1: its line, where it has a line of its own.
    pub number: u64,
}

/// A piece of evidence.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Where it is.
    pub source: Source,
    /// What it is.
    pub kind: Kind,
    /// What it is about.
    pub subjects: Vec<Subject>,
    /// The evidence itself.
    pub content: Content,
}

/// The forms of evidence.
#[derive(Clone, Debug)]
pub enum Content {
    /// A Sigstore bundle.
    Bundle(Box<Signed>),
    /// A registry's signature.
    Registry(RegistrySignature),
}

/// A Sigstore bundle, and what stands around it.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The bundle.
    pub bundle: Bundle,
    /// The statement in it, where it has one.
    pub statement: Option<Statement>,
    /// Whom an index calls the publisher.
    pub publisher: Option<Publisher>,
    /// Whether its subject names the file as an index does.
    pub names_file: bool,
}

/// What a piece of evidence is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subject {
    /// A name, which may be empty.
    pub name: String,
    /// The contents.
    pub digests: Digests,
}

/// What looks like evidence and is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// Where.
    pub source: Source,
    /// Why not.
    pub why: String,
    /// Whether it is something else altogether, and no damaged evidence.
    pub other: bool,
}

impl Content {
    fn subjects(&self) -> Vec<Subject> {
        match self {
            Self::Bundle(signed) => subjects(&signed.bundle),
            Self::Registry(signature) => vec![Subject {
                name: npm::purl(&signature.name, &signature.version),
                digests: Digests::of_integrity(&signature.integrity),
            }],
        }
    }
}

/// What the bundle is about, as it says itself.
pub(super) fn subjects(bundle: &Bundle) -> Vec<Subject> {
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

/// All evidence in a file of attestations.
pub fn read(file: &str, bytes: &[u8]) -> Vec<Result<Evidence, Malformed>> {
    let at = |number| Source { file: file.into(), number };
    let malformed = |number, why: String| Err(Malformed { source: at(number), why, other: false });
    let Ok(text) = std::str::from_utf8(bytes) else {
        return vec![malformed(1, "it is not UTF-8".into())];
    };
    if bytes.len() as u64 > MAX_FILE {
        return vec![malformed(1, format!("it is over the limit of {MAX_FILE} bytes"))];
    }
    let values = match values(text) {
        Ok(values) => values,
        Err((line, why)) => return vec![malformed(line, why)],
    };
    let mut pieces = vec![];
    for (number, value) in values {
        match take(value) {
            Ok(found) if found.is_empty() => {
                pieces.push(malformed(number, "there is no attestation in it".into()));
            }
            Ok(found) => {
                // Several of one value are numbered; one keeps its line.
                let many = found.len() > 1;
                pieces.extend(found.into_iter().enumerate().map(|(i, piece)| {
                    let number = if many { i as u64 + 1 } else { number };
                    match piece {
                        Ok((kind, content)) => {
                            let (source, subjects) = (at(number), content.subjects());
                            Ok(Evidence { source, kind, subjects, content })
                        }
                        Err(why) => malformed(number, why),
                    }
                }));
            }
            Err(None) => pieces.push(Err(Malformed {
                source: at(number),
                why:
                    "it is no bundle, no attestations of npm or GitHub, no provenance of PyPI, and \
                      no metadata of npm"
                        .into(),
                other: true,
            })),
            Err(Some(why)) => pieces.push(malformed(number, why)),
        }
        if pieces.len() > MAX_PIECES {
            pieces.truncate(MAX_PIECES);
            pieces.push(malformed(number, format!("it holds over {MAX_PIECES} attestations")));
            break;
        }
    }
    pieces
}

/// The JSON values of a text: one, or one a line. Each with its line.
fn values(text: &str) -> Result<Vec<(u64, Value)>, (u64, String)> {
    let whole = match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(list)) if !list.is_empty() => {
            return Ok(list.into_iter().zip(1..).map(|(value, i)| (i, value)).collect());
        }
        Ok(value) => return Ok(vec![(1, value)]),
        Err(error) => error,
    };
    let lines = || text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    if lines().count() < 2 || !lines().next().is_some_and(|(line, _)| parses(line)) {
        return Err((whole.line() as u64, format!("it is not JSON: {whole}")));
    }
    let of = |(line, i): (&str, u64)| match serde_json::from_str(line) {
        Ok(value) => Ok((i, value)),
        Err(error) => Err((i, format!("this line is not JSON: {error}"))),
    };
    lines().map(of).collect()
}

fn parses(line: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok()
}

/// A piece of evidence before it is known where it stands.
pub(super) type Piece = Result<(Kind, Content), String>;

/// What is in one JSON value; an error where it is damaged, without a word
/// where it is of no known form.
fn take(mut value: Value) -> Result<Vec<Piece>, Option<String>> {
    let has = |name: &str| value.get(name).is_some();
    if has("verificationMaterial") || has("mediaType") {
        return Ok(vec![bundle(value)]);
    }
    if has("attestation_bundles") {
        return pypi::provenance(&value).map_err(Some);
    }
    if has("verification_material") {
        return Ok(vec![pypi::attestation(&value, None)]);
    }
    if has("dist") || has("versions") {
        return npm::signatures(&value).map_err(Some);
    }
    // npm's registry and GitHub's API.
    if let Some(Value::Array(list)) = value.get_mut("attestations").map(Value::take) {
        let each = list.into_iter().take(MAX_PIECES).map(|mut item| {
            if item.get("verification_material").is_some() {
                return pypi::attestation(&item, None);
            }
            match item.get_mut("bundle") {
                Some(found) => bundle(found.take()),
                None => Err("an attestation without a bundle".into()),
            }
        });
        return Ok(each.collect());
    }
    if let Some(found) = value.get_mut("bundle") {
        return Ok(vec![bundle(found.take())]);
    }
    Err(None)
}

/// A Sigstore bundle, its parts counted before anything looks into them.
pub(super) fn bundle(value: Value) -> Piece {
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

pub(super) fn signed(bundle: Bundle, publisher: Option<Publisher>, names_file: bool) -> Piece {
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

impl Signed {
    /// The hint at a public key, where no certificate is in the bundle.
    pub fn key_hint(&self) -> Option<&str> {
        match &self.bundle.verification_material.content {
            VerificationMaterialContent::PublicKey(key) => Some(&key.hint),
            _ => None,
        }
    }
}
