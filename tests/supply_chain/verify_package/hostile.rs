//! What somebody made of genuine attestations: each is found, with its code.

use serde_json::{Value, json};

use super::harness::{
    AttestationsFixture, NPM, NPM_PROVENANCE, NPM_RULE, SDIST, SDIST_RULE, json as published_json,
    published, verify,
};

const PROVENANCE: &str = "pypi/pypi_attestations-0.0.19.tar.gz.provenance";
const SLSA: &str = "pypi/pypi_attestations-0.0.19.tar.gz.slsa.attestation";
const PUBLISH: &str = "pypi/pypi_attestations-0.0.19.tar.gz.publish.attestation";

fn npm(fixture: &AttestationsFixture, attestation: &str, rule: &str) -> super::harness::Output {
    verify(&[&published(NPM), "--attestations", attestation, "--expect", &fixture.spec(rule)])
}

fn sdist(fixture: &AttestationsFixture, attestation: &str) -> super::harness::Output {
    let spec = fixture.spec(SDIST_RULE);
    verify(&[&fixture.copy(SDIST), "--attestations", attestation, "--expect", &spec])
}

#[test]
fn a_wrong_artifact_is_found() {
    let fixture = AttestationsFixture::new();
    for (package, attestation) in [
        (NPM, NPM_PROVENANCE),
        (SDIST, PROVENANCE),
        ("sigstore/cosign-v3-blob.txt", "sigstore/cosign-v3-blob.sigstore.json"),
    ] {
        let mut bytes = std::fs::read(published(package)).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        let altered = fixture.write(package.rsplit('/').next().unwrap(), &bytes);
        let said = verify(&[&altered, "--attestations", &published(attestation)]);
        said.assert_result(1, "mismatch", &["package.digest"], package);
    }
}

#[test]
fn each_wrong_part_of_an_identity_is_found() {
    let fixture = AttestationsFixture::new();
    for (from, to) in [
        ("sigstore/sigstore-js", "sigstore/sigstore-jz"),
        ("refs/heads/main", "refs/tags/*"),
        ("release.yml", "ci.yml"),
        ("runner/github-hosted", "runner/self-hosted"),
        ("ref =", "issuer = \"https://gitlab.com\"\nref ="),
        ("ref =", "identity = \"mallory@example.org\"\nref ="),
        ("ref =", "environment = \"production\"\nref ="),
    ] {
        let said = npm(&fixture, &published(NPM_PROVENANCE), &NPM_RULE.replacen(from, to, 1));
        said.assert_result(1, "mismatch", &["package.identity"], to);
    }
}

#[test]
fn a_wrong_root_and_one_that_had_ended_are_found() {
    let fixture = AttestationsFixture::new();
    let other = published("sigstore/other-root.json");
    let args = [&*published(NPM), "--attestations", &published(NPM_PROVENANCE)];
    let said = verify(&[&args[..], &["--trusted-root", &other]].concat());
    said.assert_result(2, "detected", &[], "another root");
    assert_eq!(said.codes(|_| true), ["package.root"]);
    assert_eq!(said.json["trust"]["source"], "file");
    // Sigstore's logs with the authorities of another.
    let other: Value = published_json("sigstore/other-root.json");
    let root = sigstore_trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;
    let mut mixed: Value = serde_json::from_str(root).unwrap();
    mixed["certificateAuthorities"] = other["certificateAuthorities"].clone();
    mixed["certificateAuthorities"][0]["validFor"]["start"] = json!("2021-01-01T00:00:00Z");
    let mixed = fixture.write("mixed.json", mixed.to_string().as_bytes());
    let said = verify(&[&args[..], &["--trusted-root", &mixed]].concat());
    said.assert_result(1, "mismatch", &["package.certificate"], "another authority");
    // Sigstore's own root, its authorities ended before the signature.
    let same = fixture.write("same.json", root.as_bytes());
    let args = [&args[..], &["--trusted-root", &same]].concat();
    verify(&args).assert_result(2, "detected", &[], "the same root from a file");
    let mut root: Value = serde_json::from_str(root).unwrap();
    for authority in root["certificateAuthorities"].as_array_mut().unwrap() {
        authority["validFor"]["end"] = json!("2023-01-01T00:00:00Z");
    }
    fixture.write("same.json", root.to_string().as_bytes());
    verify(&args).assert_result(1, "mismatch", &["package.expired"], "an ended root");
}

#[test]
fn a_truncated_attestation_is_found_at_each_length() {
    let fixture = AttestationsFixture::new();
    let whole = std::fs::read(published(NPM_PROVENANCE)).unwrap();
    let end = whole.iter().rposition(|byte| *byte == b'}').unwrap();
    for length in (0..end).step_by(end / 12).chain([end]) {
        let cut = fixture.write("cut.sigstore.json", &whole[..length]);
        npm(&fixture, &cut, NPM_RULE).assert_result(
            1,
            "mismatch",
            &["package.malformed"],
            &length.to_string(),
        );
    }
}

#[test]
fn a_swapped_attestation_is_found() {
    let fixture = AttestationsFixture::new();
    let said =
        sdist(&fixture, &published("pypi/rfc8785-0.1.2-py3-none-any.whl.publish.attestation"));
    said.assert_result(1, "mismatch", &["package.subject"], "of another project");
    npm(&fixture, &published(SLSA), NPM_RULE).assert_result(
        1,
        "mismatch",
        &["package.subject"],
        "of PyPI",
    );
    // The same contents under another name.
    let renamed = fixture.write("other-0.0.19.tar.gz", &std::fs::read(published(SDIST)).unwrap());
    let said = verify(&[&renamed, "--attestations", &published(PUBLISH)]);
    said.assert_result(1, "mismatch", &["package.subject"], "renamed");
}

