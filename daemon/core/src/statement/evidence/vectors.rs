//! The vectors in `tests/vectors/statement`, made by openssl and jq.

use ed25519_dalek::{
    Signer as _, SigningKey, VerifyingKey,
    pkcs8::{DecodePrivateKey as _, EncodePublicKey as _},
};

use crate::encoding::digest::Digest;

pub(crate) fn statement() -> &'static [u8] {
    include_bytes!("../../../../../tests/vectors/statement/statement.json")
}

pub(crate) fn sign(bytes: &[u8]) -> [u8; 64] {
    secret().sign(bytes).to_bytes()
}

pub(crate) fn key() -> VerifyingKey {
    secret().verifying_key()
}

pub(crate) fn spki_sha256() -> Digest {
    Digest::sha256(key().to_public_key_der().unwrap().as_bytes())
}

fn secret() -> SigningKey {
    let pem = include_str!("../../../../../tests/vectors/statement/test-only.key");
    SigningKey::from_pkcs8_pem(pem).unwrap()
}
