//! The auditor's policy file: what a verification trusts, and nothing else is
//! trusted (config/policy.toml).

use std::{
    io,
    path::{Path, PathBuf},
};

use provenance_verifier::policy::MAX_BYTES;
pub use provenance_verifier::policy::{AnchorPolicy, ExpectedHead, Policy};

use provenance_host::durable;

/// Where the NixOS module puts it.
pub const DEFAULT: &str = "/etc/msp-provenance/policy.toml";

/// Why there is no policy to verify by.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file could not be read.
    #[error("cannot read the policy {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    /// Not TOML, an unknown key, or a value that makes no sense.
    #[error("the policy {path} is not valid: {message}")]
    Invalid {
        path: PathBuf,
        /// What is wrong, with the line where there is one.
        message: String,
    },
}

/// Reads and judges the policy at `path`.
///
/// # Errors
/// [`PolicyError`], naming the line where there is one.
pub fn load(path: &Path) -> Result<Policy, PolicyError> {
    let read = |source| PolicyError::Read { path: path.into(), source };
    let invalid = |message: String| PolicyError::Invalid { path: path.into(), message };
    let bytes = durable::read_limited(path, MAX_BYTES).map_err(read)?;
    let text = String::from_utf8(bytes).map_err(|error| invalid(error.to_string()))?;
    let mut policy = Policy::parse(&text).map_err(|error| invalid(error.to_string()))?;
    // Named from where the policy is.
    if let (Some(headers), Some(folder)) = (&mut policy.anchor.headers, path.parent()) {
        *headers = folder.join(&headers);
    }
    Ok(policy)
}
