use alloc::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::{
    encoding::{
        digest::{Digest, from_hex},
        json::Value,
        json_scanner::Scanner,
    },
    merkle,
};

/// A real node's answers; `tests/vectors/anchor/make` makes them.
struct Vector(Value);

impl Vector {
    fn load() -> Self {
        let text = include_str!("../../../../tests/vectors/anchor/regtest.json");
        Self(Value::parse(text.as_bytes()).unwrap())
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).unwrap().as_str().unwrap()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        from_hex(self.text(name)).unwrap()
    }

    fn root(&self) -> Digest {
        Digest::from_hex(self.text("root").as_bytes()).unwrap()
    }

    fn proof(&self) -> TxProof {
        let height = self.0.get("height").unwrap().as_int().unwrap() as u32;
        let (tx, outproof) = (self.bytes("tx"), self.bytes("outproof"));
        TxProof::from_node(&tx, &outproof, height, &self.root()).unwrap()
    }
}

/// Block 100000 of Bitcoin: its header and its four transactions.
const HEADER_100000: &str = "0100000050120119172a610421a6c3011dd330d9df07b63616c2cc1f1cd0020000\
    0000006657a9252aacd5c0b2940996ecff952228c3067cc38d4885efb5a4ac4247e9f337221b4d4c86041b0f2b5710";
const TXIDS_100000: [&str; 4] = [
    "8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
    "fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
    "6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
    "e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
];

fn header(hex: &str) -> Header {
    Header(from_hex(hex).unwrap().try_into().unwrap())
}

#[test]
fn a_real_nodes_answers_make_a_proof_that_holds() {
    let vector = Vector::load();
    let shown = vector.proof().verify(&vector.root()).unwrap();
    assert_eq!(shown.txid.to_hex(), vector.text("txid"));
    assert_eq!(shown.block.to_hex(), vector.text("block"));
    assert_eq!(shown.header, header(vector.text("header")));
    assert_eq!((shown.root, shown.work), (vector.root(), ChainWork(2)));
    assert!(!Transaction::parse(&vector.proof().tx).unwrap().has_witness());
    let whole = Transaction::parse(&vector.bytes("tx")).unwrap();
    assert!(whole.has_witness() && whole.inputs().len() == 1);
    let (root, at) = whole.placed_root().unwrap();
    assert_eq!(whole.stripped()[at..at + 32], root.0);
    assert_eq!(whole.stripped()[at - 6..at], *b"\x6a\x24MSP1");
    assert!(script(&root).ends_with(&payload(&root)));
}

