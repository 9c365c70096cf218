//! An appliance without a wallet, whose roots calendars anchor.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

use super::{harness::Calendar, node::Node};
use crate::common::{
    programs::{PROVCTL, PROVENANCED, keygen},
    settings::{settings, trusted_key},
    wait::{PATIENCE, wait_for},
};

pub(crate) struct Appliance {
    dir: tempfile::TempDir,
    /// `[bitcoin]`, where it has a node.
    pub(crate) node: String,
    /// Whose certificates it trusts, beside the machine's.
    pub(crate) ca: Option<PathBuf>,
}

impl Appliance {
    pub(crate) fn new(node: Option<&Node>) -> Self {
        let rpc = |node: &Node| {
            format!("rpc = \"{}\"\ncookie_file = \"{}\"\n", node.url(), node.cookie().display())
        };
        let node = node.map(rpc).unwrap_or_default();
        let appliance = Self { dir: tempfile::tempdir().unwrap(), node, ca: None };
        fs::write(appliance.path("a.log"), "a line\n").unwrap();
        keygen(appliance.dir.path(), "k");
        let key = fs::read_to_string(appliance.path("k.pub")).unwrap();
        fs::write(appliance.path("policy.toml"), trusted_key("k", &key)).unwrap();
        appliance
    }

    pub(crate) fn settings(&self, calendars: &[&str]) {
        let (key, watch) = (self.path("k.key"), self.path("*.log"));
        let state = self.path("state");
        let mut text = settings(("c", "h"), "professional", &state, Some(&key), &watch);
        text += &format!(
            "[time.bitcoin]
enabled = false
[bitcoin]
{}network = \"regtest\"
\
             [anchor]
enabled = true
via = \"calendar\"
calendars = {calendars:?}
",
            self.node,
        );
        fs::write(self.path("p.toml"), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(PROVENANCED);
        command.envs(self.ca.iter().map(|ca| ("SSL_CERT_FILE", ca)));
        command.args(arguments).arg("--config").arg(self.path("p.toml")).output().unwrap()
    }

    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.command(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.run(&["run", "--ticks", "1"]);
        let made: Value = serde_json::from_slice(&self.run(&["bundle", "--json"])).unwrap();
        made["path"].as_str().unwrap().into()
    }

    /// The states that anchors came to, and where they stand.
    #[track_caller]
    pub(crate) fn anchor(&self, arguments: &[&str]) -> (Vec<String>, Value) {
        let answer = self.run(&[&["anchor", "--json"], arguments].concat());
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let done = answer["done"].as_array().unwrap().iter();
        let states = done.map(|done| done["state"].as_str().unwrap().to_owned()).collect();
        (states, answer)
    }

    /// The same, asked until the calendar has noticed what there is to say.
    #[track_caller]
    pub(crate) fn anchor_until_news(&self) -> (Vec<String>, Value) {
        wait_for("news from the calendar", PATIENCE, || {
            let (states, answer) = self.anchor(&[]);
            if states.is_empty() { Err(answer) } else { Ok((states, answer)) }
        })
    }

    pub(crate) fn provctl(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let mut command = Command::new(PROVCTL);
        command.args(arguments).arg("--json");
        let output = command.arg("--policy").arg(self.path("policy.toml")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(text.into()))
    }

    pub(crate) fn has(&self, report: &Value, code: &str) -> bool {
        let findings = report["findings"].as_array().unwrap();
        findings.iter().any(|finding| finding["code"] == code)
    }
}

#[test]
fn an_appliance_without_a_wallet_is_anchored_by_calendars() {
    let Some(node) = Node::start() else { return };
    let calendar = Calendar::start(Some(&node), "msp", "");
    let appliance = Appliance::new(None);
    // One of them is down: it is told, and does not matter.
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    appliance.settings(&[&format!("http://{dead}"), &calendar.url()]);
    let bundle = appliance.bundle();
    let (states, answer) = appliance.anchor(&[]);
    assert_eq!(states, ["intended", "promised"], "{answer:#}");
    assert_eq!(appliance.anchor(&[]).0, Vec::<String>::new(), "it waits");
    assert!(!bundle.join("statement.json.ots").exists());
    calendar.anchor_finally();
    let (states, answer) = appliance.anchor_until_news();
    assert_eq!(states, ["attested"], "{answer:#}");
    assert_eq!(answer["bundles_proved"], 1);
    assert!(answer["anchors"][0]["height"].as_u64().unwrap() > 101, "{answer:#}");

    // The auditor with a node, with stock tools, and with neither.
    let (url, cookie) = (node.url(), node.cookie().display().to_string());
    let by_node = ["--bitcoin-rpc", &url, "--bitcoin-cookie", &cookie];
    let path = bundle.display().to_string();
    let (code, report) = appliance.provctl(&[&["verify", &path][..], &by_node].concat());
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["checked"]["anchors"], 1, "{report:#}");
    assert_eq!(report["checked"]["OpenTimestamps proofs"], 1);
    assert!(!appliance.has(&report, "anchor.pending"), "{report:#}");
    let stamp = bundle.join("statement.json.ots").display().to_string();
    if let Some((good, text)) = calendar.ots(&["verify", &stamp]) {
        assert!(good && text.contains("Success! Bitcoin block"), "{text}");
    }
    let (_, report) = appliance.provctl(&["verify", &path]);
    assert!(report["not_checked"].to_string().contains("the block of height"), "{report:#}");
    let state = appliance.path("state").display().to_string();
    let verify = [&["verify-chain", "--state", &state][..], &by_node].concat();
    let (_, report) = appliance.provctl(&verify);
    assert_eq!(report["verdict"], "verified", "{report:#}");
    assert_eq!(report["checked"]["anchor records"], 3, "{report:#}");
    // The next bundle, under the next anchor.
    let second = appliance.bundle();
    assert_eq!(appliance.anchor(&["--now"]).0, ["intended", "promised"]);
    calendar.anchor_finally();
    assert_eq!(appliance.anchor_until_news().0, ["attested"]);
    assert!(second.join("statement.json.ots").exists());
    node.mine_elsewhere(1);
    let (_, report) = appliance.provctl(&verify);
    assert_eq!(report["verdict"], "verified", "{report:#}");
}

