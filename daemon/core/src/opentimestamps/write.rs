//! Writes `statement.json.ots`: from the statement's digest by the registry's
//! record, the tree's root, the transaction and the block's tree to the root
//! in the block's header.

use alloc::vec::Vec;

use super::{BITCOIN, MAGIC, MAX_MESSAGE, VERSION, follow, op};
use crate::{
    bitcoin::{Anchor, AnchorError},
    encoding::digest::{Digest, to_hex},
    merkle::{leaf_hash, root_by, sides},
};

/// The largest record that fits into an operation, with the leaf's prefix.
pub const MAX_BODY: usize = MAX_MESSAGE - 1;

/// Why there is no OpenTimestamps proof.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WriteError {
    /// The anchor itself does not hold.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// The record does not name the statement, or not once.
    #[error("the registry's record does not name the statement's digest exactly once")]
    Record,
    /// Over [`MAX_BODY`].
    #[error("a registry record of {0} bytes does not fit into an OpenTimestamps proof")]
    TooLong(usize),
}

/// The proof for a file of this `digest`, which the registry record `body` at
/// `index` names in hex, once. The anchor is verified first.
///
/// # Errors
/// [`WriteError`].
pub fn of_statement(
    digest: &Digest,
    body: &str,
    index: u64,
    anchor: &Anchor,
) -> Result<Vec<u8>, WriteError> {
    let mut out = Writer(head(digest));
    out.0.extend(block(&digest.0, body, index, anchor)?);
    Ok(out.0)
}

/// A root that a calendar's operations lead to a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attested {
    /// The siblings from the record's leaf up to the root.
    pub path: Vec<Digest>,
    /// How many records the tree has.
    pub size: u64,
    /// Its root.
    pub root: Digest,
    /// What leads from it to the root of the block.
    pub operations: Vec<u8>,
    /// The block's height.
    pub height: u32,
}

/// [`of_statement`], by way of a calendar.
///
/// # Errors
/// [`WriteError`].
pub fn of_attested(
    digest: &Digest,
    body: &str,
    index: u64,
    attested: &Attested,
) -> Result<Vec<u8>, WriteError> {
    let Attested { path, size, .. } = attested;
    let leaf = leaf_hash(body.as_bytes());
    if root_by(leaf, index, *size, path) != Some(attested.root) {
        return Err(AnchorError::Path.into());
    }
    if !follow(&attested.root.0, &attested.operations).is_ok_and(|end| end.len() == 32) {
        return Err(AnchorError::Path.into());
    }
    let mut out = Writer(head(digest));
    out.0.extend(root(&digest.0, body, index, *size, path)?);
    out.0.extend(&attested.operations);
    out.attest(attested.height);
    Ok(out.0)
}

fn head(digest: &Digest) -> Vec<u8> {
    [&MAGIC[..], &[VERSION, op::SHA256], &digest.0].concat()
}

/// What leads from `message`, which the registry record `body` at `index` names
/// in hex, once, to the block. The anchor is verified first.
pub(super) fn block(
    message: &[u8],
    body: &str,
    index: u64,
    anchor: &Anchor,
) -> Result<Vec<u8>, WriteError> {
    anchor.verify(leaf_hash(body.as_bytes()), index)?;
    let mut out = Writer(root(message, body, index, anchor.size, &anchor.path)?);
    // The root stands in the transaction, and that is hashed twice.
    let transaction = anchor.proof.transaction()?;
    let (root, at) = transaction.placed_root()?;
    let short = AnchorError::Payload("it ends early");
    let (head, tail) = transaction.stripped().split_at_checked(at).ok_or(short.clone())?;
    out.around(head, tail.get(root.0.len()..).ok_or(short)?);
    out.0.extend([op::SHA256; 2]);
    for (level, sibling) in anchor.proof.branch.iter().enumerate() {
        match anchor.proof.position >> level & 1 {
            1 => out.around(&sibling.0, &[]),
            _ => out.around(&[], &sibling.0),
        }
        out.0.extend([op::SHA256; 2]);
    }
    out.attest(anchor.proof.height);
    Ok(out.0)
}

/// What leads from `message` to the root over the first `size` records.
fn root(
    message: &[u8],
    body: &str,
    index: u64,
    size: u64,
    path: &[Digest],
) -> Result<Vec<u8>, WriteError> {
    if body.len() > MAX_BODY {
        return Err(WriteError::TooLong(body.len()));
    }
    let hex = to_hex(message);
    let (head, tail) = body.split_once(hex.as_str()).ok_or(WriteError::Record)?;
    if tail.contains(hex.as_str()) {
        return Err(WriteError::Record);
    }
    let mut out = Writer(Vec::new());
    // The record names the digest in hex; a leaf is 0x00 and the record.
    out.0.push(op::HEXLIFY);
    out.around(&[&[0], head.as_bytes()].concat(), tail.as_bytes());
    out.0.push(op::SHA256);
    out.climb(&sides(index, size).ok_or(AnchorError::Path)?, path);
    Ok(out.0)
}

pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    /// That this is the root of the block at `height`.
    fn attest(&mut self, height: u32) {
        self.0.push(op::ATTESTATION);
        self.0.extend(BITCOIN);
        let mut payload = Writer(Vec::new());
        payload.number(u64::from(height));
        self.prefixed(&payload.0);
    }

    /// From a leaf to the root of its tree (RFC 9162, section 2.1).
    pub(super) fn climb(&mut self, sides: &[bool], path: &[Digest]) {
        for (left, sibling) in sides.iter().zip(path) {
            match left {
                true => self.around(&[&[1], &sibling.0[..]].concat(), &[]),
                false => self.around(&[1], &sibling.0),
            }
            self.0.push(op::SHA256);
        }
    }

    /// Puts bytes before and behind the message.
    pub(super) fn around(&mut self, before: &[u8], behind: &[u8]) {
        for (tag, bytes) in [(op::PREPEND, before), (op::APPEND, behind)] {
            if !bytes.is_empty() {
                self.0.push(tag);
                self.prefixed(bytes);
            }
        }
    }

    pub(super) fn prefixed(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 & 0x7f | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}
