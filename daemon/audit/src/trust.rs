//! What an auditor brings, read from files.

use std::path::Path;

use provenance_core::bitcoin::MAX_HEADERS;
use provenance_host::durable;
use provenance_verifier::{Stop, Trust, block_headers::Blocks};

use crate::{error::AuditError, policy_file::Policy};

/// What this policy trusts, with the headers that it names.
///
/// # Errors
/// [`AuditError`] where these cannot be read.
pub fn trust_by(policy: Option<Policy>) -> Result<Trust, AuditError> {
    let mut blocks = Blocks::default();
    if let Some(policy) = &policy {
        if let Some(path) = &policy.anchor.headers {
            read_headers(&mut blocks, path.as_ref())?;
        }
        blocks.merge_policy(&policy.anchor);
    }
    Ok(Trust { policy, blocks, stop: Stop::default() })
}

/// Takes the auditor's file of headers, in place of any before.
///
/// # Errors
/// [`AuditError`] where it cannot be read, or is not a file of headers.
pub fn read_headers(blocks: &mut Blocks, path: &Path) -> Result<(), AuditError> {
    let bytes = durable::read_limited(path, MAX_HEADERS as u64).map_err(AuditError::io(path))?;
    blocks
        .read(bytes)
        .map_err(|why| AuditError::NotEvidence { path: path.into(), why: why.to_string() })
}
