//! An OpenTimestamps proof: read in bounded time, whatever it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::ots::{MAX_STEPS, Ots};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(ots) = Ots::parse(bytes) {
        assert!(!ots.attestations.is_empty() && ots.attestations.len() <= MAX_STEPS);
        assert_eq!(ots.digest.0[..], bytes[33..65]);
    }
});
