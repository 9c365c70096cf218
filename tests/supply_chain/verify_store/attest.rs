//! `provenanced attest --build` of what a real nix built, compared with what
//! nix itself says of the build, and verified by provctl and by cosign.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use base64ct::{Base64, Encoding as _};
use serde_json::Value;

use super::{harness::NixStoreFixture, peers, writable};
use crate::common::{
    programs::{PROVCTL, PROVENANCED, keygen},
    settings::trusted_key,
};

impl NixStoreFixture {
    pub(crate) fn keys(&self) {
        let folder = self.dir.path();
        keygen(folder, "signing");
        let settings = format!(
            "client = \"c\"\nhost = \"h\"\ntier = \"professional\"\nstate_dir = \"{}\"\n\
             signing_key = \"{}\"\n",
            self.text("state"),
            self.text("signing.key")
        );
        fs::write(folder.join("p.toml"), settings).unwrap();
        let key = fs::read_to_string(folder.join("signing.pub")).unwrap();
        let policy = |client: &str| {
            format!(
                "client = \"{client}\"
{}",
                trusted_key("k", &key)
            )
        };
        fs::write(folder.join("policy.toml"), policy("c")).unwrap();
        fs::write(folder.join("other.toml"), policy("d")).unwrap();
    }

    pub(crate) fn attest(&self, path: &str, out: &str) -> Output {
        let (config, out) = (self.text("p.toml"), self.text(out));
        Command::new(PROVENANCED)
            .args(["attest", "--config", &config, "--build", path, "--out", &out, "--json"])
            .args(["--nix-db", &self.database(), "--root", &self.text("store")])
            .output()
            .unwrap()
    }

    fn judge(&self, file: &str, policy: &str, root: &str) -> (i32, Vec<String>) {
        let ran = Command::new(PROVCTL)
            .args(["verify", &self.text(file), "--policy", &self.text(policy)])
            .args(["--root", root, "--json"])
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| {
            panic!("{}", String::from_utf8_lossy(&ran.stderr));
        });
        let codes = report["findings"].as_array().unwrap().iter();
        let codes = codes.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect();
        (ran.status.code().unwrap(), codes)
    }

    pub(crate) fn statement(&self, file: &str) -> Value {
        let envelope: Value = serde_json::from_slice(&fs::read(self.text(file)).unwrap()).unwrap();
        let payload = envelope["dsseEnvelope"]["payload"].as_str().unwrap();
        serde_json::from_slice(&Base64::decode_vec(payload).unwrap()).unwrap()
    }

    /// The NAR, as nix writes it.
    pub(crate) fn dump(&self, path: &str) -> PathBuf {
        let nar = self.dir.path().join("path.nar");
        fs::write(&nar, self.nix(&["store", "dump-path", path]).stdout).unwrap();
        nar
    }

    /// What nix says that the build was given.
    fn given(&self, path: &str) -> BTreeSet<String> {
        let all: Value =
            serde_json::from_str(&self.ok(&["derivation", "show", "-r", path])).unwrap();
        let all = all.get("derivations").unwrap_or(&all).as_object().unwrap();
        let made = |drv: &Value, output: &str| drv["outputs"][output]["path"].clone();
        let this = all.values().find(|drv| made(drv, "out") == path).unwrap();
        let inputs = this["inputDrvs"].as_object().unwrap().iter();
        let built = inputs.flat_map(|(drv, how)| {
            let outputs = how["outputs"].as_array().unwrap_or_else(|| how.as_array().unwrap());
            outputs.iter().map(|output| made(&all[drv], output.as_str().unwrap()))
        });
        let sources = this["inputSrcs"].as_array().unwrap().iter().cloned();
        built.chain(sources).map(|path| path.as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn a_build_is_attested_as_nix_knows_it_and_stock_cosign_verifies_it() {
    let Some(fixture) = NixStoreFixture::new() else { return };
    fixture.keys();
    let made = fixture.attest(&fixture.system, "a.json");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let statement = fixture.statement("a.json");
    let nar = fixture.dump(&fixture.system);
    let digest = |bytes: &[u8]| provenance_core::encoding::digest::Digest::sha256(bytes).to_hex();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    assert_eq!(statement["subject"][0]["name"], *fixture.system);
    assert_eq!(statement["subject"][0]["digest"]["sha256"], digest(&fs::read(&nar).unwrap()));
    let build = &statement["predicate"]["buildDefinition"];
    let derivation = &build["externalParameters"]["derivation"];
    let drv = derivation["name"].as_str().unwrap();
    assert_eq!(drv, fixture.ok(&["path-info", "--derivation", &fixture.system]).trim());
    assert_eq!(derivation["digest"]["sha256"], digest(&fs::read(fixture.real(drv)).unwrap()));
    let dependencies = build["resolvedDependencies"].as_array().unwrap();
    let names: BTreeSet<String> =
        dependencies.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, fixture.given(&fixture.system));
    assert_eq!(names.len(), 3);
    for dependency in dependencies {
        let path = dependency["name"].as_str().unwrap();
        assert_eq!(dependency["digest"]["sha256"], digest(&fs::read(fixture.dump(path)).unwrap()));
    }
    let root = fixture.text("store");
    assert_eq!(fixture.judge("a.json", "policy.toml", &root), (0, vec![]));
    assert_eq!(fixture.judge("a.json", "other.toml", &root), (1, vec!["policy.client".into()]));
    // Elsewhere the contents cannot be looked at.
    assert_eq!(fixture.judge("a.json", "policy.toml", &fixture.text("nowhere")), (2, vec![]));

    let Some(cosign) = peers::find("cosign") else { return };
    let verify = |blob: &PathBuf| {
        Command::new(&cosign)
            .args(["verify-blob-attestation", "--insecure-ignore-tlog", "--type"])
            .args(["slsaprovenance1", "--key", &fixture.text("signing.pub")])
            .args(["--bundle", &fixture.text("a.json")])
            .arg(blob)
            .output()
            .unwrap()
    };
    let nar = fixture.dump(&fixture.system);
    let ran = verify(&nar);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let mut bytes = fs::read(&nar).unwrap();
    bytes[100] ^= 1;
    fs::write(&nar, bytes).unwrap();
    assert!(!verify(&nar).status.success());
}

#[test]
fn what_was_changed_behind_the_attestation_is_found() {
    let Some(fixture) = NixStoreFixture::new() else { return };
    fixture.keys();
    let part = fixture.path("part-2.0");
    assert!(fixture.attest(&part, "a.json").status.success());
    let root = fixture.text("store");
    assert_eq!(fixture.judge("a.json", "policy.toml", &root), (0, vec![]));
    let good = fs::read(fixture.text("a.json")).unwrap();
    for at in (0..good.len()).step_by(41) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(fixture.text("bad.json"), bad).unwrap();
        let ran = Command::new(PROVCTL)
            .args(["verify", &fixture.text("bad.json"), "--policy", &fixture.text("policy.toml")])
            .args(["--root", &root])
            .output()
            .unwrap();
        // One that no longer begins as an attestation is no evidence at all.
        assert!(matches!(ran.status.code(), Some(1 | 65)), "byte {at}: {ran:?}");
    }
    let file = fixture.real(&part).join("eight");
    writable(&file);
    fs::write(&file, "87654321").unwrap();
    assert_eq!(fixture.judge("a.json", "policy.toml", &root), (1, vec!["nix.altered".into()]));
    // Nor is it attested any more.
    let ran = fixture.attest(&part, "b.json");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(65), "{said}");
    assert!(said.contains("was changed") && !fixture.dir.path().join("b.json").exists(), "{said}");
}

