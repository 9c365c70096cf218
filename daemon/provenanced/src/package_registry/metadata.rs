//! The member `mspProvenance` of a `package.json`: what a consumer needs to
//! find certificate and provenance. The rest of the file stays as it is, in its
//! order.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, json, value::RawValue};

use provenance_registry::package_index::{CertificateState, Version};

/// What the member is called.
pub(crate) const MEMBER: &str = "mspProvenance";
/// A `package.json` is at most 4 MiB.
pub const MAX_BYTES: u64 = 4 << 20;

/// What is written into the member.
pub(crate) fn of(
    package: &str,
    number: &str,
    version: &Version,
    certificate: &CertificateState,
) -> Value {
    let issued = &certificate.issued;
    json!({
        "build": {
            "sha256": version.sha256.map(|digest| digest.to_hex()),
            "status": version.status.as_str(),
        },
        "certificate": {
            "authorityKeySha256": issued.issuer.to_hex(),
            "id": issued.id,
            "notAfter": issued.not_after.to_string(),
            "notBefore": issued.not_before.to_string(),
            "registryRecord": certificate.seq,
            "sha256": issued.sha256.to_hex(),
        },
        "governance": {
            "approvedAt": issued.governance.approved_at.to_string(),
            "approvedBy": issued.governance.approved_by,
            "place": issued.governance.place,
            "policyVersion": issued.governance.policy_version,
        },
        "package": package,
        "provenance": {
            "certificate": format!("packages/{package}/{number}.cert.pem"),
            "publication": format!("packages/{package}/{number}.publication.sigstore.json"),
            "registryRecord": version.seq,
        },
        "version": number,
    })
}

/// Puts `value` into the object in `text`, in the place of an earlier one or
/// behind the last member.
///
/// # Errors
/// What is wrong with the text.
pub fn put(text: &str, value: &Value) -> Result<String, String> {
    let Members(mut members) = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair.first() == pair.last()) {
        return Err(format!("{:?} stands there twice", pair.first().unwrap_or(&"")));
    }
    let pretty = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    let raw = RawValue::from_string(pretty.replace('\n', "\n  "));
    let raw = raw.map_err(|error| error.to_string())?;
    match members.iter_mut().find(|(name, _)| name == MEMBER) {
        Some((_, old)) => *old = raw,
        None => members.push((MEMBER.into(), raw)),
    }
    let mut out = String::from("{");
    for (at, (name, value)) in members.iter().enumerate() {
        let name = serde_json::to_string(name).map_err(|error| error.to_string())?;
        let comma = if at == 0 { "" } else { "," };
        out.push_str(&format!("{comma}\n  {name}: {}", value.get()));
    }
    out.push_str("\n}\n");
    Ok(out)
}

/// An object's members, in their order, each value as it was written.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = vec![];
                while let Some(entry) = map.next_entry()? {
                    members.push(entry);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_the_file_stays_in_its_order_and_form() {
        let text =
            "{\n  \"name\": \"@acme/agent\",\n  \"z\": [1,  2],\n  \"a\": {\"x\" : 1e3}\n}\n";
        let once = put(text, &json!({"b": 1})).unwrap();
        assert!(once.starts_with(text.trim_end().strip_suffix("\n}").unwrap()), "{once}");
        assert_eq!(put(&once, &json!({"b": 1})).unwrap(), once);
        let again = put(&once, &json!({"c": 2})).unwrap();
        let parsed: Value = serde_json::from_str(&again).unwrap();
        assert_eq!(parsed[MEMBER], json!({"c": 2}));
        assert_eq!(parsed["a"]["x"], json!(1e3));
    }

    #[test]
    fn what_is_no_object_or_repeats_a_name_is_refused() {
        for bad in ["", "[]", "1", "{", "{\"a\":1}x", "{\"a\":1,\"a\":2}"] {
            assert!(put(bad, &json!({})).is_err(), "{bad}");
        }
    }
}
