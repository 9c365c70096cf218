//! What software a system has, whatever the source.

use std::{collections::BTreeMap, io, path::PathBuf};

use provenance_core::{
    encoding::{digest::Digest, json::Value},
    record::coverage::{Coverage, Level},
};
use provenance_host::config::SbomFormat as Format;

/// So many packages make an inventory at most.
pub const MAX_PACKAGES: usize = 200_000;

/// So many references between them at most.
pub const MAX_REFERENCES: usize = 4_000_000;

/// Why there is no inventory.
#[derive(Debug, thiserror::Error)]
pub enum SbomError {
    /// A file could not be read.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// The store's database could not be read.
    #[error(
        "the Nix database {path}: {source}; `nix path-info --json -r PATH` tells the same: \
             give its output with --path-info"
    )]
    Database { path: PathBuf, source: rusqlite::Error },
    /// What was read is not what it should be.
    #[error("{what}: {why}")]
    Malformed { what: String, why: String },
    /// The system is not in the store.
    #[error("{0} is no valid path of this Nix store")]
    Unknown(String),
    /// More than is accepted.
    #[error("{what}: over the limit of {limit} {of}")]
    TooMuch {
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
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn malformed(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Malformed { what: what.into(), why: why.into() }
    }
}

/// Who told of the packages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The Nix store's database, or `nix path-info`.
    Nix,
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

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Package {
    /// Names it alone: the store path, or `name:architecture`.
    pub id: String,
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

/// `YYYY-MM-DDTHH:MM:SSZ`: both formats have no finer time.
pub(crate) fn date(created_s: i64) -> String {
    let nanos = created_s.max(0).saturating_mul(1_000_000_000);
    let text = provenance_core::encoding::time::Timestamp::from_nanos(nanos).to_string();
    format!("{}Z", text.get(..19).unwrap_or("1970-01-01T00:00:00"))
}

/// A package URL's part with everything but unreserved characters escaped.
pub(crate) fn purl_part(text: &str) -> String {
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

/// How far a package is vouched for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attested {
    /// Whose name it has: `npm`, `pypi`, `file`.
    pub ecosystem: String,
    pub level: Level,
    /// By each kind of what vouches.
    pub kinds: BTreeMap<String, Level>,
    /// Name and hexadecimal digits of the digest of its one file.
    pub sum: Option<(String, String)>,
}

impl Attested {
    /// All that it says, in words.
    pub(crate) fn fields(&self) -> Vec<String> {
        let kinds = self.kinds.iter().map(|(kind, level)| format!("{kind} {}", level.as_str()));
        let sum = self.sum.iter().map(|(name, hex)| format!("{name}:{hex}"));
        let first = format!("{} {}", self.ecosystem, self.level.as_str());
        std::iter::once(first).chain(kinds).chain(sum).collect()
    }

    /// As documents have it: canonical JSON, without the sum.
    pub(crate) fn text(&self) -> String {
        let kinds = self.kinds.iter().map(|(kind, level)| (kind.as_str(), level.as_str().into()));
        let value = Value::object([
            ("ecosystem", self.ecosystem.as_str().into()),
            ("kinds", Value::object(kinds)),
            ("level", self.level.as_str().into()),
        ]);
        String::from_utf8_lossy(&value.encode()).into_owned()
    }
}
