//! The arithmetic under `sigstore-verify`, from crates that the project has
//! anyway: it would bring a C library of its own otherwise. Only what verifies.

use ed25519_dalek::{Signature as EdSignature, VerifyingKey as EdKey};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use ring::signature::{self as rsa, UnparsedPublicKey, VerificationAlgorithm};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use sigstore_crypto::{
    CryptoProvider, Error, HashContext, Result, SigningScheme, install_default_provider,
};
use sigstore_types::HashAlgorithm;

#[derive(Debug)]
struct Provider;

static PROVIDER: Provider = Provider;

/// Makes ours the process's provider; whoever asks second changes nothing.
pub(super) fn install() {
    // It is refused where it is installed already.
    let _ = install_default_provider(&PROVIDER);
}

enum Hashing {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hashing {
    fn of(algorithm: HashAlgorithm) -> Result<Self> {
        match algorithm {
            HashAlgorithm::Sha2256 => Ok(Self::Sha256(Sha256::new())),
            HashAlgorithm::Sha2384 => Ok(Self::Sha384(Sha384::new())),
            HashAlgorithm::Sha2512 => Ok(Self::Sha512(Sha512::new())),
            other => Err(Error::UnsupportedAlgorithm(format!("cannot compute {other} digests"))),
        }
    }
}

impl HashContext for Hashing {
    fn update(&mut self, data: &[u8]) {
        match self {
            Self::Sha256(state) => state.update(data),
            Self::Sha384(state) => state.update(data),
            Self::Sha512(state) => state.update(data),
        }
    }

    fn finalize(self: Box<Self>) -> Vec<u8> {
        match *self {
            Self::Sha256(state) => state.finalize().to_vec(),
            Self::Sha384(state) => state.finalize().to_vec(),
            Self::Sha512(state) => state.finalize().to_vec(),
        }
    }
}

impl CryptoProvider for Provider {
    fn hash(&self, algorithm: HashAlgorithm) -> Result<Box<dyn HashContext>> {
        Ok(Box::new(Hashing::of(algorithm)?))
    }

    fn verify_raw(
        &self,
        scheme: SigningScheme,
        key: &[u8],
        data: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        if scheme == SigningScheme::Ed25519 {
            return ed25519(key, data, signature);
        }
        if let Some(algorithm) = rsa_of(scheme) {
            let key = UnparsedPublicKey::new(algorithm, key);
            return key.verify(data, signature).map_err(|_| refused(scheme));
        }
        let Some(algorithm) = scheme.hash_algorithm() else { return Err(unknown(scheme)) };
        let mut hashing: Box<dyn HashContext> = Box::new(Hashing::of(algorithm)?);
        hashing.update(data);
        self.verify_prehashed(scheme, key, &hashing.finalize(), signature)
    }

    fn verify_prehashed(
        &self,
        scheme: SigningScheme,
        key: &[u8],
        digest: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        use SigningScheme::{EcdsaP256Sha256, EcdsaP256Sha384, EcdsaP384Sha256, EcdsaP384Sha384};
        match scheme {
            EcdsaP256Sha256 | EcdsaP256Sha384 => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(unreadable)?;
                let signature = p256::ecdsa::Signature::from_der(signature).map_err(unreadable)?;
                key.verify_prehash(digest, &signature).map_err(|_| refused(scheme))
            }
            EcdsaP384Sha384 | EcdsaP384Sha256 => {
                let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(unreadable)?;
                let signature = p384::ecdsa::Signature::from_der(signature).map_err(unreadable)?;
                key.verify_prehash(digest, &signature).map_err(|_| refused(scheme))
            }
            other => Err(unknown(other)),
        }
    }
}

fn ed25519(key: &[u8], data: &[u8], signature: &[u8]) -> Result<()> {
    let key = <[u8; 32]>::try_from(key).ok().and_then(|key| EdKey::from_bytes(&key).ok());
    let signature = <[u8; 64]>::try_from(signature).ok().map(|it| EdSignature::from_bytes(&it));
    let (Some(key), Some(signature)) = (key, signature) else {
        return Err(refused(SigningScheme::Ed25519));
    };
    key.verify_strict(data, &signature).map_err(|_| refused(SigningScheme::Ed25519))
}

fn rsa_of(scheme: SigningScheme) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match scheme {
        SigningScheme::RsaPkcs1Sha256 => &rsa::RSA_PKCS1_2048_8192_SHA256,
        SigningScheme::RsaPkcs1Sha384 => &rsa::RSA_PKCS1_2048_8192_SHA384,
        SigningScheme::RsaPkcs1Sha512 => &rsa::RSA_PKCS1_2048_8192_SHA512,
        SigningScheme::RsaPssSha256 => &rsa::RSA_PSS_2048_8192_SHA256,
        SigningScheme::RsaPssSha384 => &rsa::RSA_PSS_2048_8192_SHA384,
        SigningScheme::RsaPssSha512 => &rsa::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn refused(scheme: SigningScheme) -> Error {
    Error::Verification(format!("the {} signature does not verify", scheme.name()))
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::Verification(format!("no such key or signature: {error}"))
}

fn unknown(scheme: SigningScheme) -> Error {
    Error::UnsupportedAlgorithm(format!("{} cannot be verified here", scheme.name()))
}
