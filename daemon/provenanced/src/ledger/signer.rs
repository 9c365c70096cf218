//! The signing key: Ed25519 in PKCS#8 PEM, from a systemd credential or a
//! file that only its owner can read.
//!
//! Trust: who reads the key signs as the appliance. It is held in memory that
//! is wiped when it is dropped, and never appears in an error or a log.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use ed25519_dalek::{
    Signer as _, SigningKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding},
};
use provenance_core::signing::public_key::PublicKey;
use zeroize::Zeroizing;

use provenance_host::{
    durable,
    secret::{self, Named, SecretError},
};

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The key could not be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// No Ed25519 key in PKCS#8 PEM.
    #[error("{0} is no Ed25519 key in PKCS#8 PEM: make one with `provenanced keygen`")]
    Form(PathBuf),
    /// A key is there already.
    #[error("{0} exists already, and a key is never overwritten: choose another --name or --out")]
    Exists(PathBuf),
    /// The key could not be written.
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
}

/// A loaded signing key.
pub struct Signer {
    secret: SigningKey,
    public: PublicKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({:?})", self.public)
    }
}

impl Signer {
    /// Loads the key that `setting` names: `credential:NAME`, or a path.
    ///
    /// # Errors
    /// [`SignerError`].
    pub fn load(setting: &str) -> Result<Self, SignerError> {
        let named = Named { what: "signing key", setting: "signing_key" };
        let (bytes, path) = secret::read(named, setting)?;
        let form = || SignerError::Form(path.clone());
        let text = std::str::from_utf8(&bytes).map_err(|_| form())?;
        let secret = SigningKey::from_pkcs8_pem(text).map_err(|_| form())?;
        let public = PublicKey::from_bytes(&secret.verifying_key().to_bytes());
        Ok(Self { public: public.map_err(|_| form())?, secret })
    }

    /// The Ed25519 signature (RFC 8032) over `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.secret.sign(message).to_bytes()
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

/// Makes a key pair: `NAME.key` (PKCS#8 PEM, 0600) and `NAME.pub` (SPKI PEM)
/// in `folder`. Refuses to overwrite either, and leaves neither half-written.
///
/// # Errors
/// [`SignerError`].
pub fn keygen(folder: &Path, name: &str) -> Result<(PathBuf, PathBuf, PublicKey), SignerError> {
    let (key_path, pub_path) =
        (folder.join(format!("{name}.key")), folder.join(format!("{name}.pub")));
    for path in [&key_path, &pub_path] {
        if path.symlink_metadata().is_ok() {
            return Err(SignerError::Exists(path.clone()));
        }
    }
    let write = |path: &Path, source| SignerError::Write { path: path.into(), source };
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed)
        .map_err(|error| write(&key_path, io::Error::other(error.to_string())))?;
    let secret = SigningKey::from_bytes(&seed);
    let form = |_| SignerError::Form(key_path.clone());
    let public = PublicKey::from_bytes(&secret.verifying_key().to_bytes()).map_err(form)?;
    // Version 1, without the public key: openssl 3.0 reads no version 2.
    let pair = KeypairBytes { secret_key: *seed, public_key: None };
    let pem = pair.to_pkcs8_pem(LineEnding::LF).map_err(|_| SignerError::Form(key_path.clone()))?;
    durable::create_dirs(folder).map_err(|source| write(folder, source))?;
    write_new(&key_path, pem.as_bytes(), 0o600).map_err(|source| write(&key_path, source))?;
    let public_pem = public.to_pem();
    if let Err(source) = write_new(&pub_path, public_pem.as_bytes(), 0o644) {
        // A key without its public half would only puzzle.
        let _ = fs::remove_file(&key_path);
        return Err(write(&pub_path, source));
    }
    Ok((key_path, pub_path, public))
}

/// Written beside its place and linked into it, which fails where the name is
/// taken.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    use std::io::Write as _;
    let mut tmp = path.as_os_str().to_owned();
    tmp.push(".tmp");
    let tmp = PathBuf::from(tmp);
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&tmp)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::hard_link(&tmp, path));
    let _ = fs::remove_file(&tmp);
    written.and_then(|()| durable::sync_parent(path))
}

#[cfg(test)]
mod tests;
