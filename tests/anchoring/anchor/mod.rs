//! `provenanced anchor` on a real Bitcoin node: the whole life of an anchor,
//! and each trouble on its way.

mod faults;
mod harness;

use std::{fs, process::Command};

use super::node;
use crate::common::peers;
use harness::WalletFixture;
use node::Node;

#[test]
fn from_due_to_final_with_proofs_that_an_auditor_verifies() {
    let Some(node) = Node::start() else { return };
    let fixture = WalletFixture::new(&node, "life", "0.001", "");
    assert_eq!(fixture.anchor(&[]), ["intended", "signed", "broadcast"]);
    assert_eq!(fixture.anchor(&[]), Vec::<String>::new(), "nothing new before the next block");
    // Asked for, an anchor that is pending is inconclusive, and nothing worse.
    assert_eq!(fixture.verify_bundle().0, 2);
    fixture.verifies();
    node.mine(1);
    assert_eq!(fixture.anchor(&[]), ["mined"]);
    node.mine(4);
    assert_eq!(fixture.anchor(&[]), Vec::<String>::new(), "five blocks are not six");
    node.mine(1);
    assert_eq!(fixture.anchor(&[]), ["final"]);
    let (code, report) = fixture.verify_bundle();
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["anchors"][0]["basis"], "node");
    assert!(fixture.bundle().join("statement.json.ots").is_file());
    assert_eq!(fixture.anchor(&[]), Vec::<String>::new(), "one a day");
    assert_eq!(fixture.paid(), [1]);

    // Another, which continues the first.
    assert_eq!(fixture.anchor(&["--now"]), ["intended", "signed", "broadcast"]);
    let records = fixture.records();
    let second = records.iter().rfind(|record| record["state"] == "intended").unwrap();
    assert_eq!(second["previous"]["root"], records[0]["root"]);
    assert_eq!(fixture.anchor(&["--now"]), Vec::<String>::new(), "not while one waits");
    node.mine(6);
    assert_eq!(fixture.anchor(&[]), ["mined", "final"]);
    fixture.verifies();
    assert_eq!(fixture.paid(), [1, 1]);
    let before = fs::read(fixture.bundle().join("proof.json")).unwrap();
    fs::remove_file(fixture.path("state/cache/anchored")).unwrap();
    fixture.anchor(&[]);
    assert_eq!(fs::read(fixture.bundle().join("proof.json")).unwrap(), before, "the first stays");
}

#[test]
fn a_transaction_that_nobody_mines_pays_more_under_the_same_root() {
    let Some(node) = Node::start() else { return };
    let fixture = WalletFixture::new(
        &node,
        "bump",
        "0.001",
        "bump_after_blocks = 2\nmax_fee_rate_sat_vb = 30\n",
    );
    fixture.anchor(&[]);
    node.mine_empty(1);
    assert_eq!(fixture.anchor(&[]), Vec::<String>::new());
    node.mine_empty(1);
    assert_eq!(fixture.anchor(&[]), ["replaced", "broadcast"]);
    let records = fixture.records();
    let (signed, replaced) = (&records[1], &records[3]);
    assert_eq!(replaced["txid"], signed["txid"]);
    let paid = |record: &serde_json::Value| record["fee_sat"].as_u64().unwrap();
    assert!(paid(&replaced["by"]) > paid(signed));
    assert_eq!(fixture.paid(), [1]);
    // Again and again, up to the limit and no further.
    for _ in 0..6 {
        node.mine_empty(2);
        fixture.anchor(&[]);
    }
    let last = fixture.records().into_iter().rfind(|record| record["state"] == "replaced").unwrap();
    let size = last["by"]["tx"].as_str().unwrap().len() as u64 / 2;
    assert!(paid(&last["by"]) <= 30 * size, "{last}");
    assert!(paid(&last["by"]) > 15 * size, "near the limit: {last}");
    let before = fixture.states().len();
    node.mine_empty(2);
    fixture.anchor(&[]);
    assert_eq!(fixture.states().len(), before, "the limit holds");
    node.mine(6);
    assert_eq!(fixture.anchor(&[]), ["mined", "final"]);
    assert_eq!(fixture.paid(), [1]);
    fixture.verifies();
    assert_eq!(fixture.verify_bundle().0, 0);
}

