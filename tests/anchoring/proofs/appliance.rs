//! An appliance's state with bundles, and their anchor as a daemon makes it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use provenance_core::{
    bitcoin::{Anchor, BlockHash, TxProof, payload},
    encoding::{
        digest::{Digest, from_hex, to_hex},
        time::Timestamp,
    },
    merkle::{self, inclusion_proof::Proof},
    opentimestamps,
    registry::{AnchorEntry, AnchorStep, Entry, Previous, SignedTx},
};
use provenance_registry::reader::Reader;
use provenanced::ledger::registry_writer::Writer;
use serde_json::Value;

use super::node::Node;
use crate::common::{
    programs::{PROVCTL, PROVENANCED, keygen},
    settings::{settings, trusted_key},
};

pub(crate) struct Appliance {
    pub(crate) dir: tempfile::TempDir,
}

/// What was anchored.
pub(crate) struct Anchored {
    pub(crate) size: u64,
    pub(crate) root: Digest,
    pub(crate) proof: TxProof,
}

impl Appliance {
    /// One with this many bundles.
    pub(crate) fn new(bundles: usize) -> Self {
        let appliance = Self { dir: tempfile::tempdir().unwrap() };
        keygen(appliance.dir.path(), "k");
        let (key, watch) = (appliance.path("k.key"), appliance.path("*.log"));
        let state = appliance.path("state");
        let settings = settings(("c", "h"), "professional", &state, Some(&key), &watch);
        fs::write(appliance.path("p.toml"), settings).unwrap();
        fs::write(appliance.path("a.log"), "a line\n").unwrap();
        for _ in 0..bundles {
            let run = ["run", "--ticks", "1", "--config", appliance.text("p.toml")];
            appliance.provenanced(&run);
            appliance.provenanced(&["bundle", "--config", appliance.text("p.toml")]);
        }
        appliance.policy("");
        appliance
    }

    /// Writes the auditor's policy, with more at its end.
    pub(crate) fn policy(&self, more: &str) {
        let key = fs::read_to_string(self.path("k.pub")).unwrap();
        let text = trusted_key("k", &key) + more;
        fs::write(self.path("policy.toml"), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> &'static str {
        Box::leak(self.path(name).display().to_string().into_boxed_str())
    }

    fn provenanced(&self, arguments: &[&str]) {
        let output = Command::new(PROVENANCED).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?} {output:?}");
    }

