//! `provenanced anchor`: goes as far as the engine says is possible now, one
//! step after the other, each on record before or after its effect
//! (docs/format.md §7), and ends. It never waits for a block.

pub mod calendar_client;
mod calendars;
mod proofs;
mod rpc_response;
mod status;
pub mod transaction_search;
pub mod wallet;

pub use calendars::{ByCalendars, Headers, step as step_by_calendars};
use provenance_core::{
    bitcoin::{Transaction, Txid},
    encoding::{digest::Digest, time::Timestamp},
    merkle,
    record::Record,
    registry::{AnchorEntry, AnchorStep, Entry, Previous, SignedTx},
    verify::anchor_history::State,
};
pub use status::Status;

use crate::{error::ServiceError, ledger::Ledger};
use provenance_host::{config, state_dir::StateDir};
use provenance_registry::Reader;
use wallet::{TransactionState, Wallet};

use crate::engine::anchor::{Anchor, AnchorIndex, BlockSeen, Next, Rules};

/// No anchor takes so many steps at once; more would be going round.
const MAX_STEPS: usize = 16;
/// So many anchors of the size of the last one should be in the wallet.
const LOW_AFTER: u64 = 30;
/// What an anchor costs where none was paid for yet, in virtual bytes.
const USUAL_SIZE: u64 = 200;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct AnchorRequest<'a> {
    /// `[anchor]`
    pub settings: &'a config::Anchor,
    /// In which network.
    pub network: &'a str,
    /// Whether a new anchor is due also where one was intended today.
    pub at_once: bool,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AnchorResult {
    /// The states that anchors came to, in order: the size of the tree and the
    /// state.
    pub done: Vec<(u64, &'static str)>,
    /// How many bundles got their proof.
    pub proved: usize,
    /// Every anchor that is not final, and the newest.
    pub anchors: Vec<Standing>,
}

/// Where an anchor stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The root that is anchored.
    pub root: Digest,
    /// How many records its tree has.
    pub size: u64,
    pub state: State,
    pub since: Timestamp,
    /// The transaction that is in a block, or was last, else the newest.
    pub txid: Option<Txid>,
    /// The height of its block, while it is in one.
    pub height: Option<u32>,
}

impl Standing {
    fn from_anchor(anchor: &Anchor) -> Self {
        let Anchor { root, size, state, since, .. } = *anchor;
        let in_block = matches!(state, State::Mined | State::Final);
        let mined = anchor.block.map(|(txid, _, _)| txid);
        let txid = mined.or_else(|| anchor.txs.last().map(|tx| tx.txid));
        let height = anchor.block.filter(|_| in_block).map(|(_, _, height)| height);
        let height = height.or(anchor.attested.as_ref().map(|(height, _)| *height));
        Self { root, size, state, since, txid, height }
    }
}

/// Goes as far as it can.
///
/// # Errors
/// [`ServiceError`]; what was done before is on record. The status file says
/// what went wrong.
pub fn step(
    asked: &AnchorRequest<'_>,
    state: &StateDir,
    evidence: &mut Ledger,
    wallet: &impl Wallet,
    now: impl Fn() -> Timestamp,
) -> Result<AnchorResult, ServiceError> {
    let _lock = crate::state_lock::lock(state, "anchor.lock")?;
    let mut work =
        AnchorRun { asked, evidence, wallet, now: &now, outcome: AnchorResult::default() };
    let done = work.all();
    let proved = proofs::write(state, work.evidence, &work.book()?);
    let mut outcome = work.outcome;
    let balance = done.as_ref().ok().copied().flatten();
    let error = done.as_ref().err().or(proved.as_ref().err()).map(ToString::to_string);
    status::save(state, &Status { time: now(), error, balance })?;
    done?;
    outcome.proved = proved?;
    Ok(outcome)
}

/// Why there is nothing to do.
pub(crate) fn off() -> ServiceError {
    let message = "nothing is to be anchored: the tier does not ask for it, or there is no node; \
                   set anchor.enabled = true, and [bitcoin] or anchor.calendars";
    ServiceError::Request(message.into())
}

