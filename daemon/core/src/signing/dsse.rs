//! Signatures on statements: the dead simple signing envelope (DSSE v1) and
//! the detached signature file beside `statement.json`.
//!
//! This floor holds no secret: whoever signs hands in a closure that gives the
//! Ed25519 signature (RFC 8032) of the bytes it is shown.

use alloc::{string::String, vec::Vec};

use base64ct::{Base64, Encoding as _};
use ed25519_dalek::{Signature, VerifyingKey};

/// The payload type of an in-toto statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Gives the Ed25519 signature of the bytes it is shown.
pub type Sign<'a> = dyn Fn(&[u8]) -> [u8; 64] + 'a;

/// Why a signature does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignatureError {
    /// Not an Ed25519 signature's 64 bytes in base64.
    #[error("not an Ed25519 signature in base64 (64 bytes, padded, one LF behind it in a file)")]
    Malformed,
    /// Not by this key, or not over these bytes.
    #[error("the signature does not verify: another key made it, or the bytes were changed")]
    Invalid,
}

/// The pre-authentication encoding: what is signed in an envelope.
/// `"DSSEv1" SP len(type) SP type SP len(body) SP body`, lengths in decimal.
pub fn pae(payload_type: &str, body: &[u8]) -> Vec<u8> {
    let (kind, length) = (payload_type.len(), body.len());
    let mut out = alloc::format!("DSSEv1 {kind} {payload_type} {length} ").into_bytes();
    out.extend_from_slice(body);
    out
}

/// The text of `statement.json.sig`: base64 of the signature over `bytes`,
/// and LF.
pub fn sign_detached(bytes: &[u8], sign: &Sign<'_>) -> String {
    Base64::encode_string(&sign(bytes)) + "\n"
}

/// Checks the text of `statement.json.sig` over `bytes`.
///
/// # Errors
/// [`SignatureError`].
pub fn verify_detached(
    bytes: &[u8],
    text: &[u8],
    key: &VerifyingKey,
) -> Result<(), SignatureError> {
    let text = text.strip_suffix(b"\n").ok_or(SignatureError::Malformed)?;
    verify(bytes, &decode_signature(text)?, key)
}

/// A signature from exactly 88 bytes of padded base64.
pub(crate) fn decode_signature(text: &[u8]) -> Result<[u8; 64], SignatureError> {
    let mut buffer = [0; 64];
    match Base64::decode(text, &mut buffer) {
        Ok(bytes) if bytes.len() == 64 => Ok(buffer),
        _ => Err(SignatureError::Malformed),
    }
}

/// Strict verification: small-order keys and non-canonical encodings, which
/// would let one signature hold for two messages or keys, are refused.
pub(crate) fn verify(
    bytes: &[u8],
    signature: &[u8; 64],
    key: &VerifyingKey,
) -> Result<(), SignatureError> {
    key.verify_strict(bytes, &Signature::from_bytes(signature)).map_err(|_| SignatureError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::evidence::vectors::{key, sign, statement};

    #[test]
    fn pae_is_the_example_of_the_dsse_protocol() {
        let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
        assert_eq!(pae("http://example.com/HelloWorld", b"hello world"), expected);
    }

    #[test]
    fn a_detached_signature_by_openssl_verifies_and_ours_is_the_same() {
        let by_openssl = include_str!("../../../../tests/vectors/statement/statement.json.sig");
        assert_eq!(sign_detached(statement(), &sign), by_openssl);
        assert_eq!(verify_detached(statement(), by_openssl.as_bytes(), &key()), Ok(()));
    }

    #[test]
    fn each_changed_byte_of_a_detached_signature_or_its_text_is_refused() {
        let signature = sign_detached(statement(), &sign);
        for at in 0..signature.len() {
            let mut bad = signature.clone().into_bytes();
            bad[at] ^= 1;
            assert!(verify_detached(statement(), &bad, &key()).is_err(), "byte {at}");
        }
        for at in 0..statement().len() {
            let mut bad = statement().to_vec();
            bad[at] ^= 1;
            let verdict = verify_detached(&bad, signature.as_bytes(), &key());
            assert_eq!(verdict, Err(SignatureError::Invalid), "byte {at}");
        }
        for bad in ["", "\n", signature.trim_end(), &(signature.clone() + "\n")] {
            let verdict = verify_detached(statement(), bad.as_bytes(), &key());
            assert_eq!(verdict, Err(SignatureError::Malformed), "{bad:?}");
        }
    }
}
