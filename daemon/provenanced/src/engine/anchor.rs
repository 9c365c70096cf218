//! What is next for an anchor: a pure function of what the registry says of it
//! and of what the node sees of its transactions (docs/format.md §7).
//!
//! Every transaction is on record before it is sent, and whatever takes the
//! place of one spends one of its inputs. So a crash at any instant loses no
//! anchor, and no root is ever paid for twice.

use std::collections::BTreeMap;

use provenance_core::{
    bitcoin::{BlockHash, OutPoint, Transaction, Txid},
    encoding::{digest::Digest, time::Timestamp},
    registry::{AnchorEntry, AnchorStep, Promise, SignedTx},
    verify::anchor_history::State,
};

/// An anchor that no transaction was made for in this time is given up; the
/// next one covers its root.
const ABANDON_AFTER: i64 = 24 * 3_600_000_000_000;
/// A final anchor is looked at until it is this deep.
const SETTLED: u32 = 100;
/// A calendar that kept no promise in this time will not.
const PROMISE_DEADLINE: i64 = 30 * 24 * 3_600_000_000_000;
const PROMISE_BROKEN_MSG: &str = "no calendar kept its promise in 30 days";
/// What was given up is looked for this long: somebody may send it. So long what
/// a calendar gave is held against a node, too.
const LOOK_BACK: i64 = 14 * 24 * 3_600_000_000_000;

/// What the operator asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// How deep an anchor is final.
    pub confirmations: u32,
    /// After so many blocks without it a transaction is replaced by one that
    /// pays more.
    pub bump_after_blocks: u32,
}

/// One anchor, as the registry has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Anchor {
    /// The root that is anchored.
    pub root: Digest,
    /// How many records its tree has.
    pub size: u64,
    /// Where it stands.
    pub state: State,
    /// When it was intended.
    pub intended: Timestamp,
    /// When it came to where it stands.
    pub since: Timestamp,
    /// Its transactions, the newest last. At most one of them can be mined.
    pub txs: Vec<SignedTx>,
    /// The transaction that is, or was last, in a block; that block, and its
    /// height.
    pub block: Option<(Txid, BlockHash, u32)>,
    /// What calendars promised.
    pub promises: Vec<Promise>,
    /// What one of them kept: the operations to the root of the block of this
    /// height.
    pub attested: Option<(u32, Vec<u8>)>,
}

/// The anchors of a registry, by the size of their trees.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AnchorIndex(BTreeMap<u64, Anchor>);

/// What the node sees of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockSeen {
    /// It has no such transaction, or dropped it.
    Nowhere,
    /// It waits for a block since the chain had this height.
    Pool { since_height: u32 },
    /// It is in a block.
    Block {
        block: BlockHash,
        height: u32,
        /// How deep it is, the block itself counted.
        depth: u32,
    },
    /// One of its inputs is spent by another, this deep.
    Conflicted { depth: u32 },
}

/// What is next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// Put this on record.
    Record(AnchorStep),
    /// Make the first transaction.
    Sign,
    /// Send the newest transaction, which is on record.
    Send,
    /// Make one that pays more than the newest.
    Bump,
    /// Prove it, and put that on record.
    Prove {
        txid: Txid,
        /// In which block.
        block: BlockHash,
        /// At which height.
        height: u32,
        depth: u32,
    },
    /// Nothing before the next block.
    Wait,
}

impl AnchorIndex {
    /// Takes the next record of the registry, made at `time`.
    pub(crate) fn apply(&mut self, time: Timestamp, entry: &AnchorEntry) {
        let AnchorEntry { root, size, step } = entry;
        let anchor = self.0.entry(*size).or_insert_with(|| Anchor {
            root: *root,
            size: *size,
            state: State::Intended,
            intended: time,
            since: time,
            txs: vec![],
            block: None,
            promises: vec![],
            attested: None,
        });
        anchor.since = time;
        anchor.state = match step {
            AnchorStep::Intended { .. } => State::Intended,
            AnchorStep::Signed(tx) => {
                anchor.txs.push(tx.clone());
                State::Signed
            }
            AnchorStep::Broadcast { .. } => State::Broadcast,
            AnchorStep::Replaced { by, .. } => {
                anchor.txs.push(by.clone());
                State::Replaced
            }
            AnchorStep::Mined { txid, block, height, .. } => {
                anchor.block = Some((*txid, *block, *height));
                State::Mined
            }
            AnchorStep::Final { .. } => State::Final,
            AnchorStep::Reorged { .. } => State::Reorged,
            AnchorStep::Promised { promises } => {
                anchor.promises.clone_from(promises);
                anchor.attested = None;
                State::Promised
            }
            AnchorStep::Attested { height, operations } => {
                anchor.attested = Some((*height, operations.clone()));
                State::Attested
            }
            AnchorStep::Failed { .. } => State::Failed,
        };
    }

