//! `statement.sigstore.json`: a Sigstore bundle v0.3 with one DSSE envelope
//! over the statement and the hint of the key that signed it, such as stock
//! `cosign verify-blob-attestation --insecure-ignore-tlog --key` takes.
//!
//! There is no transparency log entry in it: the registry, its checkpoint and
//! the anchor stand for that, and are checked by themselves.

use alloc::vec::Vec;

use base64ct::{Base64, Encoding as _};
use ed25519_dalek::VerifyingKey;

use super::dsse::{self, IN_TOTO, Sign, SignatureError};
use crate::{
    encoding::{
        digest::Digest,
        json::Value,
        json_scanner::{ScanError, Scanner},
    },
    statement::evidence::MAX_STATEMENT,
};

/// The media type, which names the version.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The largest bundle: a statement of 8 MiB in base64, and the frame.
pub const MAX_BUNDLE: usize = MAX_STATEMENT.div_ceil(3) * 4 + 1024;

/// A bundle that was read; nothing in it is believed before
/// [`Self::verify`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SigstoreBundle {
    payload: Vec<u8>,
    signature: [u8; 64],
    hint: Digest,
}

/// Why bytes are no bundle, or a bundle does not hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SigstoreError {
    /// Over [`MAX_BUNDLE`].
    #[error("a Sigstore bundle of {0} bytes is over the limit of {MAX_BUNDLE}")]
    TooLong(usize),
    /// Not the one form that is written here.
    #[error("not a Sigstore bundle v0.3 in canonical form: {0}")]
    Malformed(#[from] ScanError),
    /// The hint names another key.
    #[error("the bundle names the key with SHA-256 {named}, and the key given has {given}")]
    OtherKey {
        /// The digest in the bundle.
        named: Digest,
        /// The digest of the key given.
        given: Digest,
    },
    /// The signature does not hold.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// The bytes of a new bundle over `statement`; `spki_sha256` is the digest of
/// the signer's public key in SPKI DER.
pub fn sign(statement: &[u8], spki_sha256: &Digest, sign: &Sign<'_>) -> Vec<u8> {
    let signature = sign(&dsse::pae(IN_TOTO, statement));
    SigstoreBundle { payload: statement.to_vec(), signature, hint: *spki_sha256 }.encode()
}

impl SigstoreBundle {
    /// Reads exactly what [`sign`] writes.
    ///
    /// # Errors
    /// [`SigstoreError::TooLong`] and [`SigstoreError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SigstoreError> {
        if bytes.len() > MAX_BUNDLE {
            return Err(SigstoreError::TooLong(bytes.len()));
        }
        let mut scan = Scanner::new(bytes);
        let bundle = Self::read(&mut scan)?;
        scan.finish()?;
        Ok(bundle)
    }

    /// The digest of the SPKI DER of the key that the bundle names: which key
    /// to ask a policy for, and no reason to trust it.
    pub fn key_hint(&self) -> Digest {
        self.hint
    }

    /// The statement's bytes, if `key`, whose SPKI DER has the digest
    /// `spki_sha256`, signed them.
    ///
    /// # Errors
    /// [`SigstoreError::OtherKey`] and [`SigstoreError::Signature`].
    pub fn verify(&self, key: &VerifyingKey, spki_sha256: &Digest) -> Result<&[u8], SigstoreError> {
        if self.hint != *spki_sha256 {
            return Err(SigstoreError::OtherKey { named: self.hint, given: *spki_sha256 });
        }
        dsse::verify(&dsse::pae(IN_TOTO, &self.payload), &self.signature, key)?;
        Ok(&self.payload)
    }

    /// What is said to be signed; [`Self::verify`] tells whether it is.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    fn encode(&self) -> Vec<u8> {
        let base64 = |bytes: &[u8]| Value::Str(Base64::encode_string(bytes));
        let signature = Value::object([("sig", base64(&self.signature))]);
        let envelope = Value::object([
            ("payload", base64(&self.payload)),
            ("payloadType", IN_TOTO.into()),
            ("signatures", Value::Array([signature].into())),
        ]);
        let key = Value::object([("hint", base64(&self.hint.0))]);
        Value::object([
            ("dsseEnvelope", envelope),
            ("mediaType", MEDIA_TYPE.into()),
            ("verificationMaterial", Value::object([("publicKey", key)])),
        ])
        .encode()
    }

    fn read(scan: &mut Scanner<'_>) -> Result<Self, ScanError> {
        scan.open()?;
        scan.key("dsseEnvelope")?;
        scan.open()?;
        scan.key("payload")?;
        let payload = read_base64(scan)?;
        constant(scan, "payloadType", IN_TOTO, "the payload is no in-toto statement")?;
        scan.key("signatures")?;
        let signature = read_signatures(scan)?;
        scan.close()?;
        constant(scan, "mediaType", MEDIA_TYPE, "not a Sigstore bundle v0.3")?;
        scan.key("verificationMaterial")?;
        scan.open()?;
        scan.key("publicKey")?;
        scan.open()?;
        scan.key("hint")?;
        let Ok(hint) = read_base64(scan)?.try_into() else {
            return scan.fail("the key's hint is not a SHA-256 digest");
        };
        scan.close()?;
        scan.close()?;
        scan.close()?;
        Ok(Self { payload, signature, hint: Digest(hint) })
    }
}