    pub(crate) fn bundles(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("state/bundles")).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::open(&self.path("state/registry.db")).unwrap()
    }

    pub(crate) fn record(&self, size: u64, root: Digest, step: AnchorStep) {
        let mut writer = Writer::open(&self.path("state/registry.db")).unwrap();
        let entry = Entry::Anchor(AnchorEntry { root, size, step });
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let now = Timestamp::from_nanos(now.as_nanos() as i64);
        writer.append(now, &[("anchor", entry.to_value())]).unwrap();
    }

    /// The whole life of an anchor over all records so far.
    pub(crate) fn anchor(&self, node: &Node, previous: Option<&Anchored>) -> Anchored {
        let size = self.reader().len().unwrap();
        let root = self.reader().root_at(size).unwrap();
        let previous = previous.map(|previous| Previous {
            path: self.reader().consistency(previous.size, size).unwrap(),
            root: previous.root,
            size: previous.size,
        });
        let network = "regtest".into();
        self.record(size, root, AnchorStep::Intended { network, checkpoint: None, previous });
        node.others(6);
        let (hex, id) = node.send(&to_hex(&payload(&root)));
        let (tx, txid) = (from_hex(&hex).unwrap(), BlockHash::from_hex(id.as_bytes()).unwrap());
        let signed = SignedTx { fee_sat: 300, tx: tx.clone(), txid };
        self.record(size, root, AnchorStep::Signed(signed));
        self.record(size, root, AnchorStep::Broadcast { txid });
        node.mine(6);
        let told = node.json(&["gettransaction", &id]);
        let block = told["blockhash"].as_str().unwrap();
        let height = told["blockheight"].as_u64().unwrap() as u32;
        let outproof = node.ask(&["gettxoutproof", &format!("[\"{id}\"]"), block]);
        let block = BlockHash::from_hex(block.as_bytes()).unwrap();
        let proof = TxProof::from_node(&tx, &from_hex(&outproof).unwrap(), height, &root).unwrap();
        self.record(size, root, AnchorStep::Mined { txid, block, height, depth: 6 });
        let last = AnchorStep::Final { txid, depth: 6, proof: proof.clone() };
        self.record(size, root, last);
        for bundle in self.bundles() {
            self.prove(&bundle, size, &proof);
        }
        Anchored { size, root, proof }
    }

    /// Anchors a bundle in a tree of so many records that never was the
    /// registry's, though the bundle's record is in it.
    pub(crate) fn anchor_elsewhere(&self, node: &Node, bundle: &Path, size: u64) {
        let own = Proof::parse(&fs::read(bundle.join("proof.json")).unwrap()).unwrap();
        let sides = merkle::sides(own.index, size).unwrap();
        let path: Vec<_> = (0..sides.len()).map(|n| Digest::sha256(&[n as u8])).collect();
        let leaf = merkle::leaf_hash(own.body.as_bytes());
        let root = merkle::root_by(leaf, own.index, size, &path).unwrap();
        node.others(6);
        let (hex, id) = node.send(&to_hex(&payload(&root)));
        node.mine(6);
        let told = node.json(&["gettransaction", &id]);
        let height = told["blockheight"].as_u64().unwrap() as u32;
        let block = told["blockhash"].as_str().unwrap();
        let outproof = from_hex(&node.ask(&["gettxoutproof", &format!("[\"{id}\"]"), block]));
        let tx = from_hex(&hex).unwrap();
        let proof = TxProof::from_node(&tx, &outproof.unwrap(), height, &root).unwrap();
        self.prove_by(bundle, size, (path, &proof));
    }

    /// A packet of everything.
    pub(crate) fn packet(&self, name: &str) -> PathBuf {
        let (config, out) = (self.text("p.toml"), self.text(name));
        let period = ["--from", "2020-01-01", "--to", "2100-01-01"];
        self.provenanced(&[&["packet", "--config", config, "--out", out][..], &period].concat());
        self.path(name)
    }

    fn prove(&self, bundle: &Path, size: u64, proof: &TxProof) {
        let own = Proof::parse(&fs::read(bundle.join("proof.json")).unwrap()).unwrap();
        let path = self.reader().inclusion(own.index, size).unwrap();
        self.prove_by(bundle, size, (path, proof));
    }

    fn prove_by(&self, bundle: &Path, size: u64, (path, proof): (Vec<Digest>, &TxProof)) {
        let mut own = Proof::parse(&fs::read(bundle.join("proof.json")).unwrap()).unwrap();
        let anchor = Anchor { path, proof: proof.clone(), size };
        let digest = Digest::sha256(&fs::read(bundle.join("statement.json")).unwrap());
        let stamp = opentimestamps::of_statement(&digest, &own.body, own.index, &anchor).unwrap();
        assert!(stamp.len() < 2048, "{}", stamp.len());
        own.anchor = Some(anchor);
        put(&bundle.join("proof.json"), &own.encode().unwrap());
        put(&bundle.join("statement.json.ots"), &stamp);
    }

    /// Exit code and report of `provctl … --json` with the auditor's policy.
    pub(crate) fn provctl(&self, arguments: &[&str]) -> (i32, Value) {
        let output = Command::new(PROVCTL)
            .args(arguments)
            .arg("--json")
            .arg("--policy")
            .arg(self.path("policy.toml"))
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let answer = serde_json::from_slice(&output.stdout).unwrap_or(Value::String(stderr));
        (output.status.code().unwrap(), answer)
    }
}

/// Writes a file that the daemon made read-only.
pub(crate) fn put(path: &Path, bytes: &[u8]) {
    let _ = fs::remove_file(path);
    fs::write(path, bytes).unwrap();
}
