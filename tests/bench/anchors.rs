//! An anchor's proof, from the transaction to the block's header, against one
//! strict check of an Ed25519 signature; and how large the proofs of a bundle
//! are.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may end")]

mod measure;

use measure::{at_most, control, median, own_cpu};
use provenance_core::{
    bitcoin::{Anchor, Transaction, TxProof},
    encoding::digest::{Digest, from_hex},
};
use provenanced::ledger::signer::{self, Signer};

/// As many bundles as a large provider has in a day.
const BUNDLES: u32 = 1_000;

fn main() {
    if !measure::is_asked() {
        return;
    }
    let (proof, root) = proof();
    let folder = tempfile::tempdir().unwrap();
    let (path, _, public) = signer::keygen(folder.path(), "bench").unwrap();
    let signer = Signer::load(path.to_str().unwrap()).unwrap();
    let signature = signer.sign(b"message");
    let (mut ours, mut theirs) = (vec![], vec![]);
    for _ in 0..9 {
        let (cpu, good) = own_cpu(|| (0..BUNDLES).all(|_| proof.verify(&root).is_ok()));
        assert!(good);
        ours.push(cpu);
        let (cpu, good) = own_cpu(|| (0..BUNDLES).all(|_| public.verifies(b"message", &signature)));
        assert!(good);
        theirs.push(cpu);
    }
    println!("the anchors of {BUNDLES} bundles:");
    let ratio = median(&mut ours) / median(&mut theirs);
    at_most("  against as many signature checks", ratio, 1.0, 0.2);
    // The longest path that a registry of a million records has.
    let anchor = Anchor { path: vec![Digest::ZERO; 20], proof: proof.clone(), size: 1 << 20 };
    let bytes = anchor.to_value().encode().len();
    at_most("  bytes in proof.json", f64::from(u32::try_from(bytes).unwrap()), 4096.0, 3072.0);
    let mut changed = proof.clone();
    changed.tx[10] ^= 1;
    control("a changed transaction", changed.verify(&root).is_err());
    let mut changed = proof;
    changed.branch[0].0[0] ^= 1;
    control("a changed branch", changed.verify(&root).is_err());
    measure::end();
}

/// A real one, of a block on regtest.
fn proof() -> (TxProof, Digest) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/anchor/regtest.json");
    let vector: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let bytes = |name: &str| from_hex(vector[name].as_str().unwrap()).unwrap();
    let height = u32::try_from(vector["height"].as_u64().unwrap()).unwrap();
    let root = Transaction::parse(&bytes("tx")).unwrap().root().unwrap();
    (TxProof::from_node(&bytes("tx"), &bytes("outproof"), height, &root).unwrap(), root)
}
