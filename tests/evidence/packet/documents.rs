//! `sboms/` of a state folder, compared with the registry.

use std::{fs, path::PathBuf};

use provenance_audit::state::{self, Options};
use provenance_core::{
    encoding::digest::Digest,
    record::coverage::Level,
    registry::{Document, Entry, SbomEntry},
    report::{Code, Report, Severity},
};
use provenance_host::{
    clock::{Clock, SystemClock},
    config::Config,
    state_dir::StateDir,
};
use provenanced::ledger::{Ledger, read_entry};

use super::harness::{PacketFixture, codes};

fn verify(fixture: &PacketFixture) -> Report {
    state::verify(&fixture.path("state"), &fixture.trust(), &Options::default(), &mut |_| {})
        .unwrap()
}

/// What is found, and in which file, of the documents.
fn found(fixture: &PacketFixture) -> Vec<(Code, Severity, String)> {
    let report = verify(fixture);
    let documents = report.findings().iter().filter(|it| it.code.as_str().starts_with("sbom."));
    let file = |place: &provenance_core::report::Location| place.file.clone().unwrap();
    documents.map(|it| (it.code, it.severity, file(&it.place))).collect()
}

#[test]
fn an_altered_a_missing_and_an_extra_document_are_found_and_placed() {
    let fixture = PacketFixture::new();
    assert_eq!(found(&fixture), []);
    assert_eq!(verify(&fixture).count_checked("documents"), 2);
    let folder = fixture.path("state/sboms");
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in &files {
        let name = format!("sboms/{}", path.file_name().unwrap().to_str().unwrap());
        let good = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        assert_eq!(found(&fixture), [(Code::SbomMissing, Severity::Error, name.clone())]);
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        fs::write(path, bad).unwrap();
        assert_eq!(found(&fixture), [(Code::SbomInvalid, Severity::Error, name.clone())]);
        fs::remove_file(path).unwrap();
        // The same bytes elsewhere are not the file.
        let elsewhere = fixture.path("elsewhere");
        fs::write(&elsewhere, &good).unwrap();
        std::os::unix::fs::symlink(&elsewhere, path).unwrap();
        assert_eq!(found(&fixture), [(Code::SbomMissing, Severity::Error, name)]);
        fs::remove_file(path).unwrap();
        fs::write(path, good).unwrap();
    }
    assert_eq!(found(&fixture), []);
    let digest = provenance_core::encoding::digest::Digest::sha256(b"{}");
    for (name, severity) in [
        ("more.spdx.json".to_owned(), Severity::Error),
        (format!("{}.spdx.json", provenance_core::encoding::digest::Digest::ZERO), Severity::Error),
        // As a crash just before the record leaves it.
        (format!("{digest}.cdx.json"), Severity::Warning),
    ] {
        fs::write(folder.join(&name), "{}").unwrap();
        let name = format!("sboms/{name}");
        assert_eq!(found(&fixture), [(Code::SbomUnregistered, severity, name.clone())]);
        fs::remove_file(fixture.path("state").join(name)).unwrap();
    }
}

/// The documents of the fixture, their digests made new, in a record that says what
/// `change` makes of it: by an appliance that lies, with its own key.
fn lie(
    fixture: &PacketFixture,
    change: impl Fn(&mut SbomEntry),
    edit: impl Fn(String) -> String,
) -> Report {
    let config = Config::load(&fixture.path("p.toml"), &[]).unwrap();
    let state = StateDir::new(&config.state_dir);
    let now = SystemClock::new().unwrap().now().time;
    let mut evidence = Ledger::open(&config, &state, Some(fixture.signer("signing")), now).unwrap();
    let rows =
        evidence.reader().unwrap().rows_of_kind("sbom", 0).collect::<Result<Vec<_>, _>>().unwrap();
    let Some(Entry::Sbom(mut entry)) = read_entry(&rows[0].body) else { panic!("no inventory") };
    for document in &mut entry.documents {
        let text = fs::read_to_string(fixture.path("state").join(&document.name)).unwrap();
        let bytes = edit(text).into_bytes();
        let sha256 = Digest::sha256(&bytes);
        let ending = document.name.split_once('.').unwrap().1;
        let name = format!("sboms/{sha256}.{ending}");
        fs::write(fixture.path("state").join(&name), &bytes).unwrap();
        *document =
            Document { format: document.format.clone(), name, sha256, bytes: bytes.len() as u64 };
    }
    change(&mut entry);
    evidence.record(now, &[Entry::Sbom(entry)]).unwrap();
    drop(evidence);
    fixture.verify(&fs::read(fixture.packet("lie.zip")).unwrap())
}

#[test]
fn an_inventory_that_vouches_for_more_than_its_packages_do_is_found() {
    let same = |text: String| text;
    let verified = |text: String| text.replace("level\\\":\\\"absent", "level\\\":\\\"verified");
    assert_eq!(codes(&lie(&PacketFixture::new(), |_| {}, same)), Vec::<&str>::new());
    let more = |entry: &mut SbomEntry| {
        let coverage = entry.coverage.get_or_insert_default();
        coverage.count("npm", Level::Verified, []);
    };
    let report = lie(&PacketFixture::new(), more, same);
    assert_eq!(codes(&report), ["sbom.invalid"], "the record says more");
    let report = lie(&PacketFixture::new(), |it| it.coverage = None, same);
    assert_eq!(codes(&report), ["sbom.invalid"], "the record says nothing");
    let report = lie(&PacketFixture::new(), |_| {}, verified);
    assert_eq!(codes(&report), ["sbom.invalid"], "a package says more");
    let text = format!("{:?}", report.findings());
    assert!(text.contains("not the sum of what the packages say"), "{text}");
}
