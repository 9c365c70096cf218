//! An appliance without a wallet, whose roots calendars anchor.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::PathBuf,
    process::{Command, Output},
    thread,
};

use provenance_core::{digest::from_hex, ots::ways};
use serde_json::Value;

use crate::{a_moment, node::Node, world::Calendar};

struct Appliance {
    dir: tempfile::TempDir,
    /// `[bitcoin]`, where it has a node.
    node: String,
}

impl Appliance {
    fn new(node: Option<&Node>) -> Self {
        let rpc = |node: &Node| {
            format!("rpc = \"{}\"\ncookie_file = \"{}\"\n", node.url(), node.cookie().display())
        };
        let node = node.map(rpc).unwrap_or_default();
        let appliance = Self { dir: tempfile::tempdir().unwrap(), node };
        fs::write(appliance.path("a.log"), "a line\n").unwrap();
        let mut keygen = Command::new(env!("CARGO_BIN_EXE_provenanced"));
        keygen.args(["keygen", "--name", "k", "--out"]).arg(appliance.dir.path());
        assert!(keygen.output().unwrap().status.success());
        let key = fs::read_to_string(appliance.path("k.pub")).unwrap();
        let policy = format!("[[keys]]\nname = \"k\"\npublic_key = \"\"\"\n{key}\"\"\"\n");
        fs::write(appliance.path("policy.toml"), policy).unwrap();
        appliance
    }

    fn settings(&self, calendars: &[&str]) {
        let text = format!(
            "client = \"c\"\nhost = \"h\"\ntier = \"professional\"\nstate_dir = \"{0}/state\"\n\
             signing_key = \"{0}/k.key\"\n[chain]\ninterval_s = 1\nwatch = [\"{0}/*.log\"]\njournal = false\n\
             [time.bitcoin]\nenabled = false\n[bitcoin]\n{1}network = \"regtest\"\n\
             [anchor]\nenabled = true\nvia = \"calendar\"\ncalendars = {calendars:?}\n",
            self.dir.path().display(),
            self.node,
        );
        fs::write(self.path("p.toml"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provenanced"));
        command.args(arguments).arg("--config").arg(self.path("p.toml")).output().unwrap()
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.command(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn bundle(&self) -> PathBuf {
        self.run(&["run", "--ticks", "1"]);
        let made: Value = serde_json::from_slice(&self.run(&["bundle", "--json"])).unwrap();
        made["path"].as_str().unwrap().into()
    }

    /// The states that anchors came to, and where they stand.
    #[track_caller]
    fn anchor(&self, arguments: &[&str]) -> (Vec<String>, Value) {
        let answer = self.run(&[&["anchor", "--json"], arguments].concat());
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let done = answer["done"].as_array().unwrap().iter();
        let states = done.map(|done| done["state"].as_str().unwrap().to_owned()).collect();
        (states, answer)
    }

    fn provctl(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provctl"));
        command.args(arguments).arg("--json");
        let output = command.arg("--policy").arg(self.path("policy.toml")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(text.into()))
    }

    fn has(&self, report: &Value, code: &str) -> bool {
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
    a_moment();
    let (states, answer) = appliance.anchor(&[]);
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
    a_moment();
    assert_eq!(appliance.anchor(&[]).0, ["attested"]);
    assert!(second.join("statement.json.ots").exists());
    node.mine_elsewhere(1);
    let (_, report) = appliance.provctl(&verify);
    assert_eq!(report["verdict"], "verified", "{report:#}");
}

/// A calendar that answers as it likes: what it is sent, and the way there.
fn liar(answer: impl Fn(&str) -> (u16, Vec<u8>) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = vec![0; 4096];
            let count = stream.read(&mut request).unwrap();
            let (status, body) = answer(&String::from_utf8_lossy(&request[..count]));
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    url
}

fn pending(uri: &str) -> Vec<u8> {
    let tag = from_hex("0083dfe30d2ef90c8e").unwrap();
    [&tag[..], &[uri.len() as u8 + 1, uri.len() as u8], uri.as_bytes()].concat()
}

#[test]
fn what_calendars_say_is_believed_in_nothing() {
    let Some(node) = Node::start() else { return };
    // Refusals, no proofs, floods, and promises for others.
    let elsewhere = pending("https://elsewhere.example");
    assert_eq!(ways(&[0; 32], &elsewhere).unwrap().len(), 1);
    for (answer, said) in [
        ((500, b"\x1b[31mno".to_vec()), "500 __31mno"),
        ((200, b"<html>".to_vec()), "not an OpenTimestamps proof"),
        ((200, vec![8; 20_000]), "over 10000 bytes"),
        ((301, vec![]), "301"),
        ((200, elsewhere), "anchor.calendars does not name"),
    ] {
        let appliance = Appliance::new(None);
        let url = liar(move |_| answer.clone());
        appliance.settings(&[&url]);
        appliance.bundle();
        let output = appliance.command(&["anchor"]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(75), "{message}");
        assert!(message.contains(said) && !message.contains('\x1b'), "{said}: {message}");
    }
    // One that names a block that has another root: a node of one's own knows.
    let appliance = Appliance::new(Some(&node));
    let bitcoin = from_hex("000588960d73d719010105").unwrap();
    let url = liar({
        let own = std::cell::OnceCell::new();
        move |request| {
            let line = |name: &str| {
                let line = request.lines().find(|line| line.to_lowercase().starts_with(name));
                line.map(|line| line[name.len()..].trim().to_owned())
            };
            let host = line("host:").unwrap();
            let own = own.get_or_init(|| format!("http://{host}"));
            match request.starts_with("POST") {
                true => (200, [&[8][..], &pending(own)].concat()),
                false => (200, [&[8][..], &bitcoin].concat()),
            }
        }
    });
    appliance.settings(&[&url]);
    let bundle = appliance.bundle();
    assert_eq!(appliance.anchor(&[]).0, ["intended", "promised"]);
    let output = appliance.command(&["anchor"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("the node has another block at height 5"), "{message}");
    assert!(!bundle.join("statement.json.ots").exists());
    // Without a node it goes on record, and the auditor finds it out.
    let appliance = Appliance { node: String::new(), ..appliance };
    appliance.settings(&[&url]);
    assert_eq!(appliance.anchor(&[]).0, ["attested"]);
    let (rpc, cookie) = (node.url(), node.cookie().display().to_string());
    let path = bundle.display().to_string();
    let verify = ["verify", &path, "--bitcoin-rpc", &rpc, "--bitcoin-cookie", &cookie];
    let (code, report) = appliance.provctl(&verify);
    assert_eq!(code, Some(1), "{report:#}");
    assert!(appliance.has(&report, "anchor.untrusted_header"), "{report:#}");
}
