//! `provctl verify-cert`: a certificate, what it is for, and whether that still
//! holds (docs/format.md, steps 16.1 to 16.5).

use std::path::PathBuf;

use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    registry::{Issued, SubjectKind, package::Status},
    report::{Code, Finding, Location, Report},
    signing::{public_key::PublicKey, sigstore_bundle::MAX_BUNDLE},
    statement::publication::Publication,
    verify::build_provenance,
};
use provenance_host::{durable, state_dir::StateDir};
use provenance_registry::{package_index, reader::Reader};
use provenance_verifier::Trust;
use provenance_x509::{Crl, MAX_CERTIFICATE, MAX_CRL, ParsedCertificate, authority};

use crate::{error::AuditError, files::digest};

/// What is verified, and against what.
#[derive(Debug)]
pub struct Options {
    pub certificate: PathBuf,
    /// The authority that the auditor trusts: its certificate, or its key.
    pub authority: PathBuf,
    /// The authority's revocation list.
    pub crl: Option<PathBuf>,
    /// The archive that it should be about.
    pub file: Option<PathBuf>,
    /// The signed statement that the archive was published.
    pub publication: Option<PathBuf>,
    /// The state folder whose registry knows it.
    pub state: Option<PathBuf>,
    /// With a state folder: as of its first so many records.
    pub at_record: Option<u64>,
    /// The time at which it is to be valid.
    pub time: Timestamp,
}

/// Verifies a certificate.
///
/// # Errors
/// [`AuditError`] where something cannot be read.
pub fn verify(options: &Options, trust: &Trust) -> Result<Report, AuditError> {
    let mut report = Report::new();
    let Some(key) = trusted(options, &mut report)? else { return Ok(report) };
    let bytes = read(&options.certificate, MAX_CERTIFICATE)?;
    let place = Location::file(name(&options.certificate));
    let certified = match ParsedCertificate::parse(&bytes).and_then(|certified| {
        certified.verify(&key)?;
        Ok(certified)
    }) {
        Ok(certified) => certified,
        Err(error) => {
            report.add_finding(Finding::new(Code::CertificateInvalid, place, error.to_string()));
            return Ok(report);
        }
    };
    report.checked("certificates", 1);
    let issued = &certified.issued;
    if !(issued.not_before..=issued.not_after).contains(&options.time) {
        let message = "it is not valid at this time";
        let finding = Finding::new(Code::CertificateExpired, place.clone(), message);
        let span = format!("{} to {}", issued.not_before, issued.not_after);
        report.add_finding(finding.values(span, options.time));
    }
    let told =
        [list(options, issued, &key, &mut report)?, on_record(options, issued, &mut report)?];
    if !told.contains(&true) {
        let why = "nothing tells: give its authority's --crl, or the --state of its registry";
        report.not_checked_decisive("whether it was revoked", why);
    }
    archive(options, issued, trust, &mut report)?;
    Ok(report)
}

/// The key of the authority that the auditor trusts.
fn trusted(options: &Options, report: &mut Report) -> Result<Option<PublicKey>, AuditError> {
    let path = &options.authority;
    let bytes = read(path, MAX_CERTIFICATE)?;
    if let Ok(key) = PublicKey::parse(&String::from_utf8_lossy(&bytes)) {
        return Ok(Some(key));
    }
    match authority(&bytes) {
        Ok((own, key)) => {
            let own = own.issued;
            if !(own.not_before..=own.not_after).contains(&options.time) {
                let message = "the authority's own certificate is not valid at this time";
                let place = Location::file(name(path));
                report.add_finding(Finding::new(Code::CertificateExpired, place, message));
            }
            Ok(Some(key))
        }
        Err(error) => {
            let place = Location::file(name(path));
            report.add_finding(Finding::new(Code::CertificateInvalid, place, error.to_string()));
            Ok(None)
        }
    }
}

/// What the revocation list says; whether there is one that counts.
fn list(
    options: &Options,
    issued: &Issued,
    key: &PublicKey,
    report: &mut Report,
) -> Result<bool, AuditError> {
    let Some(path) = &options.crl else { return Ok(false) };
    let place = Location::file(name(path));
    let crl = match Crl::parse(&read(path, MAX_CRL)?, key) {
        Ok(crl) => crl,
        Err(error) => {
            report.add_finding(Finding::new(Code::CertificateInvalid, place, error.to_string()));
            return Ok(true);
        }
    };
    report.checked("revocation lists", 1);
    if let Some(time) = crl.revoked.get(&issued.id) {
        let message = format!("its authority revoked it at {time}");
        report.add_finding(Finding::new(Code::CertificateRevoked, place, message));
    } else if !(crl.this_update..=crl.next_update).contains(&options.time) {
        let why = format!(
            "the list is of {}, and the next one was due {}: get a newer one",
            crl.this_update, crl.next_update
        );
        report.not_checked_decisive("whether it was revoked since", why);
    }
    Ok(true)
}

