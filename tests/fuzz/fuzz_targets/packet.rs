//! A packet's headers and manifest: what is read is written alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::packet::{
    Manifest,
    zip::{Entry, end, read_end},
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(manifest.encode().as_deref(), Ok(bytes));
    }
    if let Some((entry, rest)) = Entry::read_central(bytes) {
        assert_eq!([&entry.central()[..], rest].concat(), bytes);
    }
    if let Some((count, length, offset)) = read_end(bytes) {
        assert_eq!(end(count, length, offset), bytes);
    }
});
