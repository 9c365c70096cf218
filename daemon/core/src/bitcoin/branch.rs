//! The Merkle tree of a block's transactions: SHA-256 twice over pairs.
//!
//! Two traps of that tree. A transaction of exactly 64 bytes looks like an
//! inner node: below it anything can be "proved" (CVE-2017-12842). So no inner
//! node may be readable as a transaction, and no transaction is 64 bytes long.
//! And where a row has an odd length its last node is paired with itself, so
//! that a transaction seems to stand in two places (CVE-2012-2459): a right
//! child that equals its left one is refused.

use super::{AnchorError, BlockHash, Txid, tx};
use crate::encoding::digest::Digest;

/// The deepest tree: blocks have at most 16,666 transactions.
pub const MAX_DEPTH: usize = 15;

/// The root of the block that has the transaction at `position`.
///
/// # Errors
/// [`AnchorError::Branch`].
pub fn block_root(txid: Txid, position: u32, branch: &[Digest]) -> Result<Digest, AnchorError> {
    if branch.len() > MAX_DEPTH {
        return Err(AnchorError::Branch("it is longer than any block's tree is deep"));
    }
    // The depth says how many transactions there can be.
    if u64::from(position) >= 1 << branch.len() {
        return Err(AnchorError::Branch("the position is outside a tree of this depth"));
    }
    let mut hash = txid.0;
    for (level, sibling) in branch.iter().enumerate() {
        let right = position >> level & 1 == 1;
        if right && *sibling == hash {
            return Err(AnchorError::Branch("a node is paired with itself, on the wrong side"));
        }
        hash = if right { parent(*sibling, hash)? } else { parent(hash, *sibling)? };
    }
    Ok(hash)
}

/// The node over two others.
pub(super) fn parent(left: Digest, right: Digest) -> Result<Digest, AnchorError> {
    let mut node = [0; 64];
    node.iter_mut().zip(left.0.iter().chain(&right.0)).for_each(|(to, from)| *to = *from);
    if tx::is_transaction(&node) {
        return Err(AnchorError::Branch("an inner node can be read as a transaction"));
    }
    Ok(BlockHash::of(&node).0)
}
