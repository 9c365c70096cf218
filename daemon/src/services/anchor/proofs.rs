//! What a final anchor gives the bundles under its root: the member `anchor`
//! of `proof.json`, and `statement.json.ots` for stock OpenTimestamps tools.

use std::{fs, io, path::Path};

use provenance_core::{
    anchor::{Anchor, TxProof},
    ots,
    proof::{MAX_PROOF, Proof},
    registry::{AnchorStep, BundleEntry, Entry},
    verify::anchors::State,
};

use crate::{
    engine::anchor::Book,
    host::durable::{self, StateDir},
    registry::Reader,
    services::{
        ServiceError,
        evidence::{Evidence, read_entry},
    },
};

const OTS: &str = "statement.json.ots";

/// Gives every bundle the proof of the first final anchor over it, and takes
/// that of an anchor away whose block is gone; says how many changed.
///
/// What was done is kept in the cache, and only saves the next call the work.
pub(super) fn write(
    state: &StateDir,
    evidence: &Evidence,
    book: &Book,
) -> Result<usize, ServiceError> {
    let reader = evidence.reader()?;
    let finals = finals(&reader, book)?;
    let done = state.cache().join("anchored");
    let mark = mark(&reader, &finals)?;
    if fs::read(&done).is_ok_and(|kept| kept == mark.as_bytes()) {
        return Ok(0);
    }
    let mut changed = 0;
    for row in reader.rows_of_kind("bundle")? {
        let Some(Entry::Bundle(entry)) = read_entry(&row.body) else { continue };
        let folder = state.bundles().join(&entry.id);
        let covering = finals.iter().find(|(size, _)| row.seq < *size);
        let anchor = match covering {
            Some((size, proof)) => Some(Anchor {
                path: reader.inclusion(row.seq, *size)?,
                proof: proof.clone(),
                size: *size,
            }),
            None => None,
        };
        changed += usize::from(give(&folder, &entry, anchor)?);
    }
    durable::replace(&done, mark.as_bytes(), 0o640)
        .map_err(ServiceError::io(format!("cannot write {}", done.display())))?;
    Ok(changed)
}

/// The final anchors with their proofs, the oldest first.
fn finals(reader: &Reader, book: &Book) -> Result<Vec<(u64, TxProof)>, ServiceError> {
    let is_final = |size: u64| book.get(size).is_some_and(|anchor| anchor.state == State::Final);
    let mut finals = std::collections::BTreeMap::new();
    for row in reader.rows_of_kind("anchor")? {
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
fn mark(reader: &Reader, finals: &[(u64, TxProof)]) -> Result<String, ServiceError> {
    let last = reader.last_of_kind("bundle")?.map(|row| row.seq);
    let blocks = finals.iter().map(|(size, proof)| format!("{size} {}\n", proof.header.hash()));
    Ok(format!("{last:?}\n{}", blocks.collect::<String>()))
}

/// Whether the bundle's files changed. A bundle without `proof.json` has no
/// checkpoint either, and gets its proof when it has one.
fn give(folder: &Path, entry: &BundleEntry, anchor: Option<Anchor>) -> Result<bool, ServiceError> {
    let path = folder.join("proof.json");
    let failed = |what: String| ServiceError::State(format!("{}: {what}", path.display()));
    let bytes = match durable::read_limited(&path, MAX_PROOF as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error.to_string())),
    };
    let proof = Proof::parse(&bytes).map_err(|error| failed(error.to_string()))?;
    let stamp = folder.join(OTS);
    if proof.anchor == anchor && stamp.exists() == anchor.is_some() {
        return Ok(false);
    }
    let stamp_bytes = anchor
        .as_ref()
        .map(|anchor| ots::of_statement(&entry.statement_sha256, &proof.body, proof.index, anchor));
    // A record that is too long for an OpenTimestamps proof has the other one.
    match stamp_bytes.transpose() {
        Ok(Some(bytes)) => durable::replace(&stamp, &bytes, 0o440)
            .map_err(ServiceError::io(format!("cannot write {}", stamp.display())))?,
        Ok(None) => match fs::remove_file(&stamp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(error.to_string()));
            }
            _ => {}
        },
        Err(error) => tracing::warn!("{}: {error}", stamp.display()),
    }
    let proof = Proof { anchor, ..proof };
    let bytes = proof.encode().map_err(|error| failed(error.to_string()))?;
    durable::replace(&path, &bytes, 0o440)
        .map_err(ServiceError::io(format!("cannot write {}", path.display())))?;
    Ok(true)
}
