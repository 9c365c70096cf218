//! The appliance's program: the daemon, the services around it and their command
//! line. The only crate that holds a key, appends to the chain and writes the
//! registry.
#![forbid(unsafe_code)]

pub mod alerts;
pub mod anchoring;
pub mod api;
pub mod build_provenance;
pub mod bundle;
pub mod calendar_server;
pub mod certificates;
pub mod chain;
pub mod cli;
pub mod countersign;
pub mod daemon;
pub mod engine;
pub mod error;
pub mod health;
pub mod ledger;
pub mod package_registry;
pub mod packet;
mod random;
pub mod replication;
pub mod sbom;
mod sd_notify;
mod state_lock;

/// Name and version of this program, as records hold it.
pub(crate) const PROGRAM_VERSION: &str = concat!("provenanced ", env!("CARGO_PKG_VERSION"));
