//! An appliance with copies, and the storage that they go to: a folder, or the
//! bucket of a real Ceph.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Config, Credentials, Region, RequestChecksumCalculation},
    primitives::ByteStream,
};

use crate::peers;

pub(crate) const PROVENANCED: &str = env!("CARGO_BIN_EXE_provenanced");
pub(crate) const PROVCTL: &str = env!("CARGO_BIN_EXE_provctl");

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
        let rgw = Self { script, port, s3: S3::new(port, "test", "testtest"), run };
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

/// Somebody else's client of the bucket.
pub(crate) struct S3 {
    pub(crate) client: Client,
    runtime: tokio::runtime::Runtime,
}

impl S3 {
    pub(crate) fn new(port: u16, key: &str, secret: &str) -> Self {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(key, secret, None, None, "test"))
            .endpoint_url(format!("http://127.0.0.1:{port}"))
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { client: Client::from_conf(config), runtime }
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn make(&self, bucket: &str, lock: bool) {
        let made = self.client.create_bucket().bucket(bucket);
        self.wait(made.object_lock_enabled_for_bucket(lock).send()).unwrap();
    }

    /// Every version: its name, its version, the newest of a name first.
    pub(crate) fn versions(&self, bucket: &str) -> Vec<(String, String)> {
        let (mut found, mut marker, mut version) = (vec![], None, None);
        loop {
            let asked = self.client.list_object_versions().bucket(bucket);
            let asked = asked.set_key_marker(marker).set_version_id_marker(version);
            let page = self.wait(asked.send()).unwrap();
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            found.extend(page.versions().iter().map(|it| (text(it.key()), text(it.version_id()))));
            if page.is_truncated() != Some(true) {
                return found;
            }
            marker = page.next_key_marker().map(str::to_owned);
            version = page.next_version_id_marker().map(str::to_owned);
        }
    }

    pub(crate) fn get(&self, bucket: &str, key: &str) -> Vec<u8> {
        let got = self.client.get_object().bucket(bucket).key(key);
        self.wait(async { got.send().await.unwrap().body.collect().await.unwrap() }).to_vec()
    }

    pub(crate) fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let put = self.client.put_object().bucket(bucket).key(key);
        self.wait(put.body(ByteStream::from(bytes.to_vec())).send()).unwrap();
    }

    pub(crate) fn remove(&self, bucket: &str, key: &str) {
        self.wait(self.client.delete_object().bucket(bucket).key(key).send()).unwrap();
    }

    /// The same objects in a bucket that keeps nothing.
    pub(crate) fn mirror(&self, from: &str, to: &str) {
        self.make(to, false);
        for (key, _) in self.versions(from) {
            self.put(to, &key, &self.get(from, &key));
        }
    }
}

/// An appliance: its state folder, its settings, its auditor's policy.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    /// Three ticks and two bundles. `store` is what stands under `[store]`.
    pub(crate) fn new(store: &str) -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(world.path("log")).unwrap();
        fs::write(world.path("log/a.log"), "one\n").unwrap();
        world.daemon(&["keygen", "--out", &world.text("keys")]);
        world.settings(store);
        let key = fs::read_to_string(world.path("keys/signing.pub")).unwrap();
        let policy = format!(
            "client = \"clinic-001\"\n[[keys]]\nname = \"signing\"\npublic_key = \"\"\"\n{key}\"\"\"\n"
        );
        fs::write(world.path("policy.toml"), policy).unwrap();
        fs::write(
            world.path("access"),
            "aws_access_key_id = test\naws_secret_access_key = testtest\n",
        )
        .unwrap();
        set_mode(&world.path("access"), 0o600);
        world.tick("two");
        world.with("bundle", &[]);
        world.tick("three");
        world.with("bundle", &["--artifact", &world.text("log/a.log")]);
        world
    }

    pub(crate) fn settings(&self, store: &str) {
        let settings = format!(
            "client = \"clinic-001\"\nhost = \"h\"\ntier = \"professional\"\nstate_dir = \"{}\"\n\
             signing_key = \"{}\"\n[chain]\ninterval_s = 1\nwatch = [\"{}/**\"]\njournal = false\n\
             [bundle]\nevery = \"off\"\n{store}\n",
            self.text("state"),
            self.text("keys/signing.key"),
            self.text("log")
        );
        fs::write(self.path("p.toml"), settings).unwrap();
    }

    /// What stands under `[store]` for a bucket of this server.
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
        assert!(ran.status.success(), "{args:?}: {}", said(&ran));
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

pub(crate) fn said(ran: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}

pub(crate) fn json(ran: &Output) -> serde_json::Value {
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(ran)))
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
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

impl World {
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