/// The anchors of a registry.
///
/// # Errors
/// [`ServiceError`].
pub(crate) fn book(reader: &Reader) -> Result<AnchorIndex, ServiceError> {
    let mut book = AnchorIndex::default();
    for row in reader.rows_of_kind("anchor", 0) {
        let row = row?;
        let Ok(record) = Record::parse(&row.body) else { continue };
        if let Ok(Entry::Anchor(entry)) = Entry::read(record.kind, record.data) {
            book.apply(record.time, &entry);
        }
    }
    Ok(book)
}

struct AnchorRun<'a, W> {
    asked: &'a AnchorRequest<'a>,
    evidence: &'a mut Ledger,
    wallet: &'a W,
    now: &'a dyn Fn() -> Timestamp,
    outcome: AnchorResult,
}

impl<W: Wallet> AnchorRun<'_, W> {
    /// Every anchor as far as it goes, then a new one where one is due; gives
    /// the wallet's balance where that is low.
    fn all(&mut self) -> Result<Option<u64>, ServiceError> {
        let tip = self.wallet.tip()?;
        // One that cannot go on does not hold the others up.
        let mut problem = None;
        for size in self.book()?.to_follow((self.now)(), tip) {
            problem = self.follow(size, tip).err().or(problem);
        }
        if self.book()?.is_due((self.now)(), self.asked.at_once) {
            let size = self.intend()?;
            self.follow(size, tip)?;
        }
        let book = self.book()?;
        let open = |anchor: &&Anchor| !matches!(anchor.state, State::Final | State::Failed);
        let last = book.iter().next_back().filter(|last| !open(last));
        let shown = book.iter().filter(open).chain(last);
        self.outcome.anchors = shown.map(Standing::from_anchor).collect();
        match problem {
            Some(problem) => Err(problem),
            None => self.low_balance(&book),
        }
    }

    fn book(&self) -> Result<AnchorIndex, ServiceError> {
        book(&self.evidence.reader()?)
    }

    /// Records the newest root as the one to be anchored.
    fn intend(&mut self) -> Result<u64, ServiceError> {
        let now = (self.now)();
        let entry = intend(self.evidence, self.asked.network)?;
        let size = entry.size;
        self.put(now, entry)?;
        Ok(size)
    }

    /// One anchor as far as it goes.
    fn follow(&mut self, size: u64, tip: u32) -> Result<(), ServiceError> {
        let rules = Rules {
            confirmations: self.asked.settings.confirmations,
            bump_after_blocks: self.asked.settings.bump_after_blocks,
        };
        let mut sent = false;
        for _ in 0..MAX_STEPS {
            let book = self.book()?;
            let Some(anchor) = book.get(size) else { return Ok(()) };
            let mined = |tx: &SignedTx| anchor.block.as_ref().filter(|block| block.0 == tx.txid);
            let look = |tx| self.wallet.transaction_state(tx, mined(tx).map(|(_, block, _)| block));
            let looks = anchor.txs.iter().map(|tx| look(tx).map(block_seen));
            let block_seen = looks.collect::<Result<Vec<_>, _>>()?;
            let now = (self.now)();
            let entry = |step| AnchorEntry { root: anchor.root, size, step };
            match anchor.next(&block_seen, tip, now, rules) {
                Next::Wait => return Ok(()),
                Next::Record(step) => self.put(now, entry(step))?,
                Next::Sign => {
                    let tx = self.sign(&book, anchor)?;
                    self.put(now, entry(AnchorStep::Signed(tx)))?;
                }
                // What the node took and does not show is looked for again
                // next time.
                Next::Send if sent => return Ok(()),
                Next::Send => {
                    let Some(tx) = anchor.txs.last() else { return Ok(()) };
                    self.wallet.send(tx)?;
                    sent = true;
                }
                Next::Bump => {
                    let Some((old, by)) = self.bump(anchor)? else { return Ok(()) };
                    let step = AnchorStep::Replaced { txid: old.txid, by };
                    self.put(now, entry(step))?;
                    sent = false;
                }
                Next::Prove { txid, block, height, depth } => {
                    let tx = anchor.txs.iter().find(|tx| tx.txid == txid);
                    let Some(tx) = tx else { return Ok(()) };
                    let proof = self.wallet.prove(tx, &block, height, &anchor.root)?;
                    self.put(now, entry(AnchorStep::Final { txid, depth, proof }))?;
                }
            }
        }
        Ok(())
    }

    fn sign(&self, book: &AnchorIndex, anchor: &Anchor) -> Result<SignedTx, ServiceError> {
        let rate = self.wallet.fee_rate()?.min(self.asked.settings.max_fee_rate_sat_vb);
        let (exclude, in_use) = (book.to_exclude(), book.in_use());
        Ok(self.wallet.sign(&anchor.root, rate, &exclude, &in_use)?)
    }

    /// A transaction that pays more; `None` where the limit does not allow it.
    fn bump(&self, anchor: &Anchor) -> Result<Option<(SignedTx, SignedTx)>, ServiceError> {
        let Some(old) = anchor.txs.last() else { return Ok(None) };
        let paid = old.fee_sat.div_ceil(virtual_size(&old.tx).max(1));
        let limit = self.asked.settings.max_fee_rate_sat_vb;
        // Twice as much is over what a node asks for at least.
        let rate = self.wallet.fee_rate()?.max(paid.saturating_mul(2)).min(limit);
        if rate <= paid {
            tracing::warn!(
                size = anchor.size,
                "the anchor waits for a block, and pays anchor.max_fee_rate_sat_vb = {limit} already"
            );
            return Ok(None);
        }
        let by = self.wallet.replace(old, &anchor.root, rate)?;
        Ok(Some((old.clone(), by)))
    }

    fn put(&mut self, now: Timestamp, entry: AnchorEntry) -> Result<(), ServiceError> {
        tracing::info!(size = entry.size, "anchor {}", entry.step.state());
        self.outcome.done.push((entry.size, entry.step.state()));
        self.evidence.record(now, &[Entry::Anchor(entry)])
    }

    fn low_balance(&self, book: &AnchorIndex) -> Result<Option<u64>, ServiceError> {
        let last = book.iter().rev().find_map(|anchor| anchor.txs.last());
        let cost = match last {
            Some(tx) => tx.fee_sat,
            None => self.wallet.fee_rate()?.saturating_mul(USUAL_SIZE),
        };
        let balance = self.wallet.balance()?;
        Ok((balance < cost.saturating_mul(LOW_AFTER)).then_some(balance))
    }
}

