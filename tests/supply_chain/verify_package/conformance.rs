//! The client of Sigstore's conformance suite (tests/conformance/client.rs), by
//! the suite's protocol over some of the published bundles. The suite itself is
//! run by hand: docs/packages.md says how.

use std::{path::Path, process::Command};

use super::{
    harness::{AttestationsFixture, published},
    peers,
};

fn client(args: &[&str]) -> Option<(bool, String)> {
    let beside = Path::new(env!("CARGO_BIN_EXE_provctl")).parent().unwrap();
    let client = beside.join("examples/sigstore-conformance");
    if !client.is_file() {
        peers::missing("the conformance client; a run of all targets builds it");
        return None;
    }
    let ran = Command::new(client).arg("verify-bundle").args(args).output().unwrap();
    Some((ran.status.success(), String::from_utf8(ran.stderr).unwrap()))
}

const IDENTITY: [&str; 4] = [
    "--certificate-identity",
    "https://github.com/prefix-dev/sigstore-example/.github/workflows/action.yaml@refs/heads/main",
    "--certificate-oidc-issuer",
    "https://token.actions.githubusercontent.com",
];

#[test]
fn the_conformance_client_speaks_the_suites_protocol() {
    let bundle = published("sigstore/conda-attestation.sigstore.json");
    let artifact = published("sigstore/signed-package-2.1.0-hb0f4dca_0.conda");
    let digest = "sha256:54303491a8418fbed24344b513546182c29b43bf282ceb433af65e2299f9271f";
    let with = |identity: &[&str], artifact: &str| {
        client(&[&["--bundle", &bundle], identity, &[artifact]].concat())
    };
    let Some(good) = with(&IDENTITY, &artifact) else { return };
    assert!(good.0, "{}", good.1);
    assert!(with(&IDENTITY, digest).unwrap().0, "by its digest");
    let other = with(&IDENTITY, &digest.replace("543", "544")).unwrap();
    assert!(!other.0 && other.1.contains("package.digest"), "{}", other.1);
    let mut mallory = IDENTITY;
    mallory[1] = "mallory@example.org";
    let other = with(&mallory, &artifact).unwrap();
    assert!(!other.0 && other.1.contains("package.identity"), "{}", other.1);
    let staging =
        client(&[&["--staging", "--bundle", &bundle], &IDENTITY[..], &[&artifact]].concat());
    assert!(!staging.unwrap().0, "of another instance");
    let fixture = AttestationsFixture::new();
    let root = sigstore_trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;
    let root = fixture.write("root.json", root.as_bytes());
    let with_root = [&["--bundle", &bundle], &IDENTITY[..], &["--trusted-root", &root, &artifact]];
    assert!(client(&with_root.concat()).unwrap().0, "with its root from a file");
}

#[test]
fn the_conformance_client_verifies_by_a_key() {
    let of = |name: &str| published(&format!("sigstore/managed-key/{name}"));
    let bundle = of("bundle.sigstore.json");
    let with = |key: &str, artifact: &str| client(&["--bundle", &bundle, "--key", key, artifact]);
    let Some(good) = with(&of("key.pub"), &of("artifact.txt")) else { return };
    assert!(good.0, "{}", good.1);
    assert!(!with(&of("key.pub"), &of("key.pub")).unwrap().0, "another artifact");
    let fixture = AttestationsFixture::new();
    let other = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1Olb3zMAFFxXKHiIkQO5cJ3Yhl5i\n6UPp+IhuteBJbuHcA5UogKo0EWtlWwW6KSaKoTNEYL7JlCQiVnkhBktUgg==\n-----END PUBLIC KEY-----\n";
    let other = fixture.write("other.pub", other.as_bytes());
    assert!(!with(&other, &of("artifact.txt")).unwrap().0, "another key");
}
