//! What a final anchor gives the bundles under its root: the member `anchor`
//! of `proof.json`, and `statement.json.ots` for stock OpenTimestamps tools.

use std::{fs, io, path::Path};

use provenance_core::{
    bitcoin::{Anchor, TxProof},
    encoding::digest::Digest,
    merkle::inclusion_proof::{MAX_PROOF, Proof},
    opentimestamps::{self, Attested},
    registry::{AnchorStep, BundleEntry, Entry},
    verify::anchor_history::State,
};

use provenance_host::{durable, state_dir::StateDir};
use provenance_registry::Reader;

use crate::{
    engine::anchor::AnchorIndex,
    error::ServiceError,
    ledger::{Ledger, read_entry},
};

const OTS: &str = "statement.json.ots";

/// Gives every bundle the proof of the first final anchor over it, and takes
/// that of an anchor away whose block is gone; says how many changed.
///
/// What was done is kept in the cache, and only saves the next call the work.
pub(super) fn write(
    state: &StateDir,
    evidence: &Ledger,
    book: &AnchorIndex,
) -> Result<usize, ServiceError> {
    let reader = evidence.reader()?;
    let finals = finals(&reader, book)?;
    let done = state.cache().join("anchored");
    let mark = mark(&reader, &finals, book)?;
    if fs::read(&done).is_ok_and(|kept| kept == mark.as_bytes()) {
        return Ok(0);
    }
    let (mut changed, mut failed) = (0, None);
    for row in reader.rows_of_kind("bundle", 0) {
        let row = row?;
        let Some(Entry::Bundle(entry)) = read_entry(&row.body) else { continue };
        let folder = state.bundles().join(&entry.id);
        let shown = shown(&reader, row.seq, &finals, book)?;
        // One that is damaged does not keep the others from theirs.
        match give(&folder, &entry, shown) {
            Ok(given) => changed += usize::from(given),
            Err(error) => {
                tracing::error!("{error}");
                failed.get_or_insert(error);
            }
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    durable::replace(&done, mark.as_bytes(), 0o640)
        .map_err(ServiceError::io(format!("cannot write {}", done.display())))?;
    Ok(changed)
}

/// What shows that a bundle's record is under a block's root.
enum ProvedAnchor {
    /// By a transaction of our own.
    Anchor(Anchor),
    /// By a calendar's.
    Attested(Attested),
    Nothing,
}

fn shown(
    reader: &Reader,
    row: u64,
    finals: &[(u64, TxProof)],
    book: &AnchorIndex,
) -> Result<ProvedAnchor, ServiceError> {
    if let Some((size, proof)) = finals.iter().find(|(size, _)| row < *size) {
        let path = reader.inclusion(row, *size)?;
        return Ok(ProvedAnchor::Anchor(Anchor { path, proof: proof.clone(), size: *size }));
    }
    for anchor in book.iter().filter(|anchor| row < anchor.size) {
        if let Some((height, operations)) = &anchor.attested {
            let path = reader.inclusion(row, anchor.size)?;
            let (size, root, height) = (anchor.size, anchor.root, *height);
            let operations = operations.clone();
            return Ok(ProvedAnchor::Attested(Attested { path, size, root, operations, height }));
        }
    }
    Ok(ProvedAnchor::Nothing)
}

/// The final anchors with their proofs, the oldest first.
fn finals(reader: &Reader, book: &AnchorIndex) -> Result<Vec<(u64, TxProof)>, ServiceError> {
    let is_final = |size: u64| book.get(size).is_some_and(|anchor| anchor.state == State::Final);
    let mut finals = std::collections::BTreeMap::new();
    for row in reader.rows_of_kind("anchor", 0) {
        let row = row?;
        if let Some(Entry::Anchor(entry)) = read_entry(&row.body)
            && let AnchorStep::Final { proof, .. } = entry.step
            && is_final(entry.size)
        {
            finals.insert(entry.size, proof);
        }
    }
    Ok(finals.into_iter().collect())
}

/// What the bundles' proofs follow from: as long as it is the same, so are they.
fn mark(
    reader: &Reader,
    finals: &[(u64, TxProof)],
    book: &AnchorIndex,
) -> Result<String, ServiceError> {
    let last = reader.last_of_kind("bundle")?.map(|row| row.seq);
    let blocks = finals.iter().map(|(size, proof)| format!("{size} {}\n", proof.header.hash()));
    let attested = book.iter().filter_map(|anchor| {
        let (height, operations) = anchor.attested.as_ref()?;
        Some(format!("{} {height} {}\n", anchor.size, Digest::sha256(operations)))
    });
    Ok(format!("{last:?}\n{}", blocks.chain(attested).collect::<String>()))
}

/// Whether the bundle's files changed. A bundle without `proof.json` has no
/// checkpoint either, and gets its proof when it has one.
fn give(folder: &Path, entry: &BundleEntry, shown: ProvedAnchor) -> Result<bool, ServiceError> {
    let path = folder.join("proof.json");
    let failed = |what: String| ServiceError::State(format!("{}: {what}", path.display()));
    let bytes = match durable::read_limited(&path, MAX_PROOF as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error.to_string())),
    };
    let proof = Proof::parse(&bytes).map_err(|error| failed(error.to_string()))?;
    let stamp = folder.join(OTS);
    let (statement, body) = (&entry.statement_sha256, &proof.body);
    let stamped = match &shown {
        ProvedAnchor::Anchor(anchor) => {
            Some(opentimestamps::of_statement(statement, body, proof.index, anchor))
        }
        ProvedAnchor::Attested(attested) => {
            Some(opentimestamps::of_attested(statement, body, proof.index, attested))
        }
        ProvedAnchor::Nothing => None,
    };
    // A record that is too long for an OpenTimestamps proof has the other one.
    let stamped = stamped.transpose().unwrap_or_else(|error| {
        tracing::warn!("{}: {error}", stamp.display());
        None
    });
    let anchor = match shown {
        ProvedAnchor::Anchor(anchor) => Some(anchor),
        _ => None,
    };
    let there = durable::read_limited(&stamp, opentimestamps::MAX_OTS as u64).ok();
    if proof.anchor == anchor && there == stamped {
        return Ok(false);
    }
    match stamped {
        Some(bytes) => durable::replace(&stamp, &bytes, 0o440)
            .map_err(ServiceError::io(format!("cannot write {}", stamp.display())))?,
        None => match fs::remove_file(&stamp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(error.to_string()));
            }
            _ => {}
        },
    }
    let proof = Proof { anchor, ..proof };
    let bytes = proof.encode().map_err(|error| failed(error.to_string()))?;
    durable::replace(&path, &bytes, 0o440)
        .map_err(ServiceError::io(format!("cannot write {}", path.display())))?;
    Ok(true)
}