#[test]
fn a_proof_survives_its_json_and_takes_no_other_member() {
    let anchor =
        Anchor { path: vec![Digest::sha256(b"a")], proof: Vector::load().proof(), size: 2 };
    let bytes = anchor.to_value().encode();
    let read = |bytes: &[u8]| {
        let mut scan = Scanner::new(bytes);
        Anchor::read(&mut scan).and_then(|anchor| scan.finish().map(|()| anchor))
    };
    assert_eq!(read(&bytes), Ok(anchor.clone()));
    let more = anchor.to_value().with("zz", 1_u32).encode();
    assert!(read(&more).is_err());
    let text = alloc::string::String::from_utf8(bytes).unwrap();
    for (from, to) in [
        ("\"height\":111", "\"height\":2147483648"),
        ("\"tx\":\"02", "\"tx\":\"2"),
        ("\"header\":\"00", "\"header\":\""),
        ("\"header\":\"00", "\"header\":\"0G"),
    ] {
        assert!(text.contains(from) && read(text.replace(from, to).as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn each_changed_byte_of_a_proof_is_found() {
    let vector = Vector::load();
    let (good, root) = (vector.proof(), vector.root());
    let fails = |proof: &TxProof, what: &str| assert!(proof.verify(&root).is_err(), "{what}");
    for at in 0..good.tx.len() {
        let mut bad = good.clone();
        bad.tx[at] ^= 1;
        fails(&bad, "tx");
    }
    for at in 0..good.branch.len() * 32 {
        let mut bad = good.clone();
        bad.branch[at / 32].0[at % 32] ^= 1;
        fails(&bad, "branch");
    }
    // The rest of a header is held by its hash, which the auditor knows.
    for at in 36..68 {
        let mut bad = good.clone();
        bad.header.0[at] ^= 1;
        fails(&bad, "header");
    }
    for bit in 0..32 {
        fails(&TxProof { position: good.position ^ 1 << bit, ..good.clone() }, "position");
    }
    let mut longer = good.clone();
    longer.branch.push(Digest::ZERO);
    fails(&longer, "longer");
    let mut shorter = good.clone();
    shorter.branch.pop();
    fails(&shorter, "shorter");
    assert!(good.verify(&Digest::sha256(b"another root")).is_err());
}

#[test]
fn each_changed_byte_of_a_nodes_answer_is_refused_or_of_the_header_alone() {
    let vector = Vector::load();
    let (tx, outproof) = (vector.bytes("tx"), vector.bytes("outproof"));
    for at in 0..outproof.len() {
        let mut bad = outproof.clone();
        bad[at] ^= 1;
        let read = TxProof::from_node(&tx, &bad, 111, &vector.root());
        let in_header = at < 36 || (68..80).contains(&at);
        assert!(read.is_err() || in_header, "{at}: {read:?}");
    }
    for end in 0..outproof.len() {
        assert!(OutProof::parse(&outproof[..end]).is_err(), "{end}");
    }
    for end in 0..tx.len() {
        assert!(Transaction::parse(&tx[..end]).is_err(), "{end}");
    }
    let other = Transaction::parse(&vector.proof().tx[..10]);
    assert!(matches!(other, Err(AnchorError::Transaction(_))));
}

#[test]
fn a_record_under_another_root_is_found() {
    let vector = Vector::load();
    let anchor = Anchor { path: vec![], proof: vector.proof(), size: 1 };
    assert!(anchor.verify(vector.root(), 0).is_ok());
    assert_eq!(anchor.verify(Digest::sha256(b"leaf"), 0), Err(AnchorError::Path));
    assert_eq!(anchor.verify(vector.root(), 1), Err(AnchorError::Path));
    let longer = Anchor { path: vec![Digest::ZERO], ..anchor };
    assert_eq!(longer.verify(vector.root(), 0), Err(AnchorError::Path));
}

#[test]
fn block_100000_of_bitcoin_has_its_root_and_its_work() {
    let header = header(HEADER_100000);
    let hash = "000000000003ba27aa200b1cecaad478d2b00432346c3f1f3986da1afd33e506";
    assert_eq!(header.hash().to_hex(), hash);
    // As Bitcoin Core counts: chainwork of this block less that of the one before.
    assert_eq!(header.check(), Ok(ChainWork(62_209_952_899_966)));
    assert_eq!((header.time(), header.bits()), (1_293_623_863, 0x1b04_864c));
    let txids = TXIDS_100000.map(|hex| BlockHash::from_hex(hex.as_bytes()).unwrap());
    for position in 0..4 {
        let proof = OutProof::parse(&Block(txids.to_vec(), header).proof(position)).unwrap();
        assert_eq!(proof.txid, txids[position]);
        let root = block_root(proof.txid, proof.position, &proof.branch).unwrap();
        assert_eq!(root, header.merkle_root());
    }
}

#[test]
fn a_header_needs_a_target_and_must_meet_it() {
    let with_bits = |bits: u32| {
        let mut header = header(HEADER_100000);
        header.0[72..76].copy_from_slice(&bits.to_le_bytes());
        match header.check() {
            Err(AnchorError::Header(why)) => why,
            other => panic!("{bits:x}: {other:?}"),
        }
    };
    for bits in [0, 0x0100_0000, 0x0000_ffff, 0x0100_7fff, 0x1d00_0000] {
        assert_eq!(with_bits(bits), "its target is zero", "{bits:x}");
    }
    for bits in [0x0480_0001, 0x1d80_ffff, 0x1d80_0000] {
        assert_eq!(with_bits(bits), "its target is negative", "{bits:x}");
    }
    for bits in [0x2300_0001, 0x2200_0100, 0x2101_0000, 0xff00_0001] {
        assert_eq!(with_bits(bits), "its target overflows", "{bits:x}");
    }
    for bits in [0x1b04_864b, 0x1d00_ffff, 0x207f_ffff, 0x0300_0001, 0x0112_3456, 0x1f00_ffff] {
        assert_eq!(with_bits(bits), "its hash does not meet its own target", "{bits:x}");
    }
}

#[test]
fn a_64_byte_transaction_proves_nothing_below_it() {
    // A transaction of 64 bytes whose second half is another's id.
    let mut trick = vec![2, 0, 0, 0, 1];
    trick.resize(41, 7);
    trick.extend([0; 5]);
    trick.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0]);
    assert_eq!((trick.len(), Transaction::parse(&trick).is_ok()), (64, true));
    let (left, right) = trick.split_at(32);
    let below = BlockHash(Digest(right.try_into().unwrap()));
    let left = Digest(left.try_into().unwrap());
    assert!(matches!(block_root(below, 1, &[left]), Err(AnchorError::Branch(_))));
    // The same as what is proved.
    let mut proof = Vector::load().proof();
    proof.tx = trick;
    assert!(matches!(proof.transaction(), Err(AnchorError::Transaction(_))));
}

#[test]
fn a_node_paired_with_itself_stands_on_the_left_only() {
    let id = BlockHash(Digest::sha256(b"x"));
    assert!(block_root(id, 0, &[id.0]).is_ok());
    assert!(block_root(id, 1, &[id.0]).is_err());
    assert!(block_root(id, 2, &[id.0]).is_err());
    assert!(block_root(id, 0, &[Digest::sha256(b"y"); MAX_DEPTH]).is_ok());
    assert!(block_root(id, 0, &[Digest::sha256(b"y"); MAX_DEPTH + 1]).is_err());
}

#[test]
fn a_transaction_carries_our_root_in_its_one_data_output() {
    let (proof, root) = (Vector::load().proof(), Vector::load().root());
    let swap = |from: &[u8], to: &[u8]| {
        let at = proof.tx.windows(from.len()).position(|window| window == from).unwrap();
        let tx = [&proof.tx[..at], to, &proof.tx[at + from.len()..]].concat();
        Transaction::parse(&tx).map(|tx| tx.root())
    };
    let payload = |why| Ok(Err(AnchorError::Payload(why)));
    assert_eq!(swap(b"MSP1", b"MSP2"), payload("it is not `MSP1` and a root"));
    assert_eq!(swap(b"\x26\x6a\x24", b"\x26\x51\x24"), payload("there is no OP_RETURN output"));
    let output = [&[0; 8][..], &[38], &script(&root)].concat();
    let two = [&output[..], &output[..]].concat();
    assert!(swap(&output, &two).is_err());
    let counted = swap(&output, &output).unwrap();
    assert_eq!(counted, Ok(root));
    let longer = swap(b"\x26\x6a\x24", b"\x27\x6a\x25");
    assert!(longer.is_err());
}

/// A block for tests: its transactions' ids, and a header around their root.
struct Block(Vec<Txid>, Header);

impl Block {
    fn of(count: usize) -> Self {
        let ids = (0..count as u32).map(|i| BlockHash::of(&i.to_le_bytes()));
        let mut block = Self(ids.collect(), Header([0; 80]));
        let root = block.rows().last().unwrap()[0];
        block.1.0[36..68].copy_from_slice(&root.0);
        block
    }

    fn rows(&self) -> Vec<Vec<Digest>> {
        let mut rows: Vec<Vec<_>> = vec![self.0.iter().map(|id| id.0).collect()];
        while rows.last().unwrap().len() > 1 {
            let row = rows.last().unwrap().chunks(2);
            let pair = |pair: &[Digest]| [pair[0].0, pair[pair.len() - 1].0].concat();
            rows.push(row.map(|two| BlockHash::of(&pair(two)).0).collect());
        }
        rows
    }

    /// As Bitcoin Core's `CPartialMerkleTree` writes it.
    fn proof(&self, position: usize) -> Vec<u8> {
        let (rows, mut hashes, mut flags) = (self.rows(), vec![], vec![]);
        fn build(
            rows: &[Vec<Digest>],
            (height, index, wanted): (usize, usize, usize),
            (hashes, flags): (&mut Vec<Digest>, &mut Vec<bool>),
        ) {
            let on_path = wanted >> height == index;
            flags.push(on_path);
            if height == 0 || !on_path {
                return hashes.push(rows[height][index]);
            }
            for child in [index * 2, index * 2 + 1] {
                if child < rows[height - 1].len() {
                    build(rows, (height - 1, child, wanted), (hashes, flags));
                }
            }
        }
        build(&rows, (rows.len() - 1, 0, position), (&mut hashes, &mut flags));
        let bits = flags
            .chunks(8)
            .map(|byte| byte.iter().enumerate().fold(0, |sum, (i, bit)| sum | u8::from(*bit) << i));
        let bits: Vec<u8> = bits.collect();
        let mut out = self.1.0.to_vec();
        out.extend((self.0.len() as u32).to_le_bytes());
        out.push(hashes.len() as u8);
        out.extend(hashes.iter().flat_map(|hash| hash.0));
        out.push(bits.len() as u8);
        out.extend(bits);
        out
    }
}

proptest! {
    #[test]
    fn every_transaction_of_every_block_is_found_at_its_place(
        count in 1..400_usize, at: prop::sample::Index,
    ) {
        let (block, position) = (Block::of(count), at.index(count));
        let proof = OutProof::parse(&block.proof(position)).unwrap();
        prop_assert_eq!((proof.txid, proof.position as usize), (block.0[position], position));
        let root = block_root(proof.txid, proof.position, &proof.branch);
        prop_assert_eq!(root, Ok(block.1.merkle_root()));
        // At any other place the same branch leads elsewhere.
        let elsewhere = block_root(proof.txid, proof.position ^ 1, &proof.branch);
        prop_assert!(elsewhere != Ok(block.1.merkle_root()) || count == 1);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = (Transaction::parse(&bytes), OutProof::parse(&bytes));
        if let Ok(header) = <[u8; 80]>::try_from(bytes) {
            let _ = Header(header).check();
        }
    }

    #[test]
    fn any_change_to_a_real_transaction_gives_another_id_or_is_refused(
        at: prop::sample::Index, byte: u8,
    ) {
        let mut tx = Vector::load().proof().tx;
        let (id, at) = (Transaction::parse(&tx).unwrap().txid(), at.index(tx.len()));
        prop_assume!(tx[at] != byte);
        tx[at] = byte;
        prop_assert!(Transaction::parse(&tx).map(|tx| tx.txid()) != Ok(id));
    }

    #[test]
    fn targets_are_counted_as_work(bits: u32) {
        let mut header = header(HEADER_100000);
        header.0[72..76].copy_from_slice(&bits.to_le_bytes());
        if let Ok(work) = header.check() {
            prop_assert!(work.0 >= 1 && work.bits() <= 127);
        }
    }

    #[test]
    fn the_sides_of_a_leaf_are_those_of_its_path(size in 1..200_u64, at: prop::sample::Index) {
        let index = at.index(size as usize) as u64;
        let sides = merkle::sides(index, size).unwrap();
        prop_assert!(sides.len() <= 8);
        prop_assert_eq!(merkle::sides(size, size), None);
    }
}
