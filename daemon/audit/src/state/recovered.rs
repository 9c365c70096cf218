//! Bytes of appends that never finished: set aside in `chain/recovered/`, and
//! named by a record with their length and digest.

use std::{collections::BTreeSet, fs, io, path::PathBuf};

use provenance_core::{
    record::chain,
    report::{Code, Finding, Location, Report, Severity},
};

use crate::{error::AuditError, files::digest};

/// What the records name.
pub(super) struct Recovered {
    folder: Option<PathBuf>,
    named: BTreeSet<String>,
}

impl Recovered {
    /// `folder` is where they lie; `None` where only a file was given.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, named: BTreeSet::new() }
    }

    /// The file that a record names holds what it says.
    pub(super) fn check(
        &mut self,
        recovered: &chain::Recovered<'_>,
        place: Location,
        report: &mut Report,
    ) -> Result<(), AuditError> {
        let (Some(folder), Some(name)) = (&self.folder, &recovered.file) else { return Ok(()) };
        if name.contains('/') || name.starts_with('.') {
            let message = "the record names a file outside chain/recovered";
            report.add_finding(Finding::new(Code::RecordMalformed, place, message));
            return Ok(());
        }
        self.named.insert(name.clone().into_owned());
        let path = folder.join(&**name);
        let file = Location::file(format!("chain/recovered/{name}"));
        let finding = match (digest(&path), recovered.sha256) {
            (Ok(got), Some(expected)) if got == expected => None,
            (Ok(got), expected) => {
                let message = format!("not the bytes that {} set aside", whence(&place));
                let expected = expected.map_or_else(|| "nothing".into(), |e| e.to_string());
                Some(Finding::new(Code::ChainFile, file, message).values(expected, got))
            }
            (Err(error), _) if error.kind() == io::ErrorKind::NotFound => {
                let message = format!("what {} set aside is not there", whence(&place));
                let finding = Finding::new(Code::ChainFile, file, message);
                Some(finding.severity(Severity::Warning))
            }
            (Err(error), _) if error.kind() == io::ErrorKind::Other => {
                Some(Finding::new(Code::ChainFile, file, error.to_string()))
            }
            (Err(error), _) => return Err(AuditError::io(path)(error)),
        };
        report.checked("recovered files", 1);
        if let Some(finding) = finding {
            report.add_finding(finding);
        }
        Ok(())
    }

    /// Whatever else lies there: a crash may have come before its record.
    pub(super) fn strangers(&self, report: &mut Report) -> Result<(), AuditError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(AuditError::io(folder))?,
        };
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !self.named.contains(&name) {
                let place = Location::file(format!("chain/recovered/{name}"));
                let message = "no record names this file (a crash may have come before it)";
                let finding = Finding::new(Code::ChainFile, place, message);
                report.add_finding(finding.severity(Severity::Warning));
            }
        }
        Ok(())
    }
}

fn whence(place: &Location) -> String {
    place.seq.map_or_else(|| "a record".into(), |seq| format!("record {seq}"))
}
