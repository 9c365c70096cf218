use alloc::{collections::BTreeMap, vec};
use core::convert::Infallible;

use proptest::prelude::*;

use super::*;

struct Stored(BTreeMap<Node, Digest>);

impl Nodes for Stored {
    type Error = Infallible;

    fn node(&self, node: Node) -> Result<Digest, Infallible> {
        Ok(self.0[&node])
    }
}

fn grow(bodies: &[Vec<u8>]) -> (Frontier, Stored, Vec<Digest>) {
    let (mut frontier, mut stored) = (Frontier::new(), Stored(BTreeMap::new()));
    let mut roots = vec![frontier.root()];
    for body in bodies {
        frontier.push(leaf_hash(body), |node, hash| assert!(stored.0.insert(node, hash).is_none()));
        roots.push(frontier.root());
    }
    (frontier, stored, roots)
}

/// The definition of RFC 6962 §2.1, word by word.
fn mth(bodies: &[Vec<u8>]) -> Digest {
    match bodies {
        [] => Digest::sha256(b""),
        [one] => leaf_hash(one),
        _ => {
            let k = bodies.len().next_power_of_two() / 2;
            node_hash(mth(&bodies[..k]), mth(&bodies[k..]))
        }
    }
}

fn hex(text: &str) -> Digest {
    Digest::from_hex(text.as_bytes()).unwrap()
}

/// The leaves and roots that the implementations of Certificate Transparency
/// share as test data.
fn vectors() -> Vec<Vec<u8>> {
    let all: Vec<u8> = (0x40..=0x6f).collect();
    vec![
        vec![],
        vec![0],
        vec![0x10],
        vec![0x20, 0x21],
        vec![0x30, 0x31],
        all[..4].to_vec(),
        all[0x10..0x18].to_vec(),
        all[0x20..0x30].to_vec(),
    ]
}

#[test]
fn roots_are_those_of_certificate_transparency() {
    let (_, _, roots) = grow(&vectors());
    let expected = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    assert_eq!(roots, expected.map(hex));
}

#[test]
fn proofs_are_those_of_certificate_transparency() {
    let (_, stored, roots) = grow(&vectors());
    let path = inclusion(&stored, 5, 8).unwrap();
    let expected = [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(path, expected.map(hex));
    let path = consistency(&stored, 6, 8).unwrap();
    let expected = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(path, expected.map(hex));
    assert!(verify_consistency(6, roots[6], 8, roots[8], &path));
}

fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
    (0..70_usize).prop_map(|n| (0..n).map(|i| vec![7, i as u8]).collect())
}

#[test]
fn every_proof_of_every_small_tree_holds_and_no_changed_one_does() {
    let bodies: Vec<Vec<u8>> = (0..40).map(|i| vec![i]).collect();
    let (_, stored, roots) = grow(&bodies);
    for new in 0..=40_u64 {
        let root = roots[new as usize];
        assert_eq!(super::root(&stored, new), Ok(root));
        for index in 0..new {
            let leaf = leaf_hash(&bodies[index as usize]);
            let path = inclusion(&stored, index, new).unwrap();
            assert!(verify_inclusion(leaf, index, new, &path, root));
            assert!(!verify_inclusion(leaf, index + 1, new, &path, root));
            assert!(!verify_inclusion(Digest::ZERO, index, new, &path, root));
            let longer = [&path[..], &[Digest::ZERO]].concat();
            assert!(!verify_inclusion(leaf, index, new, &longer, root));
            for at in 0..path.len() {
                let mut bad = path.clone();
                bad[at].0[0] ^= 1;
                assert!(!verify_inclusion(leaf, index, new, &bad, root));
                bad.remove(at);
                assert!(!verify_inclusion(leaf, index, new, &bad, root));
            }
        }
        for old in 0..=new {
            let old_root = roots[old as usize];
            let path = consistency(&stored, old, new).unwrap();
            assert!(verify_consistency(old, old_root, new, root, &path), "{old} {new}");
            if old > 0 && old < new {
                assert!(!verify_consistency(old, Digest::ZERO, new, root, &path));
                assert!(!verify_consistency(old, old_root, new, Digest::ZERO, &path));
                let longer = [&path[..], &[Digest::ZERO]].concat();
                assert!(!verify_consistency(old, old_root, new, root, &longer));
            }
        }
    }
    assert!(!verify_inclusion(Digest::ZERO, 0, 0, &[], empty_root()));
    assert!(!verify_consistency(3, roots[3], 2, roots[2], &[]));
    assert!(!verify_consistency(0, roots[1], 2, roots[2], &[]));
}

proptest! {
    #[test]
    fn a_growing_tree_has_the_root_of_the_definition(bodies in bodies()) {
        let (frontier, stored, _) = grow(&bodies);
        prop_assert_eq!(frontier.root(), mth(&bodies));
        let nodes = frontier_nodes(frontier.size()).map(|node| stored.node(node).unwrap());
        let again = Frontier::from_subtrees(frontier.size(), nodes.collect());
        prop_assert_eq!(again, Some(frontier));
    }

    #[test]
    fn no_proof_makes_it_panic(index: u64, size: u64, new: u64, path in prop::collection::vec(any::<[u8; 32]>(), 0..70)) {
        let path: Vec<_> = path.into_iter().map(Digest).collect();
        let _ = verify_inclusion(Digest::ZERO, index, size, &path, Digest::ZERO);
        let _ = verify_consistency(size, Digest::ZERO, new, Digest::ZERO, &path);
        let _ = frontier_nodes(size).count();
    }
}
