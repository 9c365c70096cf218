use alloc::{vec, vec::Vec};

use super::*;
use crate::{
    bitcoin::TxProof,
    merkle::Frontier,
    opentimestamps::tests::mine,
    registry::{Entry, Promise},
};

/// A tree of so many leaves, and the roots at each size.
fn root(size: u64) -> Digest {
    let mut tree = Frontier::new();
    (0..size).for_each(|i| tree.push(Digest::sha256(&i.to_be_bytes()), |_, _| ()));
    tree.root()
}

fn entry(size: u64, step: AnchorStep) -> AnchorEntry {
    AnchorEntry { root: root(size), size, step }
}

fn intended(previous: Option<Previous>) -> AnchorStep {
    AnchorStep::Intended { network: "regtest".into(), checkpoint: None, previous }
}

fn proof(size: u64) -> TxProof {
    mine(&root(size))
}

fn txid(size: u64) -> Txid {
    Transaction::parse(&proof(size).tx).unwrap().txid()
}

fn signed(size: u64) -> SignedTx {
    SignedTx { fee_sat: 1, tx: proof(size).tx, txid: txid(size) }
}

fn mined(size: u64) -> AnchorStep {
    let block = proof(size).header.hash();
    AnchorStep::Mined { txid: txid(size), block, height: 111, depth: 1 }
}

fn last(size: u64) -> AnchorStep {
    AnchorStep::Final { txid: txid(size), depth: 6, proof: proof(size) }
}

fn reorged(size: u64) -> AnchorStep {
    AnchorStep::Reorged { txid: txid(size), block: proof(size).header.hash() }
}

fn broadcast(size: u64) -> AnchorStep {
    AnchorStep::Broadcast { txid: txid(size) }
}

fn promised() -> AnchorStep {
    let promise = Promise { operations: vec![8], url: "https://c".into() };
    AnchorStep::Promised { promises: vec![promise] }
}

fn attested() -> AnchorStep {
    AnchorStep::Attested { height: 7, operations: vec![8, 8] }
}

fn codes(entries: &[AnchorEntry]) -> Vec<&'static str> {
    let (mut anchors, mut report) = (AnchorHistory::default(), Report::new());
    for (row, entry) in (10..).zip(entries) {
        // Every record survives its bytes.
        let record = Entry::Anchor(entry.clone());
        assert_eq!(Entry::read("anchor", &record.to_value().encode()), Ok(record));
        let root_at = |size| (size <= row).then(|| root(size));
        anchors.apply((row, entry), root_at, &Location::default(), &mut report);
    }
    report.counts().map(|(code, _)| code.as_str()).collect()
}

/// One anchor's life, step by step.
fn life(steps: Vec<AnchorStep>) -> Vec<&'static str> {
    let entries: Vec<_> = steps.into_iter().map(|step| entry(5, step)).collect();
    codes(&entries)
}

fn begun(more: Vec<AnchorStep>) -> Vec<&'static str> {
    let first = vec![intended(None), AnchorStep::Signed(signed(5)), broadcast(5)];
    life(first.into_iter().chain(more).collect())
}

#[test]
fn a_life_in_a_possible_order_has_no_finding() {
    let failed = || AnchorStep::Failed { reason: "no coins".into() };
    let replaced = || AnchorStep::Replaced { txid: txid(5), by: signed(5) };
    for more in [
        vec![mined(5), last(5)],
        vec![mined(5), reorged(5), mined(5), last(5), reorged(5), broadcast(5), mined(5)],
        vec![replaced(), replaced(), broadcast(5), mined(5), last(5)],
        vec![failed(), mined(5), last(5)],
    ] {
        assert_eq!(begun(more.clone()), Vec::<&str>::new(), "{more:?}");
    }
    assert_eq!(life(vec![intended(None), failed()]), Vec::<&str>::new());
    for more in [
        vec![promised(), attested()],
        // The block was reorganised away.
        vec![promised(), attested(), promised(), attested(), promised(), failed()],
    ] {
        let steps = [vec![intended(None)], more].concat();
        assert_eq!(life(steps.clone()), Vec::<&str>::new(), "{steps:?}");
    }
}

