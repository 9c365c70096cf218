//! Somebody who asks, and appliances whose people answer.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

pub(crate) const PROVENANCED: &str = env!("CARGO_BIN_EXE_provenanced");
const PROVCTL: &str = env!("CARGO_BIN_EXE_provctl");
pub(crate) const SIGNING_FILE: &str = "countersignatures.jsonl";

pub(crate) struct World {
    dir: tempfile::TempDir,
}

impl World {
    /// A package by anna, and an appliance with its daemon's records for each
    /// of `people`, all of whom the policy trusts.
    pub(crate) fn new(people: &[&str]) -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(world.path("left-pad/lib")).unwrap();
        fs::write(world.path("left-pad/package.json"), "{\"version\":\"1.3.0\"}").unwrap();
        fs::write(world.path("left-pad/lib/index.js"), "module.exports = 1\n").unwrap();
        std::os::unix::fs::symlink("lib/index.js", world.path("left-pad/main")).unwrap();
        fs::create_dir(world.path("log")).unwrap();
        fs::write(world.path("log/a.log"), "one\n").unwrap();
        world.key("anna");
        for person in people {
            world.key(person);
            let settings = format!(
                "client = \"clinic\"\nhost = \"{person}\"\ntier = \"professional\"\n\
                 state_dir = \"{}\"\nsigning_key = \"{}\"\n[chain]\ninterval_s = 1\n\
                 watch = [\"{}/**\"]\njournal = false\n",
                world.text(&format!("{person}-state")),
                world.text(&format!("{person}.key")),
                world.text("log")
            );
            fs::write(world.path(&format!("{person}.toml")), settings).unwrap();
            let config = world.text(&format!("{person}.toml"));
            done(&world.provenanced(&["run", "--config", &config, "--ticks", "1"]));
        }
        world.trust(people);
        world
    }

    fn key(&self, name: &str) {
        done(&self.provenanced(&["keygen", "--out", &self.text(""), "--name", name]));
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
            format!("[[keys]]\nname = \"{name}\"\npublic_key = '''\n{key}'''\n{more}\n")
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
        done(&self.try_request(who, path, &more));
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
        done(&ran);
        let value: Value = serde_json::from_slice(&ran.stdout).unwrap();
        value["did"].as_str().unwrap().to_owned()
    }

    /// The exit code, the codes of the findings, and the report.
    pub(crate) fn verify(&self, path: &str, more: &[&str]) -> (i32, Vec<String>, Value) {
        let (path, policy) = (self.text(path), self.text("policy.toml"));
        let fixed = ["verify-countersign", &path, "--policy", &policy, "--json"];
        let ran = self.provctl(&[&fixed[..], more].concat());
        let report: Value = serde_json::from_slice(&ran.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ran.stderr)));
        let codes = report["findings"].as_array().unwrap().iter();
        let codes = codes.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect();
        (ran.status.code().unwrap(), codes, report)
    }

    /// The counter-signatures on somebody's record.
    pub(crate) fn records(&self, who: &str) -> Vec<Value> {
        let state = self.text(&format!("{who}-state"));
        let ran = self.provctl(&["registry", "export", "--state", &state, "--kind", "countersign"]);
        done(&ran);
        let lines = String::from_utf8(ran.stdout).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["data"].clone())
            .collect()
    }

    /// Somebody's whole state, with the key of the policy.
    pub(crate) fn chain_holds(&self, who: &str) {
        let (state, policy) = (self.text(&format!("{who}-state")), self.text("policy.toml"));
        done(&self.provctl(&["verify-chain", "--state", &state, "--policy", &policy]));
    }
}

pub(crate) fn done(ran: &Output) {
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stdout));
}

/// It ended with this code, and said these words.
pub(crate) fn refused(ran: &Output, code: i32, words: &str) {
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "{words}: {said}");
}

/// The statements in a file of signatures.
pub(crate) fn statements(file: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(file).unwrap();
    let lines = provenance_core::countersign::lines(&bytes);
    lines
        .map(|(_, line)| {
            let bundle = provenance_core::sigstore::SigstoreBundle::parse(line.unwrap());
            bundle.unwrap().payload().to_vec()
        })
        .collect()
}
