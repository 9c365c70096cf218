//! Lock files, and npm's tarballs: what is pinned is pinned by a digest, once
//! for each name and version.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use provenance_attestations::{lockfile, npm_identity};

fuzz_target!(|bytes: &[u8]| {
    let _ = npm_identity(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for name in ["package-lock.json", "requirements.txt", "pylock.toml"] {
        let Ok(lock) = lockfile::parse(name, text) else { continue };
        let mut names = BTreeSet::new();
        for package in &lock.packages {
            assert!(names.insert((package.name.clone(), package.version.clone())), "{package}");
            assert!(!package.files.is_empty());
            assert!(package.files.iter().all(|file| !file.digests.is_empty()), "{package}");
        }
    }
});
