//! Certificates and packages on record, held against what they say
//! (docs/format.md, steps 16.6 and 17.1 to 17.2).

use std::collections::BTreeMap;

use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    registry::{CertificateEntry, Issued, PackageEntry, SubjectKind, package::Status},
    report::{Code, Finding, Location, Report},
    signing::public_key::PublicKey,
    verify::registry::FILE,
};

use provenance_registry::package_index::{CertificateIndex, Event, Named, VersionIndex};
use provenance_x509::{ParsedCertificate, authority};

/// What the records say, up to where they were read.
#[derive(Default)]
pub(super) struct Packages {
    pub(super) certificates: CertificateIndex,
    pub(super) versions: VersionIndex,
    /// The first publication of each version that was ever published.
    pub(super) published: BTreeMap<Named, FirstPublication>,
}

impl Packages {
    /// The next record of a certificate.
    pub(super) fn certificate(&mut self, entry: CertificateEntry, row: u64, report: &mut Report) {
        report.checked("certificates", 1);
        let mut wrong = |message: String| {
            let place = Location::file(FILE).at_seq(row);
            report.add_finding(Finding::new(Code::CertificateRecord, place, message));
        };
        if let CertificateEntry::Issued(issued) = &entry
            && let Err(why) = self.holds(issued)
        {
            wrong(why);
        }
        if let Err(why) = self.certificates.apply(entry, row, Timestamp::from_nanos(0)) {
            wrong(why.into());
        }
    }

    /// Whether a certificate says what its record says, and its authority
    /// signed it.
    fn holds(&self, issued: &Issued) -> Result<(), String> {
        let certified = ParsedCertificate::parse(&issued.der).map_err(|error| error.to_string())?;
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
        let place = Location::file(FILE).at_seq(row);
        if let Some(id) = &entry.certificate {
            let known = self.certificates.get(id).ok_or("it is not on record before it");
            if let Err(why) = known.and_then(|known| known.vouches_for(&entry)) {
                let message = format!("the certificate {id} that it names: {why}");
                report.add_finding(Finding::new(Code::PackageEvent, place.clone(), message));
            }
        }
        let (package, version) = (entry.package.clone(), entry.version.clone());
        let provenance = entry.details.get("provenance_sha256");
        let provenance = provenance.and_then(|hex| Digest::from_hex(hex.as_bytes()));
        let event = Event { entry, seq: row, time: Timestamp::from_nanos(0) };
        match self.versions.apply(event) {
            Err(refusal) => {
                let message = format!("{package} {version}: {refusal}");
                report.add_finding(Finding::new(Code::PackageEvent, place, message));
            }
            Ok(Status::Published) => {
                let first = FirstPublication { row, provenance };
                self.published.entry((package, version)).or_insert(first);
            }
            Ok(_) => {}
        }
    }
}

/// What the first publication of a version put on record.
#[derive(Clone, Debug, Default)]
pub(crate) struct FirstPublication {
    /// Its record's number.
    pub(crate) row: u64,
    /// Digest of the attestation of its build.
    pub(crate) provenance: Option<Digest>,
}
