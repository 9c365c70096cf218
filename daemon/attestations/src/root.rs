//! A root of trust: what Sigstore's certificates and logs are verified by.

use provenance_core::encoding::digest::Digest;
use sigstore_trust_root::TrustedRoot;
use sigstore_types::Bundle;
use sigstore_verify::Verifier;

use crate::crypto_provider;

/// One instance of Sigstore, as it is trusted.
pub struct Root {
    pub(crate) verifier: Verifier,
    /// Whether it has transparency logs, so that a signature has to be in one.
    pub(crate) logs: bool,
    /// The ids of these.
    log_ids: Vec<Vec<u8>>,
    /// The same of certificates.
    pub(crate) certificate_logs: bool,
    pub(crate) name: String,
    pub(crate) sha256: Digest,
}

/// Why there is nothing to trust.
#[derive(Debug, thiserror::Error)]
#[error("no usable trusted root: {0}")]
pub struct RootError(pub(crate) String);

impl Root {
    /// Reads what Sigstore calls `trusted_root.json`.
    ///
    /// # Errors
    /// [`RootError`].
    pub(crate) fn parse(name: &str, json: &str) -> Result<Self, RootError> {
        crypto_provider::install();
        if json.len() as u64 > MAX_ROOT {
            return Err(RootError("it is too long".into()));
        }
        let root = TrustedRoot::from_json(json).map_err(|error| RootError(error.to_string()))?;
        if root.certificate_authorities.is_empty() && root.tlogs.is_empty() {
            return Err(RootError("it names no authority and no log".into()));
        }
        let verifier = Verifier::new(&root).map_err(|error| RootError(error.to_string()))?;
        Ok(Self {
            verifier,
            logs: !root.tlogs.is_empty(),
            log_ids: root.tlogs.iter().map(|log| log.log_id.key_id.as_bytes().to_vec()).collect(),
            certificate_logs: !root.ctlogs.is_empty(),
            name: name.into(),
            sha256: Digest::sha256(json.as_bytes()),
        })
    }
}

impl Root {
    /// Whether the logs that the bundle names are this root's.
    pub(crate) fn knows(&self, bundle: &Bundle) -> bool {
        let mut entries = bundle.verification_material.tlog_entries.iter();
        entries.all(|entry| {
            self.log_ids.iter().any(|id| id.as_slice() == entry.log_id.key_id.as_bytes())
        })
    }
}

/// A file with a root is at most this long.
pub const MAX_ROOT: u64 = 4 << 20;
