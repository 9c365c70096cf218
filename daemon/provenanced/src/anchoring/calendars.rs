//! Anchors by way of calendars: the root is submitted to each of them, their
//! promises go on record, and what the first of them keeps.
//!
//! A submission costs nothing, so nothing is on record before it: after a
//! crash in between the root is submitted again.

use std::collections::BTreeSet;

use provenance_core::{
    bitcoin::Header,
    encoding::{digest::Digest, time::Timestamp},
    opentimestamps::{self, Attestation},
    registry::{AnchorEntry, AnchorStep, Entry, MAX_OPERATIONS, Promise},
    verify::anchor_history::State,
};
use provenance_host::state_dir::StateDir;

use super::{
    AnchorResult, Standing, Status, book,
    calendar_client::{Calendar, CalendarError, CalendarReply},
    intend, proofs, status,
};
use crate::{
    engine::anchor::{Anchor, ByCalendar},
    error::ServiceError,
    ledger::Ledger,
};

/// No anchor takes so many steps at once.
const MAX_STEPS: usize = 4;

/// The header of the best chain at a height, by one's own node; `None` where
/// it is not that high.
pub type Headers<'a> = &'a dyn Fn(u32) -> Result<Option<Header>, String>;

/// What is to be done.
#[derive(Clone, Copy)]
pub struct ByCalendars<'a> {
    /// Where roots are submitted, and asked for: nowhere else.
    pub urls: &'a [String],
    /// In which network they anchor.
    pub network: &'a str,
    /// Whether a new anchor is due also where one was intended today.
    pub at_once: bool,
    /// How deep a block is believed, where there is a node.
    pub confirmations: u32,
    /// One's own node, where there is one: what is recorded is in its chain.
    pub headers: Option<Headers<'a>>,
}

/// Goes as far as it can.
///
/// # Errors
/// [`ServiceError`]; what was done before is on record. The status file says
/// what went wrong.
pub async fn step(
    asked: &ByCalendars<'_>,
    state: &StateDir,
    evidence: &mut Ledger,
    now: impl Fn() -> Timestamp,
) -> Result<AnchorResult, ServiceError> {
    let _lock = crate::state_lock::lock(state, "anchor.lock")?;
    let (outcome, silent) = (AnchorResult::default(), BTreeSet::new());
    let mut work = CalendarRun { asked, evidence, now: &now, outcome, failed: None, silent };
    let done = work.all().await;
    let (failed, mut outcome) = (work.failed.take(), work.outcome);
    let proved = proofs::write(state, evidence, &book(&evidence.reader()?)?);
    // One calendar that fails is told while others do their work.
    let error = done.as_ref().err().map(ToString::to_string);
    let error = error.or_else(|| failed.map(|error| error.to_string()));
    let error = error.or_else(|| proved.as_ref().err().map(ToString::to_string));
    status::save(state, &Status { time: now(), error, balance: None })?;
    done?;
    outcome.proved = proved?;
    Ok(outcome)
}

struct CalendarRun<'a> {
    asked: &'a ByCalendars<'a>,
    evidence: &'a mut Ledger,
    now: &'a dyn Fn() -> Timestamp,
    outcome: AnchorResult,
    failed: Option<CalendarError>,
    /// Who did not answer: that takes long enough once in a run.
    silent: BTreeSet<String>,
}

