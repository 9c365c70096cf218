//! A registry record's data: what is read is written alike. The kind is the
//! first line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::registry::Entry;

fuzz_target!(|bytes: &[u8]| {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(kind) = core::str::from_utf8(&bytes[..end]) else { return };
    let data = &bytes[end + 1..];
    if let Ok(entry) = Entry::read(kind, data)
        && entry.kind() == kind
    {
        assert_eq!(entry.to_value().encode(), data);
    }
});