/// What the registry says; whether one was given.
fn on_record(options: &Options, issued: &Issued, report: &mut Report) -> Result<bool, AuditError> {
    let Some(state) = &options.state else { return Ok(false) };
    let reader = Reader::open_for_audit(&StateDir::new(state).registry())?;
    let size = options.at_record.unwrap_or(u64::MAX);
    let known = package_index::certificates_at(&reader, size)?;
    let place = Location::file("registry.db");
    let length = reader.len()?;
    report.checked("registry records", length.min(size));
    if let Some(asked) = options.at_record.filter(|asked| *asked > length) {
        let why = format!("the registry has only {length}: what came behind them is not known");
        report.not_checked_decisive(format!("the registry as of its first {asked} records"), why);
    }
    let why = "its records were taken as they are: `provctl verify-chain` verifies them";
    report.not_checked("the registry itself", why);
    let Some(known) = known.get(&issued.id).filter(|known| known.issued == *issued) else {
        let message = "the registry does not know this certificate";
        report.add_finding(Finding::new(Code::CertificateRecord, place, message));
        return Ok(true);
    };
    if let Some(revoked) = &known.revoked {
        let message = format!("registry record {} revoked it: {}", revoked.seq, revoked.reason);
        let place = place.clone().at_seq(revoked.seq);
        report.add_finding(Finding::new(Code::CertificateRevoked, place, message));
    }
    if issued.subject == SubjectKind::Package {
        status(&reader, size, issued, options, report)?;
    }
    Ok(true)
}

/// How the package stands that it is for.
fn status(
    reader: &Reader,
    size: u64,
    issued: &Issued,
    options: &Options,
    report: &mut Report,
) -> Result<(), AuditError> {
    let versions = package_index::versions_at(reader, size, |entry| {
        entry.package == issued.name
            && issued.version.as_ref().is_none_or(|version| *version == entry.version)
    })?;
    let archive = options.file.as_ref().map(|path| digest(path)).transpose();
    let archive = archive.map_err(AuditError::io("--for"))?;
    for ((package, number), version) in versions.iter() {
        // With an archive, the version that it is.
        if archive.is_some() && version.sha256 != archive {
            continue;
        }
        let place = Location::file("registry.db").at_seq(version.seq);
        let what = format!("{package} {number}");
        match version.status {
            Status::Published => report.checked("published versions", 1),
            Status::Registered => report.not_checked(what, "it is not published yet"),
            Status::Deprecated => {
                let message = format!("{what} should not be used any more");
                report.add_finding(Finding::new(Code::PackageDeprecated, place, message));
            }
            Status::Unpublished => {
                let message = format!("{what} was taken back");
                report.add_finding(Finding::new(Code::PackageUnpublished, place, message));
            }
        }
    }
    Ok(())
}

/// Whether the certificate is about the archive at hand, and who says that it
/// was published.
fn archive(
    options: &Options,
    issued: &Issued,
    trust: &Trust,
    report: &mut Report,
) -> Result<(), AuditError> {
    let sha256 = match &options.file {
        Some(path) => {
            let sha256 = digest(path).map_err(AuditError::io(path))?;
            report.checked("archives", 1);
            if issued.artifact_sha256 != Some(sha256) {
                let message = "the certificate is not about this file";
                let place = Location::file(name(path));
                let finding = Finding::new(Code::CertificateSubject, place, message);
                let expected = issued.artifact_sha256.map(Digest::to_hex);
                report.add_finding(
                    finding.values(expected.unwrap_or_else(|| "no file".into()), sha256),
                );
            }
            Some(sha256)
        }
        None => {
            if issued.artifact_sha256.is_some() {
                report.not_checked("the archive that it is about", "not asked for: give --for");
            }
            None
        }
    };
    let Some(path) = &options.publication else { return Ok(()) };
    let bytes = read(path, MAX_BUNDLE as u64)?;
    let place = Location::file(name(path));
    let Some(publication) = publication(&bytes, &place, trust, report) else { return Ok(()) };
    let same = publication.certificate == issued.id
        && publication.certificate_sha256 == issued.sha256
        && publication.package == issued.name
        && issued.version.as_ref().is_none_or(|version| *version == publication.version)
        && sha256.is_none_or(|sha256| publication.subject.sha256 == sha256);
    if !same {
        let message = "the publication is of another certificate, package, version or archive";
        report.add_finding(Finding::new(Code::CertificateSubject, place, message));
    }
    Ok(())
}

/// What a trusted key signed of a publication.
fn publication(
    bytes: &[u8],
    place: &Location,
    trust: &Trust,
    report: &mut Report,
) -> Option<Publication> {
    let name = place.file.as_deref().unwrap_or_default();
    let (envelope, _) = build_provenance::envelope(bytes, name, trust.keys(), report)?;
    match Publication::parse(envelope.payload()) {
        Ok(publication) => {
            trust.check_identity(&publication.client, &publication.host, report);
            Some(publication)
        }
        Err(error) => {
            report.add_finding(Finding::new(
                Code::BundleMalformed,
                place.clone(),
                error.to_string(),
            ));
            None
        }
    }
}

fn read(path: &std::path::Path, limit: u64) -> Result<Vec<u8>, AuditError> {
    durable::read_limited(path, limit).map_err(AuditError::io(path))
}

fn name(path: &std::path::Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
