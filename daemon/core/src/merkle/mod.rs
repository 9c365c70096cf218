//! The Merkle tree of RFC 6962 §2.1 over the registry's records, with its
//! inclusion and consistency proofs (verified as in RFC 9162 §2.1.3, 2.1.4).

pub mod inclusion_proof;

use alloc::vec::Vec;

use crate::encoding::digest::{Digest, Hasher};

/// The longest proof: a tree of 2^63 leaves.
pub const MAX_PATH: usize = 63;

/// SHA-256(0x00 ‖ body).
pub fn leaf_hash(body: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(&[0]);
    hasher.update(body);
    hasher.finish()
}

/// SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: Digest, right: Digest) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(&[1]);
    hasher.update(&left.0);
    hasher.update(&right.0);
    hasher.finish()
}

/// The root of the tree without leaves.
pub fn empty_root() -> Digest {
    Digest::sha256(b"")
}

/// A growing tree: the roots of its complete subtrees, largest first. Its
/// state is O(log n).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frontier {
    size: u64,
    /// A subtree for each set bit of `size`, highest bit first.
    subtrees: Vec<Digest>,
}

/// A complete subtree: 2^`level` leaves from leaf `index` · 2^`level` on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Node {
    /// 0 for a leaf.
    pub level: u8,
    /// Its place among the subtrees of its level.
    pub index: u64,
}

impl Frontier {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree of `size` leaves from the roots of its complete subtrees,
    /// largest first; `None` where their number is not that of `size`.
    pub fn from_subtrees(size: u64, subtrees: Vec<Digest>) -> Option<Self> {
        (subtrees.len() == size.count_ones() as usize).then_some(Self { size, subtrees })
    }

    /// How many leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf, and hands every subtree that it completes to `complete`,
    /// the leaf first: at most two a leaf on average.
    pub fn push(&mut self, leaf: Digest, mut complete: impl FnMut(Node, Digest)) {
        let (mut hash, mut node) = (leaf, Node { level: 0, index: self.size });
        complete(node, hash);
        while node.index & 1 == 1 {
            let Some(left) = self.subtrees.pop() else { break };
            hash = node_hash(left, hash);
            node = Node { level: node.level + 1, index: node.index >> 1 };
            complete(node, hash);
        }
        self.subtrees.push(hash);
        self.size += 1;
    }

    /// The tree's root.
    pub fn root(&self) -> Digest {
        let right = self.subtrees.iter().rev().copied();
        right.reduce(|right, left| node_hash(left, right)).unwrap_or_else(empty_root)
    }
}

/// The complete subtrees of a tree of `size` leaves, largest first: what
/// [`Frontier::from_subtrees`] takes.
pub fn frontier_nodes(size: u64) -> impl Iterator<Item = Node> {
    (0..64_u8).rev().filter(move |level| size >> level & 1 == 1).map(move |level| {
        let above = size.checked_shr(u32::from(level) + 1).unwrap_or_default();
        Node { level, index: above << 1 }
    })
}

/// Gives the hash of any complete subtree of a tree.
pub trait Nodes {
    /// What reading can fail with.
    type Error;

    /// The hash of `node`.
    ///
    /// # Errors
    /// As reading, or where the tree has no such subtree.
    fn node(&self, node: Node) -> Result<Digest, Self::Error>;
}

/// The root over leaves `[from, to)`, from complete subtrees.
fn range_root<N: Nodes>(nodes: &N, from: u64, to: u64) -> Result<Digest, N::Error> {
    let length = to - from;
    if length == 0 {
        return Ok(empty_root());
    }
    if length.is_power_of_two() {
        let level = length.trailing_zeros() as u8;
        return nodes.node(Node { level, index: from >> level });
    }
    let split = from + largest_power_below(length);
    Ok(node_hash(range_root(nodes, from, split)?, range_root(nodes, split, to)?))
}

/// The root of the first `size` leaves, in O(log n) reads.
///
/// # Errors
/// As [`Nodes::node`].
pub fn root<N: Nodes>(nodes: &N, size: u64) -> Result<Digest, N::Error> {
    range_root(nodes, 0, size)
}