#[test]
fn what_was_not_built_here_or_is_no_longer_known_is_not_attested() {
    let Some(fixture) = NixStoreFixture::new() else { return };
    fixture.keys();
    let refused = |path: &str, code: i32, words: &str| {
        let ran = fixture.attest(path, "a.json");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{words}: {said}");
        assert!(!fixture.dir.path().join("a.json").exists(), "{words}");
    };
    refused("/nix/store/none", 66, "no valid path");
    refused(&fixture.path("text-1.0"), 65, "not built on this machine");
    let part = fixture.path("part-2.0");
    fixture.sql(&format!("UPDATE ValidPaths SET ultimate = 0 WHERE path = '{part}'"));
    refused(&part, 65, "not built on this machine");
    fixture.sql("UPDATE ValidPaths SET ultimate = 1");
    // What it was built from is gone from the store's books.
    let source = fixture.path("source-1.0");
    fixture.sql(&format!("UPDATE ValidPaths SET path = path || 'x' WHERE path = '{source}'"));
    refused(&fixture.system, 65, "no longer in the store");
    fixture.sql(&format!("UPDATE ValidPaths SET path = '{source}' WHERE path = '{source}x'"));
    // Its derivation is another one, or gone.
    let drv = fixture.ok(&["path-info", "--derivation", &fixture.system]);
    let file = fixture.real(drv.trim());
    writable(&file);
    let good = fs::read_to_string(&file).unwrap();
    let bad = good.replace("echo", "ecco");
    assert_ne!(good, bad);
    fs::write(&file, bad).unwrap();
    refused(&fixture.system, 65, "its name holds");
    fs::remove_file(&file).unwrap();
    refused(&fixture.system, 65, "no longer in the store");
    fs::write(&file, good).unwrap();
    // A file that is there already stays.
    fs::write(fixture.text("kept.json"), "mine").unwrap();
    assert_eq!(fixture.attest(&fixture.system, "kept.json").status.code(), Some(64));
    assert_eq!(fs::read(fixture.text("kept.json")).unwrap(), b"mine");
    assert!(fixture.attest(&fixture.system, "a.json").status.success());
}
