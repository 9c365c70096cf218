//! AWS's Signature Version 4 in the header `Authorization`. Signed query
//! strings would not do: of them a service says that they ran out, and not that
//! the clocks differ.

use hmac::{Hmac, KeyInit as _, Mac as _};
use provenance_core::encoding::{digest::Digest, time::Timestamp};
use sha2::Sha256;

use crate::access_key::AccessKey;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What is signed of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// As it is sent.
    pub(super) path: &'a str,
    /// As it is sent: by name, each with its `=`.
    pub(super) query: &'a str,
    /// Names in lower case, sorted.
    pub(super) headers: &'a [(&'static str, String)],
    /// The digest of its body, in hex.
    pub(super) sha256: &'a str,
}

/// A time in whole seconds, as the header of a lock has it.
pub(super) fn rfc3339(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{}Z", text.get(..19).unwrap_or_default())
}

/// A time as the header `x-amz-date` has it.
pub(super) fn date(at: Timestamp) -> String {
    rfc3339(at).replace(['-', ':'], "")
}

/// The header's value; `date` is the one that the request is sent with.
pub(super) fn authorization(
    key: &AccessKey,
    region: &str,
    date: &str,
    request: &Signed<'_>,
) -> String {
    let day = date.get(..8).unwrap_or_default();
    let scope = format!("{day}/{region}/s3/aws4_request");
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let canonical = Digest::sha256(canonical(request, &names).as_bytes());
    let text = format!("{ALGORITHM}\n{date}\n{scope}\n{canonical}");
    let secret = zeroize::Zeroizing::new(format!("AWS4{}", key.secret.as_str()));
    let parts = [day, region, "s3", "aws4_request", &text];
    let signature = parts
        .iter()
        .try_fold(None, |key: Option<Digest>, part| {
            let key = key.as_ref().map_or(secret.as_bytes(), |key| &key.0);
            hmac(key, part.as_bytes()).map(Some)
        })
        .flatten()
        .unwrap_or(Digest::ZERO);
    let id = &key.id;
    format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
}

fn canonical(request: &Signed<'_>, names: &str) -> String {
    let Signed { method, path, query, headers, sha256 } = request;
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{sha256}")
}

/// HMAC takes keys of every length.
fn hmac(key: &[u8], bytes: &[u8]) -> Option<Digest> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(bytes);
    Some(Digest(mac.finalize().into_bytes().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const DATE: &str = "20130524T000000Z";

    /// The examples of the S3 API reference, "Authenticating Requests: Using the
    /// Authorization Header".
    fn signature(method: &str, path: &str, query: &str, more: &[(&'static str, &str)]) -> String {
        let find = more.iter().find(|(name, _)| *name == "x-amz-content-sha256");
        let sha256 = find.map_or(EMPTY, |(_, value)| value);
        let mut headers = vec![
            ("host", "examplebucket.s3.amazonaws.com".to_owned()),
            ("x-amz-date", DATE.to_owned()),
        ];
        headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        if find.is_none() {
            headers.push(("x-amz-content-sha256", sha256.to_owned()));
        }
        headers.sort();
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let key = AccessKey::new("AKIAIOSFODNN7EXAMPLE".into(), secret.into(), None, None);
        let signed = Signed { method, path, query, headers: &headers, sha256 };
        let value = authorization(&key, "us-east-1", DATE, &signed);
        assert!(!value.contains(secret));
        value.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    #[test]
    fn the_services_own_examples_are_signed_alike() {
        assert_eq!(
            signature("GET", "/test.txt", "", &[("range", "bytes=0-9")]),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let put = [
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            (
                "x-amz-content-sha256",
                "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
            ),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ];
        assert_eq!(
            signature("PUT", "/test%24file.text", "", &put),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
        assert_eq!(
            signature("GET", "/", "lifecycle=", &[]),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        assert_eq!(
            signature("GET", "/", "max-keys=2&prefix=J", &[]),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    #[test]
    fn a_date_is_in_whole_seconds() {
        let at = Timestamp::read("2013-05-24T00:00:00.999Z").unwrap();
        assert_eq!(date(at), DATE);
    }
}
