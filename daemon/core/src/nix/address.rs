//! Content addresses: what is in a path says how it is called.

use alloc::{string::String, vec::Vec};

use base64ct::{Base64, Encoding};

use super::base32;
use crate::encoding::digest::{self, Digest, Hasher};

/// What the hash of a content address is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// The bytes of one file, which may need other paths.
    Text,
    /// The bytes of one file.
    Flat,
    /// The NAR serialisation.
    Nar,
    /// A Git tree.
    Git,
}

/// The algorithm of a content address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// Broken: vouches for nothing.
    Md5,
    /// Broken: vouches for nothing.
    Sha1,
    /// FIPS 180-4.
    Sha256,
    /// FIPS 180-4.
    Sha512,
}

impl Algorithm {
    const ALL: [Self; 4] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512];

    /// As Nix writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Whether nobody can make two contents of one hash.
    pub fn is_strong(self) -> bool {
        matches!(self, Self::Sha256 | Self::Sha512)
    }

    fn bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// A content address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// Over what.
    pub method: Method,
    /// By what.
    pub algorithm: Algorithm,
    hash: Vec<u8>,
}

impl Address {
    /// Reads `text:sha256:…` or `fixed:[r:|git:]<algorithm>:…`, the hash in
    /// hex, base 32 or base 64.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (method, rest) = match kind {
            "text" => (Method::Text, rest),
            "fixed" => match rest.split_once(':')? {
                ("r", rest) => (Method::Nar, rest),
                ("git", rest) => (Method::Git, rest),
                _ => (Method::Flat, rest),
            },
            _ => return None,
        };
        let (name, hash) = rest.split_once(':')?;
        let algorithm = Algorithm::ALL.into_iter().find(|known| known.as_str() == name)?;
        let hash = bytes(hash, algorithm.bytes())?;
        let none = method == Method::Text && algorithm != Algorithm::Sha256;
        (!none).then_some(Self { method, algorithm, hash })
    }

    /// The hash, where it is a SHA-256.
    pub fn sha256(&self) -> Option<Digest> {
        let bytes: [u8; 32] = (&*self.hash).try_into().ok()?;
        (self.algorithm == Algorithm::Sha256).then_some(Digest(bytes))
    }

    /// The path that contents of this address have as `path`'s name in its
    /// store, with these references (sorted); `None` where such an address can
    /// have none of them, or `path` is none.
    pub fn path<'a>(
        &self,
        path: &str,
        references: impl Iterator<Item = &'a str>,
    ) -> Option<String> {
        let (store, base) = path.rsplit_once('/')?;
        let (_, name) = base.split_once('-')?;
        let (mut kind, mut own) = (String::new(), false);
        for reference in references {
            if reference == path {
                own = true;
            } else {
                kind.push(':');
                kind.push_str(reference);
            }
        }
        let hash = match (self.method, self.algorithm) {
            (Method::Text, _) if own => return None,
            (Method::Text, _) => {
                kind.insert_str(0, "text");
                digest::to_hex(&self.hash)
            }
            (Method::Nar, Algorithm::Sha256) => {
                kind.insert_str(0, "source");
                if own {
                    kind.push_str(":self");
                }
                digest::to_hex(&self.hash)
            }
            _ if own || !kind.is_empty() => return None,
            (method, algorithm) => {
                kind.push_str("output:out");
                let prefix = match method {
                    Method::Nar => "r:",
                    Method::Git => "git:",
                    Method::Flat | Method::Text => "",
                };
                let hash = digest::to_hex(&self.hash);
                let inner = alloc::format!("fixed:out:{prefix}{}:{hash}:", algorithm.as_str());
                Digest::sha256(inner.as_bytes()).to_hex()
            }
        };
        let mut hasher = Hasher::new();
        for part in [&*kind, ":sha256:", &hash, ":", store, ":", name] {
            hasher.update(part.as_bytes());
        }
        let mut short = [0; 20];
        for (at, byte) in hasher.finish().0.iter().enumerate() {
            if let Some(short) = short.get_mut(at % 20) {
                *short ^= byte;
            }
        }
        Some(alloc::format!("{store}/{}-{name}", base32::encode(&short)))
    }
}

/// A hash of `count` bytes: its length tells how it is written.
fn bytes(text: &str, count: usize) -> Option<Vec<u8>> {
    if text.len() == count * 2 {
        return digest::from_hex(text);
    }
    if text.len() == base32::length(count) {
        let mut bytes = alloc::vec![0; count];
        return base32::decode(text.as_bytes(), &mut bytes).then_some(bytes);
    }
    if text.len() > 128 {
        return None;
    }
    Base64::decode_vec(text).ok().filter(|bytes| bytes.len() == count)
}
