//! Verification: pure checks that take bytes and write findings into a
//! [`crate::report::Report`]. The caller reads files; nothing here does.

pub mod anchor;
pub mod anchors;
pub mod attestation;
pub mod bundle;
pub mod chain;
pub mod copies;
pub mod countersign;
pub mod packet;
pub mod registry;
mod sources;
pub mod store;