impl CalendarRun<'_> {
    async fn all(&mut self) -> Result<(), ServiceError> {
        let book = self.book()?;
        let now = (self.now)();
        let news = |anchor: &&Anchor| anchor.next_by_calendar(now) != ByCalendar::Wait;
        for size in book.iter().filter(news).map(|anchor| anchor.size).collect::<Vec<_>>() {
            self.follow(size).await?;
        }
        if self.book()?.is_due((self.now)(), self.asked.at_once) {
            let now = (self.now)();
            let entry = intend(self.evidence, self.asked.network)?;
            let size = entry.size;
            self.put(now, entry)?;
            self.follow(size).await?;
        }
        let book = self.book()?;
        let news = |anchor: &&Anchor| anchor.state.is_open();
        self.outcome.anchors = book.iter().filter(news).map(Standing::from_anchor).collect();
        if let Some(last) = book.iter().next_back().filter(|last| !last.state.is_open()) {
            self.outcome.anchors.push(Standing::from_anchor(last));
        }
        // Without any promise the newest root is nowhere: that is no success.
        match (book.iter().next_back().map(|last| last.state), self.failed.take()) {
            (Some(State::Intended), Some(failed)) => Err(failed.into()),
            (_, failed) => {
                self.failed = failed;
                Ok(())
            }
        }
    }

    fn book(&self) -> Result<crate::engine::anchor::AnchorIndex, ServiceError> {
        book(&self.evidence.reader()?)
    }

    async fn follow(&mut self, size: u64) -> Result<(), ServiceError> {
        for _ in 0..MAX_STEPS {
            let book = self.book()?;
            let Some(anchor) = book.get(size) else { return Ok(()) };
            let now = (self.now)();
            let step = match anchor.next_by_calendar(now) {
                ByCalendar::Wait => return Ok(()),
                ByCalendar::Record(step) => Some(step),
                ByCalendar::Submit => self.submit(&anchor.root).await,
                ByCalendar::Ask => self.poll(anchor).await,
                ByCalendar::Hold => self.hold(anchor),
            };
            let Some(step) = step else { return Ok(()) };
            let waits = matches!(step, AnchorStep::Promised { .. });
            self.put(now, AnchorEntry { root: anchor.root, size, step })?;
            if waits {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn submit(&mut self, root: &Digest) -> Option<AnchorStep> {
        let mut promises = vec![];
        for url in self.asked.urls {
            if self.silent.contains(url) {
                continue;
            }
            match self.promise(url, root).await {
                Ok(promise) => promises.push(promise),
                Err(error) => self.complain(error),
            }
        }
        (!promises.is_empty()).then_some(AnchorStep::Promised { promises })
    }

    async fn promise(&self, url: &str, root: &Digest) -> Result<Promise, CalendarError> {
        let failed = |why| wrong(url, why);
        let answer = Calendar::new(url)?.submit(root).await?;
        let ways =
            opentimestamps::ways(&root.0, &answer).map_err(|error| failed(error.to_string()))?;
        // It may name another that keeps its promise: nobody is asked who does
        // not stand in the settings.
        let mut named = vec![];
        for way in ways {
            let Attestation::Pending { uri } = way.attestation else { continue };
            if way.operations.len() <= MAX_OPERATIONS && self.known(&uri).is_some() {
                return Ok(Promise { operations: way.operations, url: uri });
            }
            named.push(uri);
        }
        let other = named.join(", ");
        Err(failed(format!("it promises for {other:?}, which anchor.calendars does not name")))
    }

    /// The address in the settings that is the same.
    fn known(&self, uri: &str) -> Option<&str> {
        let same = |url: &&String| url.trim_end_matches('/') == uri.trim_end_matches('/');
        self.asked.urls.iter().find(same).map(String::as_str)
    }

    async fn poll(&mut self, anchor: &Anchor) -> Option<AnchorStep> {
        for promise in &anchor.promises {
            // One that was taken out of the settings since is not asked.
            let Some(url) = self.known(&promise.url).map(str::to_owned) else { continue };
            if self.silent.contains(&url) {
                continue;
            }
            match self.kept(&url, &anchor.root, promise).await {
                Ok(Some(step)) => return Some(step),
                Ok(None) => {}
                Err(error) => self.complain(error),
            }
        }
        None
    }

    async fn kept(
        &self,
        url: &str,
        root: &Digest,
        promise: &Promise,
    ) -> Result<Option<AnchorStep>, CalendarError> {
        let failed = |why| wrong(url, why);
        let commitment = opentimestamps::follow(&root.0, &promise.operations);
        let commitment = commitment.map_err(|error| failed(error.to_string()))?;
        let answer = match Calendar::new(url)?.fetch(&commitment).await? {
            CalendarReply::Answer(answer) => answer,
            CalendarReply::Pending(why) => {
                tracing::info!("the calendar {url}: {why}");
                return Ok(None);
            }
        };
        let ways = opentimestamps::ways(&commitment, &answer)
            .map_err(|error| failed(error.to_string()))?;
        for way in ways {
            let Attestation::Bitcoin { height, root: Some(block) } = way.attestation else {
                continue;
            };
            let operations = [&promise.operations[..], &way.operations].concat();
            // What goes on record was carried out from the root on.
            let end = opentimestamps::follow(&root.0, &operations);
            if operations.len() > MAX_OPERATIONS || !end.is_ok_and(|end| end == block.0) {
                return Err(failed("what it leads to is not what it says".into()));
            }
            return match self.in_chain(height, block).map_err(failed)? {
                true => Ok(Some(AnchorStep::Attested { height, operations })),
                false => {
                    tracing::info!("the calendar {url}: block {height} is not deep enough yet");
                    Ok(None)
                }
            };
        }
        Err(failed("its answer leads to no block of Bitcoin's".into()))
    }

    /// Whether the block is deep enough; where there is a node, it has it.
    fn in_chain(&self, height: u32, root: Digest) -> Result<bool, String> {
        let Some(headers) = self.asked.headers else { return Ok(true) };
        match headers(height)? {
            Some(header) if header.merkle_root() == root => {
                let above = height.checked_add(self.asked.confirmations - 1);
                above.map_or(Ok(false), |above| Ok(headers(above)?.is_some()))
            }
            Some(_) => Err(format!("the node has another block at height {height}")),
            None => Ok(false),
        }
    }

    /// Where the node has another block now than the calendar led to, the
    /// promises are all that is left.
    fn hold(&self, anchor: &Anchor) -> Option<AnchorStep> {
        let (height, operations) = anchor.attested.as_ref()?;
        let header = match (self.asked.headers?)(*height) {
            Ok(header) => header?,
            Err(error) => {
                tracing::warn!("the anchor of {} records was not looked at: {error}", anchor.size);
                return None;
            }
        };
        let root = opentimestamps::follow(&anchor.root.0, operations).ok()?;
        let promises = anchor.promises.clone();
        (header.merkle_root().0[..] != root && !promises.is_empty()).then(|| {
            tracing::warn!(size = anchor.size, "the node has another block at height {height} now");
            AnchorStep::Promised { promises }
        })
    }

    fn complain(&mut self, error: CalendarError) {
        tracing::warn!("{error}");
        if error.silent {
            self.silent.insert(error.url.clone());
        }
        self.failed = Some(error);
    }

    fn put(&mut self, now: Timestamp, entry: AnchorEntry) -> Result<(), ServiceError> {
        tracing::info!(size = entry.size, "anchor {}", entry.step.state());
        self.outcome.done.push((entry.size, entry.step.state()));
        self.evidence.record(now, &[Entry::Anchor(entry)])
    }
}

fn wrong(url: &str, why: String) -> CalendarError {
    CalendarError { url: url.into(), why, silent: false }
}
