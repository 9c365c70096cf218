//! A real Bitcoin node on regtest, with a wallet.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::peers;

pub(crate) struct Node {
    pub(crate) dir: tempfile::TempDir,
    port: u16,
    child: Child,
    cli: PathBuf,
    bitcoind: PathBuf,
    address: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(bitcoind: &Path, dir: &Path, port: u16) -> Child {
    Command::new(bitcoind)
        .arg("-regtest")
        .arg(format!("-datadir={}", dir.display()))
        .arg(format!("-rpcport={port}"))
        .args(["-listen=0", "-connect=0", "-dnsseed=0", "-server=1", "-fallbackfee=0.0001"])
        .args(["-addresstype=bech32", "-changetype=bech32"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl Node {
    pub(crate) fn start() -> Option<Self> {
        let (bitcoind, cli) = (peers::find("bitcoind")?, peers::find("bitcoin-cli")?);
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = spawn(&bitcoind, dir.path(), port);
        let mut node = Self { dir, port, child, cli, bitcoind, address: String::new() };
        node.until_up();
        node.ask(&["createwallet", "w"]);
        node.address = node.ask(&["-rpcwallet=w", "getnewaddress"]);
        node.mine(101);
        Some(node)
    }

    fn until_up(&self) {
        let begin = Instant::now();
        while self.try_ask(&["getblockcount"]).is_none() {
            assert!(begin.elapsed() < Duration::from_secs(60), "bitcoind does not start");
            thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn stop(&mut self) {
        self.ask(&["stop"]);
        self.child.wait().unwrap();
    }

    /// As after a reboot: a new cookie, and only the first wallet loaded.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.bitcoind, self.dir.path(), self.port);
        self.until_up();
        let _ = self.try_ask(&["loadwallet", "w"]);
    }

    /// Blocks without any of the transactions that wait.
    pub(crate) fn mine_empty(&self, count: u32) {
        for _ in 0..count {
            self.ask(&["generateblock", &self.address, "[]"]);
        }
    }

    pub(crate) fn in_mempool(&self, txid: &str) -> bool {
        self.try_ask(&["getmempoolentry", txid]).is_some()
    }

    fn try_ask(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new(&self.cli)
            .arg("-regtest")
            .arg(format!("-datadir={}", self.dir.path().display()))
            .arg(format!("-rpcport={}", self.port))
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| text.trim().to_owned())
    }

    #[track_caller]
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        self.try_ask(arguments).unwrap_or_else(|| panic!("{arguments:?}"))
    }

    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ask(arguments)).unwrap()
    }

    pub(crate) fn mine(&self, count: u32) {
        self.ask(&["generatetoaddress", &count.to_string(), &self.address]);
    }

    /// Blocks that are not the same again after an invalidated one.
    pub(crate) fn mine_elsewhere(&self, count: u32) {
        let address = self.ask(&["-rpcwallet=w", "getnewaddress"]);
        self.ask(&["generatetoaddress", &count.to_string(), &address]);
    }

    /// Some other payments, so that a block's tree has a few rows.
    pub(crate) fn others(&self, count: u32) {
        (0..count).for_each(|_| {
            self.ask(&["sendtoaddress", &self.address, "0.1"]);
        });
    }

    /// Sends a transaction with this payload; gives it whole, and its id.
    pub(crate) fn send(&self, payload: &str) -> (String, String) {
        let outputs = json!([{ "data": payload }]).to_string();
        let raw = self.ask(&["createrawtransaction", "[]", &outputs]);
        let funded = self.json(&["fundrawtransaction", &raw, "{\"fee_rate\":2}"]);
        let signed = self.json(&["signrawtransactionwithwallet", funded["hex"].as_str().unwrap()]);
        let hex = signed["hex"].as_str().unwrap().to_owned();
        let txid = self.ask(&["sendrawtransaction", &hex]);
        (hex, txid)
    }

    /// `HEIGHT HEADER`
    pub(crate) fn header_line(&self, height: u64) -> String {
        let hash = self.ask(&["getblockhash", &height.to_string()]);
        format!("{height} {}\n", self.ask(&["getblockheader", &hash, "false"]))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn cookie(&self) -> PathBuf {
        self.dir.path().join("regtest/.cookie")
    }

    /// As `ots --bitcoin-node` takes it.
    pub(crate) fn url_with_password(&self) -> String {
        let cookie = fs::read_to_string(self.cookie()).unwrap();
        format!("http://{cookie}@127.0.0.1:{}", self.port)
    }
}
