//! Bundles: files added, removed, swapped, linked, copied under another id.

use provenance_audit::trust::trust_by;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use provenance_audit::state::bundles;
use provenance_core::report::{Report, Verdict};

use super::harness::{StateFixture, copy_folder, errors};

fn folders(state: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(state.join("bundles")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

/// What verify-chain finds after `change` on the bundles of a copy, and what
/// the first bundle by itself gives.
fn attacked(
    fixture: &StateFixture,
    change: impl Fn(&[PathBuf]),
) -> (Vec<&'static str>, Option<Report>) {
    let copy = fixture.copy();
    let before = folders(copy.path());
    change(&before);
    let report = fixture.verify(copy.path());
    assert_eq!(report.verdict(), Verdict::Failed, "{:#?}", report.findings());
    let trust = trust_by(Some(fixture.policy.clone())).unwrap();
    (errors(&report), bundles::verify(&before[0], &trust).ok())
}

#[test]
fn each_missing_file_of_a_bundle_is_found() {
    let fixture = StateFixture::new();
    let first = &folders(&fixture.state())[0];
    for file in super::harness::files(first) {
        let (found, alone) = attacked(&fixture, |bundles| {
            fs::remove_file(bundles[0].join(&file)).unwrap();
        });
        let codes = ["bundle.file", "bundle.signature", "registry.missing_bundle"];
        assert!(found.iter().any(|code| codes.contains(code)), "{}: {found:?}", file.display());
        let verdict = alone.map(|report| report.verdict());
        assert!(verdict.is_none_or(|verdict| verdict == Verdict::Failed), "{}", file.display());
    }
}

#[test]
fn added_linked_and_swapped_files_are_found() {
    let fixture = StateFixture::new();
    type Change = (&'static str, &'static str, fn(&[PathBuf]));
    let changes: [Change; 7] = [
        ("added", "bundle.file", |b| fs::write(b[0].join("artifacts/extra"), "x").unwrap()),
        ("added beside", "bundle.file", |b| fs::write(b[0].join("README"), "x").unwrap()),
        ("linked", "bundle.file", |b| {
            let (file, elsewhere) = (b[0].join("artifacts/report.txt"), b[0].with_extension("x"));
            fs::rename(&file, &elsewhere).unwrap();
            symlink(&elsewhere, &file).unwrap();
        }),
        ("swapped statements", "bundle.digest", |b| swap(b, &["statement.json"])),
        ("swapped signatures", "bundle.signature", |b| {
            swap(b, &["statement.json.sig", "statement.sigstore.json"]);
        }),
        ("swapped proofs", "proof.inclusion", |b| swap(b, &["proof.json"])),
        ("swapped whole", "bundle.digest", |b| {
            swap(
                b,
                &["statement.json", "statement.json.sig", "statement.sigstore.json", "proof.json"],
            );
        }),
    ];
    for (name, code, change) in changes {
        let (found, alone) = attacked(&fixture, change);
        assert!(found.contains(&code), "{name}: {found:?}");
        assert_eq!(alone.map(|report| report.verdict()), Some(Verdict::Failed), "{name}");
    }
}

fn swap(bundles: &[PathBuf], names: &[&str]) {
    for name in names {
        let (a, b) = (bundles[0].join(name), bundles[1].join(name));
        let (first, second) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
        fs::write(a, second).unwrap();
        fs::write(b, first).unwrap();
    }
}

#[test]
fn missing_copied_and_renamed_bundles_are_found() {
    let fixture = StateFixture::new();
    let (found, _) = attacked(&fixture, |b| fs::remove_dir_all(&b[1]).unwrap());
    assert_eq!(found, ["registry.missing_bundle"]);
    let (found, _) = attacked(&fixture, |b| {
        copy_folder(&b[0], &b[0].with_file_name("EB-20261121-0099"));
    });
    assert_eq!(found, ["bundle.unregistered"]);
    let (found, alone) = attacked(&fixture, |b| {
        fs::rename(&b[0], b[0].with_file_name("EB-20261121-0099")).unwrap();
        fs::rename(&b[1], &b[0]).unwrap();
    });
    assert!(found.contains(&"bundle.unregistered"), "{found:?}");
    assert_eq!(alone.map(|report| report.verdict()), Some(Verdict::Failed));
    // Artifacts that are gone without a record of their expiry.
    let (found, _) = attacked(&fixture, |b| fs::remove_dir_all(b[0].join("artifacts")).unwrap());
    assert!(found.contains(&"bundle.file"), "{found:?}");
}

#[test]
fn a_bundle_by_itself_is_verified_by_the_policy_only() {
    let (fixture, other) = (StateFixture::new(), StateFixture::new());
    let path = &folders(&fixture.state())[0];
    let alone = |policy| bundles::verify(path, &trust_by(policy).unwrap()).unwrap();
    let good = alone(Some(fixture.policy.clone()));
    assert_eq!(good.verdict(), Verdict::Verified, "{:#?}", good.findings());
    let none = alone(None);
    assert_eq!(none.verdict(), Verdict::Inconclusive);
    assert!(none.findings().iter().any(|finding| finding.code.as_str() == "bundle.key"));
    let foreign = alone(Some(other.policy.clone()));
    assert!(errors(&foreign).contains(&"bundle.key"), "{:?}", errors(&foreign));
}
