//! That an archive is a version of a package, as an in-toto statement in
//! canonical JSON (docs/format.md §17).

use alloc::string::String;

use super::{MAX_STATEMENT, Subject, is_chain_id, text, time};
use crate::{
    encoding::{
        digest::Digest,
        json::Value,
        json_scanner::{ScanError, Scanner},
        time::Timestamp,
    },
    record::log_entry::read_digest,
    registry::package::{is_package, is_version},
    statement,
};

/// The `predicateType`.
pub const PREDICATE_TYPE: &str = "https://msp-provenance.dev/publication/v1";

/// A version of a package was published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publication {
    /// The archive.
    pub subject: Subject,
    /// The package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// The id of the certificate that goes with it.
    pub certificate: String,
    /// Digest of that certificate's DER.
    pub certificate_sha256: Digest,
    /// Digest of the attestation of its build, where there is one.
    pub provenance_sha256: Option<Digest>,
    /// Whose appliance published it.
    pub client: String,
    /// Which appliance.
    pub host: String,
    /// When.
    pub time: Timestamp,
}

/// Why bytes are no publication.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PublicationError {
    /// Over 8 MiB.
    #[error("a statement of {0} bytes is over the limit of 8 MiB")]
    TooLong(usize),
    /// Not of this type.
    #[error("the statement is not that of a published package")]
    UnknownType,
    /// Not the one canonical form.
    #[error("not a publication in canonical form: {0}")]
    Malformed(#[from] ScanError),
    /// Not about exactly one archive.
    #[error("a publication is about one archive, and this statement is about {0}")]
    Subjects(usize),
}

impl Publication {
    /// The canonical bytes: what is signed.
    ///
    /// # Errors
    /// Where [`Self::parse`] would refuse them.
    pub fn encode(&self) -> Result<alloc::vec::Vec<u8>, PublicationError> {
        let predicate = Value::object([
            ("certificate", self.certificate.as_str().into()),
            ("certificate_sha256", self.certificate_sha256.into()),
            ("client", self.client.as_str().into()),
            ("host", self.host.as_str().into()),
            ("package", self.package.as_str().into()),
            ("time", self.time.into()),
            ("version", self.version.as_str().into()),
        ])
        .with_some("provenance_sha256", self.provenance_sha256);
        let subject = (&*self.subject.name, self.subject.sha256);
        let bytes = statement::encode(PREDICATE_TYPE, predicate, [subject].into_iter());
        Self::parse(&bytes)?;
        Ok(bytes)
    }

    /// Reads exactly what [`Self::encode`] writes.
    ///
    /// # Errors
    /// [`PublicationError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, PublicationError> {
        if bytes.len() > MAX_STATEMENT {
            return Err(PublicationError::TooLong(bytes.len()));
        }
        let (mut publication, subjects) = statement::parse(bytes, PREDICATE_TYPE, read_predicate)?
            .ok_or(PublicationError::UnknownType)?;
        let count = subjects.len();
        let mut subjects = subjects.into_iter();
        publication.subject = match (subjects.next(), subjects.next()) {
            (Some(subject), None) => subject,
            _ => return Err(PublicationError::Subjects(count)),
        };
        Ok(publication)
    }
}

/// All but the subject.
fn read_predicate(scan: &mut Scanner<'_>) -> Result<Publication, ScanError> {
    scan.open()?;
    let certificate = text(scan, "certificate")?;
    scan.key("certificate_sha256")?;
    let certificate_sha256 = read_digest(scan)?;
    let (client, host) = (text(scan, "client")?, text(scan, "host")?);
    let package = text(scan, "package")?;
    let provenance_sha256 = match scan.maybe_key("provenance_sha256") {
        true => Some(read_digest(scan)?),
        false => None,
    };
    let time = time(scan, "time")?;
    let version = text(scan, "version")?;
    scan.close()?;
    if !is_chain_id(&certificate) || !is_package(&package) || !is_version(&version) {
        return scan.fail("a certificate's id, a package and its version");
    }
    let subject = Subject { name: String::new(), sha256: Digest::ZERO };
    Ok(Publication {
        subject,
        package,
        version,
        certificate,
        certificate_sha256,
        provenance_sha256,
        client,
        host,
        time,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn example() -> Publication {
        Publication {
            subject: Subject { name: "1.2.3.tgz".into(), sha256: Digest::sha256(b"archive") },
            package: "@acme/agent".into(),
            version: "1.2.3".into(),
            certificate: "0123456789abcdef0123456789abcdef".into(),
            certificate_sha256: Digest::sha256(b"certificate"),
            provenance_sha256: Some(Digest::sha256(b"provenance")),
            client: "clinic-001".into(),
            host: "appliance-7".into(),
            time: Timestamp::from_nanos(5),
        }
    }

    #[test]
    fn each_form_survives_its_bytes_and_a_changed_byte_is_another_or_none() {
        for publication in [example(), Publication { provenance_sha256: None, ..example() }] {
            let bytes = publication.encode().unwrap();
            assert_eq!(Publication::parse(&bytes), Ok(publication.clone()));
            for at in 0..bytes.len() {
                let mut bad = bytes.clone();
                bad[at] ^= 1;
                assert_ne!(Publication::parse(&bad), Ok(publication.clone()), "byte {at}");
            }
        }
    }

    #[test]
    fn names_that_lead_elsewhere_and_other_types_are_refused() {
        for bad in [
            Publication { package: "../etc".into(), ..example() },
            Publication { version: "..".into(), ..example() },
            Publication { certificate: "1".into(), ..example() },
        ] {
            assert!(matches!(bad.encode(), Err(PublicationError::Malformed(_))));
        }
        let other = crate::statement::build_provenance::tests::example().encode().unwrap();
        assert_eq!(Publication::parse(&other), Err(PublicationError::UnknownType));
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_alike(at in 0_usize..600, byte: u8) {
            let mut bytes = example().encode().unwrap();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(publication) = Publication::parse(&bytes) {
                prop_assert_eq!(publication.encode().unwrap(), bytes);
            }
        }
    }
}
