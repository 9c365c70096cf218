//! The attestation of a build: read from the store, its contents read again,
//! signed, written.

use std::{
    io,
    path::{Path, PathBuf},
};

use provenance_core::{
    encoding::time::Timestamp,
    signing::sigstore_bundle,
    statement::{Subject, build_provenance::Provenance},
    verify::nix_store::Contents,
};
use provenance_host::{config::Config, durable};
use provenance_sbom::{
    nix_build::{self, Build},
    rehash::{self, ContentsError},
};

use crate::{error::ServiceError, ledger::signer::Signer};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The store path, or a link to one.
    pub path: PathBuf,
    /// The store's database.
    pub nix_db: PathBuf,
    /// Where the file system that holds the store is mounted.
    pub root: PathBuf,
    /// Where the attestation is put.
    pub out: PathBuf,
}

/// Attests the build of a store path of this machine.
///
/// # Errors
/// [`ServiceError`]; nothing half-written is left.
pub(crate) fn build(
    config: &Config,
    signer: &Signer,
    request: &Request,
) -> Result<Provenance, ServiceError> {
    if std::fs::symlink_metadata(&request.out).is_ok() {
        let message = format!("{} is there already: name another file", request.out.display());
        return Err(ServiceError::Request(message));
    }
    let path = store_path(&request.path)?;
    let build = nix_build::read(&request.nix_db, &request.root, &path)?;
    hold(&build, &request.root)?;
    let provenance = provenance(config, build);
    let bytes = provenance.encode().map_err(|error| ServiceError::Request(error.to_string()))?;
    let sign = |message: &[u8]| signer.sign(message);
    let signed = sigstore_bundle::sign(&bytes, &signer.public().fingerprint(), &sign);
    durable::replace(&request.out, &signed, 0o644)
        .map_err(ServiceError::io(format!("cannot write {}", request.out.display())))?;
    Ok(provenance)
}

/// The path itself, or, like `result`, a link to it.
fn store_path(path: &Path) -> Result<String, ServiceError> {
    let path = std::fs::read_link(path).unwrap_or_else(|_| path.to_owned());
    match path.to_str() {
        Some(path) => Ok(path.to_owned()),
        None => Err(ServiceError::Request(format!("{}: no store path", path.display()))),
    }
}

/// What is attested is what lies there, and not what was registered once.
fn hold(build: &Build, root: &Path) -> Result<(), ServiceError> {
    let file = root.join(build.path.trim_start_matches('/'));
    let found = rehash::read(&file).map_err(|error| match error {
        ContentsError::Io { path, source } => {
            ServiceError::io(format!("cannot read {}", path.display()))(source)
        }
        other => ServiceError::State(other.to_string()),
    })?;
    match found {
        Some(Contents { nar, .. }) if nar == build.nar_hash => Ok(()),
        Some(_) => Err(ServiceError::State(format!(
            "{} does not have the contents that were registered: it was changed; keep a copy as \
             evidence, and repair it with `nix-store --repair-path`",
            build.path
        ))),
        None => {
            let gone = io::Error::from(io::ErrorKind::NotFound);
            Err(ServiceError::io(format!("cannot read {}", file.display()))(gone))
        }
    }
}

fn provenance(config: &Config, build: Build) -> Provenance {
    let nar = |(name, sha256)| Subject { name, sha256 };
    Provenance {
        subject: nar((build.path, build.nar_hash)),
        derivation: Subject { name: build.deriver, sha256: build.deriver_sha256 },
        output: build.output,
        system: build.system,
        dependencies: build.inputs.into_iter().map(nar).collect(),
        client: config.client.clone(),
        host: config.host.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        finished: Timestamp::from_nanos(build.time_s.saturating_mul(1_000_000_000)),
    }
}
