//! What package managers wrote down, dpkg's status and `nix path-info --json`, and
//! what was found of packages' attestations.
//! What is read from them can be written, and what is written is valid.
#![no_main]

use std::{io::Cursor, path::Path};

use libfuzzer_sys::fuzz_target;
use provenance_sbom::{Format, Header, dpkg, nix_path_info};

fuzz_target!(|bytes: &[u8]| {
    let debian = dpkg::Distribution { id: "debian".into(), version: Some("12".into()) };
    let header =
        || Header { client: "c".into(), host: "h".into(), created_s: 0, software: "fuzz 0".into() };
    let read = [
        dpkg::parse(Cursor::new(bytes), "fuzz", &debian),
        nix_path_info::parse(bytes, "fuzz", None),
    ];
    // A report stands behind an inventory that is in order.
    let status = b"Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n";
    let attested = dpkg::parse(Cursor::new(status), "fuzz", &debian).ok().and_then(|mut it| {
        it.attest(bytes, Path::new("fuzz")).ok()?;
        Some(it)
    });
    for inventory in read.into_iter().flatten().chain(attested) {
        for format in [Format::Spdx, Format::CycloneDx] {
            let document = inventory.document(format, &header()).expect("it can be written");
            let found = provenance_audit::sbom::defects(&document);
            assert!(found.is_empty(), "{found:?}");
        }
    }
    let _ = provenance_audit::sbom::defects(bytes);
});
