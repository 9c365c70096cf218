//! Publishing a version: its archive, certificate and a signed statement are
//! put into the state folder, from where `store` copies them, then recorded.

use std::path::{Path, PathBuf};

use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    registry::package::{self, Status},
    signing::sigstore_bundle::{self, MAX_BUNDLE},
    statement::{Subject, publication::Publication},
};
use provenance_host::{config::Config, durable, state_dir::StateDir};
use provenance_registry::package_index::IncrementalIndex;

use super::{Chronicle, RecordedEvent, Report, named};
use crate::{certificates, error::ServiceError, ledger::Ledger};

/// An archive is at most 1 GiB: it is read into memory once.
const MAX_ARCHIVE: u64 = 1 << 30;

/// What is published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publishing {
    pub package: String,
    pub version: String,
    pub archive: PathBuf,
    /// The id of its certificate.
    pub certificate: String,
    /// The attestation of its build.
    pub provenance: Option<PathBuf>,
    pub who: String,
}

/// What was published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Published {
    pub recorded: RecordedEvent,
    /// What is signed.
    pub publication: Publication,
    /// The files, below the state folder.
    pub files: Vec<String>,
}

impl Chronicle {
    /// Publishes a version that is registered.
    ///
    /// # Errors
    /// [`ServiceError`]; then it is not on record, and another attempt
    /// begins anew.
    pub(crate) fn publish(
        &self,
        (config, state): (&Config, &StateDir),
        evidence: &mut Ledger,
        now: Timestamp,
        wanted: &Publishing,
    ) -> Result<Published, ServiceError> {
        named(&wanted.package, &wanted.version)?;
        let archive = read(&wanted.archive, MAX_ARCHIVE)?;
        let provenance = match &wanted.provenance {
            Some(path) => Some(read(path, MAX_BUNDLE as u64)?),
            None => None,
        };
        let sha256 = Digest::sha256(&archive);
        let report = Report {
            id: None,
            event: Status::Published.event().into(),
            package: wanted.package.clone(),
            version: wanted.version.clone(),
            who: wanted.who.clone(),
            details: provenance
                .iter()
                .map(|bytes| ("provenance_sha256".into(), Digest::sha256(bytes).to_hex()))
                .collect(),
            sha256: Some(sha256),
            certificate: Some(wanted.certificate.clone()),
        };
        let entry = super::entry(report)?;
        let mut known = IncrementalIndex::default();
        known.catch_up(&evidence.reader()?)?;
        let before = super::status(&known, &entry);
        if before == Some(Status::Deprecated) {
            let message = "it is there already: `provenanced package status --to published`";
            return Err(ServiceError::Conflict(message.into()));
        }
        Status::after(before, &entry.event)
            .map_err(|refusal| ServiceError::Conflict(refusal.to_string()))?;
        super::fits_certificate(&known, &entry, now)?;
        let issued = known.certificates().get(&wanted.certificate).map(|known| &known.issued);
        let issued = issued.ok_or_else(|| ServiceError::State("the certificate is gone".into()))?;
        if issued.artifact_sha256 != Some(sha256) {
            return Err(ServiceError::Conflict(format!(
                "certificate {} does not name this archive: issue one with --file",
                wanted.certificate
            )));
        }
        let Some(signer) = evidence.signer() else {
            let message = "a publication is signed: set signing_key";
            return Err(ServiceError::Request(message.into()));
        };
        let file = |ending: &str| package::file(&wanted.package, &wanted.version, ending);
        let archive_name = file("tgz");
        let publication = Publication {
            subject: Subject { name: base(&archive_name).into(), sha256 },
            package: wanted.package.clone(),
            version: wanted.version.clone(),
            certificate: wanted.certificate.clone(),
            certificate_sha256: issued.sha256,
            provenance_sha256: provenance.as_deref().map(Digest::sha256),
            client: config.client.clone(),
            host: config.host.clone(),
            time: now,
        };
        let bytes = publication.encode().map_err(|error| ServiceError::State(error.to_string()))?;
        let sign = |message: &[u8]| signer.sign(message);
        let signed = sigstore_bundle::sign(&bytes, &signer.public().fingerprint(), &sign);
        let pem = certificates::to_pem(&issued.der)?;
        let mut files = vec![
            (archive_name, archive),
            (file("cert.pem"), pem.into_bytes()),
            (file("publication.sigstore.json"), signed),
        ];
        files.extend(provenance.map(|bytes| (file("provenance.sigstore.json"), bytes)));
        for (name, bytes) in &files {
            write(state, name, bytes)?;
        }
        let recorded = self.append(evidence, &known, now, entry)?;
        let files = files.into_iter().map(|(name, _)| name).collect();
        Ok(Published { recorded, publication, files })
    }
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ServiceError> {
    durable::read_limited(path, limit)
        .map_err(ServiceError::io(format!("cannot read {}", path.display())))
}

fn write(state: &StateDir, name: &str, bytes: &[u8]) -> Result<(), ServiceError> {
    let path = state.root().join(name);
    let failed = || ServiceError::io(format!("cannot write {}", path.display()));
    if let Some(folder) = path.parent() {
        durable::create_dirs(folder).map_err(failed())?;
    }
    durable::replace(&path, bytes, 0o640).map_err(failed())
}

fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
