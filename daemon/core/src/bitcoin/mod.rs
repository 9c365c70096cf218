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
mod error;
mod hash;
mod header;
mod headers;
mod merkle_block;
mod payload;
mod proof;
mod tx;

pub use error::AnchorError;

pub use branch::{MAX_DEPTH, block_root};
pub use hash::BlockHash;
pub use header::{ChainWork, HEADER, Header};
pub use headers::{Block, Headers, HeadersError, MAX_HEADERS};
pub use merkle_block::OutProof;
pub use payload::{MAGIC, PAYLOAD, payload, root_of, script};
pub(crate) use proof::digests;
pub use proof::{Anchor, Anchored, TxProof};
pub use tx::{MAX_PROVED, MAX_WHOLE, OutPoint, Transaction, Txid};

#[cfg(test)]
mod tests;
