//! The floors of msp-provenance above its core (docs/architecture.md): what
//! the machine gives, adapters, the engine that decides, and the services and
//! audits that the two programs run.

pub mod alert;
pub mod audit;
pub mod bitcoin;
pub mod calendar;
pub mod catalogue;
pub mod chain;
pub mod cli;
pub mod copies;
pub mod engine;
pub mod host;
pub mod logs;
pub mod mcp;
pub mod packages;
pub mod panel;
pub mod registry;
pub mod sbom;
pub mod services;
pub mod signer;
pub mod sources;
pub mod store;
pub mod x509;
