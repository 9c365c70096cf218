//! Certificates and packages on record, held against what they say and
//! against the published archives (docs/format.md, steps 16.6 and 17.4).

use std::io;

use provenance_core::{
    key::PublicKey,
    registry::{
        CertificateEntry, Issued, PackageEntry, SubjectKind,
        package::{self, Status},
    },
    report::{Code, Finding, Place, Report},
    time::Timestamp,
    verify::registry::FILE,
};

use super::{AuditError, Stop, bundle::digest};
use crate::{
    catalogue::{Certificates, Event, Versions},
    host::durable::StateDir,
    x509::{Certified, authority},
};

/// What the records say, up to where they were read.
#[derive(Default)]
pub(super) struct Packages {
    certificates: Certificates,
    versions: Versions,
}

impl Packages {
    /// The next record of a certificate.
    pub(super) fn certificate(&mut self, entry: CertificateEntry, row: u64, report: &mut Report) {
        report.checked("certificates", 1);
        let mut wrong = |message: String| {
            let place = Place::file(FILE).at_seq(row);
            report.find(Finding::new(Code::CertificateRecord, place, message));
        };
        if let CertificateEntry::Issued(issued) = &entry
            && let Err(why) = self.holds(issued)
        {
            wrong(why);
        }
        if let Err(why) = self.certificates.take(entry, (row, Timestamp::from_nanos(0))) {
            wrong(why.into());
        }
    }

    /// Whether a certificate says what its record says, and its authority
    /// signed it.
    fn holds(&self, issued: &Issued) -> Result<(), String> {
        let certified = Certified::parse(&issued.der).map_err(|error| error.to_string())?;
        if certified.issued != *issued {
            return Err("the certificate says otherwise than its record".into());
        }
        let key: PublicKey = match issued.subject {
            SubjectKind::Authority => authority(&issued.der).map(|(_, key)| key),
            _ => match self.certificates.authority(issued.issuer) {
                Some(own) => authority(&own.der).map(|(_, key)| key),
                None => return Err("its authority is not on record before it".into()),
            },
        }
        .map_err(|error| error.to_string())?;
        certified.verify(&key).map_err(|error| error.to_string())
    }

    /// The next event of a package.
    pub(super) fn package(&mut self, entry: PackageEntry, row: u64, report: &mut Report) {
        report.checked("package events", 1);
        let place = Place::file(FILE).at_seq(row);
        if let Some(id) = &entry.certificate {
            let known = self.certificates.get(id).ok_or("it is not on record before it");
            if let Err(why) = known.and_then(|known| known.vouches_for(&entry)) {
                let message = format!("the certificate {id} that it names: {why}");
                report.find(Finding::new(Code::PackageEvent, place.clone(), message));
            }
        }
        let (package, version) = (entry.package.clone(), entry.version.clone());
        let event = Event { entry, seq: row, time: Timestamp::from_nanos(0) };
        if let Err(refusal) = self.versions.take(event) {
            let message = format!("{package} {version}: {refusal}");
            report.find(Finding::new(Code::PackageEvent, place, message));
        }
    }

    /// Every published archive is there, and is the one on record.
    pub(super) fn on_record(
        &self,
        state: &StateDir,
        stop: &Stop,
        report: &mut Report,
    ) -> Result<(), AuditError> {
        for ((package, number), version) in self.versions.iter() {
            stop.check()?;
            let published = version.status != Status::Registered;
            let Some(expected) = version.sha256.filter(|_| published) else { continue };
            let name = package::file(package, number, "tgz");
            let path = state.root().join(&name);
            report.checked("archives", 1);
            let place = Place::file(&name);
            match digest(&path) {
                Ok(got) if got == expected => {}
                Ok(got) => {
                    let message = "the archive is not the one that was published";
                    let finding = Finding::new(Code::PackageAltered, place, message);
                    report.find(finding.values(expected, got));
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(AuditError::io(path)(error));
                }
                Err(_) => {
                    let message = "a published archive is not there";
                    report.find(Finding::new(Code::PackageMissing, place, message));
                }
            }
        }
        Ok(())
    }
}
