//! Anchors on a real Bitcoin node: what `provctl` and stock `ots` say of them,
//! and that nothing of a proof can be changed.

mod appliance;

use provenance_audit::trust::trust_by;
use std::{fs, path::Path, process::Command};

use provenance_audit::{self, policy_file};
use provenance_core::{
    encoding::digest::Digest, merkle::inclusion_proof::Proof, registry::AnchorStep, report::Verdict,
};
use serde_json::Value;

use super::node;
use crate::common::peers;
use appliance::{Appliance, put};
use node::Node;

/// The findings' codes, but for what the test's own clock gives rise to.
fn codes(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap_or_else(|| panic!("{report}"));
    let codes = findings.iter().map(|finding| finding["code"].as_str().unwrap());
    codes.filter(|code| !code.starts_with("clock.")).collect()
}

#[test]
fn bundles_are_verified_by_header_file_node_and_pinned_hash() {
    let Some(node) = Node::start() else { return };
    let appliance = Appliance::new(3);
    let bundle = appliance.bundles().remove(0);
    let bundle = bundle.to_str().unwrap();
    let (code, report) = appliance.provctl(&["verify", bundle]);
    assert_eq!((code, report.get("anchors")), (0, None), "{report:#}");
    // Asked for, an anchor that is still to come is inconclusive.
    fs::write(appliance.path("empty"), "").unwrap();
    let empty = appliance.path("empty");
    let (code, report) =
        appliance.provctl(&["verify", bundle, "--headers", empty.to_str().unwrap()]);
    assert_eq!((code, codes(&report)), (2, vec!["anchor.pending"]), "{report:#}");

    let first = appliance.anchor(&node, None);
    let height = u64::from(first.proof.height);
    // Nobody vouches for the block.
    let (code, report) = appliance.provctl(&["verify", bundle]);
    assert_eq!((code, codes(&report)), (2, vec!["anchor.untrusted_header"]), "{report:#}");
    assert_eq!(report["anchors"][0]["basis"], "proof of work alone");
    let findings = report["findings"].as_array().unwrap().iter();
    let untrusted = findings.filter(|finding| finding["code"] == "anchor.untrusted_header");
    assert!(untrusted.clone().count() == 1 && untrusted.clone().all(|it| it["severity"] == "info"));

    // The auditor's file of headers.
    let lines: Vec<_> = (height - 2..height + 4).map(|at| node.header_line(at)).collect();
    let file = appliance.path("headers.txt");
    let headers = file.to_str().unwrap();
    fs::write(&file, lines.concat()).unwrap();
    for bundle in appliance.bundles() {
        let (code, report) =
            appliance.provctl(&["verify", bundle.to_str().unwrap(), "--headers", headers]);
        assert_eq!((code, codes(&report)), (0, vec![]), "{report:#}");
        assert_eq!(report["checked"]["OpenTimestamps proofs"], 1);
        let anchor = &report["anchors"][0];
        assert_eq!(
            (&anchor["basis"], anchor["height"].as_u64()),
            (&"header file".into(), Some(height))
        );
        // Four headers from the block on, two hashes each.
        assert_eq!(anchor["work_bits"], 3);
    }
    fs::write(&file, lines[0].clone()).unwrap();
    let (code, report) = appliance.provctl(&["verify", bundle, "--headers", headers]);
    assert_eq!((code, codes(&report)), (2, vec!["anchor.untrusted_header"]), "{report:#}");
    assert!(report["not_checked"].to_string().contains("getblockheader"), "{report:#}");
    let other =
        node.header_line(height - 1).replacen(&(height - 1).to_string(), &height.to_string(), 1);
    fs::write(&file, other).unwrap();
    let (code, report) = appliance.provctl(&["verify", bundle, "--headers", headers]);
    assert_eq!((code, codes(&report)), (1, vec!["anchor.untrusted_header"]), "{report:#}");
    // With the target of Bitcoin's first block, which no block on regtest meets:
    // a changed header would meet its own in every second run.
    let (at, header) = lines[0].split_once(' ').unwrap();
    let strict = format!("{at} {}ffff001d{}", &header[..144], &header[152..]);
    fs::write(&file, strict).unwrap();
    assert_eq!(appliance.provctl(&["verify", bundle, "--headers", headers]).0, 65);

    // The auditor's node: by its cookie, by a password, and down.
    let (url, cookie) = (node.url(), node.cookie().display().to_string());
    let with_cookie = ["verify", bundle, "--bitcoin-rpc", &url, "--bitcoin-cookie", &cookie];
    let (code, report) = appliance.provctl(&with_cookie);
    assert_eq!((code, &report["anchors"][0]["basis"]), (0, &"node".into()), "{report:#}");
    let password = node.url_with_password();
    assert_eq!(appliance.provctl(&["verify", bundle, "--bitcoin-rpc", &password]).0, 0);
    let (code, report) = appliance.provctl(&["verify", bundle, "--bitcoin-rpc", &url]);
    assert_eq!((code, codes(&report)), (2, vec!["anchor.untrusted_header"]), "{report:#}");

    // A hash in the policy, and a file that the policy names.
    let hash = node.ask(&["getblockhash", &height.to_string()]);
    appliance
        .policy(&format!("[anchor]\n[[anchor.blocks]]\nheight = {height}\nhash = \"{hash}\"\n"));
    let (code, report) = appliance.provctl(&["verify", bundle]);
    assert_eq!((code, &report["anchors"][0]["basis"]), (0, &"pinned hash".into()), "{report:#}");
    // A file that says otherwise does not outweigh it.
    let wrong = node.ask(&["getblockhash", &(height - 1).to_string()]);
    appliance
        .policy(&format!("[anchor]\n[[anchor.blocks]]\nheight = {height}\nhash = \"{wrong}\"\n"));
    fs::write(&file, lines.concat()).unwrap();
    let (code, report) = appliance.provctl(&["verify", bundle, "--headers", headers]);
    assert_eq!((code, codes(&report)), (1, vec!["anchor.untrusted_header"]), "{report:#}");
    fs::write(&file, lines.concat()).unwrap();
    appliance.policy("[anchor]\nrequired = true\nheaders = \"headers.txt\"\n");
    assert_eq!(appliance.provctl(&["verify", bundle]).0, 0);

    // A reorganisation: the node has another block at that height now.
    node.ask(&["invalidateblock", &hash]);
    node.mine_elsewhere(8);
    appliance.policy("");
    let (code, report) = appliance.provctl(&with_cookie);
    assert_eq!((code, codes(&report)), (1, vec!["anchor.untrusted_header"]), "{report:#}");
}

