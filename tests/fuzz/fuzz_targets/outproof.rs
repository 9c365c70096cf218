//! A node's proof of a transaction: the branch that was read leads to the root.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::bitcoin::{OutProof, block_root};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(proof) = OutProof::parse(bytes) {
        let root = block_root(proof.txid, proof.position, &proof.branch);
        assert_eq!(root, Ok(proof.header.merkle_root()));
    }
});
