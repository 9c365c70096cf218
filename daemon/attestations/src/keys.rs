//! Keys that a registry, or somebody else, signs with: those that the auditor
//! brought, by their ids, each with the time in which it counts.

use base64ct::{Base64, Encoding};
use provenance_core::encoding::time::Timestamp;
use serde::Deserialize;
use sigstore_crypto::{KeyAlgorithm, SigningScheme, VerificationKey};
use sigstore_types::{DerPublicKey, SignatureBytes};

use crate::crypto_provider;

/// A file of keys is at most this long.
pub const MAX_KEYS: u64 = 1 << 20;

/// The keys that are trusted.
#[derive(Clone, Debug, Default)]
pub struct Keys(Vec<Key>);

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Its id; a key that came alone has none, and is for whatever hint.
    pub(super) id: Option<String>,
    pub(super) der: DerPublicKey,
    pub(super) from: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    /// Of several keys of one id: what for.
    usage: Option<String>,
}

/// Why a file holds no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Neither of the forms that are known.
    #[error("neither keys of a registry (JSON) nor a public key (PEM): {0}")]
    Form(String),
    /// A key that cannot be read.
    #[error("the key {id}: {why}")]
    Key { id: String, why: String },
}

#[derive(Deserialize)]
struct File {
    keys: Vec<Entry>,
}

/// As the registry gives it, or as Sigstore's root distributes it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Registry {
        keyid: String,
        key: String,
        expires: Option<String>,
    },
    Distributed {
        #[serde(rename = "keyId")]
        id: String,
        #[serde(rename = "keyUsage")]
        usage: Option<String>,
        #[serde(rename = "publicKey")]
        key: Distributed,
    },
}

#[derive(Deserialize)]
struct Distributed {
    #[serde(rename = "rawBytes")]
    raw: String,
    #[serde(rename = "validFor")]
    valid: Option<Span>,
}

#[derive(Deserialize)]
struct Span {
    start: Option<String>,
    end: Option<String>,
}

impl Keys {
    /// Takes the keys of a file.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn add(&mut self, text: &str) -> Result<(), KeyError> {
        crypto_provider::install();
        if text.trim_start().starts_with("-----BEGIN") {
            let der = DerPublicKey::from_pem(text).map_err(|e| KeyError::Form(e.to_string()))?;
            readable("in PEM", &der)?;
            self.0.push(Key { id: None, der, from: None, until: None, usage: None });
            return Ok(());
        }
        let file: File =
            serde_json::from_str(text).map_err(|error| KeyError::Form(error.to_string()))?;
        for entry in file.keys {
            self.0.push(entry.key()?);
        }
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys of this id, for this use.
    pub(super) fn of<'a>(&'a self, id: &'a str, usage: &'a str) -> impl Iterator<Item = &'a Key> {
        let named = move |key: &&Key| key.id.as_deref().is_none_or(|known| known == id);
        let meant = move |key: &&Key| key.usage.as_deref().is_none_or(|known| known == usage);
        self.0.iter().filter(named).filter(meant)
    }
}

impl Entry {
    fn key(self) -> Result<Key, KeyError> {
        let (id, raw, from, until, usage) = match self {
            Self::Registry { keyid, key, expires } => (keyid, key, None, expires, None),
            Self::Distributed { id, usage, key } => {
                let span = key.valid.unwrap_or(Span { start: None, end: None });
                (id, key.raw, span.start, span.end, usage)
            }
        };
        let wrong = |why: &str| KeyError::Key { id: id.clone(), why: why.into() };
        let bytes = Base64::decode_vec(&raw).map_err(|_| wrong("it is not base64"))?;
        let der = DerPublicKey::new(bytes);
        readable(&id, &der)?;
        let time = |text: Option<String>| match text {
            Some(text) => Timestamp::read(&text).map(Some).ok_or_else(|| wrong("no time")),
            None => Ok(None),
        };
        Ok(Key { from: time(from)?, until: time(until)?, der, usage, id: Some(id) })
    }
}

