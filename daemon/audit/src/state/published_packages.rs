//! The files of published packages and of certificates in a state folder, held
//! against the registry's records of them (docs/format.md, steps 16.7 and 17.4).

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use provenance_core::{
    encoding::digest::Digest,
    registry::package,
    report::{Code, Finding, Location, Report},
    signing::sigstore_bundle::{MAX_BUNDLE, SigstoreBundle},
    statement::publication::Publication,
    verify::bundle::Trusted,
};
use provenance_host::{durable, state_dir::StateDir};
use provenance_registry::package_index::{CertificateState, Version};
use provenance_verifier::Stop;
use provenance_x509::{MAX_CERTIFICATE, ParsedCertificate};

use super::package_events::Packages;
use crate::{
    error::AuditError,
    files::{digest, walk},
    state::package_events::FirstPublication,
};

/// So many files that nobody knows are told by name.
const MAX_TOLD: usize = 10;

/// A published version, and where its files are.
struct Published<'a> {
    state: &'a StateDir,
    named: (&'a str, &'a str),
    version: &'a Version,
    first: &'a FirstPublication,
    certificate: Option<&'a CertificateState>,
}

/// Every published version has its files, and they are those on record.
pub(super) fn check_registered_packages(
    packages: &Packages,
    state: &StateDir,
    keys: &[Trusted],
    stop: &Stop,
    report: &mut Report,
) -> Result<(), AuditError> {
    let mut known = BTreeSet::new();
    for (named, first) in &packages.published {
        stop.check()?;
        let (package, number) = (named.0.as_str(), named.1.as_str());
        let Some(version) = packages.versions.get(package, number) else { continue };
        let certificate = version.certificate.as_deref();
        let certificate = certificate.and_then(|id| packages.certificates.get(id));
        let it = Published { state, named: (package, number), version, first, certificate };
        it.archive(report)?;
        it.certificate(report)?;
        it.publication(keys, report)?;
        it.provenance(report)?;
        known.extend(package::PUBLISHED.map(|ending| package::file(package, number, ending)));
    }
    certificates(packages, state, stop, report)?;
    strangers(state, &known, report)
}

impl Published<'_> {
    fn archive(&self, report: &mut Report) -> Result<(), AuditError> {
        let Some(expected) = self.version.sha256 else { return Ok(()) };
        report.checked("archives", 1);
        self.holds("tgz", expected, "the archive is not the one that was published", report)
    }

    fn provenance(&self, report: &mut Report) -> Result<(), AuditError> {
        let Some(expected) = self.first.provenance else { return Ok(()) };
        let message = "the attestation of its build is not the one that was published";
        self.holds("provenance.sigstore.json", expected, message, report)
    }

    fn holds(
        &self,
        ending: &str,
        expected: Digest,
        message: &str,
        report: &mut Report,
    ) -> Result<(), AuditError> {
        let (path, place) = self.file(ending);
        match digest(&path) {
            Ok(got) if got == expected => {}
            Ok(got) => {
                let finding = Finding::new(Code::PackageAltered, place, message);
                report.add_finding(finding.values(expected, got));
            }
            Err(error) => unreadable(error, &path, place, report)?,
        }
        Ok(())
    }

    fn certificate(&self, report: &mut Report) -> Result<(), AuditError> {
        let Some(known) = self.certificate else { return Ok(()) };
        let (path, place) = self.file("cert.pem");
        match durable::read_regular(&path, MAX_CERTIFICATE) {
            Ok(bytes) if is(&bytes, known) => {}
            Ok(_) => {
                let message = "the certificate is not the one that it was published with";
                report.add_finding(Finding::new(Code::PackageAltered, place, message));
            }
            Err(error) => unreadable(error, &path, place, report)?,
        }
        Ok(())
    }

    /// The signed statement is of this publication, by a key that was in use.
    fn publication(&self, keys: &[Trusted], report: &mut Report) -> Result<(), AuditError> {
        let (path, place) = self.file("publication.sigstore.json");
        let bytes = match durable::read_regular(&path, MAX_BUNDLE as u64) {
            Ok(bytes) => bytes,
            Err(error) => return unreadable(error, &path, place, report),
        };
        if let Err(why) = self.says(&bytes, keys) {
            report.add_finding(Finding::new(Code::PackageAltered, place, why));
        }
        Ok(())
    }

    fn says(&self, bytes: &[u8], keys: &[Trusted]) -> Result<(), String> {
        let envelope = SigstoreBundle::parse(bytes).map_err(|error| error.to_string())?;
        let said = Publication::parse(envelope.payload()).map_err(|error| error.to_string())?;
        let certificate = self.certificate.map(|known| known.issued.sha256);
        let same = (said.package.as_str(), said.version.as_str()) == self.named
            && Some(said.subject.sha256) == self.version.sha256
            && Some(&said.certificate) == self.version.certificate.as_ref()
            && certificate.is_none_or(|sha256| sha256 == said.certificate_sha256)
            && said.provenance_sha256 == self.first.provenance;
        if !same {
            return Err("the statement is of another publication than the one on record".into());
        }
        let hint = envelope.key_hint();
        // Without a policy that nobody is trusted is said for the whole.
        let Some(key) = keys.iter().find(|key| key.key.fingerprint() == hint) else {
            return match keys.is_empty() {
                true => Ok(()),
                false => Err(format!("it is signed by {hint}, which was no key of this appliance")),
            };
        };
        if !key.covers(self.first.row.saturating_add(1)) {
            return Err(format!("the key {} was not in use when it was published", key.name));
        }
        let signed = envelope.verify(key.key.verifying_key(), &hint);
        signed.map(|_| ()).map_err(|error| error.to_string())
    }

    fn file(&self, ending: &str) -> (PathBuf, Location) {
        let name = package::file(self.named.0, self.named.1, ending);
        (self.state.root().join(&name), Location::file(name))
    }
}

