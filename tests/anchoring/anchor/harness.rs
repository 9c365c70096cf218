//! An appliance with a wallet of its own on the node.

use std::{fs, path::PathBuf, process::Command};

use provenance_registry::Reader;
use serde_json::Value;

use super::node::Node;
use crate::common::{
    programs::{PROVCTL, PROVENANCED, assert_success, json, keygen},
    settings::{settings, trusted_key},
};

pub(crate) struct WalletFixture<'n> {
    dir: tempfile::TempDir,
    node: &'n Node,
    wallet: String,
    more: String,
}

impl<'n> WalletFixture<'n> {
    /// One with a bundle, and a wallet with this much in it.
    pub(crate) fn new(node: &'n Node, wallet: &str, coins: &str, more: &str) -> Self {
        let fixture = Self::bare(node, wallet, coins, more);
        keygen(fixture.dir.path(), "k");
        fs::write(fixture.path("a.log"), "a line\n").unwrap();
        fixture.settings("regtest");
        fixture.ran(&["run", "--ticks", "1"]);
        fixture.ran(&["bundle"]);
        let key = fs::read_to_string(fixture.path("k.pub")).unwrap();
        fs::write(fixture.path("policy.toml"), trusted_key("k", &key)).unwrap();
        fixture
    }

    fn bare(node: &'n Node, wallet: &str, coins: &str, more: &str) -> Self {
        node.ask(&["createwallet", wallet]);
        let dir = tempfile::tempdir().unwrap();
        let fixture = Self { dir, node, wallet: wallet.into(), more: more.into() };
        if coins != "0" {
            node.fund(wallet, coins);
        }
        fixture
    }

    /// The same once more, with a wallet of its own.
    pub(crate) fn again(&self, wallet: &str) -> Self {
        let fixture = Self::bare(self.node, wallet, "0.001", &self.more);
        let copied =
            Command::new("cp").arg("-a").arg(self.path(".")).arg(fixture.path(".")).status();
        assert!(copied.unwrap().success());
        fixture.settings("regtest");
        fixture
    }

    pub(crate) fn settings(&self, network: &str) {
        let (key, watch) = (self.path("k.key"), self.path("*.log"));
        let state = self.path("state");
        let mut settings = settings(("c", "h"), "enterprise", &state, Some(&key), &watch);
        settings += &format!(
            "[time.bitcoin]
enabled = false
[bitcoin]
rpc = \"{}\"
cookie_file = \"{}\"
\
             wallet = \"{}\"
network = \"{network}\"
[anchor]
{}",
            self.node.url(),
            self.node.cookie().display(),
            self.wallet,
            self.more
        );
        fs::write(self.path("p.toml"), settings).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Asks the node about this fixture's wallet.
    #[track_caller]
    pub(crate) fn wallet(&self, arguments: &[&str]) -> String {
        let wallet = format!("-rpcwallet={}", self.wallet);
        self.node.ask(&[&[&*wallet], arguments].concat())
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROVENANCED);
        command.args(arguments).arg("--config").arg(self.path("p.toml"));
        command
    }

    #[track_caller]
    fn ran(&self, arguments: &[&str]) {
        assert_success(&self.command(arguments).output().unwrap());
    }

    /// `provenanced anchor`, which must do what it can: the states it came to.
    #[track_caller]
    pub(crate) fn anchor(&self, arguments: &[&str]) -> Vec<String> {
        let output = self.command(&[&["anchor", "--json"], arguments].concat()).output().unwrap();
        assert_success(&output);
        let answer = json(&output);
        let done = answer["done"].as_array().unwrap().iter();
        done.map(|done| done["state"].as_str().unwrap().to_owned()).collect()
    }

