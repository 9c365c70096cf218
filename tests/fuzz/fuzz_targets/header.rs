//! A block's header, and an auditor's file of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::bitcoin::{Header, Headers};

fuzz_target!(|bytes: &[u8]| {
    if let Some((header, _)) = bytes.split_first_chunk()
        && let Ok(work) = Header(*header).check()
    {
        assert!(work.0 > 0);
    }
    if let Ok(text) = core::str::from_utf8(bytes)
        && let Ok(headers) = Headers::parse(text)
    {
        assert!(headers.work_from(0).0 as usize <= headers.len());
    }
});
