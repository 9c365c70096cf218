//! An entry of `logs`: what is read is written alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::{encoding::json_scanner::Scanner, record::log_entry};

fuzz_target!(|bytes: &[u8]| {
    let mut scan = Scanner::new(bytes);
    if let Ok(entry) = log_entry::read_entry(&mut scan)
        && scan.finish().is_ok()
    {
        assert_eq!(entry.to_value().encode(), bytes);
    }
});