#[test]
fn a_block_that_is_gone_is_recorded_and_its_proof_with_it() {
    let Some(node) = Node::start() else { return };
    let fixture = WalletFixture::new(&node, "reorg", "0.001", "");
    fixture.anchor(&[]);
    node.mine(2);
    fixture.anchor(&[]);
    // Before it is final: the transaction goes back among those that wait.
    let gone = |fixture: &WalletFixture<'_>| {
        let mined = fixture.records().into_iter().rfind(|record| record["state"] == "mined");
        node.ask(&["invalidateblock", mined.unwrap()["block"].as_str().unwrap()]);
    };
    gone(&fixture);
    assert_eq!(fixture.anchor(&[]), ["reorged", "broadcast"]);
    node.mine_elsewhere(6);
    assert_eq!(fixture.anchor(&[]), ["mined", "final"]);
    assert_eq!(fixture.verify_bundle().0, 0);
    // And after.
    gone(&fixture);
    assert_eq!(fixture.anchor(&[]), ["reorged", "broadcast"]);
    assert_eq!(fixture.verify_bundle().0, 2, "pending again");
    assert!(!fixture.bundle().join("statement.json.ots").exists());
    node.mine_elsewhere(7);
    assert_eq!(fixture.anchor(&[]), ["mined", "final"]);
    let (code, report) = fixture.verify_bundle();
    assert_eq!(code, 0, "{report:#}");
    // Between two runs into another block at once.
    gone(&fixture);
    node.mine_elsewhere(8);
    assert_eq!(fixture.anchor(&[]), ["reorged", "mined", "final"]);
    assert_eq!(fixture.verify_bundle().0, 0);
    assert_eq!(fixture.paid(), [1]);
    fixture.verifies();
}

#[test]
fn a_node_that_cannot_be_used_is_said_and_nothing_is_lost() {
    let Some(mut node) = Node::start() else { return };
    {
        let fixture = WalletFixture::new(&node, "trouble", "0", "");
        let (code, message) = fixture.anchor_fails();
        assert!(code == 75 && message.contains("send coins"), "{code} {message}");
        assert_eq!(fixture.states(), ["intended"]);
        node.fund("trouble", "0.001");
        // The settings' network is compared with the node's.
        fixture.settings("bitcoin");
        let (code, message) = fixture.anchor_fails();
        assert!(code == 78 && message.contains("regtest"), "{code} {message}");
        fixture.settings("regtest");
        // The wallet is loaded when it is needed.
        fixture.wallet(&["unloadwallet"]);
        assert_eq!(fixture.anchor(&[]), ["signed", "broadcast"]);
        std::mem::forget(fixture);
    }
    let fixture = WalletFixture::new(&node, "down", "0.001", "");
    let state = fixture.path("state");
    fixture.anchor(&[]);
    let config = fixture.path("p.toml");
    std::mem::forget(fixture);
    node.stop();
    let anchor = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provenanced"));
        command.args(["anchor", "--json", "--config"]).arg(&config).output().unwrap()
    };
    let output = anchor();
    let message = String::from_utf8_lossy(&output.stderr);
    // Its cookie went with it.
    assert!([66, 74, 75].contains(&output.status.code().unwrap()), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    node.restart();
    node.mine(6);
    let output = anchor();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let done: Vec<_> = answer["done"].as_array().unwrap().iter().map(|d| &d["state"]).collect();
    assert_eq!(done, ["mined", "final"], "{answer}");
    let _ = fs::remove_dir_all(state.parent().unwrap());
}

#[test]
fn a_lost_wallet_makes_no_second_payment_for_what_is_mined() {
    let Some(node) = Node::start() else { return };
    let fixture = WalletFixture::new(&node, "lost", "0.001", "");
    let lose = || {
        fixture.wallet(&["unloadwallet"]);
        fs::remove_dir_all(node.dir.path().join("regtest/wallets/lost")).unwrap();
        node.ask(&["createwallet", "lost"]);
        let address = fixture.wallet(&["getnewaddress"]);
        node.ask(&["-rpcwallet=w", "sendtoaddress", &address, "0.001"]);
    };
    // One is in a block, and known to be; the other, which spends the first
    // one's change, came into one since.
    fixture.anchor(&[]);
    node.mine(1);
    assert_eq!(fixture.anchor(&[]), ["mined"]);
    assert_eq!(fixture.anchor(&["--now"]), ["intended", "signed", "broadcast"]);
    node.mine(1);
    lose();
    assert_eq!(fixture.anchor(&[]), ["mined"]);
    node.mine(5);
    assert_eq!(fixture.anchor(&[]), ["final", "final"]);
    assert_eq!(fixture.verify_bundle().0, 0);
    fixture.verifies();
    // One that waits for its block goes on from what is on record.
    assert_eq!(fixture.anchor(&["--now"]), ["intended", "signed", "broadcast"]);
    lose();
    assert_eq!(fixture.anchor(&[]), Vec::<String>::new());
    node.mine(6);
    assert_eq!(fixture.anchor(&[]), ["mined", "final"]);
    // The new wallet paid for nothing.
    assert_eq!(fixture.paid(), [0, 0, 0]);
    fixture.verifies();
}

