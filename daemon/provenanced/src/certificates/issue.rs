//! Writes certificates and revocation lists, for whoever holds the authority's
//! key.

use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    registry::{Issued, SubjectKind},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, RevokedCertParams, SanType, SerialNumber,
    SignatureAlgorithm, SigningKey,
};
use time::OffsetDateTime;

use x509_cert::{
    der::{Decode as _, Encode as _, asn1::Ia5StringRef, pem},
    spki::SubjectPublicKeyInfoOwned,
};

use provenance_x509::{
    COMMENT, ParsedCertificate, alternative_name,
    governance::{self, GovernanceExtension},
};

use crate::{error::ServiceError, ledger::signer::Signer};

const SERIAL: usize = 16;

/// A key that is certified: Ed25519, or ECDSA over P-256.
#[derive(Clone, Debug)]
pub struct SubjectKey {
    algorithm: &'static SignatureAlgorithm,
    bytes: Vec<u8>,
    spki: Vec<u8>,
}

impl SubjectKey {
    /// Reads a public key in PEM (`PUBLIC KEY`).
    ///
    /// # Errors
    /// What would be right.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, &'static str> {
        let wrong = "an Ed25519 or P-256 public key in PEM (PUBLIC KEY)";
        let (label, spki) = pem::decode_vec(text).map_err(|_| wrong)?;
        if label != "PUBLIC KEY" {
            return Err(wrong);
        }
        let parsed = SubjectPublicKeyInfoOwned::from_der(&spki).map_err(|_| wrong)?;
        let algorithm = match (parsed.algorithm.oid.to_string().as_str(), spki.len()) {
            ("1.3.101.112", 44) => &PKCS_ED25519,
            ("1.2.840.10045.2.1", 91) => &PKCS_ECDSA_P256_SHA256,
            _ => return Err(wrong),
        };
        let bytes = parsed.subject_public_key.raw_bytes().to_vec();
        let key = Self { algorithm, bytes, spki };
        // Such as stands in the certificate, other curves' keys would not.
        if key.subject_public_key_info() == key.spki { Ok(key) } else { Err(wrong) }
    }

    /// A key that was certified before.
    pub(crate) fn of(certified: &ParsedCertificate) -> Result<Self, &'static str> {
        let pem = pem::encode_string("PUBLIC KEY", pem::LineEnding::LF, &certified.spki);
        Self::parse(pem.map_err(|_| "a public key")?.as_bytes())
    }

    fn fingerprint(&self) -> Digest {
        Digest::sha256(&self.spki)
    }
}

impl PublicKeyData for SubjectKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

/// The authority's key, as the library wants it.
pub(super) struct Key<'a> {
    signer: &'a Signer,
    bytes: [u8; 32],
}

impl<'a> Key<'a> {
    pub(super) fn new(signer: &'a Signer) -> Self {
        Self { signer, bytes: signer.public().to_bytes() }
    }
}

impl PublicKeyData for Key<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl SigningKey for Key<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.signer.sign(message).to_vec())
    }
}

/// What a certificate shall say.
pub(super) struct CertificateTemplate<'a> {
    pub(super) said: &'a GovernanceExtension,
    pub(super) client: &'a str,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

/// The authority's own certificate.
pub(super) fn authority(
    signer: &Signer,
    wanted: &CertificateTemplate<'_>,
) -> Result<Issued, ServiceError> {
    let key = Key::new(signer);
    let params = params(wanted, signer.public().fingerprint())?;
    read_back(params.self_signed(&key).map_err(refused)?.der(), signer)
}

/// A certificate for another key. `issuer` is the authority's own.
pub(super) fn certificate(
    signer: &Signer,
    issuer: &Issued,
    key: &SubjectKey,
    wanted: &CertificateTemplate<'_>,
) -> Result<Issued, ServiceError> {
    let params = params(wanted, key.fingerprint())?;
    let issuer = of_authority(issuer, wanted.client)?;
    let issuer = Issuer::new(issuer, Key::new(signer));
    read_back(params.signed_by(key, &issuer).map_err(refused)?.der(), signer)
}

/// A revocation list in PEM.
pub(super) fn crl(
    signer: &Signer,
    issuer: &Issued,
    client: &str,
    number: u64,
    this_update: Timestamp,
    next_update: Timestamp,
    revoked: &[(String, Timestamp)],
) -> Result<String, ServiceError> {
    let entry = |(id, time): &(String, Timestamp)| {
        Ok(RevokedCertParams {
            serial_number: SerialNumber::from_slice(&from_hex(id)),
            revocation_time: date(*time)?,
            reason_code: None,
            invalidity_date: None,
        })
    };
    let params = CertificateRevocationListParams {
        this_update: date(this_update)?,
        next_update: date(next_update)?,
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect::<Result<_, ServiceError>>()?,
        key_identifier_method: identifier(signer.public().fingerprint()),
    };
    let issuer = Issuer::new(of_authority(issuer, client)?, Key::new(signer));
    params.signed_by(&issuer).and_then(|list| list.pem()).map_err(refused)
}

