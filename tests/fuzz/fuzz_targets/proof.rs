//! A bundle's proof: what is read is written alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::merkle::inclusion_proof::Proof;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(proof) = Proof::parse(bytes) {
        assert_eq!(proof.encode().as_deref(), Ok(bytes));
    }
});
