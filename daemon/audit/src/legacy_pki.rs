//! `pki.json`, in which the npm tool pkp kept signing requests and their
//! signatures (2013): RSA with SHA-1 over the hex of a SHA-1. It is read so
//! that it can be said what it is worth. Nothing of it is verified.

use provenance_core::statement::countersignature::MAX_FILE;
use serde_json::{Map, Value};

/// What the file is called, at the top of a package.
pub const NAME: &str = "pki.json";

/// A signature in the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Weak {
    /// Of which version of the package.
    pub version: String,
    /// Whom the file names as the signer.
    pub author: Option<String>,
}

/// Reads the signatures that the file holds: an object with a member for each
/// version, an object with an array `signatures` of objects.
///
/// # Errors
/// Why it is no such file.
pub fn read(bytes: &[u8]) -> Result<Vec<Weak>, String> {
    if bytes.len() > MAX_FILE {
        return Err(format!("over the limit of {MAX_FILE} bytes"));
    }
    let versions: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let mut found = vec![];
    for (version, request) in versions {
        let signatures = request.get("signatures").and_then(Value::as_array);
        let Some(signatures) = signatures.filter(|all| all.iter().all(Value::is_object)) else {
            return Err(format!("{version:?} has no list of signatures"));
        };
        found.extend(
            signatures.iter().map(|one| Weak { version: version.clone(), author: author(one) }),
        );
    }
    Ok(found)
}

/// By the names that the tool's versions had for it.
fn author(signature: &Value) -> Option<String> {
    let principal = signature.get("principal").unwrap_or(signature);
    let names = ["author", "name", "principal-at", "real-name", "address-at"];
    let author = names.into_iter().find_map(|name| principal.get(name)?.as_str());
    author.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weak(version: &str, author: Option<&str>) -> Weak {
        Weak { version: version.into(), author: author.map(Into::into) }
    }

    #[test]
    fn each_form_that_the_tool_had_is_read() {
        let first = r#"{"0.0.1": {"author": "A <a@example.com>", "key": "-----BEGIN RSA PUBLIC KEY-----\n",
            "date": 1375129050103, "sha1": "3416", "signatures": []},
          "0.0.2": {"sha1": "3417", "signatures": [
            {"key": "k", "signature": "c2ln"}, {"author": "B", "key": "k", "signature": "c2ln"}]}}"#;
        let found = [weak("0.0.2", None), weak("0.0.2", Some("B"))];
        assert_eq!(read(first.as_bytes()).unwrap(), found);
        let second = r#"{"1.0.0": {"principal": {"principal-at": "a@example.com"}, "data": "7330",
            "type": "sha1", "signatures": [{"principal": {"principal-at": "b@example.com"}}]}}"#;
        assert_eq!(read(second.as_bytes()).unwrap(), [weak("1.0.0", Some("b@example.com"))]);
    }

    #[test]
    fn any_other_json_is_no_such_file() {
        for bad in ["", "[]", "{\"a\":1}", "{\"a\":{\"signatures\":[1]}}", "{\"a\":{}}", "{} x"] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(read(&vec![b' '; MAX_FILE + 1]).is_err());
        assert!(read("[".repeat(100_000).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
