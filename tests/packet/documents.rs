//! `sboms/` of a state folder, held against the registry.

use std::{fs, path::PathBuf};

use msp_provenance::audit::chain::{self, Options};
use provenance_core::report::{Code, Report, Severity};

use crate::world::World;

fn verify(world: &World) -> Report {
    chain::verify(&world.path("state"), &world.trust(), &Options::default(), &mut |_| {}).unwrap()
}

/// What is found, and in which file, of the documents.
fn found(world: &World) -> Vec<(Code, Severity, String)> {
    let report = verify(world);
    let documents = report.findings().iter().filter(|it| it.code.as_str().starts_with("sbom."));
    let file = |place: &provenance_core::report::Place| place.file.clone().unwrap();
    documents.map(|it| (it.code, it.severity, file(&it.place))).collect()
}

#[test]
fn an_altered_a_missing_and_an_extra_document_are_found_and_placed() {
    let world = World::new();
    assert_eq!(found(&world), []);
    assert_eq!(verify(&world).count_checked("documents"), 2);
    let folder = world.path("state/sboms");
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in &files {
        let name = format!("sboms/{}", path.file_name().unwrap().to_str().unwrap());
        let good = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        assert_eq!(found(&world), [(Code::SbomMissing, Severity::Error, name.clone())]);
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        fs::write(path, bad).unwrap();
        assert_eq!(found(&world), [(Code::SbomInvalid, Severity::Error, name.clone())]);
        fs::remove_file(path).unwrap();
        // The same bytes elsewhere are not the file.
        let elsewhere = world.path("elsewhere");
        fs::write(&elsewhere, &good).unwrap();
        std::os::unix::fs::symlink(&elsewhere, path).unwrap();
        assert_eq!(found(&world), [(Code::SbomMissing, Severity::Error, name)]);
        fs::remove_file(path).unwrap();
        fs::write(path, good).unwrap();
    }
    assert_eq!(found(&world), []);
    let digest = provenance_core::digest::Digest::of(b"{}");
    for (name, severity) in [
        ("more.spdx.json".to_owned(), Severity::Error),
        (format!("{}.spdx.json", provenance_core::digest::Digest::ZERO), Severity::Error),
        // As a crash just before the record leaves it.
        (format!("{digest}.cdx.json"), Severity::Warning),
    ] {
        fs::write(folder.join(&name), "{}").unwrap();
        let name = format!("sboms/{name}");
        assert_eq!(found(&world), [(Code::SbomUnregistered, severity, name.clone())]);
        fs::remove_file(world.path("state").join(name)).unwrap();
    }
}