fn readable(id: &str, der: &DerPublicKey) -> Result<(), KeyError> {
    let why =
        |error: sigstore_crypto::Error| KeyError::Key { id: id.into(), why: error.to_string() };
    VerificationKey::from_spki(der).map(drop).map_err(why)
}

impl Key {
    /// Whether this key made `signature`, in base64, over `message`: ECDSA on
    /// P-256 with SHA-256, as registries sign.
    pub(super) fn signed(&self, message: &[u8], signature: &str) -> bool {
        if KeyAlgorithm::from_spki(&self.der).ok() != Some(KeyAlgorithm::EcdsaP256) {
            return false;
        }
        let scheme = SigningScheme::EcdsaP256Sha256;
        SignatureBytes::from_base64(signature).is_ok_and(|signature| {
            sigstore_crypto::verify_signature(&self.der, message, &signature, scheme).is_ok()
        })
    }

    /// Whether it counts at this time.
    pub(super) fn counts_at(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= time) && self.until.is_none_or(|until| time < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Of npm's registry, as the registry gives it and as Sigstore's root does.
    const RAW: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1Olb3zMAFFxXKHiIkQO5cJ3Yhl5i6UPp+IhuteBJbuHcA5UogKo0EWtlWwW6KSaKoTNEYL7JlCQiVnkhBktUgg==";

    #[test]
    fn keys_are_read_in_each_form_with_their_time() {
        let mut keys = Keys::default();
        let registry = format!(
            r#"{{"keys":[{{"expires":"2025-01-29T00:00:00.000Z","keyid":"SHA256:a","keytype":"ecdsa-sha2-nistp256","scheme":"ecdsa-sha2-nistp256","key":"{RAW}"}}]}}"#
        );
        keys.add(&registry).unwrap();
        let distributed = format!(
            r#"{{"keys":[{{"keyId":"SHA256:b","keyUsage":"npm:attestations","publicKey":{{"rawBytes":"{RAW}","keyDetails":"PKIX_ECDSA_P256_SHA_256","validFor":{{"start":"2022-12-01T00:00:00.000Z"}}}}}}]}}"#
        );
        keys.add(&distributed).unwrap();
        assert_eq!(keys.of("SHA256:a", "npm:signatures").count(), 1);
        assert_eq!(keys.of("SHA256:b", "npm:signatures").count(), 0);
        assert_eq!(keys.of("SHA256:c", "npm:signatures").count(), 0);
        let at = |text| Timestamp::read(text).unwrap();
        let a = keys.of("SHA256:a", "npm:signatures").next().unwrap();
        assert!(
            a.counts_at(at("2025-01-28T23:59:59Z")) && !a.counts_at(at("2025-01-29T00:00:00Z"))
        );
        let b = keys.of("SHA256:b", "npm:attestations").next().unwrap();
        assert!(
            !b.counts_at(at("2022-11-30T00:00:00Z")) && b.counts_at(at("2030-01-01T00:00:00Z"))
        );
        keys.add(&format!("-----BEGIN PUBLIC KEY-----\n{RAW}\n-----END PUBLIC KEY-----\n"))
            .unwrap();
        assert_eq!(keys.of("whatever", "npm:signatures").count(), 1);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let entry = |key: &str, expires: &str| {
            format!(r#"{{"keys":[{{"keyid":"a","key":"{key}","expires":{expires}}}]}}"#)
        };
        let pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
        for bad in [
            "",
            "{}",
            "[]",
            "-----BEGIN",
            pem,
            &entry("AAAA", "null"),
            &entry("!", "null"),
            &entry(RAW, "\"soon\""),
            r#"{"keys":[{}]}"#,
        ] {
            assert!(Keys::default().add(bad).is_err(), "{bad}");
        }
        assert!(Keys::default().add(&entry(RAW, "null")).is_ok());
    }
}
