//! Signed notes and checkpoints: C2SP signed-note and tlog-checkpoint v1.
//!
//! A note is text that ends with a newline, an empty line, and a line for each
//! signature: `— <key name> <base64(key id ‖ signature)>`. A checkpoint is a
//! note whose text is origin, tree size and base64 root.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use base64ct::{Base64, Encoding};

use super::public_key::PublicKey;
use crate::encoding::digest::{Digest, Hasher};

/// A note is at most this long.
pub const MAX_NOTE: usize = 16 << 10;
/// A note carries at most this many signatures.
pub const MAX_SIGNATURES: usize = 100;
/// What a signature line begins with: an em dash and a space.
const MARK: &str = "\u{2014} ";
/// The signature type of Ed25519 in a key id.
const ED25519: u8 = 0x01;

/// Why a text is no signed note or no checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoteError {
    /// Over [`MAX_NOTE`].
    #[error("a note of over 16 KiB")]
    TooLong,
    /// Not UTF-8, a control character, or no text and signatures.
    #[error("not a signed note: {0}")]
    Form(&'static str),
    /// The text is no checkpoint.
    #[error("not a checkpoint: {0}")]
    Checkpoint(&'static str),
}

/// A parsed note; nothing about its signatures has been verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note<'a> {
    /// The signed text with its last newline.
    pub text: &'a str,
    /// The signatures in their order.
    pub signatures: Vec<NoteSignature<'a>>,
}

/// One signature line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoteSignature<'a> {
    /// The key's name.
    pub name: &'a str,
    /// The first four bytes of the hash over name, type and key.
    pub key_id: [u8; 4],
    /// The signature itself.
    pub signature: Vec<u8>,
}

/// The state of a log: its origin, how many records, and the tree's root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// `msp-provenance/<client>/<host>`.
    pub origin: String,
    /// How many records.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

impl<'a> Note<'a> {
    /// Parses a note.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn parse(note: &'a str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE {
            return Err(NoteError::TooLong);
        }
        if note.chars().any(|c| c.is_control() && c != '\n') {
            return Err(NoteError::Form("a control character"));
        }
        let (text, lines) = match note.rfind("\n\n") {
            Some(at) => note.split_at(at + 1),
            None => return Err(NoteError::Form("no empty line before the signatures")),
        };
        let lines = lines.strip_prefix('\n').unwrap_or(lines);
        let Some(lines) = lines.strip_suffix('\n') else {
            return Err(NoteError::Form("no signature, or no newline at the end"));
        };
        let signatures = lines.split('\n').map(signature).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::Form("too many signatures"));
        }
        Ok(Self { text, signatures })
    }

    /// Whether `key`, under `name`, signed the text. Signatures by others are
    /// not looked at; of two lines by this key both must hold.
    pub fn signed_by(&self, name: &str, key: &PublicKey) -> bool {
        let id = key_id(name, key);
        let mut own =
            self.signatures.iter().filter(|s| s.name == name && s.key_id == id).peekable();
        own.peek().is_some() && own.all(|s| key.verifies(self.text.as_bytes(), &s.signature))
    }
}

fn signature(line: &str) -> Result<NoteSignature<'_>, NoteError> {
    let bad = NoteError::Form("a signature line of another form");
    let (name, base64) = line.strip_prefix(MARK).and_then(|l| l.split_once(' ')).ok_or(bad)?;
    if !is_name(name) {
        return Err(bad);
    }
    let bytes = Base64::decode_vec(base64).map_err(|_| bad)?;
    let (key_id, signature) = bytes.split_first_chunk::<4>().ok_or(bad)?;
    if signature.is_empty() {
        return Err(bad);
    }
    Ok(NoteSignature { name, key_id: *key_id, signature: signature.into() })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+')
}

/// SHA-256(name ‖ 0x0A ‖ 0x01 ‖ key)[..4] (C2SP signed-note, "Signatures").
pub fn key_id(name: &str, key: &PublicKey) -> [u8; 4] {
    let mut hasher = Hasher::new();
    hasher.update(name.as_bytes());
    hasher.update(&[b'\n', ED25519]);
    hasher.update(&key.to_bytes());
    let Digest([a, b, c, d, ..]) = hasher.finish();
    [a, b, c, d]
}

/// The note over `text`, which ends with a newline, signed under `name`.
pub fn sign(text: &str, name: &str, key: &PublicKey, sign: impl Fn(&[u8]) -> [u8; 64]) -> String {
    let line = [&key_id(name, key)[..], &sign(text.as_bytes())].concat();
    format!("{text}\n{MARK}{name} {}\n", Base64::encode_string(&line))
}

impl Checkpoint {
    /// The origin of an appliance's log, which is its key's name too.
    pub fn origin(client: &str, host: &str) -> String {
        format!("msp-provenance/{client}/{host}")
    }

    /// The text to be signed.
    pub fn to_text(&self) -> String {
        let root = Base64::encode_string(&self.root.0);
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// Reads a note's text. Extension lines are allowed and ignored.
    ///
    /// # Errors
    /// [`NoteError::Checkpoint`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.split('\n');
        let mut line = || lines.next().unwrap_or_default();
        let (origin, size, root) = (line(), line(), line());
        if origin.is_empty() {
            return Err(NoteError::Checkpoint("no origin"));
        }
        let number = size.parse::<u64>().ok().filter(|number| number.to_string() == size);
        let size = number.ok_or(NoteError::Checkpoint("no tree size in decimal"))?;
        let mut hash = [0; 32];
        let decoded = Base64::decode(root, &mut hash).is_ok_and(|bytes| bytes.len() == 32);
        if !decoded {
            return Err(NoteError::Checkpoint("no root of 32 bytes in base64"));
        }
        let rest: Vec<&str> = lines.collect();
        match rest.split_last() {
            Some((&"", extensions)) if extensions.iter().all(|line| !line.is_empty()) => {}
            _ => return Err(NoteError::Checkpoint("an empty line, or no newline at the end")),
        }
        Ok(Self { origin: origin.into(), size, root: Digest(hash) })
    }
}

#[cfg(test)]
mod tests;
