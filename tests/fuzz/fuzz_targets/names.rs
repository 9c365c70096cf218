//! Texts with one spelling: paths, times and bundle ids.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::{
    encoding::{file_uri, time::Timestamp},
    record::bundle_id::BundleId,
    statement::evidence::is_safe_name,
};

fuzz_target!(|bytes: &[u8]| {
    if let Some(time) = Timestamp::parse(bytes) {
        assert_eq!(time.to_string().as_bytes(), bytes);
    }
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    if let Some(decoded) = file_uri::decode(text) {
        assert_eq!(file_uri::encode(&decoded), text);
    }
    if let Ok(id) = text.parse::<BundleId>() {
        assert_eq!(id.to_string(), text);
    }
    if is_safe_name(text) {
        let path = std::path::Path::new(text);
        let plain = |c| matches!(c, std::path::Component::Normal(_));
        assert!(path.components().all(plain) && path.starts_with("artifacts"));
    }
});
