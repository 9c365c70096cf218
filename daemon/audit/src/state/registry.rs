//! The registry's own checks, and `provctl registry list|show|export`.

use std::collections::BTreeSet;

use provenance_core::{
    encoding::{digest::Digest, json::Value, time::Timestamp},
    record::Record,
    registry::KeyAction,
    report::{Code, Finding, Location, Report, Severity},
    signing::public_key::PublicKey,
    verify::registry::FILE,
};
use provenance_host::{durable, state_dir::StateDir};
use provenance_registry::reader::{Reader, RegistryError, Row};
use provenance_verifier::Trust;

use super::registry_cursor::RegistryCursor;
use crate::error::AuditError;

/// SQLite's own check, and tables, triggers and views as they must be. Whether
/// the rows can be read: in tables of another form they could be computed, and
/// a view may never end.
pub(super) fn structure(reader: &Reader, report: &mut Report) -> Result<bool, RegistryError> {
    report.checked("registry structure", 1);
    let mut usable = |result: Result<(), RegistryError>| match result {
        Ok(()) => Ok(true),
        Err(error) if error.is_damage() => {
            report.add_finding(Finding::new(
                Code::RegistryBroken,
                Location::file(FILE),
                error.to_string(),
            ));
            Ok(false)
        }
        Err(error) => Err(error),
    };
    let mut found = vec![];
    let readable = usable(schema(reader, &mut found))? && reader.has_tables()?;
    if readable {
        usable(contents(reader, &mut found))?;
    }
    for (code, message) in found {
        report.add_finding(Finding::new(code, Location::file(FILE), message));
    }
    Ok(readable)
}

fn schema(reader: &Reader, found: &mut Vec<(Code, String)>) -> Result<(), RegistryError> {
    let differences = reader.schema_differences()?;
    found.extend(differences.into_iter().map(|text| (Code::RegistryTriggers, text)));
    Ok(())
}

fn contents(reader: &Reader, found: &mut Vec<(Code, String)>) -> Result<(), RegistryError> {
    for problem in reader.structure_problems()? {
        found.push((Code::RegistryBroken, format!("SQLite's integrity check: {problem}")));
    }
    match reader.surplus_nodes()? {
        0 => {}
        count => {
            let message = format!("{count} stored nodes more or less than the tree has");
            found.push((Code::RegistryRoot, message));
        }
    }
    Ok(())
}

/// Keys begin once, succeed one another, and `keys/` holds what the registry
/// names. Only the policy says which of them is trusted.
pub(super) fn keys(
    state: &StateDir,
    join: &RegistryCursor<'_>,
    trust: &Trust,
    report: &mut Report,
) -> Result<(), AuditError> {
    let mut current: Option<Digest> = None;
    for (entry, _) in &join.keys {
        let fingerprint = entry.key.fingerprint();
        let follows = match entry.action {
            KeyAction::Begin => current.is_none() && entry.succeeds.is_none(),
            KeyAction::Succeed => current.is_some() && entry.succeeds == current,
            KeyAction::Revoke => true,
        };
        if !follows {
            let message = format!("the key {fingerprint} does not follow the one before it");
            report.add_finding(Finding::new(Code::BundleKey, Location::file(FILE), message));
        }
        if entry.action != KeyAction::Revoke {
            current = Some(fingerprint);
        }
        report.checked("keys", 1);
        let path = state.keys().join(format!("{fingerprint}.pub"));
        let kept = match durable::read_regular(&path, 4096) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(AuditError::io(path)(error));
            }
            kept => kept.ok(),
        };
        if kept.as_deref() != Some(entry.key.to_pem().as_bytes()) {
            let name = format!("keys/{fingerprint}.pub");
            let message = "the public key on record is not the one kept here";
            report.add_finding(Finding::new(Code::BundleKey, Location::file(name), message));
        }
    }
    if trust.policy.is_none()
        && let Some(current) = current
    {
        let message = format!("a policy would need the key with SHA-256 {current}");
        let finding = Finding::new(Code::BundleKey, Location::file(FILE), message);
        report.add_finding(finding.severity(Severity::Info));
    }
    strangers(state, join, report)
}

fn strangers(
    state: &StateDir,
    join: &RegistryCursor<'_>,
    report: &mut Report,
) -> Result<(), AuditError> {
    let names: BTreeSet<String> =
        join.keys.iter().map(|(entry, _)| format!("{}.pub", entry.key.fingerprint())).collect();
    if !state.keys().is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(state.keys()).map_err(AuditError::io(state.keys()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !names.contains(&name) {
            let message = "the registry names no such key";
            let place = Location::file(format!("keys/{name}"));
            let finding = Finding::new(Code::BundleKey, place, message);
            // A key is put here just before its record: a crash may come between.
            let coming = name.ends_with(".pub.tmp") || is_key(&state.keys().join(&name), &name);
            let severity = if coming { Severity::Warning } else { Severity::Error };
            report.add_finding(finding.severity(severity));
        }
    }
    Ok(())
}

/// Whether the file is a key under its own fingerprint.
fn is_key(path: &std::path::Path, name: &str) -> bool {
    let bytes = durable::read_regular(path, 4096).unwrap_or_default();
    let key = std::str::from_utf8(&bytes).ok().and_then(|text| PublicKey::parse(text).ok());
    key.is_some_and(|key| name == format!("{}.pub", key.fingerprint()))
}

/// Which records are wanted.
#[derive(Debug, Default)]
pub struct Filter {
    /// Of this kind.
    pub kind: Option<String>,
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
}

/// Calls `each` with every record that the filter takes. Nothing is verified
/// here, but what is no record is refused.
///
/// # Errors
/// [`AuditError`].
pub fn each(
    reader: &Reader,
    filter: &Filter,
    mut each: impl FnMut(&Record<'_>),
) -> Result<(), AuditError> {
    for row in reader.rows(0) {
        let row = row?;
        let record = record(&row)?;
        let kind = filter.kind.as_deref().is_none_or(|kind| kind == record.kind);
        let from = filter.from.is_none_or(|from| record.time >= from);
        if kind && from && filter.to.is_none_or(|to| record.time < to) {
            each(&record);
        }
    }
    Ok(())
}

/// The record with this number, or the one whose data has this `id`.
///
/// # Errors
/// [`AuditError`], also where there is none.
pub fn find(reader: &Reader, id: &str) -> Result<Vec<u8>, AuditError> {
    if let Ok(seq) = id.parse::<u64>()
        && let Some(row) = reader.record(seq)?
    {
        return Ok(row.body);
    }
    let mut found = None;
    each(reader, &Filter::default(), |record| {
        let value = Value::parse(record.data).ok();
        let named = value.as_ref().and_then(|value| value.get("id")).and_then(Value::as_str);
        if named == Some(id) || record.hash().to_hex() == id {
            found = Some(record.line.to_vec());
        }
    })?;
    let why = format!("the registry has no record {id:?} (give a number, an id or a hash)");
    found.ok_or_else(|| AuditError::NotEvidence { path: FILE.into(), why })
}

fn record(row: &Row) -> Result<Record<'_>, AuditError> {
    Record::parse(&row.body).map_err(|error| AuditError::NotEvidence {
        path: FILE.into(),
        why: format!("row {} is no record ({error}); run `provctl verify-chain`", row.seq),
    })
}
