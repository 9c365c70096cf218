//! An OpenTimestamps proof, and a calendar's answer: read in bounded time,
//! whatever they say. What a way says is what its operations lead to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::opentimestamps::{MAX_STEPS, Ots, follow, ways};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(ots) = Ots::parse(bytes) {
        assert!(!ots.attestations.is_empty() && ots.attestations.len() <= MAX_STEPS);
        assert_eq!(ots.digest.0[..], bytes[33..65]);
    }
    for way in ways(&[7; 32], bytes).unwrap_or_default() {
        assert_eq!(follow(&[7; 32], &way.operations), Ok(way.message));
    }
});
