//! What Nix says of its store paths: keys, signatures, content addresses and
//! whole closures are read or refused, and judged; derivations, and provenance
//! that is written alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::{
    nix::{Address, Derivation, StoreKey, base32},
    report::Report,
    statement::build_provenance::Provenance,
    verify::nix_store::{Trust, judge},
};
use provenance_sbom::nix_path_info;

const KEY: &str = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";

fuzz_target!(|bytes: &[u8]| {
    let mut back = vec![0; bytes.len()];
    assert!(base32::decode(base32::encode(bytes).as_bytes(), &mut back));
    assert_eq!(back, bytes);
    if let Ok(derivation) = Derivation::parse(bytes) {
        let path = "/nix/store/8awgsig3l0cm7s69ji0nd0vpg0128xix-a-1.drv";
        assert!(!derivation.is_at(bytes, path));
    }
    if let Ok(provenance) = Provenance::parse(bytes) {
        assert_eq!(provenance.encode().as_deref(), Ok(bytes));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let key = StoreKey::parse(KEY).expect("a key");
    assert!(!key.verifies(b"never signed", text));
    let _ = StoreKey::parse(text);
    if let Some(address) = Address::parse(text) {
        let path = "/nix/store/8awgsig3l0cm7s69ji0nd0vpg0128xix-a-1";
        let _ = address.path(path, [path].into_iter());
        let found = address.path(path, [].into_iter()).expect("without references it has one");
        assert_eq!(found.len(), path.len());
    }
    if let Ok(closure) = nix_path_info::paths(bytes, "fuzz", None) {
        let trust = Trust { keys: vec![key], threshold: 1 };
        let bad = judge(&closure.paths, &trust, &mut Report::new());
        assert!(bad.len() <= closure.paths.len());
    }
});
