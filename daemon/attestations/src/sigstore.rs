//! One Sigstore bundle against the contents that it is about: everything but
//! who should have signed.

use std::io::{self, Read};

use base64ct::{Base64, Encoding};
use provenance_core::{encoding::time::Timestamp, report::Code};
use sigstore_types::{
    Artifact, ArtifactDigest, Bundle, DerPublicKey, HashAlgorithm, SignatureContent,
};
use sigstore_verify::{
    CertificateError, Error, PublicKeyVerificationPolicy, TimestampError, TransparencyLogError,
    VerificationPolicy, VerificationResult,
};

use crate::{Claims, Digests, Hash, root::Root};

/// Opens the contents anew.
pub type Open<'a> = &'a dyn Fn() -> io::Result<Box<dyn Read>>;

/// The contents that a bundle should be about.
#[derive(Clone, Copy)]
pub struct Contents<'a> {
    /// What they are.
    pub digests: &'a Digests,
    /// The contents themselves, where they are at hand.
    pub open: Option<Open<'a>>,
}

/// Whose key a bundle should be signed with.
#[derive(Clone, Copy, Debug)]
pub enum Signer<'a> {
    /// That of the certificate in it.
    Certificate,
    Key(&'a DerPublicKey),
}

/// What a bundle that verifies proves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proved {
    /// Who signed; `None` where it was a key without a certificate.
    pub claims: Option<Claims>,
    /// When, as a log or a time-stamping authority says.
    pub at: Option<Timestamp>,
    /// Whether a transparency log has it.
    pub logged: bool,
}

/// Why a bundle proves nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What is wrong; `None` where it is of a kind that cannot be verified here.
    pub code: Option<Code>,
    pub message: String,
}

impl Refusal {
    pub(super) fn new(code: impl Into<Option<Code>>, message: impl ToString) -> Self {
        Self { code: code.into(), message: message.to_string() }
    }
}

/// Verifies signature, certificate, log and time of a bundle, and that it is
/// about `contents`. What the root vouches for has to be there: a log where it
/// names logs.
///
/// # Errors
/// [`Refusal`].
pub fn verify(
    root: &Root,
    bundle: &Bundle,
    contents: Contents<'_>,
    signer: Signer<'_>,
) -> Result<Proved, Refusal> {
    let result = match signer {
        Signer::Certificate => {
            let policy = VerificationPolicy::any_identity();
            let policy = if root.logs { policy } else { policy.skip_tlog_unsafe() };
            let policy = if root.certificate_logs { policy } else { policy.skip_sct() };
            with(root, bundle, contents, &policy)?
        }
        Signer::Key(key) => {
            let policy = PublicKeyVerificationPolicy::new(key.clone());
            let policy = if root.logs { policy } else { policy.skip_tlog_unsafe() };
            with(root, bundle, contents, &policy)?
        }
    };
    // Nothing of a certificate counts that no chain of the root leads to.
    let chained = result.certificate_verified();
    let certificate = result.certificate().filter(|_| chained);
    if certificate.is_none() && matches!(signer, Signer::Certificate) {
        return Err(Refusal::new(Code::PackageCertificate, "no certificate was verified"));
    }
    let times = result.verified_timestamps().iter().copied().chain(result.integrated_time());
    Ok(Proved {
        claims: certificate.map(Claims::of),
        at: times.min().and_then(|time| {
            time.as_second().checked_mul(1_000_000_000).map(Timestamp::from_nanos)
        }),
        logged: result.tlog_verified() && !bundle.verification_material.tlog_entries.is_empty(),
    })
}

fn with(
    root: &Root,
    bundle: &Bundle,
    contents: Contents<'_>,
    policy: &dyn sigstore_verify::Policy,
) -> Result<VerificationResult, Refusal> {
    let verifier = &root.verifier;
    // A statement names contents by their digest; only a signature over the
    // contents themselves can need all of them.
    let result = match (&bundle.content, contents.open) {
        (SignatureContent::MessageSignature(_), Some(open)) => {
            let reader = open().map_err(|error| Refusal::new(None, error))?;
            verifier.verify_reader(reader, bundle, policy)
        }
        _ => {
            let digest = named(bundle, contents.digests).ok_or_else(|| {
                Refusal::new(Code::PackageDigest, "it names no contents by a digest that is known")
            })?;
            verifier.verify(Artifact::Digest(digest), bundle, policy)
        }
    };
    result.map_err(|error| match code_of(&error) {
        // Whose the entry is says more than what else does not fit then.
        Some(code) if code != Code::PackageSignature && foreign(bundle) => {
            let why = "the log's entry is that of another signature";
            Refusal::new(Code::PackageReplayed, format!("{why}: {error}"))
        }
        code => Refusal::new(code, error),
    })
}

