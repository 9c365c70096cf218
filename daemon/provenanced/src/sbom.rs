//! The software bill of materials: read, written where it is asked for, kept
//! in the state folder by its digest, and recorded.

use std::{
    io,
    path::{Path, PathBuf},
};

use provenance_core::{
    encoding::{digest::Digest, json::Value, time::Timestamp},
    registry::{Document, Entry, SbomEntry},
};
use provenance_host::{
    config::{Config, SbomFormat},
    durable,
    state_dir::StateDir,
};
use provenance_sbom::{self, Header, Inventory, dpkg, nix_database, nix_path_info};

use crate::{PROGRAM_VERSION, error::ServiceError, ledger::Ledger};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The system, where it is not the one of the settings.
    pub system: Option<PathBuf>,
    /// The Nix store's database.
    pub nix_db: PathBuf,
    /// The output of `nix path-info --json -r`, to be read instead.
    pub path_info: Option<PathBuf>,
    /// dpkg's status, to be read instead.
    pub dpkg: Option<PathBuf>,
    /// What `provctl verify-package --json` found, beside those of the settings.
    pub package_reports: Vec<PathBuf>,
    /// Where the documents are put.
    pub out: PathBuf,
    /// In which formats; empty: those of the settings.
    pub formats: Vec<SbomFormat>,
    /// The time that the documents name; `None`: that of the record.
    pub created: Option<Timestamp>,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct SbomOutput {
    /// As it is on record.
    pub entry: SbomEntry,
    /// The files, in the order of the entry's documents.
    pub files: Vec<PathBuf>,
}

impl SbomOutput {
    /// For machines: the record's data, and where the files are.
    pub(crate) fn to_value(&self) -> Value {
        let files = self.files.iter().map(|path| path.display().to_string().into()).collect();
        Entry::Sbom(self.entry.clone()).to_value().with("files", Value::Array(files))
    }
}

/// Reads the inventory, writes its documents, and records them.
///
/// # Errors
/// [`ServiceError`].
pub(crate) fn make(
    config: &Config,
    state: &StateDir,
    evidence: &mut Ledger,
    now: Timestamp,
    request: &Request,
) -> Result<SbomOutput, ServiceError> {
    let mut inventory = inventory(config, request)?;
    for path in config.sbom.package_reports.iter().chain(&request.package_reports) {
        let bytes = durable::read_limited(path, provenance_sbom::MAX_REPORT)
            .map_err(ServiceError::io(format!("cannot read {}", path.display())))?;
        inventory.attest(&bytes, path)?;
    }
    let created_s = request.created.unwrap_or(now).nanos().div_euclid(1_000_000_000);
    let header = Header {
        client: config.client.clone(),
        host: config.host.clone(),
        created_s,
        software: PROGRAM_VERSION.into(),
    };
    let mut formats = request.formats.clone();
    if formats.is_empty() {
        formats.clone_from(&config.sbom.formats);
    }
    if formats.is_empty() {
        formats.push(SbomFormat::Spdx);
    }
    formats.sort();
    formats.dedup();
    let (mut documents, mut files) = (vec![], vec![]);
    for format in formats {
        let bytes = inventory.document(format, &header)?;
        let sha256 = Digest::sha256(&bytes);
        let extension = provenance_sbom::extension(format);
        let name = format!("sboms/{sha256}.{extension}");
        // Kept first: what is on record must be there.
        write(&state.root().join(&name), &bytes, 0o440)?;
        let path = request.out.join(format!("{}-{}.{extension}", config.client, config.host));
        write(&path, &bytes, 0o644)?;
        let bytes = bytes.len() as u64;
        documents.push(Document { format: format.as_str().into(), name, sha256, bytes });
        files.push(path);
    }
    let system = inventory.packages.get(inventory.system);
    let entry = SbomEntry {
        created: Timestamp::from_nanos(created_s.saturating_mul(1_000_000_000)),
        documents,
        packages: inventory.packages.len() as u64,
        source: inventory.source.as_str().into(),
        system: system.map(|system| system.id.clone()).unwrap_or_default(),
        coverage: inventory.coverage.clone(),
        reports: inventory.reports.clone(),
    };
    evidence.record(now, &[Entry::Sbom(entry.clone())])?;
    Ok(SbomOutput { entry, files })
}

/// From what was named; else from the Nix store, if the system is in one;
/// else from dpkg, where that is.
fn inventory(config: &Config, request: &Request) -> Result<Inventory, ServiceError> {
    if let Some(path) = &request.path_info {
        let system = request.system.as_deref().and_then(Path::to_str);
        return Ok(nix_path_info::read(path, system)?);
    }
    if let Some(path) = &request.dpkg {
        return Ok(dpkg::read(path, &dpkg::distribution(Path::new(dpkg::OS_RELEASE)))?);
    }
    let system = request.system.as_deref().unwrap_or(&config.sbom.system);
    let named = request.system.is_some();
    if named || system.exists() && request.nix_db.exists() {
        return Ok(nix_database::closure(&request.nix_db, system)?);
    }
    if Path::new(dpkg::STATUS).exists() {
        return Ok(dpkg::read(
            Path::new(dpkg::STATUS),
            &dpkg::distribution(Path::new(dpkg::OS_RELEASE)),
        )?);
    }
    Err(ServiceError::Empty(format!(
        "there is no {} in a Nix store, and no {}: name a system with --system",
        system.display(),
        dpkg::STATUS
    )))
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), ServiceError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent
        .map_or(Ok(()), durable::create_dirs)
        .and_then(|()| match durable::read_limited(path, bytes.len() as u64) {
            Ok(same) if same == bytes => Ok(()),
            Ok(_) => durable::replace(path, bytes, mode),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
            Err(_) => durable::replace(path, bytes, mode),
        })
        .map_err(ServiceError::io(format!("cannot write {}", path.display())))
}
