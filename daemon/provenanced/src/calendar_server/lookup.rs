//! What can be said of a commitment: nothing, that it waits, or the way to a
//! block. All of it is in the registry.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use provenance_core::{
    bitcoin::{Anchor, TxProof},
    encoding::digest::Digest,
    opentimestamps::{self, Commitment},
    record::Record,
    registry::{AnchorStep, Entry},
    verify::anchor_history::State,
};

use provenance_registry::Reader;

use crate::{engine::anchor::AnchorIndex, error::ServiceError, ledger::read_entry};

/// So often it is looked whether there is news of the anchors.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// An answer about a commitment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum CommitmentState {
    /// There is no such.
    Unknown,
    /// It waits, and for what.
    Pending(String),
    /// The way to the block.
    Anchored(Vec<u8>),
}

pub(super) struct CommitmentLookup {
    reader: Reader,
    book: AnchorIndex,
    /// The proofs of anchors that are or were final, by the size of their tree.
    proofs: BTreeMap<u64, TxProof>,
    /// Up to here the registry was read.
    read: u64,
    looked: Option<Instant>,
}

impl CommitmentLookup {
    pub(super) fn new(reader: Reader) -> Result<Self, ServiceError> {
        let (book, proofs) = (AnchorIndex::default(), BTreeMap::new());
        let mut answers = Self { reader, book, proofs, read: 0, looked: None };
        answers.refresh()?;
        Ok(answers)
    }

    /// What there is to say of `commitment`.
    pub(super) fn state_of(
        &mut self,
        commitment: &Commitment,
    ) -> Result<CommitmentState, ServiceError> {
        self.refresh()?;
        let row = self.reader.rows_of_kind("batch", commitment.after).next().transpose()?;
        let Some(row) = row else { return Ok(CommitmentState::Unknown) };
        match read_entry(&row.body) {
            Some(Entry::Batch(batch)) if batch == *commitment => {}
            _ => return Ok(CommitmentState::Unknown),
        }
        let is_final = |size: u64| self.state(size) == Some(State::Final);
        let covering = self.proofs.range(row.seq.saturating_add(1)..);
        let covering = covering.into_iter().find(|(size, _)| is_final(**size));
        let Some((size, proof)) = covering else { return Ok(self.pending(row.seq)) };
        let path = self.reader.inclusion(row.seq, *size)?;
        let anchor = Anchor { path, proof: proof.clone(), size: *size };
        let body = String::from_utf8_lossy(&row.body);
        let way = opentimestamps::of_commitment(commitment, &body, row.seq, &anchor);
        way.map(CommitmentState::Anchored).map_err(|error| ServiceError::State(error.to_string()))
    }

    /// The newest root that waits for its block to be deep enough.
    pub(super) fn tip(&mut self) -> Result<Option<Digest>, ServiceError> {
        self.refresh()?;
        let waiting = self.book.iter().rev().find(|anchor| anchor.state.is_open());
        Ok(waiting.map(|anchor| anchor.root))
    }

    fn state(&self, size: u64) -> Option<State> {
        self.book.get(size).map(|anchor| anchor.state)
    }

    /// In the characters that stock clients show: letters, digits, `#-.,; `.
    fn pending(&self, seq: u64) -> CommitmentState {
        let mut covering = self.book.iter().filter(|anchor| anchor.size > seq);
        let open = covering.find(|anchor| anchor.state.is_open());
        let tx = open.and_then(|anchor| {
            let mined = anchor.block.map(|(txid, _, _)| txid);
            mined.or_else(|| anchor.txs.last().map(|tx| tx.txid))
        });
        CommitmentState::Pending(match tx {
            Some(txid) => format!("Pending; transaction {txid} waiting for confirmations"),
            None => "Pending confirmation in Bitcoin blockchain".into(),
        })
    }

    /// Takes what the registry has of the anchors since it was read.
    fn refresh(&mut self) -> Result<(), ServiceError> {
        if self.looked.is_some_and(|at| at.elapsed() < REFRESH_INTERVAL) {
            return Ok(());
        }
        let end = self.reader.len()?;
        for row in self.reader.rows_of_kind("anchor", self.read) {
            let row = row?;
            self.read = row.seq.saturating_add(1);
            let Ok(record) = Record::parse(&row.body) else { continue };
            let Ok(Entry::Anchor(entry)) = Entry::read(record.kind, record.data) else {
                continue;
            };
            self.book.apply(record.time, &entry);
            if let AnchorStep::Final { proof, .. } = entry.step {
                self.proofs.insert(entry.size, proof);
            }
        }
        self.read = self.read.max(end);
        self.looked = Some(Instant::now());
        Ok(())
    }
}
