//! Canonical JSON: what is read is written alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::encoding::{json::Value, json_scanner::Scanner};

fuzz_target!(|bytes: &[u8]| {
    let value = Value::parse(bytes);
    let mut scan = Scanner::new(bytes);
    let scanned = scan.value().map(drop).and_then(|()| scan.finish());
    assert_eq!(value.is_ok(), scanned.is_ok(), "the scanner and the reader differ");
    if let Ok(value) = value {
        assert_eq!(value.encode(), bytes);
    }
});
