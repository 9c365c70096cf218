//! Bitcoin's hashes: SHA-256 twice, shown backwards.

use alloc::string::String;
use core::fmt;

use crate::encoding::digest::{Digest, to_hex};

/// A block's or transaction's hash. Its bytes are as hashed; in text they are
/// reversed, as Bitcoin's programs show them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockHash(pub Digest);

impl BlockHash {
    /// SHA-256 over SHA-256 over `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Digest::sha256(&Digest::sha256(bytes).0))
    }

    /// Reads 64 lower-case hex digits as Bitcoin's programs show them.
    pub fn from_hex(hex: &[u8]) -> Option<Self> {
        let Digest(mut bytes) = Digest::from_hex(hex)?;
        bytes.reverse();
        Some(Self(Digest(bytes)))
    }

    /// 64 lower-case hex digits as Bitcoin's programs show them.
    pub fn to_hex(self) -> String {
        let mut bytes = self.0.0;
        bytes.reverse();
        to_hex(&bytes)
    }
}

impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.iter().rev().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