    /// One that cannot: its exit code and what it says.
    pub(crate) fn anchor_fails(&self) -> (i32, String) {
        let output = self.command(&["anchor"]).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!message.contains("panicked"), "{message}");
        (output.status.code().unwrap(), message)
    }

    /// The anchors' alerts after the daemon looked: code and state.
    pub(crate) fn alerts(&self) -> Vec<String> {
        self.ran(&["run", "--ticks", "1"]);
        let reader = Reader::open(&self.path("state/registry.db")).unwrap();
        let rows = reader.rows_of_kind("alert", 0).collect::<Result<Vec<_>, _>>().unwrap();
        let data = rows.iter().map(|row| serde_json::from_slice::<Value>(&row.body).unwrap());
        let line = |data: Value| {
            let of = |name: &str| data["data"][name].as_str().unwrap().to_owned();
            format!("{} {}", of("code"), of("state"))
        };
        data.map(line).filter(|line| !line.starts_with("clock.")).collect()
    }

    /// Every record of an anchor.
    pub(crate) fn records(&self) -> Vec<Value> {
        let reader = Reader::open(&self.path("state/registry.db")).unwrap();
        let rows = reader.rows_of_kind("anchor", 0).collect::<Result<Vec<_>, _>>().unwrap();
        let record = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap()["data"].clone();
        rows.iter().map(|row| record(&row.body)).collect()
    }

    /// The states of all anchors, as the records tell them.
    pub(crate) fn states(&self) -> Vec<String> {
        let state = |record: &Value| record["state"].as_str().unwrap().to_owned();
        self.records().iter().map(state).collect()
    }

    pub(crate) fn provctl(&self, arguments: &[&str]) -> (i32, Value) {
        let output = Command::new(PROVCTL)
            .args(arguments)
            .args(["--json", "--policy"])
            .arg(self.path("policy.toml"))
            .output()
            .unwrap();
        (output.status.code().unwrap(), json(&output))
    }

    /// What an auditor with a node of his own says of the bundle.
    pub(crate) fn verify_bundle(&self) -> (i32, Value) {
        let (url, cookie) = (self.node.url(), self.node.cookie().display().to_string());
        let bundle = self.bundle().display().to_string();
        self.provctl(&["verify", &bundle, "--bitcoin-rpc", &url, "--bitcoin-cookie", &cookie])
    }

    #[track_caller]
    pub(crate) fn verifies(&self) {
        let (code, report) = self.provctl(&["verify-chain", "--state", &self.text("state")]);
        assert_eq!(code, 0, "{report:#}");
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        let mut entries = fs::read_dir(self.path("state/bundles")).unwrap();
        entries.next().unwrap().unwrap().path()
    }

    /// In how many transactions of the best chain and of the mempool each root
    /// of ours is: what was paid for.
    pub(crate) fn paid(&self) -> Vec<usize> {
        let mut roots: Vec<String> = vec![];
        for record in self.records() {
            let root = record["root"].as_str().unwrap().to_owned();
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        let listed = self.wallet(&["listtransactions", "*", "1000"]);
        let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
        let mut txids: Vec<String> = listed
            .iter()
            .filter(|tx| tx["confirmations"].as_i64().unwrap() >= 0 && tx["category"] == "send")
            .map(|tx| tx["txid"].as_str().unwrap().to_owned())
            .collect();
        txids.sort();
        txids.dedup();
        let alive = |txid: &&String| {
            let known: Value =
                serde_json::from_str(&self.wallet(&["gettransaction", txid])).unwrap();
            known["confirmations"].as_i64().unwrap() > 0 || self.node.in_mempool(txid)
        };
        let hex: Vec<String> = txids
            .iter()
            .filter(alive)
            .map(|txid| {
                let known = self.wallet(&["gettransaction", txid]);
                let known: Value = serde_json::from_str(&known).unwrap();
                known["hex"].as_str().unwrap().to_owned()
            })
            .collect();
        let carries = |root: &String| hex.iter().filter(|tx| tx.contains(root.as_str())).count();
        roots.iter().map(carries).collect()
    }
}
