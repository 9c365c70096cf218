//! What chrony-probe prints: whatever it is, it becomes a source that can be
//! recorded, and no claim has a negative bound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::{
    encoding::{json::Value, time::Timestamp},
    record::time_attestation::{Claim, State},
};
use provenance_time_sources::chrony;

fuzz_target!(|bytes: &[u8]| {
    let source = chrony::claim(bytes, Timestamp::from_nanos(1_795_261_374_000_000_000));
    if let State::Ok(Claim::Interval { bound_ns, .. }) = source.state {
        assert!(bound_ns >= 0);
    }
    if let Some(detail) = &source.detail {
        assert!(Value::parse(detail).is_ok());
    }
});
