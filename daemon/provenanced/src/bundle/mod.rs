//! Evidence bundles (docs/format.md §6): written beside their place, fsynced,
//! renamed into it, then recorded, then proved.

mod builder;
mod request;
pub mod retention;

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use builder::{BundleBuilder, RecordRange};
pub use request::Request;

use provenance_core::{
    encoding::{digest::Digest, json::Value, time::Timestamp},
    merkle::inclusion_proof::Proof,
    record::{bundle_id::BundleId, time_attestation},
    registry::{BundleEntry, Entry},
    report::Head,
    statement::evidence::{ChainRange, Collector, Evidence as Predicate, Link, Statement},
};

use crate::{
    error::ServiceError,
    ledger::{Ledger, read_entry},
};
use provenance_host::{clock, config::Config, durable, state_dir::StateDir};
use provenance_registry::Reader;

/// The files of a bundle beside `artifacts/`.
pub(super) const FILES: [&str; 5] = [
    "statement.json",
    "statement.json.ots",
    "statement.json.sig",
    "statement.sigstore.json",
    "proof.json",
];

/// A bundle that was made.
#[derive(Clone, Debug)]
pub struct BundleOutput {
    pub id: BundleId,
    pub path: PathBuf,
    /// What was recorded of it.
    pub entry: BundleEntry,
    /// The checkpoint that covers it.
    pub checkpoint: Option<String>,
}

/// Makes a bundle.
///
/// # Errors
/// [`ServiceError`]; nothing half-written is left.
pub fn make(
    config: &Config,
    state: &StateDir,
    evidence: &mut Ledger,
    now: Timestamp,
    request: &Request,
) -> Result<BundleOutput, ServiceError> {
    durable::create_dirs(&state.bundles()).map_err(ServiceError::io("cannot make bundles/"))?;
    let _lock = lock(state)?;
    let reader = evidence.reader()?;
    settle_unfinished(state, evidence, &reader, now)?;
    let id = next_id(state, &reader, now)?;
    let work = BundleBuilder { folder: state.bundles().join(format!(".{id}.tmp")) };
    let covered = covered(&reader)?;
    let cut = RecordRange::new(request, covered)?;
    let (range, mut subjects) = match (work.chain_range(state, &cut), cut.again(request, covered)) {
        (Err(ServiceError::Empty(_)), Some(again)) => work.chain_range(state, &again)?,
        (taken, _) => taken?,
    };
    for artifact in &request.artifacts {
        subjects.push(work.attach(artifact)?);
    }
    subjects.sort_by(|a, b| a.name.cmp(&b.name));
    let controls = if request.controls.is_empty() { &config.controls } else { &request.controls };
    let statement = Statement {
        subjects,
        evidence: Predicate {
            bundle: id,
            client: config.client.clone(),
            host: config.host.clone(),
            tier: config.tier.to_string(),
            from: range.first.time,
            to: request.to.unwrap_or(now).max(range.last.time),
            controls: controls.clone(),
            reason: request.reason.clone(),
            chain: ChainRange {
                id: evidence.chain().into(),
                first: Link { seq: range.first.seq, hash: range.first.hash },
                last: Link { seq: range.last.seq, hash: range.last.hash },
            },
            clock: range.clock.unwrap_or_else(|| unattested(config, now)),
            collector: Collector {
                name: "provenanced".into(),
                version: env!("CARGO_PKG_VERSION").into(),
            },
            signed: evidence.signer().is_some(),
        },
    };
    let bytes = statement.encode().map_err(|error| ServiceError::Request(error.to_string()))?;
    work.sign(&bytes, evidence)?;
    let path = work.publish(state, id)?;
    let entry = entry_of(&statement, &bytes);
    let checkpoint = record(state, evidence, now, range.head, &entry)?;
    Ok(BundleOutput { id, path, entry, checkpoint })
}

