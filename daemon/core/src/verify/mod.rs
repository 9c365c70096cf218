//! Verification: pure checks that take bytes and write findings into a
//! [`crate::report::Report`]. The caller reads files; nothing here does.

pub mod anchor_history;
pub mod anchor_proof;
pub mod build_provenance;
pub mod bundle;
pub mod chain;
pub mod countersign;
mod log_sources;
pub mod nix_store;
pub mod packet;
pub mod registry;
pub mod replication;
