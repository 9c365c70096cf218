//! Copies in WORM storage, verified from the storage alone: a state folder is
//! made of them beside everything, and verified as any other.

use std::path::Path;

use provenance_core::report::Report;
use provenance_storage::{
    ReadStorage,
    replica::{self, Appliance, Trusting},
};
use provenance_verifier::{Progress, Trust};

use crate::{error::AuditError, state};

/// Verifies an appliance's copies. What is fetched lies in `scratch` meanwhile.
///
/// # Errors
/// [`AuditError`] where the storage cannot be read; whatever is wrong with what
/// was read is in the report.
pub fn verify(
    bucket: &mut dyn ReadStorage,
    appliance: &Appliance,
    trust: &Trust,
    scratch: &Path,
    progress: Progress<'_>,
) -> Result<Report, AuditError> {
    let folder = tempfile::Builder::new().prefix("provctl-").tempdir_in(scratch);
    let folder = folder.map_err(AuditError::io(scratch))?;
    let mut found = Report::new();
    let trusting = Trusting { keys: trust.keys(), allow_unsigned: trust.allows_unsigned() };
    let fetched = replica::fetch(bucket, appliance, folder.path(), trusting, &mut found)?;
    found.checked("bytes", fetched.bytes);
    trust.stop.check()?;
    let mut report = state::verify(folder.path(), trust, &state::Options::default(), progress)?;
    report.absorb(found);
    Ok(report)
}
