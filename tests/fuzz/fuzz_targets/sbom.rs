//! What package managers wrote down: dpkg's status and `nix path-info --json`.
//! What is read from them can be written, and what is written is valid.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use msp_provenance::sbom::{Format, Header, dpkg, pathinfo};

fuzz_target!(|bytes: &[u8]| {
    let debian = dpkg::Distribution { id: "debian".into(), version: Some("12".into()) };
    let header =
        || Header { client: "c".into(), host: "h".into(), created_s: 0, software: "fuzz 0".into() };
    let read =
        [dpkg::parse(Cursor::new(bytes), "fuzz", &debian), pathinfo::parse(bytes, "fuzz", None)];
    for inventory in read.into_iter().flatten() {
        for format in [Format::Spdx, Format::CycloneDx] {
            let document = inventory.document(format, &header()).expect("it can be written");
            let found = msp_provenance::audit::sbom::defects(&document);
            assert!(found.is_empty(), "{found:?}");
        }
    }
    let _ = msp_provenance::audit::sbom::defects(bytes);
});
