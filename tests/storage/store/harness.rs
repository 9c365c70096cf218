//! An appliance with copies, and the storage that they go to: a folder, or the
//! bucket of a real Ceph.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use super::{peers, s3::S3};
use crate::common::{
    programs::{PROVCTL, PROVENANCED, assert_success, json},
    settings::{settings, trusted_key},
};

/// A real Ceph with S3, for as long as this lives.
pub(crate) struct Rgw {
    run: tempfile::TempDir,
    pub(crate) port: u16,
    script: PathBuf,
    pub(crate) s3: S3,
}

impl Rgw {
    /// `None` where it is not installed.
    pub(crate) fn start() -> Option<Self> {
        peers::find("radosgw")?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/rgw");
        let run = tempfile::tempdir().unwrap();
        let port = three_ports();
        let rgw = Self { script, port, s3: S3::new(port), run };
        rgw.run(&["up", &rgw.text(), &port.to_string()]);
        Some(rgw)
    }

    fn text(&self) -> String {
        self.run.path().display().to_string()
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The same over TLS, and who vouches for its certificate.
    pub(crate) fn tls(&self) -> (String, String) {
        let ca = self.run.path().join("ca.pem").display().to_string();
        (format!("https://127.0.0.1:{}", self.port + 2), ca)
    }

    fn run(&self, args: &[&str]) {
        let log = self.run.path().join("script");
        let to = fs::File::create(&log).unwrap();
        // Its children keep what it had open.
        let mut command = Command::new(&self.script);
        command.args(args).stdin(Stdio::null());
        command.stdout(to.try_clone().unwrap()).stderr(to).process_group(0);
        let status = command.status().unwrap();
        assert!(status.success(), "rgw {args:?}: {}", fs::read_to_string(log).unwrap());
    }

    /// The gateway alone dies; its disk stays.
    pub(crate) fn kill_gateway(&self) {
        let pid = fs::read_to_string(self.run.path().join("rgw.pid")).unwrap();
        let killed = Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
        assert!(killed.success());
    }

    pub(crate) fn start_gateway(&self) {
        self.run(&["gateway", &self.text(), &self.port.to_string()]);
    }
}

impl Drop for Rgw {
    fn drop(&mut self) {
        self.run(&["down", &self.text()]);
    }
}

/// The first of three free ports in a row: S3, the monitor, S3 over TLS.
fn three_ports() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if port < u16::MAX - 1 && free(port + 1) && free(port + 2) {
            return port;
        }
    }
}

/// An appliance: its state folder, its settings, its auditor's policy.
pub(crate) struct StoreFixture {
    pub(crate) dir: tempfile::TempDir,
}

impl StoreFixture {
    /// Three ticks and two bundles. `store` is the text under `[store]`.
    pub(crate) fn new(store: &str) -> Self {
        let fixture = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(fixture.path("log")).unwrap();
        fs::write(fixture.path("log/a.log"), "one\n").unwrap();
        fixture.daemon(&["keygen", "--out", &fixture.text("keys")]);
        fixture.settings(store);
        let key = fs::read_to_string(fixture.path("keys/signing.pub")).unwrap();
        let policy = format!(
            "client = \"clinic-001\"
{}",
            trusted_key("signing", &key)
        );
        fs::write(fixture.path("policy.toml"), policy).unwrap();
        fs::write(
            fixture.path("access"),
            "aws_access_key_id = test\naws_secret_access_key = testtest\n",
        )
        .unwrap();
        set_mode(&fixture.path("access"), 0o600);
        fixture.tick("two");
        fixture.with("bundle", &[]);
        fixture.tick("three");
        fixture.with("bundle", &["--artifact", &fixture.text("log/a.log")]);
        fixture
    }

    pub(crate) fn settings(&self, store: &str) {
        let (key, watch) = (self.path("keys/signing.key"), self.path("log/**"));
        let (who, state) = (("clinic-001", "h"), self.path("state"));
        let settings = settings(who, "professional", &state, Some(&key), &watch);
        let settings = format!(
            "{settings}[bundle]
every = \"off\"
{store}
"
        );
        fs::write(self.path("p.toml"), settings).unwrap();
    }

