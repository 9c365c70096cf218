//! The chain's writer: append, fsync, then it exists.
//!
//! One process writes, by a lock. What a crash left behind the last whole
//! record is set aside, never guessed at.

mod error;
mod tail;
mod writer;

pub use error::ChainError;
pub use writer::ChainWriter;
