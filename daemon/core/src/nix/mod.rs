//! What Nix says of a store path, and what vouches for it: a content address or
//! signatures over its fingerprint (docs/format.md §14).

mod address;
pub mod base32;
mod derivation;
mod key;
mod nar;

use alloc::{string::String, vec::Vec};

use crate::encoding::digest::Digest;
pub use address::{Address, Algorithm, Method};
pub use derivation::{Derivation, DerivationError, MAX_DERIVATION};
pub use key::{StoreKey, StoreKeyError};
pub use nar::NarHasher;

/// What is registered of one path of a closure.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PathInfo {
    /// The whole path, `/nix/store/<hash>-<name>`.
    pub path: String,
    /// Digest of its NAR serialisation.
    pub nar_hash: Option<Digest>,
    /// Length of that serialisation.
    pub nar_size: Option<u64>,
    /// What it needs, itself perhaps too: places in the closure, sorted, none
    /// twice. The closure is sorted by path.
    pub references: Vec<usize>,
    /// The derivation that it was made from.
    pub deriver: Option<String>,
    /// Whether it was built on the machine that tells.
    pub ultimate: bool,
    /// Its signatures, `name:base64`.
    pub signatures: Vec<String>,
    /// Its content address.
    pub ca: Option<String>,
}

impl PathInfo {
    /// The text that a signature is over; `None` without hash or size.
    pub fn fingerprint(&self, closure: &[Self]) -> Option<Vec<u8>> {
        let (hash, size) = (self.nar_hash?, self.nar_size.filter(|size| *size > 0)?);
        let hash = base32::encode(&hash.0);
        let mut text = alloc::format!("1;{};sha256:{hash};{size};", self.path);
        for (at, reference) in self.named(closure).enumerate() {
            if at > 0 {
                text.push(',');
            }
            text.push_str(reference);
        }
        Some(text.into_bytes())
    }

    /// The paths that it needs.
    pub fn named<'a>(&'a self, closure: &'a [Self]) -> impl Iterator<Item = &'a str> {
        self.references.iter().filter_map(|place| closure.get(*place)).map(|info| &*info.path)
    }
}

#[cfg(test)]
mod tests;