    /// The text under `[store]` for a bucket of this server.
    pub(crate) fn bucket(&self, endpoint: &str, bucket: &str) -> String {
        let access = self.text("access");
        format!(
            "[store.s3]\nendpoint = \"{endpoint}\"\nbucket = \"{bucket}\"\nprefix = \"msp\"\n\
             credentials_file = \"{access}\"\nretain_days = 3\ndocument_days = 7\n"
        )
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn tick(&self, line: &str) {
        let log = self.path("log/a.log");
        let before = fs::read_to_string(&log).unwrap();
        fs::write(&log, format!("{before}{line}\n")).unwrap();
        self.with("run", &["--ticks", "1"]);
    }

    pub(crate) fn with(&self, command: &str, more: &[&str]) -> Output {
        self.daemon(&[&[command, "--config", &self.text("p.toml")], more].concat())
    }

    pub(crate) fn daemon(&self, args: &[&str]) -> Output {
        let ran = run(PROVENANCED, args);
        assert_success(&ran);
        ran
    }

    pub(crate) fn store(&self) -> Output {
        run(PROVENANCED, &["store", "--config", &self.text("p.toml"), "--json"])
    }

    pub(crate) fn start_store(&self) -> Child {
        let mut command = Command::new(PROVENANCED);
        command.args(["store", "--config", &self.text("p.toml"), "--json"]);
        clean(&mut command);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Verdict, codes and head of what the auditor says of an address.
    pub(crate) fn audit(&self, address: &str, more: &[&str]) -> Answer {
        let policy = self.text("policy.toml");
        let args = [&["verify", address, "--policy", &policy, "--json"], more].concat();
        Answer::of(&run(PROVCTL, &args))
    }

    pub(crate) fn audit_state(&self, state: &str) -> Answer {
        let policy = self.text("policy.toml");
        let args = ["verify-chain", "--state", &self.text(state), "--policy", &policy, "--json"];
        Answer::of(&run(PROVCTL, &args))
    }

    /// What provctl needs for a bucket of this server.
    pub(crate) fn access(&self, endpoint: &str) -> [String; 4] {
        ["--endpoint".into(), endpoint.into(), "--credentials-file".into(), self.text("access")]
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) verdict: String,
    pub(crate) codes: BTreeMap<String, u64>,
    pub(crate) head: serde_json::Value,
    pub(crate) value: serde_json::Value,
}

impl Answer {
    fn of(ran: &Output) -> Self {
        let value = json(ran);
        let mut codes = BTreeMap::new();
        for finding in value["findings"].as_array().unwrap() {
            *codes.entry(finding["code"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        Self {
            code: ran.status.code().unwrap(),
            verdict: value["verdict"].as_str().unwrap().into(),
            codes,
            head: value["head"].clone(),
            value,
        }
    }

    /// The codes of errors.
    pub(crate) fn errors(&self) -> Vec<String> {
        let findings = self.value["findings"].as_array().unwrap().iter();
        let errors = findings.filter(|finding| finding["severity"] == "error");
        let mut codes: Vec<_> =
            errors.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect();
        codes.sort();
        codes.dedup();
        codes
    }
}

pub(crate) fn run(program: &str, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    clean(command.args(args)).output().unwrap()
}

/// What the machine has in its environment is none of these tests' affair.
pub(crate) fn clean(command: &mut Command) -> &mut Command {
    for name in std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.env_remove("CREDENTIALS_DIRECTORY")
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

/// The files below a folder, by name.
pub(crate) fn files(root: &Path) -> Vec<String> {
    let (mut found, mut folders) = (vec![], vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

impl StoreFixture {
    /// Code and state of each alert on record.
    pub(crate) fn alerts(&self) -> Vec<(String, String)> {
        let state = self.text("state");
        let listed = run(PROVCTL, &["registry", "export", "--state", &state, "--kind", "alert"]);
        let lines = String::from_utf8(listed.stdout).unwrap();
        let alert = |line: &str| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| record["data"][name].as_str().unwrap().to_owned();
            (text("code"), text("state"))
        };
        lines.lines().map(alert).collect()
    }
}
