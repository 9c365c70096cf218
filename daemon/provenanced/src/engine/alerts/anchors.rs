//! What is wrong with the anchors.

use provenance_core::{
    encoding::time::{Timestamp, human_span},
    record::alert::AlertCode,
    verify::anchor_history::State,
};

use super::Condition;
use crate::engine::anchor::{Anchor, AnchorIndex};

const HOUR: i64 = 3_600_000_000_000;
/// One is due each day, and blocks are found by chance.
const OVERDUE: i64 = 36 * HOUR;
/// Thirty-six blocks, as they come on average.
const STUCK: i64 = 6 * HOUR;
/// A calendar anchors once a day, and may wait as long as we do.
const PROMISE_OVERDUE: i64 = 48 * HOUR;

/// What is known of the anchors.
#[derive(Clone, Copy, Debug)]
pub struct Anchoring<'a> {
    pub book: &'a AnchorIndex,
    /// When the registry began.
    pub begun: Timestamp,
    /// Why the last attempt could not go on.
    pub error: Option<&'a str>,
    /// What is in the wallet, in satoshi, where that is little.
    pub balance: Option<u64>,
}

/// The conditions at `now`.
pub fn anchors(known: &Anchoring<'_>, now: Timestamp) -> Vec<Condition> {
    let mut found = vec![];
    let mut find = |code, subject: &str, message: String| {
        found.push(Condition { code, subject: subject.into(), message });
    };
    let in_block =
        |anchor: &&Anchor| matches!(anchor.state, State::Mined | State::Final | State::Attested);
    let last = known.book.iter().filter(in_block).map(|anchor| anchor.since).max();
    let why = known.error.map(|error| format!(": {error}")).unwrap_or_default();
    let age = now.since(last.unwrap_or(known.begun));
    if age > OVERDUE {
        let message = format!("no root came into a block for {}{why}", human_span(age));
        find(AlertCode::AnchorOverdue, "anchor", message);
    }
    for anchor in known.book.iter().filter(|anchor| anchor.state.is_open() && !in_block(anchor)) {
        let age = now.since(anchor.intended);
        let limit = if anchor.state == State::Promised { PROMISE_OVERDUE } else { STUCK };
        if age > limit {
            let size = anchor.size;
            let state = anchor.state.as_str();
            let message = format!(
                "the anchor of {size} records is {state} and in no block for {}{why}",
                human_span(age)
            );
            find(AlertCode::AnchorStuck, "anchor", message);
        }
    }
    if let Some(balance) = known.balance {
        let message = format!("the wallet that anchors has {balance} satoshi left");
        find(AlertCode::WalletLow, "wallet", message);
    }
    found
}

#[cfg(test)]
mod tests {
    use provenance_core::{
        encoding::digest::Digest,
        registry::{AnchorEntry, AnchorStep},
    };

    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_nanos(1_795_261_374_000_000_000 + hours * HOUR)
    }

    fn codes(book: &AnchorIndex, balance: Option<u64>, now: i64) -> Vec<&'static str> {
        let known = Anchoring { book, begun: at(0), error: Some("the node is down"), balance };
        let found = anchors(&known, at(now));
        assert!(found.iter().all(|found| found.code == AlertCode::WalletLow
            || found.message.ends_with("the node is down")));
        found.iter().map(|found| found.code.as_str()).collect()
    }

    #[test]
    fn what_is_late_stuck_or_empty_is_said_and_what_is_in_a_block_is_not() {
        let mut book = AnchorIndex::default();
        let entry = |step| AnchorEntry { root: Digest::ZERO, size: 7, step };
        assert!(codes(&book, None, 36).is_empty());
        assert_eq!(codes(&book, Some(5), 37), ["anchor.overdue", "wallet.low"]);
        let network = "regtest".to_owned();
        let intended = AnchorStep::Intended { network, checkpoint: None, previous: None };
        book.apply(at(1), &entry(intended));
        assert!(codes(&book, None, 7).is_empty());
        assert_eq!(codes(&book, None, 8), ["anchor.stuck"]);
        assert_eq!(codes(&book, None, 40), ["anchor.overdue", "anchor.stuck"]);
        let hash = provenance_core::bitcoin::BlockHash(Digest::ZERO);
        let mined = AnchorStep::Mined { txid: hash, block: hash, height: 9, depth: 1 };
        book.apply(at(39), &entry(mined));
        assert!(codes(&book, None, 75).is_empty());
        assert_eq!(codes(&book, None, 76), ["anchor.overdue"]);
    }
}
