//! The registry: an append-only (WORM) SQLite database of records under an
//! RFC 6962 tree (docs/format.md §4).
//!
//! Trust: the triggers *refuse* changes made through SQL. Who can write the
//! file can change anything in it; that is *shown* by the hashes, the tree
//! and the checkpoints. Tamper-evident, never tamper-proof.
#![forbid(unsafe_code)]

pub mod connection;
mod error;
pub mod package_index;
pub mod reader;
pub mod rebuild;
mod rows;
pub mod schema;

pub use error::RegistryError;
pub use reader::Reader;
pub use rows::Rows;
