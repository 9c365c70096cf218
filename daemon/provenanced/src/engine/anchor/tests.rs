use proptest::prelude::*;
use provenance_core::bitcoin::payload;

use super::*;

const DAY: i64 = 24 * 3_600_000_000_000;
const RULES: Rules = Rules { confirmations: 6, bump_after_blocks: 3 };

fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(1_795_261_374_000_000_000 + nanos)
}

fn block(number: u8) -> BlockHash {
    BlockHash(Digest([number; 32]))
}

/// A transaction with one input, which no two of them share but by `coin`.
fn tx(coin: u8, number: u8) -> SignedTx {
    let mut bytes = vec![2, 0, 0, 0, 1];
    bytes.extend([coin; 32]);
    bytes.extend([0, 0, 0, 0, 0, 0xfd, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0, 38, 0x6a, 36]);
    bytes.extend(payload(&Digest::sha256(b"root")));
    bytes.extend([number, 0, 0, 0]);
    let txid = Transaction::parse(&bytes).unwrap().txid();
    SignedTx { fee_sat: 1, tx: bytes, txid }
}

fn entry(size: u64, step: AnchorStep) -> AnchorEntry {
    AnchorEntry { root: Digest::sha256(b"root"), size, step }
}

fn intended() -> AnchorStep {
    AnchorStep::Intended { network: "regtest".into(), checkpoint: None, previous: None }
}

fn failed() -> AnchorStep {
    AnchorStep::Failed { reason: "r".into() }
}

fn book(steps: Vec<AnchorStep>) -> AnchorIndex {
    let mut book = AnchorIndex::default();
    steps.into_iter().for_each(|step| book.apply(at(0), &entry(9, step)));
    book
}

#[test]
fn one_is_due_each_day_and_none_while_one_waits() {
    assert!(AnchorIndex::default().is_due(at(0), false));
    let waiting = book(vec![intended()]);
    assert!(!waiting.is_due(at(2 * DAY), false) && !waiting.is_due(at(2 * DAY), true));
    let tx = tx(1, 1);
    let mined = AnchorStep::Mined { txid: tx.txid, block: block(1), height: 7, depth: 1 };
    let mined = book(vec![intended(), AnchorStep::Signed(tx), mined]);
    assert!(
        !mined.is_due(at(1), false) && mined.is_due(at(1), true) && mined.is_due(at(DAY), false)
    );
    assert!(book(vec![intended(), failed()]).is_due(at(1), false), "made up for at once");
}

#[test]
fn what_was_given_up_and_is_known_to_others_shares_a_coin_with_the_next() {
    let given_up = book(vec![intended(), AnchorStep::Signed(tx(7, 1)), failed()]);
    assert_eq!(given_up.to_exclude(), inputs(&tx(7, 1).tx));
    assert!(given_up.in_use().is_empty());
    let open = book(vec![intended(), AnchorStep::Signed(tx(7, 1))]);
    assert!(open.to_exclude().is_empty());
    assert_eq!(open.in_use(), inputs(&tx(7, 1).tx));
}

#[test]
fn nothing_is_looked_at_for_ever() {
    let tx = tx(1, 1);
    let done = book(vec![intended(), AnchorStep::Signed(tx.clone()), failed()]);
    assert_eq!(done.to_follow(at(DAY), 10), [9]);
    assert!(done.to_follow(at(15 * DAY), 10).is_empty());
    assert!(book(vec![intended(), failed()]).to_follow(at(DAY), 10).is_empty());
    let mut settled = book(vec![intended(), AnchorStep::Signed(tx.clone())]);
    let mined = AnchorStep::Mined { txid: tx.txid, block: block(1), height: 7, depth: 6 };
    settled.apply(at(0), &entry(9, mined));
    settled.0.get_mut(&9).unwrap().state = State::Final;
    assert_eq!(settled.to_follow(at(DAY), 106), [9]);
    assert!(settled.to_follow(at(DAY), 107).is_empty());
}

/// A node that does as it likes: it drops transactions, mines any of them and
/// forgets blocks. At most one transaction of an anchor is in a block.
#[derive(Clone, Copy, Debug)]
enum Whim {
    Drop,
    Take,
    Mine(usize),
    Deepen,
    Forget,
    Conflict(u32),
    Crash,
}

fn whim() -> impl Strategy<Value = Whim> {
    prop_oneof![
        Just(Whim::Drop),
        Just(Whim::Take),
        (0..4usize).prop_map(Whim::Mine),
        Just(Whim::Deepen),
        Just(Whim::Forget),
        (1..9u32).prop_map(Whim::Conflict),
        Just(Whim::Crash),
    ]
}

#[derive(Default)]
struct Model {
    book: AnchorIndex,
    pool: Option<(usize, u32)>,
    mined: Option<(usize, u8, u32)>,
    conflict: Option<u32>,
    blocks: u8,
    tip: u32,
}

impl Model {
    fn seen(&self, count: usize) -> Vec<BlockSeen> {
        let one = |at: usize| match (self.mined, self.pool, self.conflict) {
            (Some((which, number, depth)), _, _) if which == at => {
                BlockSeen::Block { block: block(number), height: self.tip, depth }
            }
            (None, Some((which, since_height)), None) if which == at => {
                BlockSeen::Pool { since_height }
            }
            (None, _, Some(depth)) => BlockSeen::Conflicted { depth },
            _ => BlockSeen::Nowhere,
        };
        (0..count).map(one).collect()
    }

