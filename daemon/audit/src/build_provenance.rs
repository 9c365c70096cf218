//! `provctl verify` of an attestation of a build.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use provenance_core::{
    report::{Code, Finding, Location, Report},
    signing::sigstore_bundle::MAX_BUNDLE,
    verify::build_provenance,
};
use provenance_host::durable;
use provenance_sbom::rehash::{self, ContentsError};
use provenance_verifier::Trust;

use crate::error::AuditError;

/// How a Sigstore bundle in canonical form begins.
const START: &[u8] = b"{\"dsseEnvelope\":";

/// Whether the file is an attestation by itself, and not a part of an evidence
/// bundle.
pub fn is_attestation(path: &Path) -> bool {
    let mut start = [0; START.len()];
    path.file_name().is_none_or(|name| name != "statement.sigstore.json")
        && path.is_file()
        && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && start == START
}

/// Verifies an attestation; the path that it is about is looked for below
/// `root`.
///
/// # Errors
/// [`AuditError`] where it cannot be read; what is wrong with it is in the
/// report.
pub fn verify(path: &Path, root: &Path, trust: &Trust) -> Result<Report, AuditError> {
    let mut report = Report::new();
    trust.demand_policy(&mut report);
    let bytes = durable::read_limited(path, MAX_BUNDLE as u64).map_err(AuditError::io(path))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if let Some(provenance) = build_provenance::verify(&bytes, &name, trust.keys(), &mut report) {
        trust.check_identity(&provenance.client, &provenance.host, &mut report);
        let subject = &provenance.subject.name;
        match contents_of(root, subject) {
            Ok(found) => build_provenance::hold(&provenance, found.as_ref(), &mut report),
            Err(ContentsError::NotStored { name, why }) => {
                let message = format!("{}: {why}, which Nix stores in no path", name.display());
                report.add_finding(Finding::new(
                    Code::NixAltered,
                    Location::file(&**subject),
                    message,
                ));
            }
            Err(ContentsError::Io { path, source }) => {
                let what = "the contents of the attested path";
                report.not_checked_decisive(what, format!("{}: {source}", path.display()));
            }
        }
        let why = "the appliance says so; a build elsewhere from the same derivation shows it";
        report.not_checked("that the contents come from that derivation", why);
    }
    Ok(report)
}

/// Only of what can be a store path: the name is the attestation's.
fn contents_of(
    root: &Path,
    subject: &str,
) -> Result<Option<provenance_core::verify::nix_store::Contents>, ContentsError> {
    if !provenance_sbom::is_store_path(subject) {
        let why = "no store path";
        return Err(ContentsError::NotStored { name: PathBuf::from(subject), why });
    }
    rehash::read(&root.join(subject.trim_start_matches('/')))
}