/// What the authority's certificate was made from: its name and identifier go
/// into what it signs.
fn of_authority(issuer: &Issued, client: &str) -> Result<CertificateParams, ServiceError> {
    let said = GovernanceExtension::from(issuer);
    let (not_before, not_after) = (issuer.not_before, issuer.not_after);
    params(&CertificateTemplate { said: &said, client, not_before, not_after }, issuer.key)
}

fn params(
    wanted: &CertificateTemplate<'_>,
    key: Digest,
) -> Result<CertificateParams, ServiceError> {
    let said = wanted.said;
    governance::judge(said).map_err(|why| ServiceError::Request(why.into()))?;
    let mut params = CertificateParams::default();
    params.not_before = date(wanted.not_before)?;
    params.not_after = date(wanted.not_after)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial()?));
    params.distinguished_name = DistinguishedName::new();
    let organisation = match said.subject {
        SubjectKind::Authority => said.name.as_str(),
        _ => wanted.client,
    };
    params.distinguished_name.push(DnType::OrganizationName, organisation);
    // X.520 gives a common name 64 characters.
    let common: String = match said.subject {
        SubjectKind::Authority => format!("{} certificate authority", said.name),
        _ => said.name.clone(),
    };
    params.distinguished_name.push(DnType::CommonName, common.chars().take(64).collect::<String>());
    let name = alternative_name(said.subject, &said.name, said.version.as_deref());
    let name = name.try_into().map_err(refused)?;
    params.subject_alt_names = vec![match said.subject {
        SubjectKind::Service => SanType::DnsName(name),
        _ => SanType::URI(name),
    }];
    (params.is_ca, params.key_usages, params.extended_key_usages) = uses(said.subject);
    params.key_identifier_method = identifier(key);
    params.use_authority_key_identifier_extension = said.subject != SubjectKind::Authority;
    let text = governance::write(said);
    let comment = Ia5StringRef::new(&text).and_then(|text| text.to_der());
    let comment = comment.map_err(|_| ServiceError::Request("what it says is too long".into()))?;
    let oid: Vec<u64> = COMMENT.arcs().map(u64::from).collect();
    params.custom_extensions.push(CustomExtension::from_oid_content(&oid, comment));
    Ok(params)
}

/// What stock tools let a certificate be used for.
fn uses(kind: SubjectKind) -> (IsCa, Vec<KeyUsagePurpose>, Vec<ExtendedKeyUsagePurpose>) {
    use ExtendedKeyUsagePurpose::{ClientAuth, CodeSigning, ServerAuth};
    let leaf = |extended| (IsCa::ExplicitNoCa, vec![KeyUsagePurpose::DigitalSignature], extended);
    match kind {
        SubjectKind::Authority => (
            IsCa::Ca(BasicConstraints::Constrained(0)),
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign],
            vec![],
        ),
        SubjectKind::Package => leaf(vec![CodeSigning]),
        SubjectKind::Service => leaf(vec![ServerAuth, ClientAuth]),
        SubjectKind::Appliance => leaf(vec![ClientAuth]),
    }
}

/// What was written is what a verifier will read, or it is not handed out.
fn read_back(der: &[u8], signer: &Signer) -> Result<Issued, ServiceError> {
    let certified = ParsedCertificate::parse(der).map_err(refused)?;
    certified.verify(signer.public()).map_err(refused)?;
    Ok(certified.issued)
}

fn identifier(key: Digest) -> KeyIdMethod {
    KeyIdMethod::PreSpecified(key.0.to_vec())
}

/// Random, positive, and of 16 bytes in DER, so that its hex is the id.
fn serial() -> Result<[u8; SERIAL], ServiceError> {
    let mut bytes = [0; SERIAL];
    crate::random::fill(&mut bytes)?;
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(bytes)
}

fn date(time: Timestamp) -> Result<OffsetDateTime, ServiceError> {
    let seconds = time.nanos().div_euclid(1_000_000_000);
    OffsetDateTime::from_unix_timestamp(seconds).map_err(refused)
}

fn from_hex(id: &str) -> Vec<u8> {
    provenance_core::encoding::digest::from_hex(id).unwrap_or_default()
}

fn refused(error: impl std::fmt::Display) -> ServiceError {
    ServiceError::State(format!("no certificate can be made of this: {error}"))
}
