//! The inventories in a state folder, held against the registry's records of
//! them (docs/format.md, step 4.11).

use std::{fs, io};

use provenance_core::report::{Code, Finding, Location, Report, Severity};
use provenance_host::state_dir::StateDir;
use provenance_verifier::Stop;

use super::registry_cursor::RegistryCursor;
use crate::{error::AuditError, files::digest};

/// Every document on record is there as recorded, and there is no other.
pub(super) fn check_registered_sboms(
    state: &StateDir,
    join: &mut RegistryCursor<'_>,
    stop: &Stop,
    report: &mut Report,
) -> Result<(), AuditError> {
    for (name, (document, row)) in &join.documents {
        stop.check()?;
        // A name leads nowhere else: its record is as hostile as any.
        let file = name.strip_prefix("sboms/").filter(|file| is_plain(file));
        let got = match file.map(|file| digest(&state.sboms().join(file))) {
            Some(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(AuditError::io(state.root().join(name))(error));
            }
            got => got.and_then(Result::ok),
        };
        report.checked("documents", 1);
        let place = Location::file(name);
        match got {
            Some(got) if got == document.sha256 => {}
            Some(got) => {
                let message = format!("the document is not the one of registry record {row}");
                let finding = Finding::new(Code::SbomInvalid, place, message);
                report.add_finding(finding.values(document.sha256, got));
            }
            None => {
                let message = format!("registry record {row} names a document that is not there");
                report.add_finding(Finding::new(Code::SbomMissing, place, message));
            }
        }
    }
    strangers(state, join, report)
}

fn strangers(
    state: &StateDir,
    join: &mut RegistryCursor<'_>,
    report: &mut Report,
) -> Result<(), AuditError> {
    let entries = match fs::read_dir(state.sboms()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(AuditError::io(state.sboms()))?,
    };
    for entry in entries {
        let file = entry?.file_name().to_string_lossy().into_owned();
        let name = format!("sboms/{file}");
        if join.documents.contains_key(&name) {
            continue;
        }
        // It may have been recorded since the audit began.
        join.catch_up(report);
        if join.later_documents.contains(&name) {
            continue;
        }
        let message = "the registry knows no such document";
        let finding = Finding::new(Code::SbomUnregistered, Location::file(name), message);
        // One is put here just before its record: a crash may come between.
        let own = digest(&state.sboms().join(&file)).map(|digest| digest.to_hex());
        let stem = file.strip_suffix(".spdx.json").or_else(|| file.strip_suffix(".cdx.json"));
        let coming = file.ends_with(".tmp") || own.is_ok_and(|own| stem == Some(&own));
        let severity = if coming { Severity::Warning } else { Severity::Error };
        report.add_finding(finding.severity(severity));
    }
    Ok(())
}

/// Whether it is the name of a file, and no path.
fn is_plain(name: &str) -> bool {
    provenance_core::packet::is_safe_name(name) && !name.contains('/')
}
