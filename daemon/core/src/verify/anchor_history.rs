//! The anchors of a registry (docs/format.md §7, steps 7.1 to 7.4): each
//! carries the tree's root of its size, continues the anchor before it, and
//! goes from state to state in an order that is possible.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
};

use crate::{
    bitcoin::{Anchored, BlockHash, Transaction, Txid},
    encoding::digest::Digest,
    merkle::verify_consistency,
    opentimestamps,
    registry::{AnchorEntry, AnchorStep, Previous, SignedTx},
    report::{Code, Finding, Location, Report},
    signing::checkpoint::{Checkpoint, Note},
};

/// The anchors of the registry so far.
#[derive(Clone, Debug, Default)]
pub struct AnchorHistory {
    /// By the size of their trees.
    known: BTreeMap<u64, AnchorState>,
}

/// What the records say of one anchor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnchorState {
    /// Its root.
    pub root: Digest,
    /// The state it is in.
    pub state: State,
    /// The record that brought it there.
    pub row: u64,
    /// What its proof shows, while it is final.
    pub proved: Option<Anchored>,
    /// The block that a calendar's operations lead to: its height and root.
    pub attested: Option<(u32, Digest)>,
    txids: BTreeSet<Txid>,
    block: Option<(BlockHash, u32)>,
}

/// The state of an anchor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It is due.
    Intended,
    /// A transaction is signed.
    Signed,
    /// A node has it.
    Broadcast,
    /// Another that pays more is signed.
    Replaced,
    /// It is in a block.
    Mined,
    /// It is deep enough, and proved.
    Final,
    /// The block is gone.
    Reorged,
    /// Calendars promised to anchor it.
    Promised,
    /// One of them did.
    Attested,
    /// It was given up.
    Failed,
}

impl State {
    fn of(step: &AnchorStep) -> Self {
        match step {
            AnchorStep::Intended { .. } => Self::Intended,
            AnchorStep::Signed(_) => Self::Signed,
            AnchorStep::Broadcast { .. } => Self::Broadcast,
            AnchorStep::Replaced { .. } => Self::Replaced,
            AnchorStep::Mined { .. } => Self::Mined,
            AnchorStep::Final { .. } => Self::Final,
            AnchorStep::Reorged { .. } => Self::Reorged,
            AnchorStep::Promised { .. } => Self::Promised,
            AnchorStep::Attested { .. } => Self::Attested,
            AnchorStep::Failed { .. } => Self::Failed,
        }
    }

    /// The word that records have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Signed => "signed",
            Self::Broadcast => "broadcast",
            Self::Replaced => "replaced",
            Self::Mined => "mined",
            Self::Final => "final",
            Self::Reorged => "reorged",
            Self::Promised => "promised",
            Self::Attested => "attested",
            Self::Failed => "failed",
        }
    }

    /// Whether an anchor may go from this state to `next`.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Intended => matches!(next, Self::Signed | Self::Promised | Self::Failed),
            Self::Promised => matches!(next, Self::Attested | Self::Failed),
            // The block was reorganised away: the calendars are asked again.
            Self::Attested => next == Self::Promised,
            // What was sent just before a crash may be in a block when it is
            // looked for again.
            Self::Signed => matches!(next, Self::Broadcast | Self::Mined | Self::Failed),
            Self::Broadcast => matches!(next, Self::Replaced | Self::Mined | Self::Failed),
            Self::Replaced | Self::Reorged => {
                matches!(next, Self::Broadcast | Self::Replaced | Self::Mined | Self::Failed)
            }
            Self::Mined => matches!(next, Self::Final | Self::Reorged),
            Self::Final => next == Self::Reorged,
            // Given up here, and mined by somebody all the same.
            Self::Failed => next == Self::Mined,
        }
    }

    /// Whether there is still something to come.
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Final | Self::Attested | Self::Failed)
    }
}

