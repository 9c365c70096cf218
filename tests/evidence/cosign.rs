//! What is signed here holds for stock tools: cosign and openssl, with keys
//! that openssl made, and does not hold once anything was changed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use base64ct::{Base64, Encoding as _};
use ed25519_dalek::{
    Signer as _, SigningKey,
    pkcs8::{DecodePrivateKey as _, EncodePublicKey as _},
};
use provenance_core::{
    encoding::{digest::Digest, json::Value, time::Timestamp},
    signing::{dsse, sigstore_bundle},
    statement::evidence::{
        ChainRange, Collector, Evidence, Link, PREDICATE_TYPE, Statement, Subject,
    },
};
use tempfile::TempDir;

use crate::common::peers;

const ARTIFACTS: [(&str, &[u8]); 3] = [
    ("artifacts/chain/2026/11/21.jsonl", b"{\"seq\":0}\n{\"seq\":1}\n"),
    ("artifacts/empty", b""),
    ("artifacts/r\u{e9}port 1.bin", &[0, 255, 10, 13]),
];

#[test]
fn cosign_verifies_each_artifact() {
    let Some(cosign) = peers::find("cosign") else { return };
    let Some(bundle) = Bundle::new() else { return };
    for (name, _) in ARTIFACTS {
        let output = bundle.cosign(&cosign, &bundle.path("K.pub"), &bundle.path(name));
        assert!(says_verified(&output), "{name}: {output:?}");
    }
}

#[test]
fn cosign_refuses_an_artifact_with_one_byte_changed_or_added() {
    let Some(cosign) = peers::find("cosign") else { return };
    let Some(bundle) = Bundle::new() else { return };
    for (name, bytes) in ARTIFACTS {
        let mut changed = bytes.to_vec();
        match changed.last_mut() {
            Some(byte) => *byte ^= 1,
            None => changed.push(b'\n'),
        }
        fs::write(bundle.path(name), changed).unwrap();
        let output = bundle.cosign(&cosign, &bundle.path("K.pub"), &bundle.path(name));
        assert!(refused(&output, "artifact digests do not match"), "{name}: {output:?}");
    }
}

#[test]
fn cosign_refuses_another_key() {
    let Some(cosign) = peers::find("cosign") else { return };
    let Some(bundle) = Bundle::new() else { return };
    let other = bundle.generate("other");
    let output = bundle.cosign(&cosign, &other, &bundle.path(ARTIFACTS[0].0));
    assert!(refused(&output, "accepted signatures do not match"), "{output:?}");
}

