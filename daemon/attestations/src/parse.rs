//! What vouches for packages, out of the files in which it comes: Sigstore
//! bundles, one or many, npm's attestations and metadata, PyPI's provenance.

use serde_json::Value;

use crate::{
    Digests,
    bundle::{bundle, subjects},
    evidence::{Content, Evidence, MAX_PIECES, Malformed, ParsedEvidence, Source, Subject},
    npm, pypi,
};

/// A file of attestations is at most this long.
pub const MAX_FILE: u64 = 64 << 20;
/// What a piece of evidence is about.
fn subjects_of(content: &Content) -> Vec<Subject> {
    match content {
        Content::Bundle(signed) => subjects(&signed.bundle),
        Content::Registry(signature) => vec![Subject {
            name: npm::purl(&signature.name, &signature.version),
            digests: Digests::of_integrity(&signature.integrity),
        }],
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
                            let (source, subjects) = (at(number), subjects_of(&content));
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

/// What is in one JSON value; an error where it is damaged, without a word
/// where it is of no known form.
fn take(mut value: Value) -> Result<Vec<ParsedEvidence>, Option<String>> {
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