#[test]
fn a_damaged_bundle_is_told_and_keeps_no_other_from_its_proof() {
    let Some(node) = Node::start() else { return };
    let fixture = WalletFixture::new(&node, "damaged", "0.001", "");
    for arguments in [&["run", "--ticks", "1"][..], &["bundle"]] {
        let output = fixture.command(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let entries = fs::read_dir(fixture.path("state/bundles")).unwrap();
    let mut bundles: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    bundles.sort();
    let proof = bundles[0].join("proof.json");
    let good = fs::read(&proof).unwrap();
    let put = |bytes: &[u8]| {
        fs::remove_file(&proof).unwrap();
        fs::write(&proof, bytes).unwrap();
    };
    put(b"{}");
    // Said from the first run on, and the anchor goes its way.
    fixture.anchor_fails();
    assert_eq!(fixture.states(), ["intended", "signed", "broadcast"]);
    node.mine(6);
    let (_, message) = fixture.anchor_fails();
    assert!(message.contains("proof.json"), "{message}");
    assert_eq!(fixture.states().last().unwrap(), "final");
    assert!(bundles[1].join("statement.json.ots").exists());
    let health = fixture.command(&["health"]).output().unwrap();
    let told = String::from_utf8_lossy(&health.stdout).into_owned();
    let line = told.lines().find(|line| line.contains("anchors")).unwrap();
    assert!(line.contains("failing") && line.contains("proof.json"), "{told}");
    put(&good);
    fixture.anchor(&[]);
    assert!(bundles[0].join("statement.json.ots").exists());
}

#[test]
fn what_is_not_to_be_anchored_is_not() {
    let Some(node) = Node::start() else { return };
    let fixture = WalletFixture::new(&node, "off", "0.001", "enabled = false\n");
    let (code, message) = fixture.anchor_fails();
    assert!(code == 64 && message.contains("anchor.enabled"), "{code} {message}");
    assert!(fixture.states().is_empty());
    // Two at once: one waits for nobody.
    let fixture = WalletFixture::new(&node, "lock", "0.001", "");
    let lock = fs::File::options().append(true).open(fixture.path("state/cache/anchor.lock"));
    assert!(lock.is_err(), "not made yet");
    fixture.anchor(&[]);
    let lock = fs::File::open(fixture.path("state/cache/anchor.lock")).unwrap();
    lock.lock().unwrap();
    let (code, message) = fixture.anchor_fails();
    assert!(code == 75 && message.contains("anchor.lock"), "{code} {message}");
}

#[test]
fn health_and_the_daemon_tell_how_it_stands() {
    let Some(node) = Node::start() else { return };
    let fixture = WalletFixture::new(&node, "health", "0.00000300", "");
    let part = || {
        let output = fixture.command(&["health", "--json"]).output().unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = answer["checks"].as_array().unwrap().clone();
        let anchors = checks.into_iter().find(|check| check["what"] == "anchors").unwrap();
        let text = |name: &str| anchors[name].as_str().unwrap().to_owned();
        (text("health"), text("message"))
    };
    assert_eq!(part().0, "unknown");
    // Not enough: without change this node takes nothing, and what it does not
    // take is not on record.
    let (code, message) = fixture.anchor_fails();
    assert!(code == 75 && message.contains("send coins"), "{code} {message}");
    assert_eq!(fixture.states(), ["intended"]);
    assert_eq!(part().0, "failing");
    // Enough for some, and for not many.
    node.fund("health", "0.0001");
    fixture.anchor(&[]);
    let (health, message) = part();
    assert!(health == "ok" && message.contains("broadcast"), "{message}");
    assert_eq!(fixture.alerts(), ["wallet.low raised"]);
    node.fund("health", "0.01");
    fixture.anchor(&[]);
    assert_eq!(fixture.alerts(), ["wallet.low raised", "wallet.low resolved"]);
    fixture.settings("signet");
    assert_eq!(fixture.anchor_fails().0, 78);
    let (health, message) = part();
    assert!(health == "failing" && message.contains("signet"), "{message}");
}