/// Whether an entry of the log does not have the bundle's signature in it, as
/// each kind of entry has: in base64, once or twice.
fn foreign(bundle: &Bundle) -> bool {
    let signature = match &bundle.content {
        SignatureContent::MessageSignature(message) => message.signature.as_bytes(),
        SignatureContent::DsseEnvelope(envelope) => envelope.signature.sig.as_bytes(),
        _ => return false,
    };
    let once = Base64::encode_string(signature);
    let twice = Base64::encode_string(once.as_bytes());
    let has = |body: &[u8], text: &str| memchr::memmem::find(body, text.as_bytes()).is_some();
    bundle.verification_material.tlog_entries.iter().any(|entry| {
        let body = entry.canonicalized_body.as_bytes();
        !has(body, &once) && !has(body, &twice)
    })
}

/// The digest by which the bundle is asked whether it is about the contents.
fn named(bundle: &Bundle, digests: &Digests) -> Option<ArtifactDigest> {
    let of = |hash, algorithm| ArtifactDigest::new(algorithm, digests.get(hash)?.to_vec()).ok();
    let wanted = crate::bundle::subjects(bundle);
    let same = |hash: Hash| {
        wanted.iter().any(|subject| {
            subject.digests.get(hash).is_some_and(|it| digests.get(hash) == Some(it))
        })
    };
    let of_hash = |hash| match hash {
        Hash::Sha256 => of(hash, HashAlgorithm::Sha2256),
        Hash::Sha384 => of(hash, HashAlgorithm::Sha2384),
        Hash::Sha512 => of(hash, HashAlgorithm::Sha2512),
    };
    let all = [Hash::Sha256, Hash::Sha512, Hash::Sha384];
    let fits = all.into_iter().find(|hash| same(*hash)).and_then(of_hash);
    fits.or_else(|| all.into_iter().find_map(of_hash))
}

fn code_of(error: &Error) -> Option<Code> {
    use Code::{
        PackageCertificate, PackageDigest, PackageExpired, PackageLog, PackageMalformed,
        PackageReplayed, PackageRoot, PackageSignature, PackageTime,
    };
    Some(match error {
        Error::SignatureInvalid(_) => PackageSignature,
        Error::ArtifactMismatch(_) => PackageDigest,
        Error::Certificate(error) => match error {
            CertificateError::Malformed(_) => PackageMalformed,
            CertificateError::NoValidAuthority { .. }
            | CertificateError::NotYetValid { .. }
            | CertificateError::Expired { .. } => PackageExpired,
            // The text only chooses between two ways to say no.
            CertificateError::ChainInvalid(why)
                if why.contains("CertExpired") || why.contains("CertNotValidYet") =>
            {
                PackageExpired
            }
            _ => PackageCertificate,
        },
        Error::TransparencyLog(error) => match error {
            TransparencyLogError::EntryMismatch(_) => PackageReplayed,
            TransparencyLogError::IntegratedTime(_) => PackageExpired,
            TransparencyLogError::MalformedEntry(_) => PackageMalformed,
            TransparencyLogError::UnknownLog { .. } => PackageRoot,
            _ => PackageLog,
        },
        Error::Timestamp(TimestampError::OutsideAuthorityValidity { .. }) => PackageExpired,
        Error::Timestamp(_) => PackageTime,
        Error::Bundle(error) => bundle_code(error),
        Error::Crypto(sigstore_crypto::Error::UnsupportedAlgorithm(_)) => return None,
        Error::Crypto(sigstore_crypto::Error::Verification(_)) => PackageSignature,
        Error::Crypto(sigstore_crypto::Error::Checkpoint(_)) => PackageLog,
        Error::InvalidBundle(_) | Error::Types(_) | Error::Crypto(_) => PackageMalformed,
        // Of a kind that is not known: nothing is shown, nothing is refuted.
        _ => return None,
    })
}

fn bundle_code(error: &sigstore_bundle::Error) -> Code {
    use sigstore_bundle::Error as E;
    match error {
        E::MissingInclusionPromise(_)
        | E::MissingInclusionProof(_)
        | E::MissingCheckpoint
        | E::LogIndexOutOfRange { .. }
        | E::CheckpointRootMismatch => Code::PackageLog,
        E::MissingTimestamp | E::MissingSigningTimeEvidence => Code::PackageTime,
        _ => Code::PackageMalformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_outside_its_time_is_told_from_one_of_another_authority() {
        let code = |why: &str| {
            code_of(&Error::Certificate(CertificateError::ChainInvalid(why.to_owned())))
        };
        let expired = "certificate chain validation failed: CertExpired { time: UnixTime(1) }";
        assert_eq!(code(expired), Some(Code::PackageExpired));
        assert_eq!(code(&expired.replace("Expired", "NotValidYet")), Some(Code::PackageExpired));
        assert_eq!(code("UnknownIssuer"), Some(Code::PackageCertificate));
    }
}
