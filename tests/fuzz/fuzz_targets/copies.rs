//! The manifest of a run of copies: what is read is written alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::statement::replication_manifest::Manifest;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(manifest.encode().as_deref(), Ok(bytes));
    }
});
