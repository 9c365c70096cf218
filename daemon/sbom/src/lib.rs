//! What software a machine runs, from what its package managers wrote down:
//! the Nix store's database or `nix path-info --json` (no evaluation), or
//! dpkg's status. All of it is input that anybody may have written.

mod closure;
mod cyclonedx;
pub mod directory_walk;
pub mod dpkg;
pub mod nix_build;
pub mod nix_database;
pub mod nix_path_info;
mod nix_store_path;
mod package_report;
pub mod rehash;
mod spdx;

use std::{io, path::PathBuf};

use provenance_core::{encoding::digest::Digest, record::coverage::Coverage};

pub use closure::Closure;
pub use package_report::{Attested, MAX_REPORT};
pub use provenance_host::config::SbomFormat as Format;

/// So many packages make an inventory at most.
pub const MAX_PACKAGES: usize = 200_000;
/// So many references between them at most.
pub const MAX_REFERENCES: usize = 4_000_000;

/// Whether `path` is a path right in a store, `/…/<hash>-<name>`.
pub fn is_store_path(path: &str) -> bool {
    nix_store_path::split(path).is_some()
}

/// Why there is no inventory.
#[derive(Debug, thiserror::Error)]
pub enum SbomError {
    /// A file could not be read.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store's database could not be read.
    #[error(
        "the Nix database {path}: {source}; `nix path-info --json -r PATH` tells the same: \
             give its output with --path-info"
    )]
    Database {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// What was read is not what it should be.
    #[error("{what}: {why}")]
    Malformed {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
    /// The system is not in the store.
    #[error("{0} is no valid path of this Nix store")]
    Unknown(String),
    /// More than is accepted.
    #[error("{what}: over the limit of {limit} {of}")]
    TooMuch {
        /// What.
        what: String,
        /// How many are accepted.
        limit: usize,
        /// Of which thing.
        of: &'static str,
    },
    /// A document could not be written.
    #[error("cannot write the document: {0}")]
    Write(#[from] serde_json::Error),
}

impl SbomError {
    fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    fn malformed(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Malformed { what: what.into(), why: why.into() }
    }
}

/// Who told of the packages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The Nix store's database, or `nix path-info`.
    Nix,
    /// dpkg's status.
    Dpkg,
}

impl Source {
    /// As it stands in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nix => "nix",
            Self::Dpkg => "dpkg",
        }
    }
}

/// One package.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Package {
    /// Names it alone: the store path, or `name:architecture`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// Its package URL.
    pub purl: Option<String>,
    /// Digest of its NAR serialisation.
    pub nar_sha256: Option<Digest>,
    /// Who supplies it, where that is told, as SPDX writes it.
    pub supplier: Option<String>,
    /// Its home page, where that is told.
    pub homepage: Option<String>,
    /// What it was made from, where that is told.
    pub made_from: Option<String>,
    /// What it needs, as places in the inventory; sorted, none twice.
    pub needs: Vec<usize>,
    /// Who vouches for it, where that was looked at.
    pub attested: Option<Attested>,
}

/// A system and every package in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inventory {
    /// Who told.
    pub source: Source,
    /// The packages, by id, none twice; behind them those of reports.
    pub packages: Vec<Package>,
    /// Which of them is the system itself.
    pub system: usize,
    /// How many of the reports' packages are vouched for.
    pub coverage: Option<Coverage>,
    /// Digests of the reports.
    pub reports: Vec<Digest>,
}

/// What a document says besides its packages.
#[derive(Clone, Debug)]
pub struct Header {
    /// Whose system.
    pub client: String,
    /// On which host.
    pub host: String,
    /// Seconds since 1970: the time that the document names.
    pub created_s: i64,
    /// Name and version of the program.
    pub software: String,
}

/// How a file of this format ends.
pub fn extension(format: Format) -> &'static str {
    match format {
        Format::Spdx => "spdx.json",
        Format::CycloneDx => "cdx.json",
    }
}

impl Inventory {
    fn new(source: Source, packages: Vec<Package>, system: usize) -> Self {
        Self { source, packages, system, coverage: None, reports: vec![] }
    }

    /// The document: the same inventory and header give the same bytes.
    ///
    /// # Errors
    /// [`SbomError::Write`].
    pub fn document(&self, format: Format, header: &Header) -> Result<Vec<u8>, SbomError> {
        let mut bytes = match format {
            Format::Spdx => spdx::write(self, header)?,
            Format::CycloneDx => cyclonedx::write(self, header)?,
        };
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The package that is the system.
    fn root(&self) -> Option<&Package> {
        self.packages.get(self.system)
    }

    /// A digest over what the inventory says: names a document that says it.
    fn digest(&self) -> Digest {
        let mut hasher = provenance_core::encoding::digest::Hasher::new();
        let mut field = |text: &str| {
            hasher.update(&(text.len() as u64).to_be_bytes());
            hasher.update(text.as_bytes());
        };
        field(self.source.as_str());
        field(&self.system.to_string());
        for package in &self.packages {
            let Package {
                id,
                name,
                version,
                purl,
                nar_sha256,
                supplier,
                homepage,
                made_from,
                needs,
                attested,
            } = package;
            field(id);
            field(name);
            for text in [version, purl, supplier, homepage, made_from] {
                field(text.as_deref().unwrap_or("\0"));
            }
            field(&nar_sha256.map(Digest::to_hex).unwrap_or_default());
            field(&needs.len().to_string());
            for index in needs {
                field(&index.to_string());
            }
            // No id is so: the next package cannot be taken for it.
            for text in attested.iter().flat_map(Attested::fields) {
                field(&format!("attested {text}"));
            }
        }
        hasher.finish()
    }
}

/// `YYYY-MM-DDTHH:MM:SSZ`: both formats have no finer time.
fn date(created_s: i64) -> String {
    let nanos = created_s.max(0).saturating_mul(1_000_000_000);
    let text = provenance_core::encoding::time::Timestamp::from_nanos(nanos).to_string();
    format!("{}Z", text.get(..19).unwrap_or("1970-01-01T00:00:00"))
}

/// A package URL's part with everything but unreserved characters escaped.
fn purl_part(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests;
