//! What others say of the same attestations: cosign, and PyPI's own program.

use std::process::Command;

use super::{
    harness::{AttestationsFixture, NPM, NPM_PROVENANCE, NPM_RULE, SDIST, published, verify},
    peers,
};

#[test]
fn cosign_agrees_on_npms_provenance() {
    let Some(cosign) = peers::find("cosign") else { return };
    let fixture = AttestationsFixture::new();
    let root = sigstore_trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;
    let root = fixture.write("root.json", root.as_bytes());
    let good =
        "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main";
    let bad = good.replace("main", "mallory");
    for (identity, expected) in [(good, true), (&*bad, false)] {
        let ran = Command::new(&cosign)
            .args(["verify-blob-attestation", "--bundle", &published(NPM_PROVENANCE)])
            .args(["--new-bundle-format", "--trusted-root", &root, "--type", "slsaprovenance1"])
            .args(["--certificate-identity", identity])
            .args(["--certificate-oidc-issuer", "https://token.actions.githubusercontent.com"])
            .args(["--offline", "--digestAlg", "sha512"])
            .args(["--digest", DIGEST])
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.success(), expected, "{identity}: {stderr}");
        let rule = format!("{NPM_RULE}identity = \"{identity}\"\n");
        let said = verify(&[
            &published(NPM),
            "--attestations",
            &published(NPM_PROVENANCE),
            "--trusted-root",
            &root,
            "--expect",
            &fixture.spec(&rule),
        ]);
        assert_eq!(said.exit == 0, expected, "{:#}", said.json);
    }
}

const DIGEST: &str = "46d4e2f74c4877316640000a6fdf8a8b59f1e0847667973e9859f774dd31b8f1e0937813b777fb66a2ac67d50540fe34640966eee9fc2ccca387082b4c85cd3c";

#[test]
fn pypis_own_program_agrees_on_provenance() {
    let Some(program) = peers::find("pypi-attestations") else { return };
    let fixture = AttestationsFixture::new();
    let package = fixture.copy(SDIST);
    let provenance = published(&format!("{SDIST}.provenance"));
    let mut altered = std::fs::read(&package).unwrap();
    altered[100] ^= 1;
    let altered = fixture.write("altered/pypi_attestations-0.0.19.tar.gz", &altered);
    for (package, owner, expected) in [
        (&package, "trailofbits", true),
        (&package, "mallory", false),
        (&altered, "trailofbits", false),
    ] {
        let repository = format!("https://github.com/{owner}/pypi-attestations");
        let ran = Command::new(&program)
            .args(["verify", "pypi", "--offline", "--repository", &repository])
            .args(["--provenance-file", &provenance, package])
            .env("HOME", fixture.dir.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.success(), expected, "{owner} {package}: {stderr}");
        let spec = format!("[[package]]\nname = \"pypi:*\"\nrepository = \"{repository}\"\n");
        let spec = fixture.spec(&spec);
        let said = verify(&[package, "--attestations", &provenance, "--expect", &spec]);
        assert_eq!(said.exit == 0, expected, "{owner} {package}: {:#}", said.json);
    }
}
