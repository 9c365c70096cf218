//! npm's forms: names, metadata with the registry's signatures, and the
//! statement that the registry published a version.

use provenance_core::encoding::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use sigstore_types::Statement;

use crate::{
    Kind,
    evidence::{Content, Contradiction, MAX_PIECES, ParsedEvidence, RegistrySignature},
    statement::NPM_PUBLISH,
};

/// Signatures of one version.
const MAX_SIGNATURES: usize = 16;

#[derive(Deserialize)]
struct Version {
    name: String,
    version: String,
    dist: Dist,
}

#[derive(Deserialize)]
struct Dist {
    integrity: Option<String>,
    #[serde(default)]
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    keyid: String,
    sig: String,
}

/// The signatures in a package's metadata, of one version or of all.
pub(super) fn signatures(value: &Value) -> Result<Vec<ParsedEvidence>, String> {
    let time = value.get("time");
    let versions: Vec<&Value> = match value.get("versions").and_then(Value::as_object) {
        Some(versions) => versions.values().take(MAX_PIECES).collect(),
        None => vec![value],
    };
    let mut pieces = vec![];
    for value in versions {
        let version: Version = match Version::deserialize(value) {
            Ok(version) => version,
            Err(error) => {
                pieces.push(Err(format!("no metadata of a version: {error}")));
                continue;
            }
        };
        let time = time.and_then(|time| time.get(&version.version)?.as_str());
        for signature in version.dist.signatures.into_iter().take(MAX_SIGNATURES) {
            let Some(integrity) = version.dist.integrity.clone() else {
                let named = format!("{}@{}", version.name, version.version);
                pieces.push(Err(format!("a signature of {named}, and no integrity")));
                continue;
            };
            let signature = RegistrySignature {
                name: version.name.clone(),
                version: version.version.clone(),
                integrity,
                key: signature.keyid,
                signature: signature.sig,
                published: time.and_then(Timestamp::read),
            };
            pieces.push(Ok((Kind::RegistrySignature, Content::Registry(signature))));
        }
    }
    Ok(pieces)
}

/// `pkg:npm/%40scope/name@version`.
pub(super) fn purl(name: &str, version: &str) -> String {
    format!("pkg:npm/{}@{version}", name.replace('@', "%40"))
}

/// Name and version of a purl of npm's.
pub(super) fn of_purl(purl: &str) -> Option<(String, String)> {
    let rest = purl.strip_prefix("pkg:npm/")?;
    let rest = rest.split(['?', '#']).next()?;
    let (name, version) = rest.rsplit_once('@')?;
    let decoded = name.replace("%40", "@").replace("%2F", "/").replace("%2f", "/");
    let plain = !decoded.is_empty() && !decoded.contains('%');
    plain.then(|| (decoded, version.replace("%2B", "+").replace("%2b", "+")))
}

/// Where the predicate of a publication names another version than its subject.
pub(super) fn contradictions(statement: &Statement) -> Vec<Contradiction> {
    if statement.predicate_type != NPM_PUBLISH {
        return vec![];
    }
    let Some((name, version)) = statement.subject.first().and_then(|it| of_purl(&it.name)) else {
        return vec![];
    };
    let of = |what: &str| statement.predicate.get(what)?.as_str().map(str::to_owned);
    let pairs = [("name", of("name"), name), ("version", of("version"), version)];
    let differs = |(what, said, subject): (_, Option<String>, String)| {
        said.filter(|said| *said != subject).map(|said| (what, said, subject))
    };
    pairs.into_iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purls_are_read_as_they_are_written() {
        for (name, version, text) in [
            ("sigstore", "2.0.0", "pkg:npm/sigstore@2.0.0"),
            ("@sigstore/bundle", "4.0.0-rc.1", "pkg:npm/%40sigstore/bundle@4.0.0-rc.1"),
        ] {
            assert_eq!(purl(name, version), text);
            assert_eq!(of_purl(text), Some((name.into(), version.into())));
        }
        assert_eq!(of_purl("pkg:npm/%40a%2Fb@1?x=y"), Some(("@a/b".into(), "1".into())));
        for bad in ["", "pkg:npm/", "pkg:npm/a", "pkg:pypi/a@1", "pkg:npm/@1", "pkg:npm/%41@1"] {
            assert_eq!(of_purl(bad), None, "{bad}");
        }
    }

    #[test]
    fn signatures_are_taken_from_one_versions_metadata_and_from_all() {
        let version = |version: &str| {
            serde_json::json!({"name": "@a/b", "version": version, "dist": {"integrity": "sha512-AA==",
                "signatures": [{"keyid": "SHA256:x", "sig": "MEU="}]}})
        };
        let one = signatures(&version("1.0.0")).unwrap();
        let Ok((Kind::RegistrySignature, Content::Registry(found))) = &one[0] else { panic!() };
        assert_eq!(found.message(), "@a/b@1.0.0:sha512-AA==");
        assert_eq!(found.published, None);
        let all = serde_json::json!({
            "versions": {"1.0.0": version("1.0.0"), "2.0.0": version("2.0.0"), "3": {}},
            "time": {"1.0.0": "2022-11-21T04:20:00.123Z"}});
        let all = signatures(&all).unwrap();
        assert_eq!((all.len(), all.iter().filter(|piece| piece.is_err()).count()), (3, 1));
        let Ok((_, Content::Registry(found))) = &all[0] else { panic!() };
        assert_eq!(found.published.unwrap().to_string(), "2022-11-21T04:20:00.123000000Z");
    }
}