    /// Every anchor, the oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Anchor> {
        self.0.values()
    }

    /// The anchor of this size.
    pub(crate) fn get(&self, size: u64) -> Option<&Anchor> {
        self.0.get(&size)
    }

    /// Whether a new anchor is due: once each UTC day, or `at_once`; and not
    /// while one waits for its block.
    pub(crate) fn is_due(&self, now: Timestamp, at_once: bool) -> bool {
        // A promise costs nothing, and may never be kept.
        let waits = |anchor: &Anchor| {
            anchor.state.is_open() && !matches!(anchor.state, State::Mined | State::Promised)
        };
        let today = |anchor: &Anchor| anchor.intended.day() >= now.day();
        // What was given up is made up for at once, a new day or not.
        let last = self.0.values().next_back();
        !self.0.values().any(waits)
            && last.is_none_or(|last| at_once || !today(last) || last.state == State::Failed)
    }

    /// The anchors about which there may still be news, the oldest first.
    pub(crate) fn to_follow(&self, now: Timestamp, tip: u32) -> Vec<u64> {
        let news = |anchor: &&Anchor| match anchor.state {
            State::Final => {
                anchor.block.is_none_or(|(_, _, height)| tip < height.saturating_add(SETTLED))
            }
            State::Attested => false,
            State::Failed => !anchor.txs.is_empty() && now.since(anchor.since) < LOOK_BACK,
            _ => true,
        };
        self.0.values().filter(news).map(|anchor| anchor.size).collect()
    }

    /// An input of each transaction that was given up and that somebody could
    /// still send: the next transaction spends it too, so that only one of them
    /// can ever be mined.
    pub(crate) fn to_exclude(&self) -> Vec<OutPoint> {
        let given_up = self.0.values().filter(|anchor| anchor.state == State::Failed);
        let newest = given_up.filter_map(|anchor| anchor.txs.last());
        newest.filter_map(|tx| inputs(&tx.tx).into_iter().next()).collect()
    }

    /// The inputs of every transaction that may still be mined.
    pub(crate) fn in_use(&self) -> Vec<OutPoint> {
        let open = self.0.values().filter(|anchor| anchor.state.is_open());
        open.flat_map(|anchor| &anchor.txs).flat_map(|tx| inputs(&tx.tx)).collect()
    }
}

/// What is next by way of calendars.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ByCalendar {
    /// Put this on record.
    Record(AnchorStep),
    /// Submit the root, to every calendar.
    Submit,
    /// Ask those that promised.
    Ask,
    /// See whether the node still has the block that one of them led to.
    Hold,
    Wait,
}

/// What a transaction spends.
pub(crate) fn inputs(tx: &[u8]) -> Vec<OutPoint> {
    Transaction::parse(tx).map(|tx| tx.inputs().to_vec()).unwrap_or_default()
}

impl Anchor {
    /// What is next; `seen` is what the node sees of each of [`Self::txs`], in
    /// that order, and `tip` the height of its chain.
    pub(crate) fn next(&self, seen: &[BlockSeen], tip: u32, now: Timestamp, rules: Rules) -> Next {
        let mined = self.txs.iter().zip(seen).find_map(|(tx, seen)| match *seen {
            BlockSeen::Block { block, height, depth } => Some((tx.txid, block, height, depth)),
            _ => None,
        });
        match (mined, self.block) {
            (Some(found), _) => self.in_block(found.0, found.1, found.2, found.3, rules),
            (None, Some((txid, block, _))) if matches!(self.state, State::Mined | State::Final) => {
                Next::Record(AnchorStep::Reorged { txid, block })
            }
            (None, _) => self.in_none(seen, tip, now, rules),
        }
    }

    /// What is next, where calendars anchor. That of transactions goes on by a
    /// node alone.
    pub(crate) fn next_by_calendar(&self, now: Timestamp) -> ByCalendar {
        let failed =
            |reason: &str| ByCalendar::Record(AnchorStep::Failed { reason: reason.into() });
        match self.state {
            State::Intended if now.since(self.intended) > ABANDON_AFTER => {
                failed("no calendar took it for a day")
            }
            State::Intended => ByCalendar::Submit,
            State::Promised if now.since(self.since) > PROMISE_DEADLINE => {
                failed(PROMISE_BROKEN_MSG)
            }
            State::Promised => ByCalendar::Ask,
            State::Attested if now.since(self.since) < LOOK_BACK => ByCalendar::Hold,
            _ => ByCalendar::Wait,
        }
    }

    fn in_block(
        &self,
        txid: Txid,
        block: BlockHash,
        height: u32,
        depth: u32,
        rules: Rules,
    ) -> Next {
        let settled = matches!(self.state, State::Mined | State::Final);
        match self.block {
            Some((was, old, _)) if settled && (was, old) != (txid, block) => {
                Next::Record(AnchorStep::Reorged { txid: was, block: old })
            }
            _ if self.state == State::Final => Next::Wait,
            _ if !settled => Next::Record(AnchorStep::Mined { txid, block, height, depth }),
            _ if depth >= rules.confirmations => Next::Prove { txid, block, height, depth },
            _ => Next::Wait,
        }
    }

    fn in_none(&self, seen: &[BlockSeen], tip: u32, now: Timestamp, rules: Rules) -> Next {
        let failed = |reason: &str| Next::Record(AnchorStep::Failed { reason: reason.into() });
        let (Some(tx), Some(last)) = (self.txs.last(), seen.last()) else {
            return match self.state {
                State::Intended if now.since(self.intended) > ABANDON_AFTER => {
                    failed("no transaction could be made for a day")
                }
                State::Intended => Next::Sign,
                // From before the settings named a node in their place.
                State::Promised if now.since(self.since) > PROMISE_DEADLINE => {
                    failed(PROMISE_BROKEN_MSG)
                }
                _ => Next::Wait,
            };
        };
        match (self.state, *last) {
            (State::Failed, _) => Next::Wait,
            (_, BlockSeen::Conflicted { depth }) if depth >= rules.confirmations => {
                failed("another transaction spent its coins")
            }
            (_, BlockSeen::Conflicted { .. }) => Next::Wait,
            (State::Broadcast, BlockSeen::Pool { since_height }) => {
                match tip.saturating_sub(since_height) >= rules.bump_after_blocks {
                    true => Next::Bump,
                    false => Next::Wait,
                }
            }
            (_, BlockSeen::Pool { .. }) => Next::Record(AnchorStep::Broadcast { txid: tx.txid }),
            (_, _) => Next::Send,
        }
    }
}

#[cfg(test)]
mod tests;