impl AnchorHistory {
    /// Every anchor, by the size of its tree.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &AnchorState)> {
        self.known.iter().map(|(size, known)| (*size, known))
    }

    /// Takes the record `row`. `root_at` gives the tree's root at a size below
    /// or at the record's own place.
    pub fn apply(
        &mut self,
        (row, entry): (u64, &AnchorEntry),
        root_at: impl FnOnce(u64) -> Option<Digest>,
        place: &Location,
        report: &mut Report,
    ) {
        report.checked("anchor records", 1);
        let mut find = |code, message: String| {
            report.add_finding(Finding::new(code, place.clone(), message));
        };
        let next = State::of(&entry.step);
        if let AnchorStep::Intended { checkpoint, previous, .. } = &entry.step {
            return self.intended(row, entry, checkpoint, previous, root_at, &mut find);
        }
        let Some(known) = self.known.get_mut(&entry.size) else {
            let message = format!("no anchor of {} records was intended before", entry.size);
            return find(Code::RegistryBroken, message);
        };
        if known.root != entry.root {
            find(Code::AnchorPayload, "the anchor was intended for another root".into());
        }
        if !known.state.may_become(next) {
            let message = format!("an anchor that is {:?} cannot become {next:?}", known.state);
            find(Code::RegistryBroken, message.to_lowercase());
        }
        (known.state, known.row) = (next, row);
        known.step(&entry.step, &mut find);
    }

    fn intended(
        &mut self,
        row: u64,
        entry: &AnchorEntry,
        checkpoint: &Option<String>,
        previous: &Option<Previous>,
        root_at: impl FnOnce(u64) -> Option<Digest>,
        find: &mut impl FnMut(Code, String),
    ) {
        let last = self.known.last_key_value().map(|(size, known)| (*size, known.root));
        if entry.size > row || last.is_some_and(|(size, _)| entry.size <= size) {
            let message = format!("an anchor of {} records is not possible here", entry.size);
            return find(Code::RegistryBroken, message);
        }
        if root_at(entry.size) != Some(entry.root) {
            let message = format!("the first {} records do not have the anchor's root", entry.size);
            find(Code::RegistryRoot, message);
        }
        let named = previous.as_ref().map(|previous| (previous.size, previous.root));
        if named != last {
            find(Code::RegistryBroken, "the anchor does not name the one before it".into());
        }
        if let Some(Previous { path, root, size }) = previous
            && !verify_consistency(*size, *root, entry.size, entry.root, path)
        {
            let message = "the anchor is not shown to continue the one before it";
            find(Code::ProofConsistency, message.into());
        }
        if let Some(note) = checkpoint {
            let checkpoint = Note::parse(note).and_then(|note| Checkpoint::parse(note.text));
            let same = |signed: &Checkpoint| (signed.size, signed.root) == (entry.size, entry.root);
            if !checkpoint.as_ref().is_ok_and(same) {
                let message = "the anchor's checkpoint is not of its size and root";
                find(Code::CheckpointInvalid, message.into());
            }
        }
        let known = AnchorState {
            root: entry.root,
            state: State::Intended,
            row,
            proved: None,
            attested: None,
            txids: BTreeSet::new(),
            block: None,
        };
        self.known.insert(entry.size, known);
    }
}

impl AnchorState {
    fn step(&mut self, step: &AnchorStep, find: &mut impl FnMut(Code, String)) {
        let named = match step {
            AnchorStep::Broadcast { txid }
            | AnchorStep::Replaced { txid, .. }
            | AnchorStep::Mined { txid, .. }
            | AnchorStep::Final { txid, .. }
            | AnchorStep::Reorged { txid, .. } => Some(*txid),
            _ => None,
        };
        if let Some(txid) = named.filter(|txid| !self.txids.contains(txid)) {
            find(Code::AnchorTxid, format!("{txid} is no transaction of this anchor"));
        }
        match step {
            AnchorStep::Signed(signed) | AnchorStep::Replaced { by: signed, .. } => {
                self.signed(signed, find);
            }
            AnchorStep::Mined { block, height, .. } => self.block = Some((*block, *height)),
            AnchorStep::Final { txid, proof, .. } => match proof.verify(&self.root) {
                Err(error) => find(error.code(), format!("the anchor's proof: {error}")),
                Ok(shown) => {
                    if shown.txid != *txid {
                        let message = "the anchor's proof is of another transaction";
                        find(Code::AnchorTxid, message.into());
                    }
                    if self.block != Some((shown.block, shown.height)) {
                        let message = "the anchor's proof is of another block than it was mined in";
                        find(Code::AnchorHeader, message.into());
                    }
                    self.proved = Some(shown);
                }
            },
            AnchorStep::Promised { promises } => {
                self.attested = None;
                for promise in promises {
                    if let Err(error) = opentimestamps::follow(&self.root.0, &promise.operations) {
                        find(Code::AnchorOts, format!("the promise of {}: {error}", promise.url));
                    }
                }
            }
            AnchorStep::Attested { height, operations } => {
                let end = opentimestamps::follow(&self.root.0, operations);
                match end.map(|end| end.try_into().map(Digest)) {
                    Ok(Ok(root)) => self.attested = Some((*height, root)),
                    Ok(Err(_)) => {
                        find(Code::AnchorOts, "it leads to something that is no root".into());
                    }
                    Err(error) => find(Code::AnchorOts, format!("the calendar's proof: {error}")),
                }
            }
            AnchorStep::Reorged { block, .. } => {
                if self.block.is_none_or(|(mined, _)| mined != *block) {
                    find(Code::AnchorHeader, format!("it was not in block {block} before"));
                }
                (self.block, self.proved) = (None, None);
            }
            _ => {}
        }
    }

    fn signed(&mut self, signed: &SignedTx, find: &mut impl FnMut(Code, String)) {
        match Transaction::parse(&signed.tx) {
            Err(error) => find(error.code(), format!("the signed transaction: {error}")),
            Ok(transaction) => {
                if transaction.txid() != signed.txid {
                    find(Code::AnchorTxid, "the signed transaction has another id".into());
                }
                match transaction.root() {
                    Ok(root) if root == self.root => {}
                    Ok(_) => find(Code::AnchorPayload, "it carries another root".into()),
                    Err(error) => find(Code::AnchorPayload, format!("{error}")),
                }
            }
        }
        self.txids.insert(signed.txid);
    }
}

#[cfg(test)]
mod tests;
