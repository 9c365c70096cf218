//! Who vouches for the running system's Nix store paths, and whether their
//! contents are those that were registered (docs/format.md §14).

use std::path::{Path, PathBuf};

use provenance_core::{
    nix::{PathInfo, StoreKey, StoreKeyError},
    report::{Code, Report},
    verify::nix_store::{self, Trust},
};
use provenance_host::durable;
use provenance_sbom::{
    self, Closure, SbomError,
    rehash::{self, ContentsError},
};
use provenance_verifier::Progress;

use crate::error::AuditError;

/// A file of keys is at most so long.
const MAX_KEYS: u64 = 1 << 20;

/// Where the closure is told of.
#[derive(Clone, Debug)]
pub enum ClosureSource {
    /// The store's database.
    Database(PathBuf),
    /// What `nix path-info --json -r` printed.
    PathInfo(PathBuf),
}

/// What is to be verified.
#[derive(Clone, Debug)]
pub struct Options {
    /// By whom the closure is told.
    pub told: ClosureSource,
    /// The system; `None` is the one path that no other needs.
    pub system: Option<PathBuf>,
    /// Whom to trust.
    pub trust: Trust,
    /// Where the file system that holds the store is mounted, to read the
    /// contents again; `None` leaves them.
    pub rehash: Option<PathBuf>,
}

/// Why a closure cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The closure could not be read.
    #[error(transparent)]
    Closure(#[from] SbomError),
    /// A file of keys could not be read.
    #[error(transparent)]
    Keys(#[from] AuditError),
    /// A trusted key is none.
    #[error("trusted key {name}: {source}")]
    Key {
        /// How it begins, or the file it stands in.
        name: String,
        source: StoreKeyError,
    },
}

/// A verdict, and every path with something wrong.
#[derive(Debug)]
pub struct StoreResult {
    /// The verdict, with at most some findings of each code.
    pub report: Report,
    /// All paths that have a finding, with its code.
    pub paths: Vec<(String, Code)>,
}

/// Verifies a closure.
///
/// # Errors
/// [`StoreError`] where there is nothing to judge.
pub fn verify(options: &Options, progress: Progress<'_>) -> Result<StoreResult, StoreError> {
    let Closure { paths: closure, .. } = match &options.told {
        ClosureSource::Database(path) => provenance_sbom::nix_database::paths(
            path,
            options.system.as_deref().unwrap_or(Path::new("/")),
        )?,
        ClosureSource::PathInfo(path) => {
            let system = options.system.as_deref().map(|path| path.to_string_lossy());
            provenance_sbom::nix_path_info::read_paths(path, system.as_deref())?
        }
    };
    let mut report = Report::new();
    let mut bad = nix_store::judge(&closure, &options.trust, &mut report);
    match &options.rehash {
        Some(root) => bad.extend(reread(&closure, root, &options.trust, &mut report, progress)),
        None => report.not_checked("the contents of the paths", "give --rehash to read them"),
    }
    bad.sort_unstable();
    bad.dedup();
    let named = |(place, code): (usize, Code)| Some((closure.get(place)?.path.clone(), code));
    Ok(StoreResult { report, paths: bad.into_iter().filter_map(named).collect() })
}

fn reread(
    closure: &[PathInfo],
    root: &Path,
    trust: &Trust,
    report: &mut Report,
    progress: Progress<'_>,
) -> Vec<(usize, Code)> {
    let mut bad = vec![];
    for (place, info) in closure.iter().enumerate() {
        let path = root.join(info.path.trim_start_matches('/'));
        match rehash::read(&path) {
            Ok(found) => {
                let code = nix_store::hold(info, closure, trust, found.as_ref(), report);
                bad.extend(code.map(|code| (place, code)));
            }
            Err(ContentsError::NotStored { name, why }) => {
                nix_store::foreign(info, &name.to_string_lossy(), why, report);
                bad.push((place, Code::NixAltered));
            }
            Err(ContentsError::Io { path, source }) => {
                let what = format!("the contents of {}", info.path);
                report.not_checked_decisive(what, format!("{}: {source}", path.display()));
            }
        }
        progress(place as u64 + 1);
    }
    bad
}

/// The keys that `texts` are, or that stand in the files of such names: each
/// `name:base64`, with white space between them, `#` before a remark.
///
/// # Errors
/// [`StoreError`].
pub fn keys(texts: &[String]) -> Result<Vec<StoreKey>, StoreError> {
    let mut keys: Vec<StoreKey> = vec![];
    for text in texts {
        if let Ok(key) = StoreKey::parse(text) {
            keys.push(key);
            continue;
        }
        let path = Path::new(text);
        // What cannot be a file's name is meant as a key.
        if text.contains(':') && !path.exists() {
            return Err(named(text)(StoreKey::parse(text).err().unwrap_or(StoreKeyError::Form)));
        }
        let bytes = durable::read_limited(path, MAX_KEYS).map_err(AuditError::io(path))?;
        let content = String::from_utf8_lossy(&bytes);
        let lines = content.lines().map(|line| line.split('#').next().unwrap_or_default());
        for word in lines.flat_map(str::split_whitespace) {
            keys.push(StoreKey::parse(word).map_err(named(text))?);
        }
    }
    Ok(keys)
}

/// Not the text itself beyond its name: it may be a secret.
fn named(text: &str) -> impl FnOnce(StoreKeyError) -> StoreError {
    let name = text.split(':').next().unwrap_or_default().chars().take(100).collect();
    move |source| StoreError::Key { name, source }
}