#[test]
fn a_calendars_block_that_is_gone_is_noticed_and_asked_for_again() {
    let Some(node) = Node::start() else { return };
    let calendar = Calendar::start(Some(&node), "msp", "");
    let appliance = Appliance::new(Some(&node));
    appliance.settings(&[&calendar.url()]);
    let settings = fs::File::options().append(true).open(appliance.path("p.toml"));
    settings.unwrap().write_all(b"confirmations = 8\n").unwrap();
    let bundle = appliance.bundle();
    let stamp = bundle.join("statement.json.ots");
    assert_eq!(appliance.anchor(&[]).0, ["intended", "promised"]);
    calendar.anchor_finally();
    calendar.until_tip(204);
    // The calendar believes six blocks, this appliance eight.
    assert_eq!(appliance.anchor(&[]).0, Vec::<String>::new());
    node.mine(2);
    let (states, answer) = appliance.anchor(&[]);
    assert_eq!(states, ["attested"], "{answer:#}");
    let first = fs::read(&stamp).unwrap();
    assert_eq!(appliance.anchor(&[]).0, Vec::<String>::new(), "it is held, and holds");

    let height = answer["anchors"][0]["height"].to_string();
    node.ask(&["invalidateblock", &node.ask(&["getblockhash", &height])]);
    node.mine_elsewhere(9);
    assert_eq!(appliance.anchor(&[]).0, ["promised"]);
    assert!(!stamp.exists());
    let state = appliance.path("state").display().to_string();
    let (url, cookie) = (node.url(), node.cookie().display().to_string());
    let by_node = ["--bitcoin-rpc", &url, "--bitcoin-cookie", &cookie];
    let verify = [&["verify-chain", "--state", &state][..], &by_node].concat();
    let (code, report) = appliance.provctl(&verify);
    assert!(code != Some(1) && appliance.has(&report, "anchor.pending"), "{report:#}");
    calendar.anchor(&[]);
    node.mine(8);
    calendar.anchor(&[]);
    assert_eq!(appliance.anchor_until_news().0, ["attested"]);
    assert_ne!(fs::read(&stamp).unwrap(), first);
    let (code, report) = appliance.provctl(&verify);
    assert_eq!((code, &report["verdict"]), (Some(0), &"verified".into()), "{report:#}");
    // A node of another network says nothing of it.
    let settings = fs::read_to_string(appliance.path("p.toml")).unwrap();
    let other = settings.replace("network = \"regtest\"", "network = \"signet\"");
    fs::write(appliance.path("p.toml"), other).unwrap();
    node.ask(&["invalidateblock", &node.ask(&["getblockhash", &height])]);
    node.mine_elsewhere(20);
    assert_eq!(appliance.anchor(&[]).0, Vec::<String>::new());
    assert!(stamp.exists());
}
