//! The secret that the webhook's messages are signed with.

use base64ct::{Base64, Base64Unpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use provenance_host::secret::{self, Named};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::AlertError;

const PREFIX: &str = "whsec_";
/// Of the secret's bytes (Standard Webhooks, "Signature scheme").
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// A webhook's secret. It has no way to be shown.
pub struct Secret(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// Loads the secret that `place` names: `credential:NAME`, or a path.
    ///
    /// # Errors
    /// [`AlertError`], without a byte of what was read.
    pub(crate) fn load(place: &str) -> Result<Self, AlertError> {
        let named = Named { what: "webhook secret", setting: "secret_file" };
        let (bytes, path) = secret::read(named, place)?;
        Self::parse(&bytes).ok_or(AlertError::Form(path))
    }

    /// `whsec_` and base64, with or without padding; white space around it is
    /// what editors leave.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.trim_ascii().strip_prefix(PREFIX)?;
        let decoded = Base64::decode_vec(text).or_else(|_| Base64Unpadded::decode_vec(text));
        let secret = Self(Zeroizing::new(decoded.ok()?));
        LENGTH.contains(&secret.0.len()).then_some(secret)
    }

    /// The header `webhook-signature` over a message's id, the time of this
    /// attempt and the body.
    pub(crate) fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        Some(format!("v1,{}", Base64::encode_string(&mac.finalize().into_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn the_specifications_own_example_is_signed_alike() {
        let secret = Secret::parse(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body).unwrap();
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_no_secret_is_refused_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let load = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Secret::load(path.to_str().unwrap())
        };
        let long = "QUJD".repeat(30);
        let good = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0";
        for text in [
            "",
            "whsec_",
            "whsec_QUJDREVG",
            "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0",
            "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2Vj!!!!",
            "WHSEC_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0",
            &format!("whsec_{long}"),
            "whsec_\u{fe}",
        ] {
            let error = load(text, 0o600).unwrap_err();
            assert!(matches!(error, AlertError::Form(_)), "{error}");
            let shown = format!("{error} {error:?}");
            let body = text.trim_start_matches("whsec_");
            assert!(body.len() < 4 || !shown.contains(body), "{shown}");
            assert!(shown.contains(path.to_str().unwrap()) && shown.contains("openssl rand"));
        }
        let error = load(good, 0o640).unwrap_err();
        assert!(error.to_string().contains("chmod 0600"), "{error}");
        let secret = load(good, 0o600).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        let error = Secret::load("credential:hook").unwrap_err().to_string();
        assert!(error.contains("LoadCredential=hook") && error.contains("secret_file"), "{error}");
    }
}
