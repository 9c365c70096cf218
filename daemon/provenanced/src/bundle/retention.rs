//! Retention: when it ends, a bundle's artifacts are removed. Its statement,
//! signatures, proof and record stay, as do the registry and the checkpoints.

use std::{collections::BTreeSet, fs, io};

use provenance_core::{encoding::time::Timestamp, record::bundle_id::BundleId, registry::Entry};
use provenance_host::{config::Config, durable, state_dir::StateDir};

use super::{folders, lock};
use crate::{
    error::ServiceError,
    ledger::{Ledger, read_entry},
};

const DAY_NS: i64 = 86_400_000_000_000;

/// Removes the artifacts of bundles whose day is over `bundle_days` ago. Each
/// removal is recorded before it is done.
///
/// # Errors
/// [`ServiceError`].
pub(crate) fn expire(
    config: &Config,
    state: &StateDir,
    evidence: &mut Ledger,
    now: Timestamp,
) -> Result<Vec<BundleId>, ServiceError> {
    let _lock = lock(state)?;
    let days = i64::try_from(config.bundle_days).unwrap_or(i64::MAX);
    let limit = now.plus_nanos(days.saturating_mul(DAY_NS).saturating_neg());
    let mut old = vec![];
    for (name, path) in folders(state)? {
        let Ok(id) = name.parse::<BundleId>() else { continue };
        let ended = id.day().start().is_some_and(|start| start.plus_nanos(DAY_NS) < limit);
        if ended && path.join("artifacts").is_dir() && path.join("statement.json").is_file() {
            old.push((id, path));
        }
    }
    if old.is_empty() {
        return Ok(vec![]);
    }
    let recorded = expired(evidence)?;
    let entries: Vec<Entry> = old
        .iter()
        .filter(|(id, _)| !recorded.contains(&id.to_string()))
        .map(|(id, _)| Entry::Expire { bundle: id.to_string(), retention_days: config.bundle_days })
        .collect();
    if !entries.is_empty() {
        evidence.record(now, &entries)?;
    }
    for (id, path) in &old {
        remove(path).map_err(ServiceError::io(format!("cannot remove the artifacts of {id}")))?;
    }
    Ok(old.into_iter().map(|(id, _)| id).collect())
}

fn remove(path: &std::path::Path) -> io::Result<()> {
    fs::remove_dir_all(path.join("artifacts"))?;
    durable::sync_dir(path)
}

fn expired(evidence: &Ledger) -> Result<BTreeSet<String>, ServiceError> {
    let reader = evidence.reader()?;
    let mut ids = BTreeSet::new();
    for row in reader.rows_of_kind("expire", 0) {
        if let Some(Entry::Expire { bundle, .. }) = read_entry(&row?.body) {
            ids.insert(bundle);
        }
    }
    Ok(ids)
}
