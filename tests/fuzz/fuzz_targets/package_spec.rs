//! What an auditor expects of packages, keys, and earlier reports.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_attestations::{
    Keys, Level, expectations::Spec, package_name, previous_report::Previous,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(previous) = Previous::parse(bytes) {
        assert!(previous.better(&package_name::of_file("a-1.0.tgz"), Level::Verified).is_none());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = Keys::default().add(text);
    let Ok(spec) = Spec::parse(text) else { return };
    let package = package_name::of_file(text.lines().next().unwrap_or_default());
    if let Some(rule) = spec.rule(&package) {
        assert!(rule.minimum > Level::Mismatch);
        assert!(spec.idle(&[package]).len() < text.len());
    }
});