#[test]
fn a_signature_of_another_statement_is_found() {
    let fixture = AttestationsFixture::new();
    let other = published_json(SLSA);
    let swapped = fixture.changed(PUBLISH, "a.attestation", |it| {
        it["envelope"]["signature"] = other["envelope"]["signature"].clone();
    });
    sdist(&fixture, &swapped).assert_result(
        1,
        "mismatch",
        &["package.signature"],
        "another signature",
    );
    let swapped = fixture.changed(PUBLISH, "a.attestation", |it| {
        let entries = &other["verification_material"]["transparency_entries"];
        it["verification_material"]["transparency_entries"] = entries.clone();
    });
    let said = sdist(&fixture, &swapped);
    said.assert_result(1, "mismatch", &["package.replayed"], "another entry of the log");
}

#[test]
fn an_attestation_that_is_not_in_the_log_is_found() {
    let fixture = AttestationsFixture::new();
    let entry = "verificationMaterial";
    let without = fixture.changed(NPM_PROVENANCE, "a.sigstore.json", |it| {
        it[entry]["tlogEntries"] = json!([]);
    });
    npm(&fixture, &without, NPM_RULE).assert_result(1, "mismatch", &["package.log"], "no entry");
    let other = fixture.changed(NPM_PROVENANCE, "a.sigstore.json", |it| {
        let proof = &mut it[entry]["tlogEntries"][0]["inclusionProof"];
        proof["hashes"][0] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    });
    npm(&fixture, &other, NPM_RULE).assert_result(
        1,
        "mismatch",
        &["package.log"],
        "another branch",
    );
    let promise = fixture.changed(NPM_PROVENANCE, "a.sigstore.json", |it| {
        it[entry]["tlogEntries"][0]["integratedTime"] = json!("1692640246");
    });
    let said = npm(&fixture, &promise, NPM_RULE);
    assert_eq!((said.exit, said.level()), (1, "mismatch"), "another time: {:#}", said.json);
}

#[test]
fn a_publisher_that_the_certificate_does_not_prove_is_found() {
    let fixture = AttestationsFixture::new();
    for (member, other) in [("repository", "mallory/pypi-attestations"), ("workflow", "ci.yml")] {
        let lie = fixture.changed(PROVENANCE, "a.provenance", |it| {
            it["attestation_bundles"][0]["publisher"][member] = json!(other);
        });
        sdist(&fixture, &lie).assert_result(1, "mismatch", &["package.statement"], member);
    }
    let kind = fixture.changed(PROVENANCE, "a.provenance", |it| {
        it["attestation_bundles"][0]["publisher"] = json!({"kind": "Google", "email": "a@b.c"});
    });
    sdist(&fixture, &kind).assert_result(1, "mismatch", &["package.statement"], "kind");
}

#[test]
fn known_attacks_on_bundles_are_found() {
    // What they were signed for is not published; its digest is in them.
    for (bundle, digest, code) in [
        (
            "bundle_cve_2022_36056.txt.sigstore",
            "c87b5b213ab08b32970c106d0c7e4423e67f5449c2fd2d1e9b4ea6cc43b6ee7c",
            "package.replayed",
        ),
        (
            "bundle_no_checkpoint.txt.sigstore",
            "802dd60ff88333802f2585e73043bd21c341285e1992fe5b31755e1cadeae30e",
            "package.log",
        ),
        (
            "bundle_no_log_entry.txt.sigstore",
            "9b469fc9761e8b933073b62725fbc98b549c3314199ded71cc8b286ef2c6fb9b",
            "package.log",
        ),
    ] {
        let fixture = AttestationsFixture::new();
        let lock = format!("a==1 --hash=sha256:{digest}\n");
        let lock = fixture.write("requirements.txt", lock.as_bytes());
        let bundle = published(&format!("sigstore/{bundle}"));
        let root = sigstore_trust_root::SIGSTORE_STAGING_TRUSTED_ROOT;
        let root = fixture.write("root.json", root.as_bytes());
        let args = ["--lock", &lock, "--attestations", &bundle, "--trusted-root", &root];
        let said = verify(&args);
        said.assert_result(1, "mismatch", &[code], &bundle);
    }
}

#[test]
fn no_changed_byte_of_an_attestation_is_verified_and_none_does_harm() {
    let fixture = AttestationsFixture::new();
    let whole = std::fs::read(published(PUBLISH)).unwrap();
    let (spec, package) = (fixture.spec(SDIST_RULE), fixture.copy(SDIST));
    for at in (0..whole.len()).step_by(211) {
        for change in [1, 0x20] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            let bad = fixture.write("bad.attestation", &bytes);
            let said = verify(&[&package, "--attestations", &bad, "--expect", &spec]);
            // A log's index, or a name that nobody reads, may be free to change.
            assert!([0, 1].contains(&said.exit), "byte {at}: {} {}", said.exit, said.stderr);
            let same: Option<Value> = serde_json::from_slice(&bytes).ok();
            if said.exit == 0 {
                let same = same.unwrap();
                assert_eq!(same["envelope"], published_json(PUBLISH)["envelope"], "byte {at}");
            }
        }
    }
}
