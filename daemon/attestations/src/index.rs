//! All evidence that was brought, found by what it names: a lock file has
//! thousands of packages, and a folder as many attestations.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Artifact, Ecosystem, Hash, Package,
    evidence::{Evidence, Subject},
    npm, package_name,
};

/// The evidence, in the order in which it was brought.
#[derive(Debug, Default)]
pub struct Pool {
    evidence: Vec<Evidence>,
    index: BTreeMap<Key, Vec<usize>>,
}

/// What a piece may be found by.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key {
    Digest(Hash, Vec<u8>),
    /// A file's name, in the form in which all its spellings are one.
    File(String),
    /// Name and version of an npm package.
    Npm(String, String),
}

impl Pool {
    /// Takes a piece, and says its place.
    pub fn add(&mut self, piece: Evidence) -> usize {
        let at = self.evidence.len();
        for key in piece.subjects.iter().flat_map(keys_of) {
            let places = self.index.entry(key).or_default();
            if places.last() != Some(&at) {
                places.push(at);
            }
        }
        self.evidence.push(piece);
        at
    }

    /// All of it.
    pub fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }

    /// What may be about a file, in order: it names its contents, its name or
    /// its package.
    pub(super) fn about(&self, package: &Package, artifact: &Artifact) -> BTreeSet<usize> {
        let hashes = [Hash::Sha256, Hash::Sha384, Hash::Sha512].into_iter();
        let digests =
            hashes.filter_map(|hash| Some(Key::Digest(hash, artifact.digests.get(hash)?.to_vec())));
        let file = artifact.file.as_deref().map(|file| Key::File(package_name::python(file)));
        let version = package.version.clone().filter(|_| package.ecosystem == Ecosystem::Npm);
        let npm = version.map(|version| Key::Npm(package.name.clone(), version));
        let keys = digests.chain(file).chain(npm);
        keys.filter_map(|key| self.index.get(&key)).flatten().copied().collect()
    }
}

impl FromIterator<Evidence> for Pool {
    fn from_iter<I: IntoIterator<Item = Evidence>>(pieces: I) -> Self {
        let mut pool = Self::default();
        for piece in pieces {
            pool.add(piece);
        }
        pool
    }
}

fn keys_of(subject: &Subject) -> Vec<Key> {
    let hashes = [Hash::Sha256, Hash::Sha384, Hash::Sha512].into_iter();
    let mut keys: Vec<Key> = hashes
        .filter_map(|hash| Some(Key::Digest(hash, subject.digests.get(hash)?.to_vec())))
        .collect();
    if let Some((name, version)) = npm::of_purl(&subject.name) {
        keys.push(Key::File(package_name::python(&package_name::npm_tarball(&name, &version))));
        keys.push(Key::Npm(name, version));
    } else if !subject.name.is_empty() {
        keys.push(Key::File(package_name::python(&subject.name)));
    }
    keys
}