fn is(bytes: &[u8], known: &CertificateState) -> bool {
    ParsedCertificate::parse(bytes).is_ok_and(|certified| certified.issued == known.issued)
}

/// The certificates that lie beside the registry are those on record; one that
/// does not lie there is in the registry all the same.
fn certificates(
    packages: &Packages,
    state: &StateDir,
    stop: &Stop,
    report: &mut Report,
) -> Result<(), AuditError> {
    for known in packages.certificates.iter() {
        stop.check()?;
        for name in [format!("{}.pem", known.issued.id), format!("ca-{}.pem", known.issued.id)] {
            let path = state.root().join("certificates").join(&name);
            let place = Location::file(format!("certificates/{name}"));
            match durable::read_regular(&path, MAX_CERTIFICATE) {
                Ok(bytes) if is(&bytes, known) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(AuditError::io(path)(error));
                }
                _ => {
                    let message = "the certificate is not the one on record";
                    report.add_finding(Finding::new(Code::CertificateInvalid, place, message));
                }
            }
        }
    }
    Ok(())
}

/// Files that no publication on record has: one that was interrupted leaves them.
fn strangers(
    state: &StateDir,
    known: &BTreeSet<String>,
    report: &mut Report,
) -> Result<(), AuditError> {
    let folder = state.packages();
    if !fs::symlink_metadata(&folder).is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(());
    }
    let mut found = vec![];
    walk(&folder, Path::new(""), 0, &mut found).map_err(AuditError::io(&folder))?;
    let others = found.into_iter().map(|name| format!("packages/{name}"));
    let others: Vec<String> = others.filter(|name| !known.contains(name)).collect();
    let why = "no publication on record has it: one that was interrupted leaves such, and nothing \
               vouches for it";
    for name in others.iter().take(MAX_TOLD) {
        report.not_checked(name.clone(), why);
    }
    if others.len() > MAX_TOLD {
        report.not_checked(format!("{} more files below packages/", others.len() - MAX_TOLD), why);
    }
    Ok(())
}

fn unreadable(
    error: io::Error,
    path: &Path,
    place: Location,
    report: &mut Report,
) -> Result<(), AuditError> {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return Err(AuditError::io(path)(error));
    }
    let message = "a file of a published version is not there";
    report.add_finding(Finding::new(Code::PackageMissing, place, message));
    Ok(())
}