#[test]
fn the_registry_is_held_to_its_anchors() {
    let Some(node) = Node::start() else { return };
    let appliance = Appliance::new(2);
    let first = appliance.anchor(&node, None);
    let kept = appliance.path("kept.json");
    fs::copy(appliance.bundles()[0].join("proof.json"), &kept).unwrap();
    let kept = kept.display().to_string();
    appliance.anchor(&node, Some(&first));
    let state = appliance.path("state").display().to_string();
    let (url, cookie) = (node.url(), node.cookie().display().to_string());
    let node_args = ["--bitcoin-rpc", &url, "--bitcoin-cookie", &cookie];
    let verify = |appliance: &Appliance, state: &str, more: &[&str]| {
        let arguments = [&["verify-chain", "--state", state][..], more].concat();
        appliance.provctl(&arguments)
    };
    let (code, report) = verify(&appliance, &state, &node_args);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["checked"]["anchor records"], 10);
    // Two on record, and each bundle's own.
    assert_eq!(report["anchors"].as_array().unwrap().len(), 4, "{report:#}");
    assert_eq!(report["checked"]["anchored trees"], 2);
    // Without a source of headers: said, and not decisive for the state.
    let (code, report) = verify(&appliance, &state, &[]);
    assert_eq!(code, 0, "{report:#}");
    assert!(codes(&report).contains(&"anchor.untrusted_header"));
    // What the auditor kept from an earlier visit.
    let with_kept = [&["--anchor", &kept], &node_args[..]].concat();
    let (code, report) = verify(&appliance, &state, &with_kept);
    assert_eq!((code, &report["checked"]["anchored trees"]), (0, &3.into()), "{report:#}");

    // The whole state made again since: every record and signature holds.
    let again = Appliance::new(2);
    let state = again.path("state").display().to_string();
    assert_eq!(verify(&again, &state, &[]).0, 0);
    let (code, report) = verify(&again, &state, &with_kept);
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(codes(&report), ["proof.consistency"], "{report:#}");

    // A registry that says what did not happen.
    let size = appliance.reader().len().unwrap();
    let root = Digest::sha256(b"of no tree");
    let network = "regtest".into();
    let step = AnchorStep::Intended { network, checkpoint: None, previous: None };
    appliance.record(size, root, step);
    appliance.record(
        size,
        root,
        AnchorStep::Reorged { txid: first.proof.header.hash(), block: first.proof.header.hash() },
    );
    let state = appliance.path("state").display().to_string();
    let (code, report) = verify(&appliance, &state, &node_args);
    assert_eq!(code, 1);
    for code in
        ["registry.root", "registry.broken", "anchor.txid", "anchor.header", "anchor.pending"]
    {
        assert!(codes(&report).contains(&code), "{code}: {report:#}");
    }
}

#[test]
fn a_packets_bundles_are_held_to_the_trees_of_its_own_registry() {
    let Some(node) = Node::start() else { return };
    let appliance = Appliance::new(2);
    let size = appliance.anchor(&node, None).size;
    let (url, cookie) = (node.url(), node.cookie().display().to_string());
    let verify = |packet: &Path| {
        let packet = packet.to_str().unwrap();
        let node = ["--bitcoin-rpc", &url, "--bitcoin-cookie", &cookie];
        appliance.provctl(&[&["verify", packet][..], &node].concat())
    };
    let (code, report) = verify(&appliance.packet("good.zip"));
    assert_eq!((code, &report["checked"]["anchored trees"]), (0, &2.into()), "{report:#}");
    let bundle = appliance.bundles().remove(0);
    let name = format!("bundles/{}/proof.json", bundle.file_name().unwrap().to_str().unwrap());
    // Signed, mined, with the bundle's record in it: and of another registry.
    for (size, packet) in [(size, "forked.zip"), (size + 1_000, "longer.zip")] {
        appliance.anchor_elsewhere(&node, &bundle, size);
        let (code, report) = verify(&appliance.packet(packet));
        assert_eq!((code, codes(&report)), (1, vec!["proof.consistency"]), "{report:#}");
        let findings = report["findings"].as_array().unwrap().iter();
        let found = findings.clone().find(|it| it["code"] == "proof.consistency").unwrap();
        assert_eq!(found["where"]["file"], *name, "{found}");
    }
}

