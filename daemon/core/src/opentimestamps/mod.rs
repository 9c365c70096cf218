//! OpenTimestamps proofs: a file that says by which operations a digest leads
//! to a block's Merkle root. Our own writer and reader, the reader for bytes
//! that anybody may have written (docs/format.md §7).
//!
//! A proof is a tree: at each point it forks, runs one operation on the
//! message so far, or attests to it. The reader runs the operations as it
//! reads, in bounded depth, size and work, and keeps the attestations alone.

mod calendar;
mod read;
mod uri;
mod write;

use alloc::{string::String, vec::Vec};

pub use calendar::{Batch, COMMITMENT, Commitment, MAX_LEAVES, NONCE, of_commitment};
pub use read::{
    MAX_ANSWER, MAX_DEPTH, MAX_MESSAGE, MAX_OTS, MAX_STEPS, OperationPath, Ots, follow, ways,
};
pub use uri::{MAX_URI, is_uri};
pub use write::{Attested, MAX_BODY, WriteError, of_attested, of_statement};

use crate::encoding::digest::Digest;

/// What every proof begins with.
pub(crate) const MAGIC: &[u8; 31] =
    b"\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94";
/// The one version there is.
pub(crate) const VERSION: u8 = 1;
/// The tags of operations.
pub(crate) mod op {
    pub(crate) const SHA1: u8 = 0x02;
    pub(crate) const RIPEMD160: u8 = 0x03;
    pub(crate) const SHA256: u8 = 0x08;
    pub(crate) const KECCAK256: u8 = 0x67;
    pub(crate) const APPEND: u8 = 0xf0;
    pub(crate) const PREPEND: u8 = 0xf1;
    pub(crate) const REVERSE: u8 = 0xf2;
    pub(crate) const HEXLIFY: u8 = 0xf3;
    pub(crate) const ATTESTATION: u8 = 0x00;
    pub(crate) const FORK: u8 = 0xff;
}
/// The attestation of a Bitcoin block.
pub(crate) const BITCOIN: [u8; 8] = [0x05, 0x88, 0x96, 0x0d, 0x73, 0xd7, 0x19, 0x01];
/// The attestation of a calendar that has not answered yet.
pub(crate) const PENDING: [u8; 8] = [0x83, 0xdf, 0xe3, 0x0d, 0x2e, 0xf9, 0x0c, 0x8e];

/// Where a way through a proof ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attestation {
    /// The block of this height has this Merkle root.
    Bitcoin {
        /// The block's height.
        height: u32,
        /// What the operations lead to, if it can be a root at all.
        root: Option<Digest>,
    },
    /// A calendar promised to attest.
    Pending {
        /// Where it can be asked.
        uri: String,
    },
    /// Of a kind that this version does not know, or behind an operation that
    /// it does not carry out.
    Unknown {
        /// The kind's tag.
        tag: [u8; 8],
        /// What it says.
        payload: Vec<u8>,
    },
}

/// Why bytes are no proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an OpenTimestamps proof: {what} at byte {at}")]
pub struct OtsError {
    /// What is wrong.
    pub what: &'static str,
    /// Where.
    pub at: usize,
}

#[cfg(test)]
pub(crate) mod tests;
