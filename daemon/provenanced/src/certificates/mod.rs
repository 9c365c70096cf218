//! A local certificate authority (docs/format.md §16): issues, renews and
//! revokes, each of which is a registry record first. The files in
//! `certificates/` are made from the records, so that a crash loses none.

mod issue;

use std::{fs, io, path::PathBuf};

use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    registry::{CertificateEntry, Entry, Governance, Issued, SubjectKind},
    signing::public_key::PublicKey,
};
use x509_cert::der::pem;

pub use issue::SubjectKey;

use crate::{error::ServiceError, ledger::Ledger, state_lock::lock};
use issue::CertificateTemplate;
use provenance_host::{
    config::{Authority as Settings, Config},
    durable,
    state_dir::StateDir,
};
use provenance_registry::package_index::{self, CertificateIndex};
use provenance_x509::{ParsedCertificate, governance::GovernanceExtension};

use crate::ledger::signer::Signer;

const DAY_NS: i64 = 86_400_000_000_000;
/// An authority's own certificate is valid for ten years.
const AUTHORITY_DAYS: i64 = 3_653;
/// A clock that is a little behind takes a certificate too.
const EARLY_NS: i64 = 300_000_000_000;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it is for.
    pub subject: SubjectKind,
    pub name: String,
    /// A package's version.
    pub version: Option<String>,
    /// The key to certify.
    pub key: SubjectKey,
    /// A package's archive.
    pub artifact_sha256: Option<Digest>,
    /// For so many days; `None` as the settings say.
    pub days: Option<u64>,
    /// Who approved it.
    pub approved_by: String,
    pub place: String,
}

/// The authority of these settings.
#[derive(Debug)]
pub struct Authority<'a> {
    config: &'a Config,
    settings: &'a Settings,
    state: &'a StateDir,
    signer: Signer,
    _turn: fs::File,
}

impl<'a> Authority<'a> {
    /// Loads the authority's key; nobody else issues meanwhile.
    ///
    /// # Errors
    /// [`ServiceError`]; no settings for one, too.
    pub(crate) fn open(config: &'a Config, state: &'a StateDir) -> Result<Self, ServiceError> {
        let settings = config.certificates.as_ref().ok_or_else(|| {
            ServiceError::Request(
                "there is no authority: make a key with `provenanced keygen --name authority`, \
                 and set certificates.authority_key to it"
                    .into(),
            )
        })?;
        let signer = Signer::load(&settings.authority_key)?;
        Ok(Self { config, settings, state, signer, _turn: lock(state, "certificates.lock")? })
    }

    /// The authority's key.
    pub(crate) fn key(&self) -> &PublicKey {
        self.signer.public()
    }

