//! What `gettxoutproof` answers (a `CMerkleBlock`): a header and the part of
//! the block's tree that leads to one transaction.

use alloc::vec::Vec;

use super::{AnchorError, Header, MAX_DEPTH, Txid, branch::parent, bytes::Bytes};
use crate::encoding::digest::Digest;

/// A block's weight, by the least weight of a transaction.
const MAX_TRANSACTIONS: u32 = 4_000_000 / 240;

/// A header, and where in its block a transaction is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutProof {
    /// The block's header; its work is not checked.
    pub header: Header,
    /// The one transaction that the proof is for.
    pub txid: Txid,
    /// Its place in the block.
    pub position: u32,
    /// The siblings from the transaction upward.
    pub branch: Vec<Digest>,
}

/// The part of the tree being read.
struct Walk<'a> {
    transactions: u32,
    hashes: Bytes<'a>,
    flags: &'a [u8],
    /// How many flags have been read.
    read: usize,
    found: Option<(Digest, u32)>,
    branch: Vec<Digest>,
}

impl OutProof {
    /// Reads a proof of exactly one transaction.
    ///
    /// # Errors
    /// [`AnchorError::Branch`], [`AnchorError::Header`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AnchorError> {
        let short = AnchorError::Branch("the node's proof ends early");
        let mut rest = Bytes(bytes);
        let header = Header(rest.array().ok_or(AnchorError::Header("it is not 80 bytes long"))?);
        let transactions = rest.u32().ok_or(short.clone())?;
        if transactions == 0 || transactions > MAX_TRANSACTIONS {
            return Err(AnchorError::Branch("no block has that number of transactions"));
        }
        let count = rest.compact().and_then(|count| usize::try_from(count).ok());
        let hashes = count.and_then(|count| rest.take(count.checked_mul(32)?));
        let hashes = Bytes(hashes.ok_or(short.clone())?);
        let flags = rest.prefixed().ok_or(short)?;
        if !rest.is_empty() {
            return Err(AnchorError::Branch("bytes behind the node's proof"));
        }
        let mut walk =
            Walk { transactions, hashes, flags, read: 0, found: None, branch: Vec::new() };
        let height = (0..).find(|height| walk.width(*height) == 1).unwrap_or(MAX_DEPTH as u32);
        let (root, _) = walk.node(height, 0)?;
        let whole = walk.hashes.is_empty() && walk.read.div_ceil(8) == flags.len();
        let padding = flags.last().is_some_and(|last| match walk.read % 8 {
            0 => false,
            used => last >> used != 0,
        });
        if !whole || padding {
            return Err(AnchorError::Branch("the node's proof holds more than its tree"));
        }
        if root != header.merkle_root() {
            return Err(AnchorError::Branch("it does not lead to the root in the header"));
        }
        let none = AnchorError::Branch("the node's proof is for no transaction");
        let (hash, position) = walk.found.ok_or(none)?;
        Ok(Self { header, txid: super::BlockHash(hash), position, branch: walk.branch })
    }
}

impl Walk<'_> {
    /// How many nodes there are at `height` above the transactions.
    fn width(&self, height: u32) -> u32 {
        self.transactions.div_ceil(1 << height.min(31))
    }

    /// The node's hash, and whether the transaction is below it. The depth of
    /// the recursion is that of the largest block's tree.
    fn node(&mut self, height: u32, index: u32) -> Result<(Digest, bool), AnchorError> {
        let on_path = self.flag()?;
        if height == 0 || !on_path {
            let short = AnchorError::Branch("the node's proof has too few hashes");
            let hash = Digest(self.hashes.array().ok_or(short)?);
            if height == 0 && on_path && self.found.replace((hash, index)).is_some() {
                return Err(AnchorError::Branch("it is for more than one transaction"));
            }
            return Ok((hash, on_path));
        }
        let (left, in_left) = self.node(height - 1, index * 2)?;
        let (right, in_right) = if index * 2 + 1 < self.width(height - 1) {
            let (right, below) = self.node(height - 1, index * 2 + 1)?;
            if right == left {
                return Err(AnchorError::Branch("two nodes of the tree are the same"));
            }
            (right, below)
        } else {
            (left, false)
        };
        match (in_left, in_right) {
            (true, false) => self.branch.push(right),
            (false, true) => self.branch.push(left),
            _ => return Err(AnchorError::Branch("a node without the transaction is opened")),
        }
        Ok((parent(left, right)?, true))
    }

    fn flag(&mut self) -> Result<bool, AnchorError> {
        let byte = self.flags.get(self.read / 8);
        let byte = byte.ok_or(AnchorError::Branch("the node's proof has too few flags"))?;
        let flag = byte >> (self.read % 8) & 1 == 1;
        self.read += 1;
        Ok(flag)
    }
}
