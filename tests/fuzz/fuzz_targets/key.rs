//! A public key: what is read is written as the same key, and it verifies
//! nothing that it did not sign.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::signing::public_key::PublicKey;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    let Ok(key) = PublicKey::parse(text) else { return };
    assert_eq!(PublicKey::parse(&key.to_pem()), Ok(key.clone()));
    assert_eq!(PublicKey::from_spki(&key.spki()), Ok(key.clone()));
    assert!(!key.verifies(b"a message", &[7; 64]));
});
