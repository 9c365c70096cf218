//! Nix's public keys and signatures: `name:base64`.

use alloc::string::String;

use base64ct::{Base64, Encoding};

use crate::signing::public_key::{KeyError, PublicKey};

/// Why a text is no public key of Nix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreKeyError {
    /// Not `name:base64` of 32 bytes.
    #[error(
        "not a public key as Nix writes it: NAME:BASE64 of 32 bytes (nix key convert-secret-to-public)"
    )]
    Form,
    /// 64 bytes: the secret half.
    #[error(
        "this is a secret key: give its public half (nix key convert-secret-to-public), and make a new one if others saw this"
    )]
    Secret,
    /// No usable key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A key that may sign store paths.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreKey {
    /// The name that its signatures carry.
    pub name: String,
    /// The key.
    pub key: PublicKey,
}

impl StoreKey {
    /// Reads `cache.example.org-1:…`.
    ///
    /// # Errors
    /// [`StoreKeyError`].
    pub fn parse(text: &str) -> Result<Self, StoreKeyError> {
        let (name, bytes) = split(text).ok_or(StoreKeyError::Form)?;
        let mut decoded = [0; 64];
        let decoded = Base64::decode(bytes, &mut decoded).map_err(|_| StoreKeyError::Form)?;
        if decoded.len() == 64 {
            return Err(StoreKeyError::Secret);
        }
        let bytes: [u8; 32] = decoded.try_into().map_err(|_| StoreKeyError::Form)?;
        Ok(Self { name: name.into(), key: PublicKey::from_bytes(&bytes)? })
    }

    /// Whether `signature` bears this key's name: then it should verify.
    pub fn is_named_by(&self, signature: &str) -> bool {
        signature.split_once(':').is_some_and(|(name, _)| name == self.name)
    }

    /// Whether `signature` (`name:base64`) is by this key over `message`.
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Some((name, base64)) = split(signature) else { return false };
        let mut bytes = [0; 64];
        name == self.name
            && Base64::decode(base64, &mut bytes)
                .is_ok_and(|signature| self.key.verifies(message, signature))
    }
}

fn split(text: &str) -> Option<(&str, &str)> {
    let (name, bytes) = text.split_once(':')?;
    let printable = name.bytes().all(|c| c.is_ascii_graphic());
    (!name.is_empty() && name.len() <= 256 && printable && bytes.len() <= 128)
        .then_some((name, bytes))
}