/// Finishes or sets aside what an interrupted run left: called under the lock,
/// by the daemon at its start and before each bundle.
///
/// # Errors
/// [`ServiceError`].
pub fn settle_unfinished(
    state: &StateDir,
    evidence: &mut Ledger,
    reader: &Reader,
    now: Timestamp,
) -> Result<(), ServiceError> {
    let known = reader.bundle_ids()?;
    for (name, path) in folders(state)? {
        match name.parse::<BundleId>() {
            Ok(_) if known.contains_key(&name) => {
                if !path.join("proof.json").exists() && evidence.signer().is_some() {
                    prove(evidence, &path, known.get(&name).copied().unwrap_or_default())?;
                }
            }
            Ok(id) => match finished(&path, id) {
                Some((statement, bytes)) => {
                    let last = statement.evidence.chain.last;
                    let time = statement.evidence.to;
                    let head = Head { seq: last.seq, hash: last.hash, time };
                    record(state, evidence, now, head, &entry_of(&statement, &bytes))?;
                }
                None => set_aside(state, &path, &name)?,
            },
            Err(_) => set_aside(state, &path, &name)?,
        }
    }
    Ok(())
}

/// The lock under which bundles are made; released when dropped.
///
/// # Errors
/// [`ServiceError`] where the lock's file cannot be opened.
pub(crate) fn lock(state: &StateDir) -> Result<File, ServiceError> {
    let locked = durable::create_dirs(&state.cache()).and_then(|()| {
        let path = state.cache().join("bundles.lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        file.lock()?;
        Ok(file)
    });
    locked.map_err(ServiceError::io("cannot lock bundles/"))
}

/// The newest bundle on record.
///
/// # Errors
/// [`ServiceError`].
pub(crate) fn last_bundle(reader: &Reader) -> Result<Option<BundleEntry>, ServiceError> {
    let row = reader.last_of_kind("bundle")?;
    Ok(row.and_then(|row| match read_entry(&row.body) {
        Some(Entry::Bundle(bundle)) => Some(bundle),
        _ => None,
    }))
}

/// The last record up to which bundles hold all: one of a period of its own
/// (--from) leaves no hole behind it.
fn covered(reader: &Reader) -> Result<Option<u64>, ServiceError> {
    let mut covered: Option<u64> = None;
    for row in reader.rows_of_kind("bundle", 0) {
        let row = row?;
        let Some(Entry::Bundle(bundle)) = read_entry(&row.body) else { continue };
        let due = covered.map_or(0, |last| last.saturating_add(1));
        if bundle.first_seq <= due {
            covered = covered.max(Some(bundle.last_seq));
        }
    }
    Ok(covered)
}

/// The folders below bundles/ with their names, sorted.
///
/// # Errors
/// [`ServiceError`].
pub(crate) fn folders(state: &StateDir) -> Result<Vec<(String, PathBuf)>, ServiceError> {
    let read = || -> io::Result<Vec<(String, PathBuf)>> {
        let mut folders = vec![];
        match fs::read_dir(state.bundles()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            entries => {
                for entry in entries? {
                    let entry = entry?;
                    folders.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
                }
            }
        }
        folders.sort();
        Ok(folders)
    };
    read().map_err(ServiceError::io("cannot list bundles/"))
}

/// Where the range has no tick, the kernel's word of this moment.
fn unattested(config: &Config, now: Timestamp) -> Value {
    time_attestation::judge(now, config.rule, None, vec![clock::kernel_source(now)]).to_value()
}

fn entry_of(statement: &Statement, bytes: &[u8]) -> BundleEntry {
    let evidence = &statement.evidence;
    BundleEntry {
        id: evidence.bundle.to_string(),
        statement_sha256: Digest::sha256(bytes),
        first_seq: evidence.chain.first.seq,
        first_hash: evidence.chain.first.hash,
        last_seq: evidence.chain.last.seq,
        last_hash: evidence.chain.last.hash,
        from: evidence.from,
        to: evidence.to,
        signed: evidence.signed,
        artifacts: statement.subjects.len() as u64,
        reason: evidence.reason.clone(),
    }
}

/// Records the bundle with the chain's head, and proves that record.
fn record(
    state: &StateDir,
    evidence: &mut Ledger,
    now: Timestamp,
    head: Head,
    entry: &BundleEntry,
) -> Result<Option<String>, ServiceError> {
    let (appended, _, note) = evidence.commit(now, head, &[Entry::Bundle(entry.clone())])?;
    if let Some(record) = appended.last()
        && note.is_some()
    {
        prove(evidence, &state.bundles().join(&entry.id), record.seq)?;
    }
    Ok(note)
}

/// Writes `proof.json`: the bundle's record is in the newest signed tree.
fn prove(evidence: &mut Ledger, path: &Path, index: u64) -> Result<(), ServiceError> {
    let bytes = proof_of(evidence, path, index)?;
    durable::replace(&path.join("proof.json"), &bytes, 0o440)
        .map_err(ServiceError::io("cannot write proof.json"))
}

/// The proof that record `index` is in the newest signed tree; errors name
/// `path`.
pub(super) fn proof_of(
    evidence: &mut Ledger,
    path: &Path,
    index: u64,
) -> Result<Vec<u8>, ServiceError> {
    let unproved = |what: &str| ServiceError::State(format!("{}: {what}", path.display()));
    let checkpoint = evidence.covering(index)?.ok_or_else(|| unproved("no checkpoint"))?;
    let reader = evidence.reader()?;
    let size = crate::ledger::size_of(&checkpoint).ok_or_else(|| unproved("no checkpoint"))?;
    let row = reader.record(index)?.ok_or_else(|| unproved("its record is not there"))?;
    let proof = Proof {
        anchor: None,
        body: String::from_utf8(row.body).map_err(|_| unproved("its record is not UTF-8"))?,
        index,
        size,
        path: reader.inclusion(index, size)?,
        checkpoint,
    };
    proof.encode().map_err(|error| unproved(&error.to_string()))
}

/// A folder that was published, and whose record was not committed: its
/// statement, if all it names is there.
fn finished(path: &Path, id: BundleId) -> Option<(Statement, Vec<u8>)> {
    let limit = provenance_core::statement::evidence::MAX_STATEMENT as u64;
    let bytes = durable::read_limited(&path.join("statement.json"), limit).ok()?;
    let statement = Statement::parse(&bytes).ok().filter(|s| s.evidence.bundle == id)?;
    let whole = statement.subjects.iter().all(|subject| {
        durable::digest_of(&path.join(&subject.name)).is_ok_and(|digest| digest == subject.sha256)
    });
    whole.then_some((statement, bytes))
}

fn set_aside(state: &StateDir, path: &Path, name: &str) -> Result<(), ServiceError> {
    tracing::warn!("bundles/{name} is unfinished or unknown: moved to aside/");
    durable::create_dirs(&state.aside())
        .and_then(|()| {
            let mut to = state.aside().join(name);
            for n in 1..1000 {
                if !to.exists() {
                    break;
                }
                to = state.aside().join(format!("{name}.{n}"));
            }
            fs::rename(path, to)
        })
        .and_then(|()| durable::sync_dir(&state.aside()))
        .map_err(ServiceError::io(format!("cannot set bundles/{name} aside")))
}

/// The next number of the day, behind every folder and every record.
fn next_id(state: &StateDir, reader: &Reader, now: Timestamp) -> Result<BundleId, ServiceError> {
    let folders = folders(state)?.into_iter().map(|(name, _)| name);
    let ids = folders.chain(reader.bundle_ids()?.into_keys());
    let of_day =
        ids.filter_map(|id| id.parse::<BundleId>().ok()).filter(|id| id.day() == now.day());
    let full = || ServiceError::Request("this day has 9999 bundles already".into());
    match of_day.max() {
        Some(last) => last.next().ok_or_else(full),
        None => BundleId::new(now.day(), 1).ok_or_else(full),
    }
}
