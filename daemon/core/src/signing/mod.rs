//! Public keys and what they sign: DSSE envelopes, Sigstore bundles, signed
//! checkpoints. It verifies; nothing here holds a private key.

pub mod checkpoint;
pub mod dsse;
pub mod public_key;
pub mod sigstore_bundle;
