use alloc::{format, string::String, vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::{
    bitcoin::{Anchor, BlockHash, Header, Transaction, TxProof, block_root, script},
    merkle::{Frontier, leaf_hash, root_by, sides},
};

/// A block of three transactions, the second of which carries `root`, found
/// as on regtest.
pub(crate) fn mine(root: &Digest) -> TxProof {
    let mut tx = vec![2, 0, 0, 0, 1];
    tx.extend([7; 36]);
    tx.extend([0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0, 38]);
    tx.extend(script(root));
    tx.extend([0; 4]);
    let txid = Transaction::parse(&tx).unwrap().txid();
    let branch = vec![Digest::sha256(b"coinbase"), Digest::sha256(b"two others")];
    let mut header = Header([0; 80]);
    header.0[36..68].copy_from_slice(&block_root(txid, 1, &branch).unwrap().0);
    header.0[72..76].copy_from_slice(&0x207f_ffff_u32.to_le_bytes());
    while header.check().is_err() {
        header.0[76] += 1;
    }
    TxProof { branch, header, height: 111, position: 1, tx }
}

/// A record that names the digest, and its anchor in a tree of `size`.
fn anchored(digest: &Digest, index: u64, size: u64) -> (String, Anchor) {
    let body = format!("{{\"a\":\"{digest}\",\"b\":{index}}}");
    let leaf = |i: u64| match i == index {
        true => leaf_hash(body.as_bytes()),
        false => leaf_hash(&i.to_be_bytes()),
    };
    let mut tree = Frontier::new();
    (0..size).for_each(|i| tree.push(leaf(i), |_, _| ()));
    // The siblings by definition: the tree over each side.
    let path = path(&leaf, index, 0, size);
    assert_eq!(root_by(leaf(index), index, size, &path), Some(tree.root()));
    assert_eq!(sides(index, size).unwrap().len(), path.len());
    (body, Anchor { path, proof: mine(&tree.root()), size })
}

fn path(leaf: &impl Fn(u64) -> Digest, index: u64, from: u64, to: u64) -> Vec<Digest> {
    if to - from == 1 {
        return vec![];
    }
    let split = from + (to - from).next_power_of_two() / 2;
    let over = |from, to| {
        let mut tree = Frontier::new();
        (from..to).for_each(|i| tree.push(leaf(i), |_, _| ()));
        tree.root()
    };
    let (mut below, sibling) = match index < split {
        true => (path(leaf, index, from, split), over(split, to)),
        false => (path(leaf, index, split, to), over(from, split)),
    };
    below.push(sibling);
    below
}

fn statement() -> Digest {
    Digest::sha256(b"statement")
}

fn written() -> (Vec<u8>, Anchor) {
    let (body, anchor) = anchored(&statement(), 5, 7);
    (of_statement(&statement(), &body, 5, &anchor).unwrap(), anchor)
}

#[test]
fn what_is_written_leads_from_the_statement_to_the_blocks_root() {
    for size in 1..20 {
        for index in 0..size {
            let (body, anchor) = anchored(&statement(), index, size);
            let bytes = of_statement(&statement(), &body, index, &anchor).unwrap();
            let root = Some(anchor.proof.header.merkle_root());
            assert_eq!(
                Ots::parse(&bytes),
                Ok(Ots {
                    digest: statement(),
                    attestations: vec![Attestation::Bitcoin { height: 111, root }],
                })
            );
        }
    }
}

#[test]
fn each_changed_byte_is_refused_or_leads_elsewhere() {
    let (bytes, anchor) = written();
    let good = Ots::parse(&bytes).unwrap();
    let root = Some(anchor.proof.header.merkle_root());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            let Ok(read) = Ots::parse(&bad) else { continue };
            assert_ne!(read, good, "{at}");
            let shows = read.digest == statement()
                && read.attestations.contains(&Attestation::Bitcoin { height: 111, root });
            assert!(!shows, "{at}");
        }
    }
    for end in 0..bytes.len() {
        assert!(Ots::parse(&bytes[..end]).is_err(), "{end}");
    }
    assert!(Ots::parse(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn a_record_that_does_not_name_the_statement_once_has_no_proof() {
    let (body, anchor) = anchored(&statement(), 0, 1);
    let of = |digest: &Digest, body: &str| of_statement(digest, body, 0, &anchor);
    assert_eq!(of(&Digest::sha256(b"other"), &body), Err(WriteError::Record));
    assert!(matches!(of(&statement(), "another record"), Err(WriteError::Anchor(_))));
    let digest = statement();
    for body in [format!("{digest}{digest}"), format!("{digest}{}", "x".repeat(MAX_BODY - 63))] {
        let root = leaf_hash(body.as_bytes());
        let anchor = Anchor { path: vec![], proof: mine(&root), size: 1 };
        assert!(of_statement(&digest, &body, 0, &anchor).is_err());
    }
}

fn proof(operations: &[u8]) -> Vec<u8> {
    [&MAGIC[..], &[VERSION, op::SHA256], &statement().0, operations].concat()
}

fn pending(uri: &[u8]) -> Vec<u8> {
    let payload = [&[uri.len() as u8], uri].concat();
    [&[op::ATTESTATION][..], &PENDING, &[payload.len() as u8], &payload].concat()
}

#[test]
fn forks_and_attestations_of_every_kind_are_read() {
    let unknown = [&[op::ATTESTATION][..], b"8 bytes!", &[2, 1, 2]].concat();
    let bitcoin = [&[op::ATTESTATION][..], &BITCOIN, &[2, 0x80, 0x01]].concat();
    let tree = [
        &[op::FORK][..],
        &pending(b"https://a.example"),
        &[op::FORK, op::SHA256, op::FORK],
        &bitcoin,
        &unknown,
        &[op::SHA1],
        &bitcoin,
    ]
    .concat();
    let attestations = vec![
        Attestation::Pending { uri: "https://a.example".into() },
        Attestation::Bitcoin { height: 128, root: Some(Digest::sha256(&statement().0)) },
        Attestation::Unknown { tag: *b"8 bytes!", payload: vec![1, 2] },
        // Behind SHA-1 nothing is shown.
        Attestation::Unknown { tag: BITCOIN, payload: vec![0x80, 0x01] },
    ];
    let read = Ots::parse(&proof(&tree)).unwrap();
    assert_eq!(read, Ots { digest: statement(), attestations });
    let reversed = [&[op::REVERSE, op::REVERSE, op::HEXLIFY], &bitcoin[..]].concat();
    let read = Ots::parse(&proof(&reversed)).unwrap();
    assert_eq!(read.attestations, [Attestation::Bitcoin { height: 128, root: None }]);
}

#[test]
fn a_proof_that_python_opentimestamps_wrote_is_read_as_it_says() {
    let bytes = include_bytes!("../../../../tests/vectors/anchor/python.ots");
    let read = Ots::parse(bytes).unwrap();
    assert_eq!(read.digest, Digest::sha256(b"a file"));
    let root = b"e60e6bb6816420f1d97ffb2bed35e06dc4d1ad5b79c7292fa595359145e22ae2";
    let uri = "https://a.pool.opentimestamps.org".into();
    for attestation in [
        Attestation::Bitcoin { height: 358_391, root: Digest::from_hex(root) },
        Attestation::Pending { uri },
        Attestation::Unknown { tag: *b"8 bytes!", payload: b"hello".to_vec() },
        // Behind RIPEMD-160, which is not carried out.
        Attestation::Unknown { tag: BITCOIN, payload: vec![1] },
    ] {
        assert!(read.attestations.contains(&attestation), "{read:?}");
    }
    assert_eq!(read.attestations.len(), 4);
}

#[test]
fn hostile_proofs_are_refused() {
    let end = pending(b"https://a.example");
    let hexes = [op::HEXLIFY; 8];
    let deep = vec![op::SHA256; MAX_DEPTH + 1];
    let wide = [&[op::FORK][..], &end].concat().repeat(MAX_STEPS);
    let nested = [op::FORK, op::SHA256].repeat(MAX_DEPTH + 1);
    let huge =
        [&[op::APPEND, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], &end[..]].concat();
    let endless = [&[op::APPEND][..], &[0xff; 20]].concat();
    let long = [&[op::APPEND, 0x80, 0x20][..], &[1; 4096], &end].concat();
    for (what, operations) in [
        ("a message over 4096 bytes", [&hexes[..], &end].concat()),
        ("a message over 4096 bytes", long),
        ("over 256 operations in a row", [&deep[..], &end].concat()),
        ("over 10,000 operations", wide),
        ("it forks over 256 times", nested),
        ("longer than it may be", huge),
        ("a number over 63 bits", endless),
        ("nothing is appended or prepended", [&[op::APPEND, 0][..], &end].concat()),
        ("a number that is not in its shortest form", vec![op::APPEND, 0x81, 0x00, 1]),
        ("an operation that there is not", [&[0xf4][..], &end].concat()),
        ("a fork behind a fork", [&[op::FORK, op::FORK][..], &end].concat()),
        ("it ends early", vec![op::FORK]),
        ("it ends early", vec![]),
        ("a calendar's address with other characters than it may have", pending(b"http://a?b")),
    ] {
        let error = Ots::parse(&proof(&operations)).unwrap_err();
        assert_eq!(error.what, what);
    }
    assert_eq!(Ots::parse(&vec![0; MAX_OTS + 1]).unwrap_err().what, "over 1 MiB");
}

#[test]
fn a_proof_in_a_registry_of_a_million_records_is_under_2_kib() {
    // A bundle's record of usual length, a path of 20 and a branch of 12.
    let body = format!("{}{}{}", "x".repeat(300), statement(), "y".repeat(350));
    let path: Vec<_> = (0..20_u32).map(|i| Digest::sha256(&i.to_be_bytes())).collect();
    let root = root_by(leaf_hash(body.as_bytes()), 0, 1 << 20, &path).unwrap();
    let mut proof = mine(&root);
    proof.branch = (0..12_u32).map(|i| Digest::sha256(&i.to_be_bytes())).collect();
    let txid = BlockHash::of(&proof.tx);
    let root = block_root(txid, 1, &proof.branch).unwrap();
    proof.header.0[36..68].copy_from_slice(&root.0);
    while proof.header.check().is_err() {
        proof.header.0[76] += 1;
    }
    let anchor = Anchor { path, proof, size: 1 << 20 };
    let bytes = of_statement(&statement(), &body, 0, &anchor).unwrap();
    assert!(bytes.len() < 2 << 10, "{}", bytes.len());
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Ots::parse(&proof(&bytes));
    }
}

fn submissions(count: usize) -> Vec<(Vec<u8>, [u8; NONCE])> {
    (0..count).map(|i| (vec![i as u8; i % 64 + 1], [i as u8; NONCE])).collect()
}

fn batch(after: u64, of: &[(Vec<u8>, [u8; NONCE])]) -> Batch {
    Batch::new(after, of.iter().map(|(digest, nonce)| (&digest[..], nonce))).unwrap()
}

#[test]
fn a_promise_leads_to_the_batchs_commitment_and_that_to_the_block() {
    for count in 1..20 {
        let of = submissions(count);
        let batch = batch(7, &of);
        let commitment = batch.commitment();
        assert_eq!(Commitment::from_hex(&commitment.to_hex()), Some(commitment));
        for (index, (digest, nonce)) in of.iter().enumerate() {
            let promise = batch.promise(index, nonce, "https://c.example").unwrap();
            let [way] = &ways(digest, &promise).unwrap()[..] else { panic!() };
            assert_eq!(way.message, commitment.to_bytes());
            assert_eq!(way.attestation, Attestation::Pending { uri: "https://c.example".into() });
            // What others submitted is not in it.
            for (other, (digest, _)) in of.iter().enumerate().filter(|(_, (it, _))| it.len() > 8) {
                assert!(other == index || !promise.windows(digest.len()).any(|it| it == digest));
            }
        }
    }
    assert!(Batch::new(0, []).is_none());
    let one = batch(3, &submissions(1));
    let commitment = one.commitment();
    let body = format!("{{\"batch\":\"{}\"}}", commitment.to_hex());
    let proof = mine(&leaf_hash(body.as_bytes()));
    let root = Some(proof.header.merkle_root());
    let anchor = Anchor { path: vec![], proof, size: 1 };
    let answer = of_commitment(&commitment, &body, 0, &anchor).unwrap();
    let [way] = &ways(&commitment.to_bytes(), &answer).unwrap()[..] else { panic!() };
    assert_eq!(way.attestation, Attestation::Bitcoin { height: 111, root });
    let other = Commitment { after: 4, ..commitment };
    assert_eq!(of_commitment(&other, &body, 0, &anchor), Err(WriteError::Record));
}

#[test]
fn the_ways_of_a_forked_answer_are_those_through_it() {
    let (a, b) = (pending(b"https://a.example"), pending(b"https://b.example"));
    let answer = [&[op::SHA256, op::FORK, op::HEXLIFY][..], &a, &[op::SHA1], &a, &[]].concat();
    let read = ways(b"m", &answer).unwrap();
    assert_eq!(read.len(), 1, "behind SHA-1 there is none");
    assert_eq!(read[0].operations, [op::SHA256, op::HEXLIFY]);
    let answer = [&[op::SHA256, op::FORK, op::HEXLIFY][..], &a, &[op::REVERSE], &b].concat();
    let read = ways(b"m", &answer).unwrap();
    assert_eq!(read[1].operations, [op::SHA256, op::REVERSE]);
    assert_eq!(read[0].message.len(), 64);
    assert!(ways(b"m", &[&answer[..], &[0]].concat()).is_err());
    assert!(ways(b"m", &vec![op::SHA256; MAX_ANSWER + 1]).is_err());
}

#[cfg(test)]
mod oracle;
