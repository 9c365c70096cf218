//! Somebody who asks, and appliances whose people answer.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::common::{
    programs::{PROVCTL, PROVENANCED, assert_success, json, keygen},
    settings::{settings, trusted_key},
};

pub(crate) const SIGNING_FILE: &str = "countersignatures.jsonl";

pub(crate) struct CountersignFixture {
    dir: tempfile::TempDir,
}

impl CountersignFixture {
    /// A package by anna, and an appliance with its daemon's records for each
    /// of `people`, all of whom the policy trusts.
    pub(crate) fn new(people: &[&str]) -> Self {
        let fixture = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(fixture.path("left-pad/lib")).unwrap();
        fs::write(fixture.path("left-pad/package.json"), "{\"version\":\"1.3.0\"}").unwrap();
        fs::write(fixture.path("left-pad/lib/index.js"), "module.exports = 1\n").unwrap();
        std::os::unix::fs::symlink("lib/index.js", fixture.path("left-pad/main")).unwrap();
        fs::create_dir(fixture.path("log")).unwrap();
        fs::write(fixture.path("log/a.log"), "one\n").unwrap();
        fixture.key("anna");
        for person in people {
            fixture.key(person);
            let key = fixture.path(&format!("{person}.key"));
            let state = fixture.path(&format!("{person}-state"));
            let (who, watch) = (("clinic", *person), fixture.path("log/**"));
            let settings = settings(who, "professional", &state, Some(&key), &watch);
            fs::write(fixture.path(&format!("{person}.toml")), settings).unwrap();
            let config = fixture.text(&format!("{person}.toml"));
            assert_success(&fixture.provenanced(&["run", "--config", &config, "--ticks", "1"]));
        }
        fixture.trust(people);
        fixture
    }

    fn key(&self, name: &str) {
        keygen(self.dir.path(), name);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The policy of who trusts these people, each with what is added to it.
    pub(crate) fn policy(&self, people: &[(&str, &str)]) {
        let each = people.iter().map(|(name, more)| {
            let key = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
            format!(
                "{}{more}
",
                trusted_key(name, &key)
            )
        });
        fs::write(self.path("policy.toml"), each.collect::<String>()).unwrap();
    }

    pub(crate) fn trust(&self, people: &[&str]) {
        self.policy(&people.iter().map(|name| (*name, "")).collect::<Vec<_>>());
    }

    pub(crate) fn provenanced(&self, args: &[&str]) -> Output {
        Command::new(PROVENANCED).args(args).env_remove("CREDENTIALS_DIRECTORY").output().unwrap()
    }

    pub(crate) fn provctl(&self, args: &[&str]) -> Output {
        Command::new(PROVCTL).args(args).current_dir(&self.dir).output().unwrap()
    }

    /// Somebody asks for signatures of what lies at `path`.
    pub(crate) fn try_request(&self, who: &str, path: &str, more: &[&str]) -> Output {
        let (path, key) = (self.text(path), self.text(&format!("{who}.pub")));
        let fixed = ["countersign-request", &path, "--author", who, "--key", &key];
        self.provctl(&[&fixed[..], more].concat())
    }

    pub(crate) fn request(&self, who: &str, path: &str) {
        let out = self.text("request.json");
        let more = ["--version", "1.3.0", "--out", &out];
        assert_success(&self.try_request(who, path, &more));
    }

    /// Somebody signs.
    pub(crate) fn try_sign(&self, who: &str, path: &str, more: &[&str]) -> Output {
        let args = self.signing(who, path);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.provenanced(&[&args[..], more].concat())
    }

    pub(crate) fn signing(&self, who: &str, path: &str) -> Vec<String> {
        let (config, request) = (self.text(&format!("{who}.toml")), self.text("request.json"));
        ["countersign", "--config", &config, "--request", &request, "--for", &self.text(path)]
            .into_iter()
            .chain(["--who", who, "--json"])
            .map(str::to_owned)
            .collect()
    }

    /// What was done, in a word.
    pub(crate) fn sign(&self, who: &str, path: &str) -> String {
        let ran = self.try_sign(who, path, &[]);
        assert_success(&ran);
        let value: Value = serde_json::from_slice(&ran.stdout).unwrap();
        value["did"].as_str().unwrap().to_owned()
    }

    /// The exit code, the codes of the findings, and the report.
    pub(crate) fn verify(&self, path: &str, more: &[&str]) -> (i32, Vec<String>, Value) {
        let (path, policy) = (self.text(path), self.text("policy.toml"));
        let fixed = ["verify-countersign", &path, "--policy", &policy, "--json"];
        let ran = self.provctl(&[&fixed[..], more].concat());
        let report = json(&ran);
        let codes = report["findings"].as_array().unwrap().iter();
        let codes = codes.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect();
        (ran.status.code().unwrap(), codes, report)
    }

    /// The counter-signatures on somebody's record.
    pub(crate) fn records(&self, who: &str) -> Vec<Value> {
        let state = self.text(&format!("{who}-state"));
        let ran = self.provctl(&["registry", "export", "--state", &state, "--kind", "countersign"]);
        assert_success(&ran);
        let lines = String::from_utf8(ran.stdout).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["data"].clone())
            .collect()
    }

    /// Somebody's whole state, with the key of the policy.
    pub(crate) fn chain_holds(&self, who: &str) {
        let (state, policy) = (self.text(&format!("{who}-state")), self.text("policy.toml"));
        assert_success(&self.provctl(&["verify-chain", "--state", &state, "--policy", &policy]));
    }
}

/// The statements in a file of signatures.
pub(crate) fn statements(file: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(file).unwrap();
    let lines = provenance_core::statement::countersignature::lines(&bytes);
    lines
        .map(|(_, line)| {
            let bundle =
                provenance_core::signing::sigstore_bundle::SigstoreBundle::parse(line.unwrap());
            bundle.unwrap().payload().to_vec()
        })
        .collect()
}