#[test]
fn cosign_refuses_a_payload_that_was_changed_to_fit_a_changed_artifact() {
    let Some(cosign) = peers::find("cosign") else { return };
    let Some(bundle) = Bundle::new() else { return };
    let (name, bytes) = ARTIFACTS[0];
    fs::write(bundle.path(name), b"forged").unwrap();

    let path = bundle.path("statement.sigstore.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let payload = &mut json["dsseEnvelope"]["payload"];
    let text = String::from_utf8(Base64::decode_vec(payload.as_str().unwrap()).unwrap()).unwrap();
    let forged = text.replace(&Digest::sha256(bytes).to_hex(), &Digest::sha256(b"forged").to_hex());
    assert_ne!(forged, text);
    *payload = Base64::encode_string(forged.as_bytes()).into();
    fs::write(&path, json.to_string()).unwrap();

    let output = bundle.cosign(&cosign, &bundle.path("K.pub"), &bundle.path(name));
    assert!(refused(&output, "accepted signatures do not match"), "{output:?}");
}

#[test]
fn cosign_refuses_another_predicate_type() {
    let Some(cosign) = peers::find("cosign") else { return };
    let Some(bundle) = Bundle::new() else { return };
    let artifact = bundle.path(ARTIFACTS[0].0);
    let output =
        bundle.cosign_as("https://example.com/v1", &cosign, &bundle.path("K.pub"), &artifact);
    assert!(refused(&output, "invalid predicate type"), "{output:?}");
}

#[test]
fn openssl_verifies_the_signature_and_refuses_a_changed_statement() {
    let Some(bundle) = Bundle::new() else { return };
    let signature = fs::read_to_string(bundle.path("statement.json.sig")).unwrap();
    let raw = Base64::decode_vec(signature.trim_end()).unwrap();
    fs::write(bundle.path("sig.raw"), raw).unwrap();
    let verify = |statement: &str| {
        let mut command = Command::new(&bundle.openssl);
        command.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey"]);
        command.arg(bundle.path("K.pub")).arg("-sigfile").arg(bundle.path("sig.raw"));
        command.arg("-in").arg(bundle.path(statement));
        command.output().unwrap()
    };
    let good = verify("statement.json");
    assert!(good.status.success(), "{good:?}");

    let changed = fs::read_to_string(bundle.path("statement.json")).unwrap();
    fs::write(bundle.path("changed.json"), changed.replace("gate-1", "gate-2")).unwrap();
    let bad = verify("changed.json");
    assert!(!bad.status.success(), "{bad:?}");
}

/// A bundle's folder, signed by a key that openssl made.
struct Bundle {
    folder: TempDir,
    openssl: PathBuf,
}

impl Bundle {
    fn new() -> Option<Self> {
        let openssl = peers::find("openssl")?;
        let bundle = Self { folder: TempDir::new().unwrap(), openssl };
        bundle.generate("K");
        for (name, bytes) in ARTIFACTS {
            let path = bundle.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        bundle.sign();
        Some(bundle)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// NAME.key and NAME.pub by openssl; gives the path of the second.
    fn generate(&self, name: &str) -> PathBuf {
        let (secret, public) =
            (self.path(&format!("{name}.key")), self.path(&format!("{name}.pub")));
        let run = |command: &mut Command| assert!(command.status().unwrap().success());
        let mut openssl = Command::new(&self.openssl);
        run(openssl.args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&secret));
        let mut openssl = Command::new(&self.openssl);
        run(openssl.args(["pkey", "-pubout", "-in"]).arg(&secret).arg("-out").arg(&public));
        public
    }

    fn sign(&self) {
        let pem = fs::read_to_string(self.path("K.key")).unwrap();
        let secret = SigningKey::from_pkcs8_pem(&pem).unwrap();
        let spki = secret.verifying_key().to_public_key_der().unwrap();
        let sign = |bytes: &[u8]| secret.sign(bytes).to_bytes();
        let statement = statement().encode().unwrap();
        let bundle = sigstore_bundle::sign(&statement, &Digest::sha256(spki.as_bytes()), &sign);
        fs::write(self.path("statement.json.sig"), dsse::sign_detached(&statement, &sign)).unwrap();
        fs::write(self.path("statement.sigstore.json"), bundle).unwrap();
        fs::write(self.path("statement.json"), statement).unwrap();
    }

    fn cosign(&self, cosign: &Path, key: &Path, artifact: &Path) -> Output {
        self.cosign_as(PREDICATE_TYPE, cosign, key, artifact)
    }

    /// As docs/format.md tells an auditor to, in an environment of its own.
    fn cosign_as(&self, kind: &str, cosign: &Path, key: &Path, artifact: &Path) -> Output {
        let mut command = Command::new(cosign);
        command.env("HOME", self.folder.path());
        command.args(["verify-blob-attestation", "--insecure-ignore-tlog", "--type", kind]);
        command.arg("--key").arg(key);
        command.arg("--bundle").arg(self.path("statement.sigstore.json"));
        command.arg(artifact).output().unwrap()
    }
}

fn says_verified(output: &Output) -> bool {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    output.status.success() && String::from_utf8_lossy(&text).contains("Verified OK")
}

/// Refused, and for this reason: not because the command line was wrong.
fn refused(output: &Output, reason: &str) -> bool {
    !output.status.success() && String::from_utf8_lossy(&output.stderr).contains(reason)
}

fn statement() -> Statement {
    let time = |text: &[u8]| Timestamp::parse(text).unwrap();
    let subject =
        |(name, bytes): (&str, &[u8])| Subject { name: name.into(), sha256: Digest::sha256(bytes) };
    let link = Link { seq: 0, hash: Digest::sha256(b"first") };
    Statement {
        subjects: ARTIFACTS.into_iter().map(subject).collect(),
        evidence: Evidence {
            bundle: "EB-20261121-0001".parse().unwrap(),
            client: "clinic-001".into(),
            host: "gate-1".into(),
            tier: "professional".into(),
            from: time(b"2026-11-21T00:00:00.000000000Z"),
            to: time(b"2026-11-21T04:20:00.000000000Z"),
            controls: vec!["164.312(b)".into()],
            reason: "test".into(),
            chain: ChainRange { id: "0".repeat(32), first: link, last: link },
            clock: Value::object([("verdict", "agreed".into())]),
            collector: Collector { name: "provenanced".into(), version: "0.1.0".into() },
            signed: true,
        },
    }
}
