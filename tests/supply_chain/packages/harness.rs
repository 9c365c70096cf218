//! An appliance with an authority.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

use crate::common::{
    programs::{PROVCTL, PROVENANCED, assert_success, json, output_text},
    settings::trusted_key,
};

pub(crate) struct AuthorityFixture {
    dir: tempfile::TempDir,
}

impl AuthorityFixture {
    /// With these settings behind the usual ones.
    pub(crate) fn new(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("logs")).unwrap();
        fs::write(dir.path().join("logs/a.log"), "a line\n").unwrap();
        let fixture = Self { dir };
        for name in ["signing", "authority", "agent"] {
            let folder = fixture.text("");
            fixture.daemon(&["keygen", "--out", &folder, "--name", name], &[]);
        }
        let root = fixture.text("");
        let text = format!(
            "client = \"clinic-001\"\nhost = \"appliance-7\"\ntier = \"professional\"\n\
             state_dir = \"{root}/state\"\nsigning_key = \"{root}/signing.key\"\n\
             [chain]\nwatch = [\"{root}/logs/*.log\"]\njournal = false\ninterval_s = 1\n\
             [time.gps]\ngpsd = \"127.0.0.1:1\"\n\
             [certificates]\nauthority_key = \"{root}/authority.key\"\npolicy_version = \"7\"\n"
        );
        fs::write(fixture.path("p.toml"), &text).unwrap();
        let key = fs::read_to_string(fixture.path("signing.pub")).unwrap();
        fs::write(fixture.path("policy.toml"), trusted_key("it", &key)).unwrap();
        let ran = fixture.daemon(&["run", "--ticks", "1"], &["--config"]);
        assert_success(&ran);
        fs::write(fixture.path("p.toml"), text + &more.replace('@', &root)).unwrap();
        fixture
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string().trim_end_matches('/').to_owned()
    }

    /// `provenanced ARGS`; with the settings where these are asked for.
    fn daemon(&self, args: &[&str], config: &[&str]) -> Output {
        let settings = self.text("p.toml");
        let mut command = Command::new(PROVENANCED);
        command.args(args).env("USER", "tester").env_remove("SUDO_USER");
        if !config.is_empty() {
            command.args(["--config", &settings]);
        }
        command.output().unwrap()
    }

    /// `provenanced ARGS --config …`
    pub(crate) fn try_daemon(&self, args: &[&str]) -> (i32, String) {
        let ran = self.daemon(args, &["--config"]);
        (ran.status.code().unwrap(), output_text(&ran))
    }

    /// The same, which must succeed and answer in JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let ran = self.daemon(&[args, &["--json"]].concat(), &["--config"]);
        assert_success(&ran);
        json(&ran)
    }

    /// Issues a certificate for a package, for an archive or any.
    pub(crate) fn issue(&self, package: &str, more: &[&str]) -> Value {
        let key = self.text("agent.pub");
        let by = ["--approved-by", "Anna Müller", "--place", "Ulm, ticket 42"];
        self.json(&[&["cert", "issue", "--package", package, "--key", &key], more, &by].concat())
    }

    /// `provctl verify-cert`, as JSON.
    pub(crate) fn verify(&self, certificate: &str, more: &[&str]) -> (i32, Value) {
        let policy = self.text("policy.toml");
        self.verify_without_policy(certificate, &[more, &["--policy", &policy]].concat())
    }

    pub(crate) fn verify_without_policy(&self, certificate: &str, more: &[&str]) -> (i32, Value) {
        let ran = Command::new(PROVCTL)
            .args(["verify-cert", certificate, "--json"])
            .args(more)
            .output()
            .unwrap();
        (ran.status.code().unwrap(), json(&ran))
    }

    /// `provctl verify-chain`, as people see it.
    pub(crate) fn audit_text(&self) -> String {
        let (state, policy) = (self.text("state"), self.text("policy.toml"));
        let ran = Command::new(PROVCTL)
            .args(["verify-chain", "--state", &state, "--policy", &policy])
            .output()
            .unwrap();
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    /// `provctl verify-chain`: its exit code and the codes of its findings.
    pub(crate) fn audit(&self) -> (i32, Vec<String>) {
        let (state, policy) = (self.text("state"), self.text("policy.toml"));
        let ran = Command::new(PROVCTL)
            .args(["verify-chain", "--json", "--state", &state, "--policy", &policy])
            .output()
            .unwrap();
        let value = json(&ran);
        // The clock of a test has no source.
        let ours = |code: &String| !code.starts_with("clock.");
        (ran.status.code().unwrap(), codes(&value).into_iter().filter(ours).collect())
    }

    /// The authority's certificate.
    pub(crate) fn ca(&self) -> String {
        let folder = fs::read_dir(self.path("state/certificates")).unwrap();
        let mut names = folder.map(|entry| entry.unwrap().path());
        let ca = names.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("ca-"));
        ca.unwrap().display().to_string()
    }

    pub(crate) fn certificate(&self, id: &str) -> String {
        self.text(&format!("state/certificates/{id}.pem"))
    }

    pub(crate) fn crl(&self) -> String {
        self.text("state/certificates/crl.pem")
    }
}

/// The codes of a report's findings.
pub(crate) fn codes(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}
