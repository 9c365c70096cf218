//! Public keys: Ed25519 (RFC 8032) as SubjectPublicKeyInfo (RFC 8410).
//! Secret keys never come into this crate.

use alloc::{string::String, vec::Vec};
use core::fmt;

use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signature, VerifyingKey};

use crate::encoding::digest::Digest;

/// What precedes the 32 bytes of an Ed25519 key in its SPKI (RFC 8410 §10.1).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0];
const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// Why a text is no public key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// Neither PEM nor base64.
    #[error("not a public key in PEM or base64 (provenanced keygen writes NAME.pub)")]
    Form,
    /// Of another algorithm or length.
    #[error("not an Ed25519 public key (SubjectPublicKeyInfo of 44 bytes)")]
    Algorithm,
    /// 32 bytes that are no point of the curve, or a weak one.
    #[error("not a usable Ed25519 public key: its 32 bytes are no strong point of the curve")]
    Point,
}

/// An Ed25519 public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a PEM text (`PUBLIC KEY`) or the bare base64 of the SPKI.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let body = match text.strip_prefix(BEGIN) {
            Some(rest) => rest.strip_suffix(END).ok_or(KeyError::Form)?,
            None => text,
        };
        // An SPKI of Ed25519 is 60 characters; anything long is none.
        if body.len() > 256 {
            return Err(KeyError::Algorithm);
        }
        let base64: String = body.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
        Self::from_spki(&Base64::decode_vec(&base64).map_err(|_| KeyError::Form)?)
    }

    /// Reads the DER of a SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let point = der.strip_prefix(&SPKI_PREFIX).ok_or(KeyError::Algorithm)?;
        Self::from_bytes(point.try_into().map_err(|_| KeyError::Algorithm)?)
    }

    /// From the 32 bytes of RFC 8032.
    ///
    /// # Errors
    /// [`KeyError::Point`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Point)?;
        if key.is_weak() { Err(KeyError::Point) } else { Ok(Self(key)) }
    }

    /// The 32 bytes of RFC 8032.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The DER of the SubjectPublicKeyInfo.
    pub fn spki(&self) -> Vec<u8> {
        [&SPKI_PREFIX[..], self.0.as_bytes()].concat()
    }

    /// As PEM, as openssl writes and reads it.
    pub fn to_pem(&self) -> String {
        alloc::format!("{BEGIN}\n{}\n{END}\n", self.spki_base64())
    }

    /// The base64 of the SPKI: how registry records and policies carry keys.
    pub fn spki_base64(&self) -> String {
        Base64::encode_string(&self.spki())
    }

    /// SHA-256 of the SPKI: what the key is called where it has no name.
    pub fn fingerprint(&self) -> Digest {
        Digest::sha256(&self.spki())
    }

    /// The key as its library has it.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.0
    }

    /// Whether `signature` (64 bytes) over `message` is by this key, by the
    /// strict rule: no malleable signature, no small-order point.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 8410 §10.1.
    const EXAMPLE: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn the_example_of_rfc_8410_reads_and_writes_alike() {
        let key = PublicKey::parse(EXAMPLE).unwrap();
        assert_eq!(key.to_pem(), EXAMPLE);
        assert_eq!(PublicKey::parse(&key.spki_base64()), Ok(key.clone()));
        assert_eq!(PublicKey::from_bytes(&key.to_bytes()), Ok(key));
    }

    #[test]
    fn vector_2_of_rfc_8032_verifies_and_a_changed_one_does_not() {
        let bytes = |hex: &str| -> Vec<u8> {
            (0..hex.len() / 2)
                .map(|i| u8::from_str_radix(&hex[2 * i..][..2], 16).unwrap())
                .collect()
        };
        let key = bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = bytes(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        let key = PublicKey::from_bytes(&key.try_into().unwrap()).unwrap();
        assert!(key.verifies(b"\x72", &signature));
        assert!(!key.verifies(b"\x73", &signature));
        assert!(!key.verifies(b"\x72", &signature[..63]));
        for at in 0..64 {
            let mut bad = signature.clone();
            bad[at] ^= 1;
            assert!(!key.verifies(b"\x72", &bad));
        }
    }

    #[test]
    fn weak_and_foreign_keys_are_refused() {
        assert_eq!(PublicKey::from_bytes(&[0; 32]), Err(KeyError::Point));
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(&identity), Err(KeyError::Point));
        assert_eq!(
            PublicKey::parse("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"),
            Err(KeyError::Algorithm)
        );
        assert_eq!(PublicKey::parse("-----BEGIN PUBLIC KEY-----"), Err(KeyError::Form));
        assert_eq!(PublicKey::parse(&"A".repeat(1000)), Err(KeyError::Algorithm));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = PublicKey::parse(&text);
        }
    }
}