/// The newest root as the one to be anchored.
fn intend(evidence: &mut Ledger, network: &str) -> Result<AnchorEntry, ServiceError> {
    let (checkpoint, tail) = evidence.signed_tree()?;
    let (size, root) = (tail.size, tail.root);
    let reader = evidence.reader()?;
    let previous = match book(&reader)?.iter().next_back() {
        Some(last) if last.size < size => Some(Previous {
            path: merkle::consistency(&reader, last.size, size)?,
            root: last.root,
            size: last.size,
        }),
        Some(_) => {
            let message = "the registry has no records behind the last anchor";
            return Err(ServiceError::State(message.into()));
        }
        None => None,
    };
    let network = network.to_owned();
    let step = AnchorStep::Intended { network, checkpoint, previous };
    Ok(AnchorEntry { root, size, step })
}

/// What a transaction's fee is counted by (BIP 141).
fn virtual_size(tx: &[u8]) -> u64 {
    let stripped = Transaction::parse(tx).map_or(tx.len(), |tx| tx.stripped().len());
    (3 * stripped as u64 + tx.len() as u64).div_ceil(4)
}

fn block_seen(look: TransactionState) -> BlockSeen {
    match look {
        TransactionState::Nowhere => BlockSeen::Nowhere,
        TransactionState::Pool(since_height) => BlockSeen::Pool { since_height },
        TransactionState::Block(block, height, depth) => BlockSeen::Block { block, height, depth },
        TransactionState::Conflicted(depth) => BlockSeen::Conflicted { depth },
    }
}