#[test]
fn each_changed_byte_of_a_proof_or_stamp_is_found() {
    let Some(node) = Node::start() else { return };
    let appliance = Appliance::new(2);
    let anchored = appliance.anchor(&node, None);
    let file = appliance.path("headers.txt");
    fs::write(&file, node.header_line(anchored.proof.height.into())).unwrap();
    let trust = || {
        let mut trust =
            trust_by(Some(policy_file::load(&appliance.path("policy.toml")).unwrap())).unwrap();
        provenance_audit::trust::read_headers(&mut trust.blocks, &file).unwrap();
        trust.blocks.demand();
        trust
    };
    let trust = trust();
    let bundle = appliance.bundles().remove(1);
    let verdict = || provenance_audit::state::bundles::verify(&bundle, &trust).unwrap().verdict();
    assert_eq!(verdict(), Verdict::Verified);
    for name in ["proof.json", "statement.json.ots"] {
        let good = fs::read(bundle.join(name)).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            put(&bundle.join(name), &bad);
            assert_ne!(verdict(), Verdict::Verified, "{name} {at}");
        }
        put(&bundle.join(name), &good);
    }
    assert_eq!(verdict(), Verdict::Verified);
    // Another bundle's stamp, and one without its statement's anchor.
    let other = appliance.bundles().remove(0);
    let own = fs::read(bundle.join("statement.json.ots")).unwrap();
    put(&bundle.join("statement.json.ots"), &fs::read(other.join("statement.json.ots")).unwrap());
    assert_eq!(verdict(), Verdict::Failed);
    put(&bundle.join("statement.json.ots"), &own);
    // Alone, each of the two is enough.
    let mut proof = Proof::parse(&fs::read(bundle.join("proof.json")).unwrap()).unwrap();
    proof.anchor = None;
    put(&bundle.join("proof.json"), &proof.encode().unwrap());
    let report = provenance_audit::state::bundles::verify(&bundle, &trust).unwrap();
    assert_eq!((report.verdict(), report.anchors().len()), (Verdict::Verified, 1));
}

/// That a stock tool takes every bundle's stamp, and none of which a byte was
/// changed, in the stamp or in the statement.
fn takes_the_true_ones_only(appliance: &Appliance, says: impl Fn(&Path) -> (bool, String)) {
    for bundle in appliance.bundles() {
        let (good, text) = says(&bundle);
        assert!(good, "{text}");
    }
    let bundle = appliance.bundles().remove(0);
    for name in ["statement.json", "statement.json.ots"] {
        let good = fs::read(bundle.join(name)).unwrap();
        // Behind is the block's height, which a header does not hold.
        let end = good.len() - 8;
        for at in (0..end).step_by(good.len() / 7).chain([end - 1]) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            put(&bundle.join(name), &bad);
            let (accepted, text) = says(&bundle);
            assert!(!accepted, "{name} {at}: {text}");
        }
        put(&bundle.join(name), &good);
    }
    assert!(says(&bundle).0);
}

#[test]
fn stock_ots_verifies_our_stamps_and_refuses_changed_ones() {
    let (Some(ots), Some(node)) = (peers::find("ots"), Node::start()) else { return };
    let appliance = Appliance::new(3);
    appliance.anchor(&node, None);
    takes_the_true_ones_only(&appliance, |bundle| {
        let output = Command::new(&ots)
            .env("HOME", appliance.dir.path())
            .args(["--btc-regtest", "--bitcoin-node", &node.url_with_password(), "--no-cache"])
            .arg("verify")
            .arg(bundle.join("statement.json.ots"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.success() && text.contains("Success! Bitcoin block"), text)
    });
}

#[test]
fn otskit_verifies_our_stamps_by_a_header_alone_and_refuses_changed_ones() {
    let (Some(otskit), Some(node)) = (peers::find("otskit"), Node::start()) else { return };
    let appliance = Appliance::new(2);
    let anchored = appliance.anchor(&node, None);
    let says = |height: u32, bundle: &Path| {
        let line = node.header_line(height.into());
        let output = Command::new(&otskit)
            .args(["verify", "--header", line.split_whitespace().nth(1).unwrap()])
            .arg(bundle.join("statement.json.ots"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!text.contains("Traceback"), "{text}");
        (output.status.success(), text)
    };
    let height = anchored.proof.height;
    takes_the_true_ones_only(&appliance, |bundle| says(height, bundle));
    let (accepted, text) = says(height - 1, &appliance.bundles()[0]);
    assert!(!accepted, "by another block's header: {text}");
}
