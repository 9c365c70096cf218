//! A folder of copies of the published attestations, and the built program
//! over them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
};

use serde_json::Value;
use tempfile::TempDir;

use super::docs_schema;

pub(crate) const NPM: &str = "npm/sigstore-2.0.0.tgz";
pub(crate) const NPM_PROVENANCE: &str = "npm/sigstore-2.0.0.provenance.sigstore.json";
pub(crate) const NPM_RULE: &str = "[[package]]\nname = \"npm:sigstore\"\n\
    repository = \"https://github.com/sigstore/sigstore-js\"\nref = \"refs/heads/main\"\n\
    workflow = \".github/workflows/release.yml\"\n\
    builder = \"https://github.com/actions/runner/github-hosted\"\n";
pub(crate) const SDIST: &str = "pypi/pypi_attestations-0.0.19.tar.gz";
pub(crate) const SDIST_RULE: &str = "[[package]]\nname = \"pypi:pypi-attestations\"\n\
    repository = \"https://github.com/trailofbits/pypi-attestations\"\n\
    workflow = \"release.yml\"\n";

/// The published files.
pub(crate) fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/packages")
}

/// A folder to change them in.
pub(crate) struct AttestationsFixture {
    pub(crate) dir: TempDir,
}

/// The exit code, the JSON and the messages of `provctl verify-package`.
pub(crate) struct Output {
    pub(crate) exit: i32,
    pub(crate) json: Value,
    pub(crate) stderr: String,
}

impl AttestationsFixture {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// A copy of a published file under its own name.
    pub(crate) fn copy(&self, from: &str) -> String {
        let name = from.rsplit('/').next().unwrap();
        self.write(name, &fs::read(vectors().join(from)).unwrap())
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    pub(crate) fn spec(&self, text: &str) -> String {
        self.write("spec.toml", text.as_bytes())
    }

    /// A published JSON file, changed.
    pub(crate) fn changed(
        &self,
        from: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> String {
        let mut value = json(from);
        change(&mut value);
        self.write(name, value.to_string().as_bytes())
    }
}

pub(crate) fn json(from: &str) -> Value {
    serde_json::from_slice(&fs::read(vectors().join(from)).unwrap()).unwrap()
}

pub(crate) fn published(name: &str) -> String {
    vectors().join(name).display().to_string()
}

pub(crate) fn provctl(args: &[&str]) -> process::Output {
    let program = env!("CARGO_BIN_EXE_provctl");
    Command::new(program).arg("verify-package").args(args).output().unwrap()
}

/// Runs the program with `--json`; a report is as its schema says.
pub(crate) fn verify(args: &[&str]) -> Output {
    let ran = provctl(&[args, &["--json"]].concat());
    let stderr = String::from_utf8(ran.stderr).unwrap();
    let json = serde_json::from_slice(&ran.stdout).unwrap_or(Value::Null);
    if json != Value::Null {
        let schema =
            fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/report.schema.json"));
        let schema = serde_json::from_slice(&schema.unwrap()).unwrap();
        docs_schema::check(&schema, &json).unwrap();
    }
    Output { exit: ran.status.code().unwrap(), json, stderr }
}

impl Output {
    /// The level of the one package.
    pub(crate) fn level(&self) -> &str {
        self.json["packages"][0]["level"].as_str().unwrap_or(&self.stderr)
    }

    /// The codes of findings that fail.
    pub(crate) fn errors(&self) -> Vec<&str> {
        self.codes(|severity| severity == "error")
    }

    pub(crate) fn codes(&self, of: impl Fn(&str) -> bool) -> Vec<&str> {
        let findings = self.json["findings"].as_array().into_iter().flatten();
        let mut codes: Vec<&str> = findings
            .filter(|finding| of(finding["severity"].as_str().unwrap()))
            .map(|finding| finding["code"].as_str().unwrap())
            .collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    /// Exit code, level and what fails.
    pub(crate) fn result(&self) -> (i32, &str, Vec<&str>) {
        (self.exit, self.level(), self.errors())
    }

    pub(crate) fn assert_result(&self, exit: i32, level: &str, errors: &[&str], of: &str) {
        assert_eq!(self.result(), (exit, level, errors.to_vec()), "{of}: {:#}", self.json);
    }
}
