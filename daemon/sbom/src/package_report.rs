//! Packages that no package manager of the system told of, as `provctl
//! verify-package --json` found them: each with who vouches for it.

use std::{collections::BTreeMap, path::Path};

use provenance_core::{
    encoding::digest::Digest,
    record::coverage::{Coverage, Level, by_kind},
};
use serde::Deserialize;

use crate::{
    Inventory, MAX_PACKAGES, MAX_REFERENCES, Package, SbomError,
    inventory::{Attested, purl_part},
};

/// A report has at most so many bytes.
pub const MAX_REPORT: u64 = 256 << 20;
/// A name or a version is at most so long.
const MAX_NAME: usize = 1_024;

/// What is read of a report; the rest of it says why.
#[derive(Deserialize)]
struct Report {
    packages: Vec<Told>,
}

#[derive(Deserialize)]
struct Told {
    ecosystem: String,
    name: String,
    version: Option<String>,
    level: String,
    #[serde(default)]
    files: Vec<File>,
    #[serde(default)]
    evidence: Vec<Piece>,
}

#[derive(Deserialize)]
struct File {
    digest: String,
}

#[derive(Deserialize)]
struct Piece {
    kind: Option<String>,
    result: String,
}

/// The counts as documents have them: canonical JSON.
pub(super) fn coverage_text(coverage: &Coverage) -> String {
    String::from_utf8_lossy(&coverage.to_value().encode()).into_owned()
}

impl Inventory {
    /// Puts the packages of a report, which errors call `what`, behind the
    /// others. The system is said to need them.
    ///
    /// # Errors
    /// [`SbomError`].
    pub fn attest(&mut self, bytes: &[u8], what: &Path) -> Result<(), SbomError> {
        let what = what.display().to_string();
        let report: Report = serde_json::from_slice(bytes).map_err(|error| {
            let why = format!("not what `provctl verify-package --json` prints: {error}");
            SbomError::malformed(&*what, why)
        })?;
        let coverage = self.coverage.get_or_insert_default();
        for (at, told) in report.packages.into_iter().enumerate() {
            let bad = |why| SbomError::malformed(format!("{what}: packages[{at}]"), why);
            let (package, attested) = read(told).map_err(bad)?;
            let kinds = attested.kinds.iter().map(|(kind, level)| (kind.as_str(), *level));
            coverage.count(&attested.ecosystem, attested.level, kinds);
            if self.packages.len() >= MAX_PACKAGES {
                let limit = MAX_PACKAGES;
                return Err(SbomError::TooMuch { what, limit, of: "packages" });
            }
            self.packages.push(Package { attested: Some(attested), ..package });
        }
        if Coverage::read(&coverage.to_value()).is_none() {
            return Err(SbomError::malformed(what, "it has too many kinds of evidence"));
        }
        self.reports.push(Digest::sha256(bytes));
        self.number()
    }

    /// An id of its own for each, also where a lock file has one twice; and
    /// the system needs each.
    fn number(&mut self) -> Result<(), SbomError> {
        let mut seen = BTreeMap::<String, u64>::new();
        let mut places = vec![];
        for (place, package) in self.packages.iter_mut().enumerate() {
            let (Some(_), Some(purl)) = (&package.attested, &package.purl) else { continue };
            let count = seen.entry(purl.clone()).or_default();
            *count += 1;
            package.id = if *count == 1 { purl.clone() } else { format!("{purl}#{count}") };
            places.push(place);
        }
        let (source, system) = (self.source.as_str(), self.system);
        let system = self.packages.get_mut(system).ok_or_else(|| {
            SbomError::malformed(source, "there is no system to put packages into")
        })?;
        system.needs.extend(places);
        system.needs.sort_unstable();
        system.needs.dedup();
        if system.needs.len() > MAX_REFERENCES {
            let limit = MAX_REFERENCES;
            return Err(SbomError::TooMuch { what: source.into(), limit, of: "references" });
        }
        Ok(())
    }
}

fn read(told: Told) -> Result<(Package, Attested), &'static str> {
    let level = Level::of(&told.level).ok_or("its level is none")?;
    let fits = |text: &str| {
        !text.is_empty() && text.len() <= MAX_NAME && !text.contains(|c: char| c.is_control())
    };
    if !fits(&told.name) || !told.version.as_deref().is_none_or(fits) {
        return Err("its name or version is none");
    }
    let kind = match &*told.ecosystem {
        "npm" => "npm",
        "pypi" => "pypi",
        "file" => "generic",
        _ => return Err("its ecosystem is not known"),
    };
    let plain = |kind: &str| {
        !kind.is_empty()
            && kind.len() <= 32
            && kind.bytes().all(|c| c.is_ascii_lowercase() || c == b'-')
    };
    let mut judged = vec![];
    for piece in told.evidence {
        let level = Level::of(&piece.result).ok_or("a piece of its evidence has no result")?;
        let Some(kind) = piece.kind else { continue };
        if !plain(&kind) {
            return Err("the kind of a piece of its evidence is none");
        }
        judged.push((kind, level));
    }
    let name = told.name.split('/').map(purl_part).collect::<Vec<_>>().join("/");
    let version = told.version.as_deref().map(|v| format!("@{}", purl_part(v)));
    let package = Package {
        purl: Some(format!("pkg:{kind}/{name}{}", version.unwrap_or_default())),
        name: told.name,
        version: told.version,
        ..Package::default()
    };
    let sum = match &told.files[..] {
        [file] => sum(&file.digest),
        // Any of several may be the one that is installed.
        _ => None,
    };
    let attested = Attested { ecosystem: told.ecosystem, level, kinds: by_kind(judged), sum };
    Ok((package, attested))
}

pub(crate) fn sum(text: &str) -> Option<(String, String)> {
    let (name, hex) = text.split_once(':')?;
    let digits = match name {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return None,
    };
    let fits = hex.len() == digits && hex.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    fits.then(|| (name.to_owned(), hex.to_owned()))
}
