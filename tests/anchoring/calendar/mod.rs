//! `provenanced aggregate`, an OpenTimestamps calendar: with the stock client
//! and a real Bitcoin node, and against clients that mean harm.

mod appliance;
mod encrypted;
mod harness;
mod hostile;
mod liars;

use std::fs;

use provenance_core::opentimestamps::{Attestation, ways};

use super::node;
use crate::common::{
    full_disk, peers,
    wait::{PATIENCE, holds, wait_for},
};
use harness::Calendar;
use node::Node;

#[test]
fn the_stock_client_stamps_upgrades_and_verifies() {
    let Some(node) = Node::start() else { return };
    let mut calendar = Calendar::start(Some(&node), "calendar", "");
    let url = calendar.url();
    let names: Vec<String> = (0..3).map(|i| format!("file{i}")).collect();
    for name in &names {
        fs::write(calendar.path(name), name).unwrap();
        let stamped = calendar.ots(&["stamp", "-m", "1", "-c", &url, name]);
        let Some((good, text)) = stamped else { return };
        assert!(good, "{text}");
    }
    let stamps: Vec<String> = names.iter().map(|name| format!("{name}.ots")).collect();
    let upgrade = || {
        let mut arguments = vec!["upgrade"];
        arguments.extend(stamps.iter().map(String::as_str));
        calendar.ots(&arguments).unwrap()
    };
    let (good, text) = upgrade();
    assert!(!good && text.contains("Pending confirmation in Bitcoin blockchain"), "{text}");
    assert_eq!(calendar.get("/tip").status, 204);

    calendar.anchor(&[]);
    calendar.until_tip(200);
    let (good, text) = upgrade();
    assert!(!good && text.contains("waiting for confirmations"), "{text}");
    let tip = calendar.get("/tip");
    assert_eq!((tip.status, tip.body.len()), (200, 32), "{tip:?}");
    node.mine(6);
    calendar.anchor(&[]);
    calendar.until_tip(204);
    let (good, text) = upgrade();
    assert!(good && text.contains("Success! Timestamp complete"), "{text}");
    for (name, stamp) in names.iter().zip(&stamps) {
        let (good, text) = calendar.ots(&["verify", stamp]).unwrap();
        assert!(good && text.contains("Success! Bitcoin block"), "{text}");
        let (good, text) = calendar.ots(&["verify", "-f", "p.toml", stamp]).unwrap();
        assert!(!good, "{name} {text}");
        // Our own reader gets the stock client's file right.
        let file = fs::read(calendar.path(stamp)).unwrap();
        let read = provenance_core::opentimestamps::Ots::parse(&file).unwrap();
        let block = |it: &Attestation| matches!(it, Attestation::Bitcoin { root: Some(_), .. });
        assert!(read.attestations.iter().any(block), "{read:?}");
        assert!(file.len() < 3 << 10, "{}", file.len());
    }
    let (code, report) = calendar.verify();
    assert!(code != Some(1), "{report}");
    // What is submitted now is under the next anchor.
    fs::write(calendar.path("late"), "late").unwrap();
    assert!(calendar.ots(&["stamp", "-m", "1", "-c", &url, "late"]).unwrap().0);
    assert!(!calendar.ots(&["upgrade", "late.ots"]).unwrap().0);
    calendar.kill();
    calendar.serve();
    calendar.anchor_finally();
    wait_for("the stock client's upgrade", PATIENCE, || {
        let (good, text) = calendar.ots(&["upgrade", "late.ots"]).unwrap();
        holds(good, text)
    });
    let (good, text) = calendar.ots(&["verify", "late.ots"]).unwrap();
    assert!(good, "{text}");
}

#[test]
fn what_was_answered_survives_a_kill() {
    let mut calendar = Calendar::start(None, "", "");
    let mut commitments = vec![];
    for round in 0..5_u8 {
        let threads: Vec<_> = (0..8_u8)
            .map(|i| {
                let digest = [round * 8 + i; 32];
                let answer = calendar.submit(&digest);
                (digest, answer)
            })
            .collect();
        for (digest, answer) in threads {
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(answer.head.contains("content-type: application/octet-stream"));
            let way = ways(&digest, &answer.body).unwrap().remove(0);
            assert_eq!(way.attestation, Attestation::Pending { uri: calendar.url() });
            commitments.push(provenance_core::encoding::digest::to_hex(&way.message));
        }
        calendar.kill();
        calendar.serve();
    }
    for commitment in &commitments {
        let answer = calendar.get(&format!("/timestamp/{commitment}"));
        assert_eq!(answer.status, 404, "{answer:?}");
        assert_eq!(answer.text(), "Pending confirmation in Bitcoin blockchain");
        assert!(answer.head.contains("content-type: text/plain"), "{answer:?}");
    }
    let (code, report) = calendar.verify();
    assert!(code != Some(1), "{report}");
    // It ends in order, and answers first.
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(calendar.pid()).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    assert_eq!(calendar.wait(), Some(0));
}

#[test]
fn a_full_disk_promises_nothing_and_loses_nothing_that_was_promised() {
    let Some(disk) = full_disk::Mount::new(4096) else { return };
    let mut calendar = Calendar::start(None, "", "");
    calendar.change(&calendar.path("state").display().to_string(), &disk.path().display());
    let (mut promised, mut refused) = (vec![], 0);
    let mut submit = |number: u32| {
        let digest = number.to_be_bytes().repeat(8);
        let answer = calendar.submit(&digest);
        match answer.status {
            200 => {
                let way = ways(&digest, &answer.body).unwrap().remove(0);
                promised.push(provenance_core::encoding::digest::to_hex(&way.message));
            }
            503 => assert!(answer.head.contains("retry-after"), "{answer:?}"),
            _ => panic!("{answer:?}"),
        }
        answer.status
    };
    assert_eq!(submit(0), 200);
    disk.fill();
    // What the journal has room for is promised; after it, nothing is.
    for number in 1..2_000 {
        refused += u32::from(submit(number) == 503);
        if refused == 5 {
            break;
        }
    }
    assert_eq!(refused, 5, "the disk was never full");
    disk.empty();
    let again = (2_000..2_020).map(&mut submit).find(|status| *status == 200);
    assert_eq!(again, Some(200), "it does not recover");
    // By a power cut, too.
    disk.fill();
    while submit(3_000) == 200 {}
    calendar.kill();
    disk.empty();
    calendar.serve();
    for commitment in &promised {
        let answer = calendar.get(&format!("/timestamp/{commitment}"));
        let text = answer.text();
        assert_eq!((answer.status, &*text), (404, "Pending confirmation in Bitcoin blockchain"));
    }
    assert_eq!(calendar.submit(&[7; 32]).status, 200);
    let (code, report) = calendar.verify_at(disk.path());
    assert!(code != Some(1), "{report}");
}