    fn does(&mut self, whim: Whim) {
        let count = self.book.get(9).map_or(0, |anchor| anchor.txs.len());
        match whim {
            Whim::Drop => self.pool = None,
            Whim::Take if count > 0 && self.mined.is_none() => {
                self.pool = Some((count - 1, self.tip))
            }
            Whim::Mine(which)
                if which < count && self.conflict.is_none() && self.mined.is_none() =>
            {
                self.blocks += 1;
                self.mined = Some((which, self.blocks, 1));
            }
            Whim::Deepen => {
                self.mined = self.mined.map(|(tx, number, deep)| (tx, number, deep + 3))
            }
            Whim::Forget => self.mined = None,
            Whim::Conflict(depth) if self.mined.is_none() => self.conflict = Some(depth),
            _ => {}
        }
        self.tip += 1;
    }

    /// Up to eight steps, as the host makes them, or until it is killed; each
    /// must be one that an auditor's verifier allows.
    fn steps(&mut self, crash: bool) -> Result<(), TestCaseError> {
        for round in 0..8 {
            if crash && round == 1 {
                return Ok(());
            }
            let anchor = self.book.get(9).unwrap().clone();
            let step = match anchor.next(&self.seen(anchor.txs.len()), self.tip, at(1), RULES) {
                Next::Wait => return Ok(()),
                Next::Record(step) => step,
                Next::Sign => AnchorStep::Signed(tx(1, 1)),
                Next::Send => {
                    self.pool = Some((anchor.txs.len() - 1, self.tip));
                    continue;
                }
                Next::Bump => {
                    let old = anchor.txs.last().unwrap();
                    let by = tx(1, u8::try_from(anchor.txs.len() + 1).unwrap());
                    AnchorStep::Replaced { txid: old.txid, by }
                }
                Next::Prove { depth, .. } => {
                    prop_assert!(depth >= RULES.confirmations);
                    let mut anchor = anchor.clone();
                    prop_assert!(anchor.state.may_become(State::Final));
                    anchor.state = State::Final;
                    self.book.0.insert(9, anchor);
                    continue;
                }
            };
            let before = anchor.state;
            self.book.apply(at(0), &entry(9, step.clone()));
            let after = self.book.get(9).unwrap().state;
            prop_assert!(before.may_become(after), "{before:?} to {after:?}: {step:?}");
        }
        Err(TestCaseError::fail("it goes round and round"))
    }
}

#[test]
fn what_a_calendar_led_to_is_held_for_two_weeks_and_asked_for_again_once_it_is_gone() {
    let promises = vec![Promise { operations: vec![8], url: "https://c".into() }];
    let promised = || AnchorStep::Promised { promises: promises.clone() };
    let attested = || AnchorStep::Attested { height: 7, operations: vec![8, 8] };
    let next = |steps: Vec<AnchorStep>, days: i64| {
        book(steps).get(9).unwrap().next_by_calendar(at(days * DAY))
    };
    assert_eq!(next(vec![intended(), promised()], 29), ByCalendar::Ask);
    assert!(matches!(next(vec![intended(), promised()], 31), ByCalendar::Record(_)));
    assert_eq!(next(vec![intended(), promised(), attested()], 13), ByCalendar::Hold);
    assert_eq!(next(vec![intended(), promised(), attested()], 15), ByCalendar::Wait);
    let gone = vec![intended(), promised(), attested(), promised()];
    assert_eq!(next(gone.clone(), 1), ByCalendar::Ask);
    let book = book(gone);
    let anchor = book.get(9).unwrap();
    assert_eq!((anchor.state, &anchor.attested), (State::Promised, &None));
    // From before the settings named a node: given up all the same, some day.
    assert_eq!(anchor.next(&[], 100, at(29 * DAY), RULES), Next::Wait);
    assert!(matches!(anchor.next(&[], 100, at(31 * DAY), RULES), Next::Record(_)));
}

proptest! {
    /// Whatever the node does, each record is one that a verifier allows, and
    /// when the node comes to rest the records say what it says.
    #[test]
    fn the_records_follow_any_node_and_end_as_it_does(
        whims in proptest::collection::vec(whim(), 0..40)
    ) {
        let mut model = Model { book: book(vec![intended()]), ..Model::default() };
        for whim in whims {
            model.does(whim);
            model.steps(matches!(whim, Whim::Crash))?;
        }
        // At rest: the newest transaction is mined, and deep.
        let anchor = model.book.get(9).unwrap().clone();
        if anchor.state == State::Failed || model.conflict.is_some() {
            return Ok(());
        }
        model.steps(false)?;
        let count = model.book.get(9).unwrap().txs.len();
        prop_assert!(count > 0);
        if model.mined.is_none() {
            model.mined = Some((count - 1, 200, 6));
        }
        model.mined = model.mined.map(|(tx, number, deep)| (tx, number, deep.max(6)));
        model.steps(false)?;
        let anchor = model.book.get(9).unwrap();
        prop_assert_eq!(anchor.state, State::Final);
        let (_, found, _) = anchor.block.unwrap();
        prop_assert_eq!(found, block(model.mined.unwrap().1));
        // Every replacement spends what its predecessor spends.
        prop_assert!(anchor.txs.iter().all(|other| inputs(&other.tx) == inputs(&anchor.txs[0].tx)));
    }
}
