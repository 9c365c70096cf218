//! A signed note with a checkpoint: what is read is written alike, and no
//! input is signed by a key that signed nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::signing::{
    checkpoint::{Checkpoint, Note},
    public_key::PublicKey,
};

/// The public key of test 1 in RFC 8032 §7.1.
const KEY: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(Checkpoint::parse(&checkpoint.to_text()), Ok(checkpoint));
    }
    let Ok(note) = Note::parse(text) else { return };
    assert!(text.starts_with(note.text));
    let _ = Checkpoint::parse(note.text);
    if let Ok(key) = PublicKey::from_bytes(&KEY) {
        assert!(!note.signed_by("msp-provenance/c/h", &key));
    }
});
