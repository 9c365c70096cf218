//! What lies at the path that was given: a state folder, a bare chain folder,
//! or one day's file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use provenance_core::report::{Code, Finding, Location, Report};
use provenance_host::{
    chain_files::{self, Listing},
    durable,
    state_dir::StateDir,
};
use provenance_registry::reader::{Reader, RegistryError};

use crate::error::AuditError;

/// A checkpoint file is at most this long.
const MAX_CHECKPOINT: u64 = 64 << 10;

/// What was found at the path.
pub(super) enum Target {
    State(StateDir),
    Chain(PathBuf),
    File(PathBuf),
}

impl Target {
    pub(super) fn find(path: &Path) -> Result<Self, AuditError> {
        let metadata = fs::metadata(path).map_err(AuditError::io(path))?;
        if metadata.is_file() {
            return Ok(Self::File(path.into()));
        }
        if path.join("chain").is_dir() || path.join("registry.db").exists() {
            return Ok(Self::State(StateDir::new(path)));
        }
        let listing = chain_files::list(path).map_err(AuditError::io(path))?;
        if listing.files.is_empty() {
            let why = "neither a state folder (with chain/ and registry.db), nor a chain folder \
                       (YYYY/MM/DD.jsonl), nor a chain file";
            return Err(AuditError::NotEvidence { path: path.into(), why: why.into() });
        }
        Ok(Self::Chain(path.into()))
    }

    pub(super) fn listing(&self) -> Result<Listing, AuditError> {
        match self {
            Self::State(state) if !state.chain().is_dir() => Ok(Listing::default()),
            Self::State(state) => {
                chain_files::list(&state.chain()).map_err(AuditError::io(state.chain()))
            }
            Self::Chain(path) => chain_files::list(path).map_err(AuditError::io(path)),
            Self::File(path) => {
                Ok(Listing { files: vec![chain_files::single(path)], strangers: vec![] })
            }
        }
    }

    pub(super) fn registry(&self, report: &mut Report) -> Result<Option<Reader>, AuditError> {
        let Self::State(state) = self else {
            report.not_checked_decisive("registry and checkpoints", "only chain files were given");
            return Ok(None);
        };
        let reader = match Reader::open_for_audit(&state.registry()) {
            Ok(reader) => reader,
            Err(RegistryError::Missing(_) | RegistryError::Empty(_)) if self.is_begun()? => {
                report.not_checked_decisive("the registry", "it is only being made");
                return Ok(None);
            }
            Err(error) if error.is_damage() => {
                let place = Location::file("registry.db");
                report.add_finding(Finding::new(Code::RegistryMissing, place, error.to_string()));
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let readable = super::registry::structure(&reader, report)?;
        Ok(Some(reader).filter(|_| readable))
    }

    /// Whether a daemon is only beginning here: the registry is made first, and
    /// whatever else is evidence follows.
    fn is_begun(&self) -> Result<bool, AuditError> {
        let Self::State(state) = self else { return Ok(false) };
        let evidence = [state.checkpoint(), state.bundles()];
        Ok(self.listing()?.files.is_empty() && !evidence.iter().any(|path| path.exists()))
    }

    /// Where bytes that were set aside lie.
    pub(super) fn recovered(&self) -> Option<PathBuf> {
        match self {
            Self::State(state) => Some(state.recovered()),
            Self::Chain(path) => Some(path.join("recovered")),
            Self::File(_) => None,
        }
    }

    pub(super) fn checkpoint(&self, report: &mut Report) -> Result<Option<String>, AuditError> {
        let Self::State(state) = self else { return Ok(None) };
        let path = state.checkpoint();
        match durable::read_regular(&path, MAX_CHECKPOINT) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Some(text)),
                Err(_) => {
                    let place = Location::file("checkpoint");
                    report.add_finding(Finding::new(Code::CheckpointInvalid, place, "not UTF-8"));
                    Ok(None)
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) if durable::is_no_file(&error) => {
                let place = Location::file("checkpoint");
                let message = "no regular file, or over its size limit";
                report.add_finding(Finding::new(Code::CheckpointInvalid, place, message));
                Ok(None)
            }
            Err(error) => Err(AuditError::io(path)(error)),
        }
    }
}

/// How many rows the registry has; one that cannot tell has none to walk.
pub(super) fn length(reader: &Reader, report: &mut Report) -> Result<u64, AuditError> {
    match reader.len() {
        Ok(length) => Ok(length),
        Err(error) if error.is_damage() => {
            let place = Location::file("registry.db");
            report.add_finding(Finding::new(Code::RegistryBroken, place, error.to_string()));
            Ok(0)
        }
        Err(error) => Err(error.into()),
    }
}
