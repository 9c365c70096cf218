//! The registry's own checks, and `provctl registry list|show|export`.

use std::collections::BTreeSet;

use provenance_core::{
    canon::Value,
    digest::Digest,
    record::Record,
    registry::KeyAction,
    report::{Code, Finding, Place, Report},
    time::Timestamp,
    verify::registry::FILE,
};

use super::{AuditError, Trust, join::Join};
use crate::{
    host::durable::{self, StateDir},
    registry::reader::{Reader, Row},
};

/// SQLite's own check, and tables, triggers and views as they must be.
pub(super) fn structure(reader: &Reader, report: &mut Report) {
    let mut find = |code, message: String| {
        report.find(Finding::new(code, Place::file(FILE), message));
    };
    match reader.schema_differences() {
        Ok(differences) => {
            for difference in differences {
                find(Code::RegistryTriggers, difference);
            }
        }
        Err(error) => find(Code::RegistryBroken, error.to_string()),
    }
    match reader.structure_problems() {
        Ok(problems) => {
            for problem in problems {
                find(Code::RegistryBroken, format!("SQLite's integrity check: {problem}"));
            }
        }
        Err(error) => find(Code::RegistryBroken, error.to_string()),
    }
    report.checked("registry structure", 1);
}

/// Keys begin once, succeed one another, and `keys/` holds what the registry
/// names. Only the policy says which of them is trusted.
pub(super) fn keys(
    state: &StateDir,
    join: &Join<'_>,
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
            report.find(Finding::new(Code::BundleKey, Place::file(FILE), message));
        }
        if entry.action != KeyAction::Revoke {
            current = Some(fingerprint);
        }
        report.checked("keys", 1);
        let path = state.keys().join(format!("{fingerprint}.pub"));
        let kept = durable::read_limited(&path, 4096).ok();
        if kept.as_deref() != Some(entry.key.to_pem().as_bytes()) {
            let name = format!("keys/{fingerprint}.pub");
            let message = "the public key on record is not the one kept here";
            report.find(Finding::new(Code::BundleKey, Place::file(name), message));
        }
    }
    if trust.policy.is_none()
        && let Some(current) = current
    {
        let message = format!("a policy would need the key with SHA-256 {current}");
        let finding = Finding::new(Code::BundleKey, Place::file(FILE), message);
        report.find(finding.severity(provenance_core::report::Severity::Info));
    }
    strangers(state, join, report)
}

fn strangers(state: &StateDir, join: &Join<'_>, report: &mut Report) -> Result<(), AuditError> {
    let names: BTreeSet<String> =
        join.keys.iter().map(|(entry, _)| format!("{}.pub", entry.key.fingerprint())).collect();
    if !state.keys().is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(state.keys()).map_err(AuditError::io(state.keys()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !names.contains(&name) {
            let message = "the registry names no such key";
            report.find(Finding::new(
                Code::BundleKey,
                Place::file(format!("keys/{name}")),
                message,
            ));
        }
    }
    Ok(())
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
    let mut next = 0;
    loop {
        let page = reader.page(next, 256)?;
        let Some(last) = page.last() else { return Ok(()) };
        next = last.seq.saturating_add(1);
        for row in &page {
            let record = record(row)?;
            let kind = filter.kind.as_deref().is_none_or(|kind| kind == record.kind);
            let from = filter.from.is_none_or(|from| record.time >= from);
            if kind && from && filter.to.is_none_or(|to| record.time < to) {
                each(&record);
            }
        }
    }
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
