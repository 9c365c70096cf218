//! A file's contents by their digests.

use std::{collections::BTreeMap, fmt};

use base64ct::{Base64, Encoding};
use provenance_core::encoding::digest::from_hex;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// The digests that a package's contents may be named by. Older ones name
/// nothing: two contents can have the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// As in-toto, hashes of Python's lock files and npm's `integrity` write it.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "sha256" => Some(Self::Sha256),
            "sha384" => Some(Self::Sha384),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    /// `sha256`, `sha384` or `sha512`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// What some contents are: digests of one or more kinds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Digests(BTreeMap<Hash, Vec<u8>>);

impl Digests {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The digest of this kind.
    pub(crate) fn get(&self, hash: Hash) -> Option<&[u8]> {
        self.0.get(&hash).map(Vec::as_slice)
    }

    /// Takes a digest of the right length.
    pub(crate) fn insert(&mut self, hash: Hash, digest: &[u8]) -> bool {
        let fits = digest.len() == hash.length();
        if fits {
            self.0.insert(hash, digest.to_vec());
        }
        fits
    }

    /// Takes `name: hex`; whether it is one that is known and well formed.
    pub fn insert_hex(&mut self, name: &str, hex: &str) -> bool {
        let Some(hash) = Hash::of(name).filter(|hash| hex.len() == 2 * hash.length()) else {
            return false;
        };
        let Some(bytes) = from_hex(&hex.to_ascii_lowercase()) else { return false };
        self.insert(hash, &bytes)
    }

    /// What `sha512-…` of npm says, several separated by spaces.
    pub(crate) fn of_integrity(text: &str) -> Self {
        let mut digests = Self::default();
        for word in text.split_ascii_whitespace() {
            let Some((name, rest)) = word.split_once('-') else { continue };
            let base64 = rest.split('?').next().unwrap_or_default();
            if let (Some(hash), Ok(bytes)) = (Hash::of(name), Base64::decode_vec(base64)) {
                digests.insert(hash, &bytes);
            }
        }
        digests
    }

    /// Whether both are of the same contents; `None` where they have no kind
    /// of digest in common. One that differs is enough to differ.
    pub(crate) fn same(&self, other: &Self) -> Option<bool> {
        let both = self.0.iter().filter_map(|(hash, a)| Some((a, other.0.get(hash)?)));
        both.map(|(a, b)| a == b).reduce(|all, one| all && one)
    }
}

impl Digests {
    /// Only those of the kinds that the other has too, where there are any.
    pub(crate) fn common(&self, other: &Self) -> Self {
        let both = self.0.iter().filter(|(hash, _)| other.0.contains_key(hash));
        let both = Self(both.map(|(hash, digest)| (*hash, digest.clone())).collect());
        if both.is_empty() { self.clone() } else { both }
    }
}

impl fmt::Display for Digests {
    /// The strongest that most know: SHA-256, else another.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((hash, bytes)) = self.0.iter().next() else { return f.write_str("none") };
        write!(f, "{}:", hash.as_str())?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// All digests of one content, in one pass over it.
#[derive(Default)]
pub struct Hasher(Sha256, Sha384, Sha512);

impl Hasher {
    /// Takes more of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
        self.1.update(bytes);
        self.2.update(bytes);
    }

    /// The digests of all that was taken.
    pub fn finish(self) -> Digests {
        let mut digests = Digests::default();
        digests.insert(Hash::Sha256, &self.0.finalize());
        digests.insert(Hash::Sha384, &self.1.finalize());
        digests.insert(Hash::Sha512, &self.2.finalize());
        digests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Digests {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn contents_are_the_same_where_each_common_digest_is() {
        let (a, b) = (of(b"a"), of(b"b"));
        assert_eq!(a.same(&a), Some(true));
        assert_eq!(a.same(&b), Some(false));
        let mut mixed = Digests::default();
        mixed.insert(Hash::Sha256, a.get(Hash::Sha256).unwrap());
        assert_eq!(mixed.same(&a), Some(true));
        mixed.insert(Hash::Sha512, b.get(Hash::Sha512).unwrap());
        assert_eq!(mixed.same(&a), Some(false), "one that differs is enough");
        assert_eq!(Digests::default().same(&a), None);
    }

    #[test]
    fn digests_are_read_from_hex_and_from_npms_integrity() {
        // echo -n a | openssl dgst -sha512 -binary | base64 -w0
        let integrity = "sha1-hvfkN/qlp/zhXR3cuerq6jd2Z7g= sha512-H0D8ktokFpR1CXnubPWC8tXX0o4YM13gWrxU0FYOD1MChgxlK/CNVgJSql50IQVG82n7u86MEs/HlXsmUv6adQ==";
        let digests = Digests::of_integrity(integrity);
        assert_eq!(digests.same(&of(b"a")), Some(true));
        assert_eq!(digests.get(Hash::Sha256), None);
        for bad in ["", "sha512-", "sha512-AAAA", "sha512", "md5-xyz", "sha512-!!"] {
            assert!(Digests::of_integrity(bad).is_empty(), "{bad}");
        }
        let mut digests = Digests::default();
        let hex = "CA978112CA1BBDCAFAC231B39A23DC4DA786EFF8147C4E72B9807785AFEE48BB";
        assert!(digests.insert_hex("sha256", hex));
        assert_eq!(digests.same(&of(b"a")), Some(true));
        for bad in ["", "ca97", "zz", &hex[1..], "💥"] {
            assert!(!digests.insert_hex("sha256", bad), "{bad}");
        }
        assert!(!digests.insert_hex("md5", hex));
    }
}
