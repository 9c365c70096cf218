//! npm's registry signatures, with a key that openssl made, and its own keys.

use std::process::{Command, Stdio};
use std::{fs, io::Write as _};

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};

use super::{
    harness::{AttestationsFixture, NPM, NPM_RULE, published, verify},
    peers,
};

const INTEGRITY: &str = "INTEGRITY";

struct Registry {
    fixture: AttestationsFixture,
    openssl: std::path::PathBuf,
}

impl Registry {
    fn new() -> Option<Self> {
        let openssl = peers::find("openssl")?;
        let fixture = AttestationsFixture::new();
        let key = fixture.path("key.pem");
        let made = Command::new(&openssl)
            .args(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key])
            .status();
        assert!(made.unwrap().success());
        Some(Self { fixture, openssl })
    }

    fn run(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new(&self.openssl)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}");
        output.stdout
    }

    fn keys(&self, id: &str, expires: Value) -> String {
        let key = self.fixture.path("key.pem");
        let der = self.run(&["ec", "-in", &key, "-pubout", "-outform", "DER"], b"");
        let keys = json!({"keys": [{"expires": expires, "keyid": id, "keytype": "ecdsa-sha2-nistp256",
            "scheme": "ecdsa-sha2-nistp256", "key": Base64::encode_string(&der)}]});
        self.fixture.write("keys.json", keys.to_string().as_bytes())
    }

    /// Metadata of a version, signed over what it says; `signed` over something else.
    fn metadata(&self, version: &str, integrity: &str, signed: Option<&str>) -> Value {
        let message = format!("sigstore@{version}:{integrity}");
        let message = signed.unwrap_or(&message);
        let key = self.fixture.path("key.pem");
        let signature = self.run(&["dgst", "-sha256", "-sign", &key], message.as_bytes());
        json!({"name": "sigstore", "version": version, "dist": {"integrity": integrity,
            "signatures": [{"keyid": "SHA256:own", "sig": Base64::encode_string(&signature)}]}})
    }

    fn verify(&self, metadata: &Value, keys: &str, spec: &str) -> super::harness::Output {
        let file = self.fixture.write("metadata.json", metadata.to_string().as_bytes());
        let spec = self.fixture.spec(spec);
        verify(&[&published(NPM), "--attestations", &file, "--keys", keys, "--expect", &spec])
    }
}

fn integrity() -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha512::digest(fs::read(published(NPM)).unwrap());
    INTEGRITY.replace("INTEGRITY", &format!("sha512-{}", Base64::encode_string(&digest)))
}

#[test]
fn a_registrys_signature_by_a_key_that_was_brought_is_verified() {
    let Some(registry) = Registry::new() else { return };
    let keys = registry.keys("SHA256:own", Value::Null);
    let good = registry.metadata("2.0.0", &integrity(), None);
    registry.verify(&good, &keys, "").assert_result(0, "verified", &[], "its own key");
    // That the registry published it does not say where it was built.
    let said = registry.verify(&good, &keys, NPM_RULE);
    said.assert_result(1, "detected", &["package.level"], "and its source");
    let other = registry.keys("SHA256:other", Value::Null);
    let said = registry.verify(&good, &other, "");
    said.assert_result(2, "detected", &[], "another key");
    assert_eq!(said.codes(|_| true), ["package.key"]);
}

#[test]
fn a_registrys_signature_over_something_else_is_found() {
    let Some(registry) = Registry::new() else { return };
    let keys = registry.keys("SHA256:own", Value::Null);
    let bad = registry.metadata("2.0.0", &integrity(), Some("sigstore@2.0.0:sha512-other"));
    registry.verify(&bad, &keys, "").assert_result(
        1,
        "mismatch",
        &["package.signature"],
        "contents",
    );
    let other = integrity().replace("sha512-Rt", "sha512-Rs");
    assert_ne!(other, integrity());
    let bad = registry.metadata("2.0.0", &other, None);
    registry.verify(&bad, &keys, "").assert_result(1, "mismatch", &["package.digest"], "integrity");
    // The signature of another version, which the metadata have as well.
    let (mut here, there) =
        (registry.metadata("2.0.0", &integrity(), None), registry.metadata("1.9.0", &other, None));
    here["dist"]["signatures"] = there["dist"]["signatures"].clone();
    let all = json!({"name": "sigstore", "versions": {"1.9.0": there, "2.0.0": here}});
    registry.verify(&all, &keys, "").assert_result(
        1,
        "mismatch",
        &["package.replayed"],
        "replayed",
    );
}

#[test]
fn a_registrys_key_that_has_ended_counts_only_where_its_word_is_taken() {
    let Some(registry) = Registry::new() else { return };
    let keys = registry.keys("SHA256:own", json!("2025-01-29T00:00:00.000Z"));
    let version = registry.metadata("2.0.0", &integrity(), None);
    let at = |time: &str| json!({"versions": {"2.0.0": version.clone()}, "time": {"2.0.0": time}});
    let (before, after) = (at("2023-08-21T17:50:45.123Z"), at("2025-02-01T00:00:00.000Z"));
    let said = registry.verify(&before, &keys, "");
    said.assert_result(2, "detected", &[], "before, as it says");
    assert_eq!(said.codes(|_| true), ["package.time"]);
    registry.verify(&before, &keys, "stated_times = true").assert_result(
        0,
        "verified",
        &[],
        "believed",
    );
    registry.verify(&version, &keys, "stated_times = true").assert_result(
        2,
        "detected",
        &[],
        "unsaid",
    );
    registry.verify(&after, &keys, "").assert_result(1, "mismatch", &["package.expired"], "after");
}

#[test]
fn the_keys_of_npms_registry_as_sigstore_distributes_them_are_read() {
    let Some(registry) = Registry::new() else { return };
    let good = registry.metadata("2.0.0", &integrity(), None);
    let mut forged = good.clone();
    forged["dist"]["signatures"][0]["keyid"] =
        json!("SHA256:jl3bwswu80PjjokCgh0o2w5c2U4LhQAE57gj9cz1kzA");
    let said = registry.verify(&forged, &published("npm/keys.json"), "");
    said.assert_result(1, "mismatch", &["package.signature"], "not by npm's key");
}
