//! The NAR serialisation of a file tree, as its digest and length: the caller
//! tells the tree, folders' entries sorted by their bytes.

use crate::encoding::digest::{Digest, Hasher};

/// Takes a tree and gives its NAR's digest. Nothing of the tree is kept.
#[derive(Debug)]
pub struct NarHasher {
    hasher: Hasher,
    length: u64,
    /// Bytes of the open file that are still to come, and then its padding.
    left: u64,
    padding: usize,
}

impl NarHasher {
    /// A serialisation that has begun.
    pub fn new() -> Self {
        let mut nar = Self { hasher: Hasher::new(), length: 0, left: 0, padding: 0 };
        nar.text(b"nix-archive-1");
        nar
    }

    /// A file begins; [`Self::data`] gives its bytes.
    pub fn file(&mut self, executable: bool, size: u64) {
        self.node(b"regular");
        if executable {
            self.text(b"executable");
            self.text(b"");
        }
        self.text(b"contents");
        self.raw(&size.to_le_bytes());
        (self.left, self.padding) = (size, padding(size));
    }

    /// Next bytes of the file; `false` where they are more than it has.
    #[must_use]
    pub fn data(&mut self, bytes: &[u8]) -> bool {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else { return false };
        self.left = left;
        self.raw(bytes);
        true
    }

    /// The file ends; `false` where bytes of it are missing.
    #[must_use]
    pub fn end_file(&mut self) -> bool {
        self.pad(self.padding);
        self.text(b")");
        self.left == 0
    }

    /// A symbolic link.
    pub fn link(&mut self, target: &[u8]) {
        self.node(b"symlink");
        self.text(b"target");
        self.text(target);
        self.text(b")");
    }

    /// A folder begins; each entry of it is [`Self::entry`], a node,
    /// [`Self::end`]; [`Self::end`] then ends it.
    pub fn folder(&mut self) {
        self.node(b"directory");
    }

    /// An entry of the folder: its node follows.
    pub fn entry(&mut self, name: &[u8]) {
        self.text(b"entry");
        self.text(b"(");
        self.text(b"name");
        self.text(name);
        self.text(b"node");
    }

    /// An entry or a folder ends.
    pub fn end(&mut self) {
        self.text(b")");
    }

    /// The length of what was told so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Digest and length of what was told.
    pub fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.length)
    }

    fn node(&mut self, kind: &[u8]) {
        self.text(b"(");
        self.text(b"type");
        self.text(kind);
    }

    fn text(&mut self, bytes: &[u8]) {
        let length = bytes.len() as u64;
        self.raw(&length.to_le_bytes());
        self.raw(bytes);
        self.pad(padding(length));
    }

    fn pad(&mut self, count: usize) {
        let zeros = [0; 8];
        self.raw(zeros.get(..count).unwrap_or_default());
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.length = self.length.saturating_add(bytes.len() as u64);
    }
}

impl Default for NarHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// Zeros up to the next multiple of eight.
fn padding(length: u64) -> usize {
    ((8 - length % 8) % 8) as usize
}