/// Exactly one: with more, verifiers differ in whether one or all must hold.
fn read_signatures(scan: &mut Scanner<'_>) -> Result<[u8; 64], ScanError> {
    let mut signature = None;
    scan.array(|scan| {
        scan.open()?;
        scan.key("sig")?;
        let Ok(bytes) = dsse::decode_signature(scan.plain()?.as_bytes()) else {
            return scan.fail("not an Ed25519 signature in base64");
        };
        scan.close()?;
        match signature.replace(bytes) {
            None => Ok(()),
            Some(_) => scan.fail("more than one signature"),
        }
    })?;
    match signature {
        Some(signature) => Ok(signature),
        None => scan.fail("no signature"),
    }
}

fn read_base64(scan: &mut Scanner<'_>) -> Result<Vec<u8>, ScanError> {
    match Base64::decode_vec(scan.plain()?) {
        Ok(bytes) => Ok(bytes),
        Err(_) => scan.fail("not canonical base64"),
    }
}

fn constant(
    scan: &mut Scanner<'_>,
    name: &str,
    text: &str,
    what: &'static str,
) -> Result<(), ScanError> {
    scan.key(name)?;
    if scan.string()? == text { Ok(()) } else { scan.fail(what) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::evidence::vectors::{key, sign as closure, spki_sha256, statement};
    use alloc::{format, string::String};
    use proptest::prelude::*;

    const VECTOR: &[u8] =
        include_bytes!("../../../../tests/vectors/statement/statement.sigstore.json");

    #[test]
    fn a_bundle_made_by_openssl_and_jq_verifies_and_ours_is_the_same() {
        assert_eq!(sign(statement(), &spki_sha256(), &closure), VECTOR);
        let bundle = SigstoreBundle::parse(VECTOR).unwrap();
        assert_eq!(bundle.key_hint(), spki_sha256());
        assert_eq!(bundle.verify(&key(), &spki_sha256()), Ok(statement()));
    }

    #[test]
    fn each_changed_byte_is_refused() {
        for at in 0..VECTOR.len() {
            for flip in [1, 2, 0x20, 0x80] {
                let mut bad = VECTOR.to_vec();
                bad[at] ^= flip;
                let held = SigstoreBundle::parse(&bad)
                    .is_ok_and(|bundle| bundle.verify(&key(), &spki_sha256()).is_ok());
                assert!(!held, "byte {at} ^ {flip}");
            }
        }
    }

    #[test]
    fn a_signature_under_another_payload_type_or_over_the_bare_bytes_does_not_hold() {
        for bytes in [dsse::pae("text/plain", statement()), statement().to_vec()] {
            let signature = closure(&bytes);
            let forged =
                SigstoreBundle { payload: statement().to_vec(), signature, hint: spki_sha256() };
            let verdict = forged.verify(&key(), &spki_sha256());
            assert_eq!(verdict, Err(SignatureError::Invalid.into()));
        }
    }

    #[test]
    fn another_key_is_named_before_any_arithmetic() {
        let bundle = SigstoreBundle::parse(VECTOR).unwrap();
        let given = Digest::sha256(b"another");
        let named = spki_sha256();
        let verdict = bundle.verify(&key(), &given);
        assert_eq!(verdict, Err(SigstoreError::OtherKey { named, given }));
    }

    #[test]
    fn what_stock_tools_could_read_otherwise_is_refused() {
        let text = core::str::from_utf8(VECTOR).unwrap();
        let start = text.find("[{\"sig\"").unwrap();
        let end = text.find("}]}").unwrap() + 2;
        let one = &text[start + 1..end - 1];
        let with = |signatures: &str| format!("{}{signatures}{}", &text[..start], &text[end..]);
        assert_eq!(with(&format!("[{one}]")), text);
        let refused: [String; 7] = [
            with("[]"),
            with(&format!("[{one},{one}]")),
            with(&format!("[{{\"keyid\":\"\",{}]", &one[1..])),
            text.replace("v0.3", "v0.2"),
            text.replace("in-toto+json", "in-toto"),
            text.replace("\"hint\":\"", "\"hint\":\"AAAA"),
            format!("{text}\n"),
        ];
        for bad in refused {
            assert!(SigstoreBundle::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let long = SigstoreBundle::parse(&alloc::vec![b' '; MAX_BUNDLE + 1]);
        assert_eq!(long, Err(SigstoreError::TooLong(MAX_BUNDLE + 1)));
    }

    proptest! {
        #[test]
        fn every_payload_survives_its_bundle(payload: Vec<u8>) {
            let bytes = sign(&payload, &spki_sha256(), &closure);
            let bundle = SigstoreBundle::parse(&bytes).unwrap();
            prop_assert_eq!(bundle.verify(&key(), &spki_sha256()), Ok(&payload[..]));
        }

        #[test]
        fn whatever_is_read_is_written_alike(at in 0..VECTOR.len(), byte: u8) {
            let mut bytes = VECTOR.to_vec();
            bytes[at] = byte;
            if let Ok(bundle) = SigstoreBundle::parse(&bytes) {
                prop_assert_eq!(bundle.encode(), bytes);
            }
        }
    }
}
