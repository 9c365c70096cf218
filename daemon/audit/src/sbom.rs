//! `provctl sbom`: whether a document is what it should be (docs/format.md
//! §12), and what differs between two of them. Documents of other programs are
//! read too.

use std::path::Path;

use provenance_core::report::Report;
use provenance_verifier::sbom::{self, Names};
pub use provenance_verifier::sbom::{Difference, defects};

use crate::error::AuditError;
use provenance_host::durable;

/// A document is at most so long.
pub const MAX_BYTES: u64 = 256 << 20;

/// Validates the document at `path`.
///
/// # Errors
/// [`AuditError`] where it cannot be read; what is wrong with it is in the
/// report.
pub fn validate(path: &Path) -> Result<Report, AuditError> {
    let bytes = read(path)?;
    let mut report = Report::new();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    sbom::check(&bytes, &name.unwrap_or_default(), &mut report);
    Ok(report)
}

/// What differs between the documents at `a` and `b`; either may be of either
/// format.
///
/// # Errors
/// [`AuditError`], also where one of them is no valid document.
pub fn compare(a: &Path, b: &Path) -> Result<Difference, AuditError> {
    Ok(sbom::compare(&names(a)?, &names(b)?))
}

fn names(path: &Path) -> Result<Names, AuditError> {
    let names = sbom::names(&read(path)?);
    names.map_err(|why| AuditError::NotEvidence { path: path.into(), why })
}

fn read(path: &Path) -> Result<Vec<u8>, AuditError> {
    durable::read_limited(path, MAX_BYTES).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => {
            AuditError::NotEvidence { path: path.into(), why: error.to_string() }
        }
        _ => AuditError::io(path)(error),
    })
}