/// The inclusion proof of leaf `index` in the tree of `size` leaves
/// (RFC 6962 §2.1.1), in O(log n) reads. `index` is below `size`.
///
/// # Errors
/// As [`Nodes::node`].
pub fn inclusion<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Vec<Digest>, N::Error> {
    let (mut from, mut to, mut path) = (0, size, Vec::new());
    while to - from > 1 && index < size {
        let split = from + largest_power_below(to - from);
        if index < split {
            path.push(range_root(nodes, split, to)?);
            to = split;
        } else {
            path.push(range_root(nodes, from, split)?);
            from = split;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `new` leaves continues that of `old` leaves
/// (RFC 6962 §2.1.2), in O(log n) reads. `old` is at most `new`.
///
/// # Errors
/// As [`Nodes::node`].
pub fn consistency<N: Nodes>(nodes: &N, old: u64, new: u64) -> Result<Vec<Digest>, N::Error> {
    let mut path = Vec::new();
    if old == 0 || old >= new {
        return Ok(path);
    }
    let (mut from, mut to, mut whole) = (0, new, true);
    while old != to {
        let split = from + largest_power_below(to - from);
        if old <= split {
            path.push(range_root(nodes, split, to)?);
            to = split;
        } else {
            path.push(range_root(nodes, from, split)?);
            from = split;
            whole = false;
        }
    }
    if !whole {
        path.push(range_root(nodes, from, to)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `leaf` is leaf `index` of the tree of `size` leaves with `root`
/// (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(
    leaf: Digest,
    index: u64,
    size: u64,
    path: &[Digest],
    root: Digest,
) -> bool {
    root_by(leaf, index, size, path) == Some(root)
}

/// The root of the tree of `size` leaves that `path` leads to from leaf
/// `index`; `None` where no such tree has a path of that length.
pub fn root_by(leaf: Digest, index: u64, size: u64, path: &[Digest]) -> Option<Digest> {
    let steps = sides(index, size)?;
    let whole = steps.len() == path.len();
    let climb = |hash, (left, sibling): (&bool, &Digest)| match left {
        true => node_hash(*sibling, hash),
        false => node_hash(hash, *sibling),
    };
    whole.then(|| steps.iter().zip(path).fold(leaf, climb))
}

/// On which side the siblings of leaf `index` stand, from the leaf upward:
/// `true` for the left. `None` where the tree has no such leaf.
pub fn sides(index: u64, size: u64) -> Option<Vec<bool>> {
    let (mut node, mut last, mut sides) = (index, size.checked_sub(1)?, Vec::new());
    if node > last {
        return None;
    }
    while last > 0 {
        // A last node without a sibling goes up as it is.
        while node == last && node & 1 == 0 && last > 0 {
            node >>= 1;
            last >>= 1;
        }
        if last > 0 {
            sides.push(node & 1 == 1);
            node >>= 1;
            last >>= 1;
        }
    }
    Some(sides)
}

/// Whether the tree of `new` leaves continues that of `old` leaves
/// (RFC 9162 §2.1.4.2). The empty tree is continued by every tree.
pub fn verify_consistency(
    old: u64,
    old_root: Digest,
    new: u64,
    new_root: Digest,
    path: &[Digest],
) -> bool {
    if old == 0 {
        return path.is_empty() && old_root == empty_root();
    }
    if old >= new {
        return old == new && path.is_empty() && old_root == new_root;
    }
    let mut rest = path.iter().copied();
    let first = if old.is_power_of_two() { Some(old_root) } else { rest.next() };
    let Some(first) = first else { return false };
    let shift = (old - 1).trailing_ones();
    let (mut node, mut last) = ((old - 1) >> shift, (new - 1) >> shift);
    let (mut old_hash, mut new_hash) = (first, first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, old_hash);
            new_hash = node_hash(sibling, new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == old_root && new_hash == new_root
}

/// The largest power of two below `n`, which is at least 2.
fn largest_power_below(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// The longest inclusion path: the height of a tree of 2^53 leaves.
pub const MAX_PROOF_PATH: usize = 53;

#[cfg(test)]
mod tests;
