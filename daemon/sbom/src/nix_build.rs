//! How a path of the Nix store was built: its derivation, and what that was
//! given. A derivation's path holds its digest, so that of its bytes nobody is
//! believed; NAR hashes are those that the store registered.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use provenance_core::{
    encoding::digest::Digest,
    nix::{Derivation, MAX_DERIVATION},
};
use provenance_host::durable;

use crate::{MAX_PACKAGES, SbomError, nix_database, nix_store_path};

/// A build of the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Build {
    /// What was built.
    pub path: String,
    /// Digest of its NAR serialisation, as registered.
    pub nar_hash: Digest,
    /// When it was registered, in seconds since 1970.
    pub time_s: i64,
    /// The derivation's path.
    pub deriver: String,
    /// Digest of that file.
    pub deriver_sha256: Digest,
    /// Which of its outputs was built.
    pub output: String,
    /// For which system.
    pub system: String,
    /// What the build was given, by path, and the digests of their NARs.
    pub inputs: BTreeMap<String, Digest>,
}

/// The build of `path`, a path of the store whose database this is, and whose
/// file system is mounted at `root`.
///
/// # Errors
/// [`SbomError`]; that it was not built on this machine is one.
pub fn read(database: &Path, root: &Path, path: &str) -> Result<Build, SbomError> {
    if nix_store_path::split(path).is_none() {
        return Err(SbomError::Unknown(path.chars().take(300).collect()));
    }
    let connection = nix_database::open(database)?;
    let registered = |path: &str| nix_database::registered(&connection, database, path);
    let this = registered(path)?.ok_or_else(|| SbomError::Unknown(path.into()))?;
    if !this.ultimate {
        let why = "it was fetched and not built on this machine: whoever built it can attest it, \
                   and its signatures say who that was (`nix path-info --sigs`)";
        return Err(SbomError::malformed(path, why));
    }
    let why = "the store does not know its derivation";
    let deriver = this.deriver.ok_or_else(|| SbomError::malformed(path, why))?;
    let (derivation, deriver_sha256) = derivation(root, &deriver)?;
    let output = derivation.output(path).ok_or_else(|| {
        SbomError::malformed(&*deriver, format!("{path} is no output that it names"))
    })?;
    let mut inputs = BTreeMap::new();
    for input in given(root, &deriver, &derivation)? {
        let Some(of) = registered(&input)? else {
            let why = format!(
                "{input}, which it was built from, is no longer in the store: attest \
                               a build before garbage is collected"
            );
            return Err(SbomError::malformed(path, why));
        };
        inputs.insert(input, of.nar_hash);
    }
    Ok(Build {
        path: path.into(),
        nar_hash: this.nar_hash,
        time_s: this.time_s,
        output: output.into(),
        system: derivation.system,
        deriver,
        deriver_sha256,
        inputs,
    })
}

/// The paths that a build of `derivation` sees.
fn given(
    root: &Path,
    deriver: &str,
    derivation: &Derivation,
) -> Result<BTreeSet<String>, SbomError> {
    let mut given: BTreeSet<String> = derivation.sources.iter().cloned().collect();
    for (path, outputs) in &derivation.derivations {
        let (needed, _) = crate::nix_build::derivation(root, path)?;
        for name in outputs {
            let at = needed.outputs.iter().find(|(known, _)| known == name);
            match at {
                Some((_, at)) if !at.is_empty() => given.insert(at.clone()),
                _ => {
                    let why =
                        format!("it needs {name} of {path}, whose path follows from contents");
                    return Err(SbomError::malformed(deriver, why));
                }
            };
        }
        if given.len() > MAX_PACKAGES {
            let (what, limit) = (deriver.to_owned(), MAX_PACKAGES);
            return Err(SbomError::TooMuch { what, limit, of: "inputs" });
        }
    }
    Ok(given)
}

/// Reads a derivation; its bytes are those that its path names.
fn derivation(root: &Path, path: &str) -> Result<(Derivation, Digest), SbomError> {
    if nix_store_path::split(path).is_none() {
        let short = path.chars().take(300).collect::<String>();
        return Err(SbomError::malformed(short, "no store path"));
    }
    let file = root.join(path.trim_start_matches('/'));
    let bytes = durable::read_limited(&file, MAX_DERIVATION as u64).map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound {
            let why = "this derivation is no longer in the store: attest a build before garbage \
                       is collected (or set keep-derivations)";
            return SbomError::malformed(path, why);
        }
        SbomError::io(&file)(source)
    })?;
    let derivation =
        Derivation::parse(&bytes).map_err(|error| SbomError::malformed(path, error.to_string()))?;
    if !derivation.is_at(&bytes, path) {
        return Err(SbomError::malformed(path, "its contents are not those that its name holds"));
    }
    Ok((derivation, Digest::sha256(&bytes)))
}
