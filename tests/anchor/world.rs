//! An appliance with a wallet of its own on the node.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use msp_provenance::registry::Reader;
use serde_json::Value;

use crate::node::Node;

const PROVENANCED: &str = env!("CARGO_BIN_EXE_provenanced");
const PROVCTL: &str = env!("CARGO_BIN_EXE_provctl");

pub(crate) struct World<'n> {
    dir: tempfile::TempDir,
    node: &'n Node,
    wallet: String,
    more: String,
}

impl<'n> World<'n> {
    /// One with a bundle, and a wallet with this much in it.
    pub(crate) fn new(node: &'n Node, wallet: &str, coins: &str, more: &str) -> Self {
        let world = Self::bare(node, wallet, coins, more);
        let made = world.provenanced(&["keygen", "--name", "k", "--out"], &world.text("."));
        assert!(made.status.success(), "{made:?}");
        fs::write(world.path("a.log"), "a line\n").unwrap();
        world.settings("regtest");
        world.ran(&["run", "--ticks", "1"]);
        world.ran(&["bundle"]);
        let key = fs::read_to_string(world.path("k.pub")).unwrap();
        let policy = format!("[[keys]]\nname = \"k\"\npublic_key = \"\"\"\n{key}\"\"\"\n");
        fs::write(world.path("policy.toml"), policy).unwrap();
        world
    }

    fn bare(node: &'n Node, wallet: &str, coins: &str, more: &str) -> Self {
        node.ask(&["createwallet", wallet]);
        let dir = tempfile::tempdir().unwrap();
        let world = Self { dir, node, wallet: wallet.into(), more: more.into() };
        if coins != "0" {
            let address = world.wallet(&["getnewaddress"]);
            node.ask(&["-rpcwallet=w", "sendtoaddress", &address, coins]);
            node.mine(1);
        }
        world
    }

    /// The same once more, with a wallet of its own.
    pub(crate) fn again(&self, wallet: &str) -> Self {
        let world = Self::bare(self.node, wallet, "0.001", &self.more);
        let copied = Command::new("cp").arg("-a").arg(self.path(".")).arg(world.path(".")).status();
        assert!(copied.unwrap().success());
        world.settings("regtest");
        world
    }

    pub(crate) fn settings(&self, network: &str) {
        let settings = format!(
            "client = \"c\"\nhost = \"h\"\ntier = \"enterprise\"\nstate_dir = \"{0}/state\"\n\
             signing_key = \"{0}/k.key\"\n[chain]\ninterval_s = 1\nwatch = [\"{0}/*.log\"]\n\
             journal = false\n[time.bitcoin]\nenabled = false\n[bitcoin]\nrpc = \"{1}\"\n\
             cookie_file = \"{2}\"\nwallet = \"{3}\"\nnetwork = \"{network}\"\n[anchor]\n{4}",
            self.dir.path().display(),
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

    /// Asks the node about this world's wallet.
    #[track_caller]
    pub(crate) fn wallet(&self, arguments: &[&str]) -> String {
        let wallet = format!("-rpcwallet={}", self.wallet);
        self.node.ask(&[&[&*wallet], arguments].concat())
    }

    fn provenanced(&self, arguments: &[&str], last: &str) -> Output {
        Command::new(PROVENANCED).args(arguments).arg(last).output().unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROVENANCED);
        command.args(arguments).arg("--config").arg(self.path("p.toml"));
        command
    }

    #[track_caller]
    fn ran(&self, arguments: &[&str]) {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// `provenanced anchor`, which must do what it can: the states it came to.
    #[track_caller]
    pub(crate) fn anchor(&self, arguments: &[&str]) -> Vec<String> {
        let output = self.command(&[&["anchor", "--json"], arguments].concat()).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{message}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
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
        let rows = reader.rows_of_kind("alert").unwrap();
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
        let rows = reader.rows_of_kind("anchor").unwrap();
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
        let message = String::from_utf8_lossy(&output.stderr);
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{message}"));
        (output.status.code().unwrap(), report)
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
    /// of ours stands: what was paid for.
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
