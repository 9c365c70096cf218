//! Anchors: the registry's root in a Bitcoin transaction, and the proof that
//! it is there (docs/format.md §7).
//!
//! A proof leads from a registry record to the root, from the root to the
//! payload of a transaction, from the transaction to the root of a block, and
//! from there to the block's header. That the header is one of Bitcoin's is
//! for the auditor to say: by a file of headers, by a node, or by a pinned
//! hash. Without these only its work is shown.

mod branch;
mod bytes;
mod hash;
mod header;
mod headers;
mod merkle_block;
mod payload;
mod proof;
mod tx;

pub use branch::{MAX_DEPTH, block_root};
pub use hash::BlockHash;
pub use header::{ChainWork, HEADER, Header};
pub use headers::{Block, Headers, HeadersError, MAX_HEADERS};
pub use merkle_block::OutProof;
pub use payload::{MAGIC, PAYLOAD, payload, root_of, script};
pub(crate) use proof::digests;
pub use proof::{Anchor, Anchored, TxProof};
pub use tx::{MAX_PROVED, MAX_WHOLE, OutPoint, Transaction, Txid};

use crate::{encoding::json_scanner::ScanError, report::codes::Code};

/// Why something is no proof of an anchor.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AnchorError {
    /// Not the form of an anchor in JSON.
    #[error("not an anchor: {0}")]
    Form(#[from] ScanError),
    /// The record is not shown to be under the anchored root.
    #[error("the path does not lead from the record to the anchored root")]
    Path,
    /// The bytes are no transaction.
    #[error("not a transaction: {0}")]
    Transaction(&'static str),
    /// The transaction does not carry the root.
    #[error("the transaction's payload: {0}")]
    Payload(&'static str),
    /// The proof is of another transaction.
    #[error("the block's proof is of another transaction")]
    OtherTransaction,
    /// The transaction is not shown to be in the block.
    #[error("the branch from the transaction to the block: {0}")]
    Branch(&'static str),
    /// The header is none, or has no work.
    #[error("the block's header: {0}")]
    Header(&'static str),
}

impl AnchorError {
    /// The finding that this is.
    pub fn code(&self) -> Code {
        match self {
            Self::Path => Code::ProofInclusion,
            Self::Form(_) | Self::Payload(_) => Code::AnchorPayload,
            Self::Transaction(_) | Self::OtherTransaction => Code::AnchorTxid,
            Self::Branch(_) => Code::AnchorBranch,
            Self::Header(_) => Code::AnchorHeader,
        }
    }
}

#[cfg(test)]
mod tests;
