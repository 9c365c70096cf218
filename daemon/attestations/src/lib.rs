//! Who vouches for a package: attestations and signatures by registries, held
//! against the package's own bytes, against what their certificates prove, and
//! against what the auditor expects (docs/packages.md). No file is opened here
//! and no network is asked; everything read was written by somebody else.
#![forbid(unsafe_code)]

mod bundle;
mod certificate_claims;
pub mod coverage;
mod crypto_provider;
mod digests;
pub mod evaluate;
pub mod evidence;
pub mod expectations;
pub mod index;
pub mod keys;
pub mod lockfile;
mod npm;
mod npm_tarball;
pub mod outcome;
pub mod package_name;
pub mod parse;
pub mod previous_report;
mod pypi;
mod root;
mod sigstore;
mod statement;
pub mod trusted_root;

use std::fmt;

pub use certificate_claims::Claims;
pub use digests::{Digests, Hash, Hasher};
pub use keys::Keys;
pub use npm_tarball::npm_identity;
pub use provenance_core::record::coverage::Level;
pub use root::{MAX_ROOT, Root, RootError};
pub use sigstore::{Contents, Open, Proved, Refusal, Signer, verify};

/// Where a package's name has its meaning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Ecosystem {
    /// The npm registry's names.
    Npm,
    Pypi,
    /// None: a file by its own name.
    File,
}

impl Ecosystem {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Npm, Self::Pypi, Self::File];

    /// `npm`, `pypi` or `file`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pypi => "pypi",
            Self::File => "file",
        }
    }
}

/// What kind of statement vouches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// How it was built, and from what: SLSA provenance.
    Provenance,
    /// That a registry took it from a publisher.
    Publish,
    /// A registry's signature over name, version and contents.
    RegistrySignature,
    /// A signature over the contents, without a statement.
    Signature,
    /// A statement of another type.
    Attestation,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Provenance,
        Self::Publish,
        Self::RegistrySignature,
        Self::Signature,
        Self::Attestation,
    ];

    /// The kind's name, as in `kinds` of a spec.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provenance => "provenance",
            Self::Publish => "publish",
            Self::RegistrySignature => "registry-signature",
            Self::Signature => "signature",
            Self::Attestation => "attestation",
        }
    }
}

/// One file of a package, or what a lock file says of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Artifact {
    /// What the file is called, where that is known.
    pub file: Option<String>,
    /// What its contents are.
    pub digests: Digests,
}

/// A package: what a result is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Package {
    /// Whose name it has.
    pub ecosystem: Ecosystem,
    /// Its name, in its ecosystem's normal form.
    pub name: String,
    /// Its version, where that is known.
    pub version: Option<String>,
    /// Its files; of several, any may be the one that is installed.
    pub files: Vec<Artifact>,
    /// Whether name and version are known, and not only guessed from a file's name.
    pub certain: bool,
}

impl Package {
    /// What rules of a spec are matched with.
    pub(crate) fn full_name(&self) -> String {
        format!("{}:{}", self.ecosystem.as_str(), self.name)
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.ecosystem.as_str(), self.name)?;
        self.version.as_ref().map_or(Ok(()), |version| write!(f, "@{version}"))
    }
}

#[cfg(test)]
mod tests;