#[test]
fn a_calendars_block_that_is_gone_shows_nothing_any_more() {
    let (mut anchors, mut report) = (AnchorHistory::default(), Report::default());
    let mut attested_at = |steps: Vec<AnchorStep>| {
        for (row, step) in (5..).zip(steps) {
            let entry = entry(5, step);
            anchors.apply(
                (row, &entry),
                |size| Some(root(size)),
                &Location::default(),
                &mut report,
            );
        }
        anchors.iter().next().and_then(|(_, known)| known.attested.map(|(height, _)| height))
    };
    assert_eq!(attested_at(vec![intended(None), promised(), attested()]), Some(7));
    assert_eq!(attested_at(vec![promised()]), None);
}

#[test]
fn an_impossible_order_is_found() {
    for more in [
        vec![last(5)],
        vec![mined(5), last(5), last(5)],
        vec![mined(5), broadcast(5)],
        vec![AnchorStep::Signed(signed(5))],
        vec![mined(5), AnchorStep::Failed { reason: "no".into() }],
        vec![promised()],
        vec![attested()],
    ] {
        assert!(begun(more.clone()).contains(&"registry.broken"), "{more:?}");
    }
    assert_eq!(life(vec![AnchorStep::Signed(signed(5))]), ["registry.broken"]);
    assert_eq!(life(vec![intended(None), intended(None)]), ["registry.broken"]);
}

#[test]
fn a_record_that_names_another_transaction_block_or_root_is_found() {
    let other = Transaction::parse(&proof(6).tx).unwrap().txid();
    let block = proof(6).header.hash();
    let foreign = AnchorStep::Mined { txid: other, block, height: 111, depth: 1 };
    assert_eq!(begun(vec![foreign]), ["anchor.txid"]);
    assert_eq!(
        begun(vec![mined(5), AnchorStep::Reorged { txid: txid(5), block }]),
        ["anchor.header"]
    );
    let elsewhere = AnchorStep::Mined { txid: txid(5), block, height: 111, depth: 1 };
    assert_eq!(begun(vec![elsewhere, last(5)]), ["anchor.header"]);
    let unlike = AnchorStep::Final { txid: txid(5), depth: 6, proof: proof(6) };
    assert_eq!(begun(vec![mined(5), unlike]), ["anchor.payload"]);
    let carries_another = AnchorStep::Signed(signed(6));
    assert_eq!(life(vec![intended(None), carries_another]), ["anchor.payload"]);
    let misnamed = SignedTx { txid: other, ..signed(5) };
    assert_eq!(life(vec![intended(None), AnchorStep::Signed(misnamed)]), ["anchor.txid"]);
    let mut entry = entry(5, AnchorStep::Signed(signed(5)));
    let first = AnchorEntry { step: intended(None), ..entry.clone() };
    entry.root = root(6);
    assert_eq!(codes(&[first, entry]), ["anchor.payload"]);
}

#[test]
fn an_anchor_continues_the_tree_and_the_anchor_before_it() {
    // RFC 6962: from 4 leaves to 5 the proof is the two halves.
    let previous = |path| Some(Previous { path, root: root(4), size: 4 });
    let fifth = Digest::sha256(&4_u64.to_be_bytes());
    let first = || entry(4, intended(None));
    let good = entry(5, intended(previous(vec![fifth])));
    assert_eq!(codes(&[first(), good.clone()]), Vec::<&str>::new());
    let wrong = entry(5, intended(previous(vec![Digest::ZERO])));
    assert_eq!(codes(&[first(), wrong]), ["proof.consistency"]);
    assert_eq!(codes(&[first(), entry(5, intended(None))]), ["registry.broken"]);
    assert_eq!(codes(&[good]), ["registry.broken"]);
    assert_eq!(codes(&[entry(11, intended(None))]), ["registry.broken"]);
    let other = AnchorEntry { root: Digest::ZERO, ..first() };
    assert_eq!(codes(&[other]), ["registry.root"]);
    let mut noted = first();
    let note = "o\n4\nAAAA\n\n\u{2014} k AAAA\n";
    noted.step = AnchorStep::Intended {
        network: "regtest".into(),
        checkpoint: Some(note.into()),
        previous: None,
    };
    assert_eq!(codes(&[noted]), ["checkpoint.invalid"]);
}
