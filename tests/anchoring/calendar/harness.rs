//! A calendar of ours with a wallet on a real node, and who talks to it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    time::Duration,
};

use super::{node::Node, peers};
use crate::common::{
    programs::{PROVCTL, PROVENANCED},
    wait::{PATIENCE, holds, wait_for},
};

pub(crate) struct Calendar<'n> {
    pub(crate) dir: tempfile::TempDir,
    node: Option<&'n Node>,
    pub(crate) port: u16,
    child: Option<Child>,
}

impl Drop for Calendar<'_> {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What came back over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl<'n> Calendar<'n> {
    /// One that serves; with a node, one that can pay.
    pub(crate) fn start(node: Option<&'n Node>, wallet: &str, more: &str) -> Self {
        let mut calendar = Self::new(node, wallet, more);
        calendar.serve();
        calendar
    }

    fn new(node: Option<&'n Node>, wallet: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut settings = format!(
            "client = \"msp\"\nhost = \"calendar\"\ntier = \"essential\"\nstate_dir = \"{0}/state\"\n\
             [time.bitcoin]\nenabled = false\n[aggregate]\nlisten = \"127.0.0.1:{port}\"\n\
             url = \"http://127.0.0.1:{port}\"\nbatch_ms = 20\n{more}",
            dir.path().display()
        );
        if let Some(node) = node {
            node.ask(&["createwallet", wallet]);
            node.fund(wallet, "0.001");
            settings += &format!(
                "[bitcoin]\nrpc = \"{}\"\ncookie_file = \"{}\"\nwallet = \"{wallet}\"\n\
                 network = \"regtest\"\n[anchor]\nenabled = true\n",
                node.url(),
                node.cookie().display()
            );
        }
        fs::write(dir.path().join("p.toml"), settings).unwrap();
        Self { dir, node, port, child: None }
    }

    pub(crate) fn serve(&mut self) {
        let child = Command::new(PROVENANCED).arg("aggregate").args(self.config()).spawn();
        self.child = Some(child.unwrap());
        wait_for("the calendar serves", PATIENCE, || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {ended:?}");
            TcpStream::connect(("127.0.0.1", self.port)).map(drop)
        });
    }

    /// Waits until it has noticed, as it does once a second, whether an anchor waits
    /// for confirmations (200) or none does (204).
    #[track_caller]
    pub(crate) fn until_tip(&self, status: u16) {
        wait_for("the calendar's tip", PATIENCE, || {
            let answer = self.get("/tip");
            holds(answer.status == status, answer)
        });
    }

    /// Serves with this in the settings in place of that.
    pub(crate) fn change(&mut self, of: &str, to: &dyn std::fmt::Display) {
        self.kill();
        let settings = fs::read_to_string(self.path("p.toml")).unwrap();
        assert!(settings.contains(of), "{settings}");
        fs::write(self.path("p.toml"), settings.replace(of, &to.to_string())).unwrap();
        self.serve();
    }

    fn config(&self) -> [String; 2] {
        ["--config".into(), self.path("p.toml").display().to_string()]
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.as_ref().unwrap().id() as i32
    }

    /// As by a power cut.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.take().unwrap().wait().unwrap().code()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    #[track_caller]
    pub(crate) fn anchor(&self, arguments: &[&str]) {
        let mut command = Command::new(PROVENANCED);
        let output = command.arg("anchor").args(arguments).args(self.config()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The whole life of an anchor over what was submitted so far.
    pub(crate) fn anchor_finally(&self) {
        let node = self.node.unwrap();
        self.anchor(&["--now"]);
        node.mine(6);
        self.anchor(&[]);
    }

    /// `provctl verify-chain` of its registry: the exit code and the report.
    pub(crate) fn verify(&self) -> (Option<i32>, String) {
        self.verify_at(&self.path("state"))
    }

    pub(crate) fn verify_at(&self, state: &Path) -> (Option<i32>, String) {
        let mut command = Command::new(PROVCTL);
        let state = state.display().to_string();
        let output = command.args(["verify-chain", "--state", &state, "--json"]).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Sends these bytes and reads to the end.
    pub(crate) fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        let mut bytes = vec![];
        let _ = stream.read_to_end(&mut bytes);
        Answer::parse(&bytes)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n").as_bytes())
    }

    pub(crate) fn submit(&self, digest: &[u8]) -> Answer {
        let length = digest.len();
        let head = format!(
            "POST /digest HTTP/1.1\r\nHost: c\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        self.raw(&[head.as_bytes(), digest].concat())
    }

    /// The stock client: whether it is content, and what it says.
    pub(crate) fn ots(&self, arguments: &[&str]) -> Option<(bool, String)> {
        let ots = peers::find("ots")?;
        let mut command = Command::new(ots);
        command.env("HOME", self.dir.path()).current_dir(self.dir.path());
        if let Some(node) = self.node {
            command.args(["--btc-regtest", "--bitcoin-node", &node.url_with_password()]);
        }
        command.args(["-v", "--no-cache", "--no-default-whitelist", "-l", &self.url()]);
        let Output { status, stdout, stderr } = command.args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
        Some((status.success(), text))
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = bytes.split_at(end.map_or(bytes.len(), |end| end + 4));
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Self { status, head, body: body.to_vec() }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
