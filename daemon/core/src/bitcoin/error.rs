//! Why something is not a proof of an anchor.

use crate::encoding::json_scanner::ScanError;

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
    /// It is not a header, or has no work.
    #[error("the block's header: {0}")]
    Header(&'static str),
}
