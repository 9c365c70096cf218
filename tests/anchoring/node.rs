//! A real Bitcoin node on regtest, with a wallet.

use std::{fs, ops::Deref};

use serde_json::{Value, json};

use crate::common::{
    bitcoind::Bitcoind,
    wait::{PATIENCE, holds, wait_for},
};

const SETTINGS: [&str; 3] = ["-fallbackfee=0.0001", "-addresstype=bech32", "-changetype=bech32"];

pub(crate) struct Node {
    bitcoind: Bitcoind,
    address: String,
}

impl Deref for Node {
    type Target = Bitcoind;

    fn deref(&self) -> &Bitcoind {
        &self.bitcoind
    }
}

impl Node {
    pub(crate) fn start() -> Option<Self> {
        let mut node = Self { bitcoind: Bitcoind::start(&SETTINGS)?, address: String::new() };
        node.ask(&["createwallet", "w"]);
        node.address = node.ask(&["-rpcwallet=w", "getnewaddress"]);
        node.mine(101);
        Some(node)
    }

    pub(crate) fn stop(&mut self) {
        self.bitcoind.stop();
    }

    /// As after a reboot: a new cookie, and only the first wallet loaded.
    pub(crate) fn restart(&mut self) {
        self.bitcoind.restart(&SETTINGS);
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

    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ask(arguments)).unwrap()
    }

    pub(crate) fn mine(&self, count: u32) {
        self.ask(&["generatetoaddress", &count.to_string(), &self.address]);
    }

    /// Pays this much to the wallet, and waits until its own node lets it spend that.
    #[track_caller]
    pub(crate) fn fund(&self, wallet: &str, coins: &str) {
        let wallet = format!("-rpcwallet={wallet}");
        let trusted = || {
            let balances = self.json(&[&wallet, "getbalances"]);
            balances["mine"]["trusted"].as_f64().unwrap()
        };
        let before = trusted();
        let address = self.ask(&[&wallet, "getnewaddress"]);
        let txid = self.ask(&["-rpcwallet=w", "sendtoaddress", &address, coins]);
        self.mine(1);
        let coins: f64 = coins.parse().unwrap();
        wait_for("the wallet's coins", PATIENCE, || {
            let (there, waits) = (trusted(), self.in_mempool(&txid));
            // Less than a satoshi apart: these are floating-point numbers.
            let enough = there > before + coins - 1e-9;
            holds(enough, format!("{there} of {coins} after {before}; in the mempool: {waits}"))
        });
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

    /// As `ots --bitcoin-node` takes it.
    pub(crate) fn url_with_password(&self) -> String {
        let cookie = fs::read_to_string(self.cookie()).unwrap();
        format!("http://{cookie}@127.0.0.1:{}", self.port)
    }
}