    /// Issues a certificate.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub(crate) fn issue(
        &self,
        evidence: &mut Ledger,
        now: Timestamp,
        request: &Request,
    ) -> Result<(u64, Issued), ServiceError> {
        let said = GovernanceExtension {
            subject: request.subject,
            name: request.name.clone(),
            version: request.version.clone(),
            artifact_sha256: request.artifact_sha256,
            renews: None,
            governance: self.governance(now, &request.approved_by, &request.place),
        };
        if request.subject == SubjectKind::Authority {
            return Err(ServiceError::Request("an authority certifies no other".into()));
        }
        self.make(evidence, now, &said, &request.key, request.days)
    }

    /// Issues a certificate that takes the place of another: the same key and
    /// subject, a new validity. The old one stays valid until its end.
    ///
    /// # Errors
    /// [`ServiceError`]; it is unknown or revoked.
    pub(crate) fn renew(
        &self,
        evidence: &mut Ledger,
        now: Timestamp,
        id: &str,
        approved_by: &str,
        place: &str,
        days: Option<u64>,
    ) -> Result<(u64, Issued), ServiceError> {
        let known = package_index::certificates(&evidence.reader()?)?;
        let old = self.in_force(&known, id)?;
        let certified = ParsedCertificate::parse(&old.der);
        let certified = certified.map_err(|error| ServiceError::State(error.to_string()))?;
        let key = SubjectKey::of(&certified).map_err(|why| ServiceError::State(why.into()))?;
        let mut said = GovernanceExtension::from(old);
        said.renews = Some(id.to_owned());
        said.governance = self.governance(now, approved_by, place);
        self.make(evidence, now, &said, &key, days)
    }

    /// Revokes a certificate, and makes a new list.
    ///
    /// # Errors
    /// [`ServiceError`]; it is unknown or revoked already.
    pub(crate) fn revoke(
        &self,
        evidence: &mut Ledger,
        now: Timestamp,
        id: &str,
        (by, reason): (&str, &str),
    ) -> Result<u64, ServiceError> {
        let known = package_index::certificates(&evidence.reader()?)?;
        self.in_force(&known, id)?;
        text("by", by)?;
        text("reason", reason)?;
        let (id, by, reason) = (id.to_owned(), by.to_owned(), reason.to_owned());
        let entry = Entry::Certificate(CertificateEntry::Revoked { id, by, reason });
        let seq = evidence.record_at(now, &entry)?;
        self.publish(evidence, now)?;
        Ok(seq)
    }

    /// Writes what the records make: each certificate that is not there, and a
    /// new revocation list.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub(crate) fn publish(
        &self,
        evidence: &Ledger,
        now: Timestamp,
    ) -> Result<PathBuf, ServiceError> {
        let reader = evidence.reader()?;
        let known = package_index::certificates(&reader)?;
        let folder = self.state.certificates();
        let failed = || ServiceError::io(format!("cannot write into {}", folder.display()));
        durable::create_dirs(&folder).map_err(failed())?;
        for issued in known.issued() {
            let path = self.state.root().join(file(issued));
            if fs::metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                durable::replace(&path, to_pem(&issued.der)?.as_bytes(), 0o644).map_err(failed())?;
            }
        }
        let path = folder.join("crl.pem");
        let Some(own) = self.own(&known) else { return Ok(path) };
        let revoked = known.revoked_by(self.key().fingerprint());
        let until = now.plus_nanos(days(self.settings.crl_days).saturating_mul(DAY_NS));
        let list = issue::crl(
            &self.signer,
            own,
            &self.config.client,
            reader.len()?,
            now,
            until,
            &revoked,
        )?;
        durable::replace(&path, list.as_bytes(), 0o644).map_err(failed())?;
        Ok(path)
    }

    fn make(
        &self,
        evidence: &mut Ledger,
        now: Timestamp,
        said: &GovernanceExtension,
        key: &SubjectKey,
        for_days: Option<u64>,
    ) -> Result<(u64, Issued), ServiceError> {
        let own = self.begin(evidence, now, said)?;
        let wanted_days = days(for_days.unwrap_or(self.settings.days));
        if !(1..=AUTHORITY_DAYS).contains(&wanted_days) {
            return Err(ServiceError::Request("days: 1 to 3653".into()));
        }
        let not_after = now.plus_nanos(wanted_days.saturating_mul(DAY_NS));
        if not_after > own.not_after {
            return Err(ServiceError::Request(format!(
                "the authority's own certificate ends {}: begin with a new key, or ask for fewer \
                 days",
                own.not_after
            )));
        }
        let not_before = now.plus_nanos(-EARLY_NS);
        let wanted =
            CertificateTemplate { said, client: &self.config.client, not_before, not_after };
        let issued = issue::certificate(&self.signer, &own, key, &wanted)?;
        let entry = Entry::Certificate(CertificateEntry::Issued(Box::new(issued.clone())));
        let seq = evidence.record_at(now, &entry)?;
        self.publish(evidence, now)?;
        Ok((seq, issued))
    }

    /// The authority's own certificate; the first one that it issues makes it.
    fn begin(
        &self,
        evidence: &mut Ledger,
        now: Timestamp,
        first: &GovernanceExtension,
    ) -> Result<Issued, ServiceError> {
        let known = package_index::certificates(&evidence.reader()?)?;
        if let Some(own) = self.own(&known) {
            return Ok(own.clone());
        }
        let said = GovernanceExtension {
            subject: SubjectKind::Authority,
            name: self.config.client.clone(),
            version: None,
            artifact_sha256: None,
            renews: None,
            governance: first.governance.clone(),
        };
        let not_before = now.plus_nanos(-EARLY_NS);
        let not_after = now.plus_nanos(AUTHORITY_DAYS * DAY_NS);
        let wanted =
            CertificateTemplate { said: &said, client: &self.config.client, not_before, not_after };
        let own = issue::authority(&self.signer, &wanted)?;
        evidence
            .record(now, &[Entry::Certificate(CertificateEntry::Issued(Box::new(own.clone())))])?;
        Ok(own)
    }

    fn own<'k>(&self, known: &'k CertificateIndex) -> Option<&'k Issued> {
        known.authority(self.key().fingerprint())
    }

    fn in_force<'k>(
        &self,
        known: &'k CertificateIndex,
        id: &str,
    ) -> Result<&'k Issued, ServiceError> {
        let refuse = |message: &str| Err(ServiceError::Request(format!("{id}: {message}")));
        match known.get(id) {
            None => refuse("no certificate on record has this id"),
            Some(found) if found.revoked.is_some() => refuse("it is revoked already"),
            Some(found) if found.issued.subject == SubjectKind::Authority => {
                refuse("an authority is given up by another key in certificates.authority_key")
            }
            Some(found) if found.issued.issuer != self.key().fingerprint() => {
                refuse("another authority issued it")
            }
            Some(found) => Ok(&found.issued),
        }
    }

    fn governance(&self, now: Timestamp, approved_by: &str, place: &str) -> Governance {
        Governance {
            approved_by: approved_by.to_owned(),
            approved_at: now,
            place: place.to_owned(),
            policy_version: self.settings.policy_version.clone(),
        }
    }
}

/// The name below the state folder of a certificate's file.
pub(crate) fn file(issued: &Issued) -> String {
    match issued.subject {
        SubjectKind::Authority => format!("certificates/ca-{}.pem", issued.id),
        _ => format!("certificates/{}.pem", issued.id),
    }
}

/// A certificate in PEM.
///
/// # Errors
/// None in truth: memory is what it is written into.
pub(crate) fn to_pem(der: &[u8]) -> Result<String, ServiceError> {
    pem::encode_string("CERTIFICATE", pem::LineEnding::LF, der)
        .map_err(|error| ServiceError::State(error.to_string()))
}

fn text(name: &str, text: &str) -> Result<(), ServiceError> {
    let fits = (1..=provenance_x509::governance::MAX_FIELD).contains(&text.len())
        && !text.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(ServiceError::Request(format!("{name}: 1 to 256 bytes"))) }
}

fn days(days: u64) -> i64 {
    i64::try_from(days).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
