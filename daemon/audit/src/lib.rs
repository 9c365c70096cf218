//! What `provctl` does: it reads and judges. No key, no writing registry, no
//! network unless told; what it reads may have been written by anybody.
#![forbid(unsafe_code)]

pub mod build_provenance;
pub mod certificate;
pub mod countersignatures;
pub mod error;
mod files;
pub mod fleet;
pub mod legacy_pki;
pub mod logs;
pub mod nix_store;
pub mod packages;
pub mod packet;
pub mod policy_file;
pub mod replica;
pub mod sbom;
pub mod state;
pub mod status;
pub mod trust;

pub use error::AuditError;
pub use provenance_verifier::Progress;
