//! Which alerts are raised and resolved: a pure function of what was seen and
//! of which alerts are open (docs/operations.md, "Alerts").
//!
//! A condition is its code and its subject. While it lasts there is one alert,
//! however often it is seen. It is over when it was not seen in [`quiet`]
//! looks one after the other: what comes and goes at each tick is one alert.

mod anchors;
pub mod replication;

use std::collections::BTreeMap;

pub use anchors::{Anchoring, anchors};
use provenance_core::{
    encoding::{
        digest::Digest,
        json::Value,
        time::{Now, Timestamp},
    },
    record::{
        alert::{Alert, AlertCode, MAX_MESSAGE, MAX_SUBJECT},
        chain::Body,
        log_entry::{Event, What},
        time_attestation::{Attestation, Claim, KERNEL, State},
    },
    report::Head,
};
pub use replication::{Copying, copies};

/// So many alerts are open at once; what goes beyond is counted, not raised.
const MAX_OPEN: usize = 256;
/// Of the logs that became shorter in one tick, so many have their own alert.
const MAX_SHRUNK: usize = 16;

/// Something that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    pub code: AlertCode,
    pub subject: String,
    pub message: String,
}

/// Where one looks: a look finds all conditions of its scope, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// A tick's record: its clock, its logs, the time since the last one.
    Tick,
    /// The disk of the state folder.
    Disk,
    /// Whether records can be written.
    Writing,
    /// A verification of the evidence.
    Verification,
    Anchors,
    /// The copies in WORM storage.
    Copies,
}

/// By which look a condition is found.
pub(crate) fn scope(code: AlertCode) -> Scope {
    match code {
        AlertCode::ClockDisputed
        | AlertCode::ClockAnomalous
        | AlertCode::ClockUnsynchronised
        | AlertCode::ClockDegraded
        | AlertCode::LogShrunk
        | AlertCode::ChainGap => Scope::Tick,
        AlertCode::DiskLow => Scope::Disk,
        AlertCode::RecordsUnwritable => Scope::Writing,
        AlertCode::VerifyFailed => Scope::Verification,
        AlertCode::AnchorOverdue | AlertCode::AnchorStuck | AlertCode::WalletLow => Scope::Anchors,
        AlertCode::StoreOverdue | AlertCode::StoreUnlocked => Scope::Copies,
    }
}

/// After how many looks without it a condition is over. What is looked at
/// seldom, and then as a whole, is over at once.
pub(crate) fn quiet(scope: Scope) -> u32 {
    match scope {
        Scope::Tick | Scope::Disk | Scope::Writing => 2,
        Scope::Verification | Scope::Anchors | Scope::Copies => 1,
    }
}

/// The alerts that are open.
#[derive(Debug)]
pub struct Tracker {
    /// The log chain's id; with what is about an alert it makes its id.
    chain: String,
    open: BTreeMap<(AlertCode, String), Open>,
    unraised: u64,
}

#[derive(Debug)]
struct Open {
    raised: Alert,
    /// Looks without it, and when the first of them was.
    quiet: u32,
    over: Option<Timestamp>,
}

impl Tracker {
    /// Goes on with the alerts that are open in the registry. One with a code
    /// of a later version is left to that version.
    pub(crate) fn new(chain: &str, open: impl IntoIterator<Item = Alert>) -> Self {
        let known = |alert: Alert| {
            let code = AlertCode::find(&alert.code)?;
            let key = (code, alert.subject.clone());
            Some((key, Open { raised: alert, quiet: 0, over: None }))
        };
        let open = open.into_iter().filter_map(known).collect();
        Self { chain: chain.into(), open, unraised: 0 }
    }

    /// Whether there is an alert for it.
    pub(crate) fn is_open(&self, code: AlertCode, subject: &str) -> bool {
        self.open.contains_key(&(code, subject.into()))
    }

    /// How many are open, by code.
    pub(crate) fn by_code(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for (code, _) in self.open.keys() {
            *counts.entry(code.as_str()).or_default() += 1;
        }
        counts
    }

    /// How many are open.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// How many conditions had no alert because too many were open.
    pub(crate) fn unraised(&self) -> u64 {
        self.unraised
    }

    /// Takes all conditions that a look at `now` found, and says what to
    /// record: first what is over, then what began. `head` is the chain's last
    /// record, on which that rests.
    pub(crate) fn observe(
        &mut self,
        now: Timestamp,
        head: Head,
        at: Scope,
        conditions: Vec<Condition>,
    ) -> Vec<Alert> {
        let mut found: BTreeMap<_, _> = BTreeMap::new();
        for condition in conditions.into_iter().filter(|condition| scope(condition.code) == at) {
            let subject = cut(condition.subject, MAX_SUBJECT);
            found.entry((condition.code, subject)).or_insert(condition.message);
        }
        let mut changes = vec![];
        self.open.retain(|key, open| {
            if scope(key.0) != at {
                return true;
            }
            if found.remove(key).is_some() {
                (open.quiet, open.over) = (0, None);
                return true;
            }
            open.quiet += 1;
            let over = *open.over.get_or_insert(now);
            if open.quiet < quiet(at) {
                return true;
            }
            changes.push(Alert {
                message: cut(format!("over: {}", open.raised.message), MAX_MESSAGE),
                until: Some(over),
                seq: head.seq,
                hash: head.hash,
                ..open.raised.clone()
            });
            false
        });
        for ((code, subject), message) in found {
            if self.open.len() >= MAX_OPEN {
                self.unraised += 1;
                continue;
            }
            let raised = Alert {
                id: self.id(code, &subject, now),
                code: code.as_str().into(),
                subject: subject.clone(),
                severity: code.severity(),
                message: cut(message, MAX_MESSAGE),
                since: now,
                until: None,
                seq: head.seq,
                hash: head.hash,
            };
            changes.push(raised.clone());
            self.open.insert((code, subject), Open { raised, quiet: 0, over: None });
        }
        changes
    }

    /// One condition begins at most once at one moment of a chain.
    fn id(&self, code: AlertCode, subject: &str, since: Timestamp) -> String {
        let named = Value::object([
            ("chain", self.chain.as_str().into()),
            ("code", code.as_str().into()),
            ("since", since.into()),
            ("subject", subject.into()),
        ]);
        let mut id = Digest::sha256(&named.encode()).to_string();
        id.truncate(32);
        id
    }
}

/// What the records of the chain show, from one look at [`Scope::Tick`] to the
/// next.
#[derive(Debug)]
pub struct Watch {
    interval_s: u64,
    /// The last record with both clocks, unless that was a `stop`.
    last: Option<Now>,
    gap: Option<Condition>,
    shrunk: Vec<Condition>,
    more_shrunk: u64,
    clock: Option<Vec<Condition>>,
}

impl Watch {
    /// Watches a chain with records each `interval_s` seconds, as far as its
    /// records do not say otherwise.
    pub(crate) fn new(interval_s: u64) -> Self {
        let (gap, shrunk, clock) = (None, vec![], None);
        Self { interval_s, last: None, gap, shrunk, more_shrunk: 0, clock }
    }

    /// Takes the next record that is on disk; `now` is its moment.
    pub(crate) fn record(&mut self, now: &Now, body: &Body<'_>) {
        match body {
            Body::Start(_) => self.moment(now),
            Body::Stop(_) => self.last = None,
            Body::Genesis(genesis) => self.interval_s = genesis.interval_s,
            Body::Config { interval_s, .. } => self.interval_s = *interval_s,
            Body::Tick(tick) => {
                self.moment(now);
                for entry in &tick.logs {
                    if let What::Event(Event::Truncated { to, size }) = entry.what {
                        self.shrink(&entry.src, to, size);
                    }
                }
                // Of a tick in several records the last one ends it.
                self.clock = (!tick.more).then(|| clock(&tick.clock));
            }
            _ => {}
        }
    }

    /// What the last whole tick shows; `None` where there was none since the
    /// last look.
    pub(crate) fn observe(&mut self) -> Option<Vec<Condition>> {
        let mut found = self.clock.take()?;
        found.extend(self.gap.take());
        found.append(&mut self.shrunk);
        let more = std::mem::take(&mut self.more_shrunk);
        if more > 0 {
            found.push(Condition {
                code: AlertCode::LogShrunk,
                subject: "files:all".into(),
                message: format!("{more} more logs became shorter"),
            });
        }
        Some(found)
    }

    /// Step 2.5 of docs/format.md, as an auditor will judge it.
    fn moment(&mut self, now: &Now) {
        let last = self.last.replace(now.clone());
        let span_ms = last.map(|last| {
            if last.boot == now.boot {
                i64::try_from(now.up_ms.saturating_sub(last.up_ms)).unwrap_or(i64::MAX)
            } else {
                now.time.since(last.time) / 1_000_000
            }
        });
        let limit = i64::try_from(self.interval_s.saturating_mul(2_000)).unwrap_or(i64::MAX);
        if let Some(span_ms) = span_ms.filter(|span| *span > limit) {
            self.gap = Some(Condition {
                code: AlertCode::ChainGap,
                subject: "chain".into(),
                message: format!(
                    "no tick for {} s, where one is due each {} s",
                    span_ms / 1_000,
                    self.interval_s
                ),
            });
        }
    }

    fn shrink(&mut self, src: &str, to: u64, size: u64) {
        if self.shrunk.len() >= MAX_SHRUNK {
            self.more_shrunk += 1;
            return;
        }
        self.shrunk.push(Condition {
            code: AlertCode::LogShrunk,
            subject: src.into(),
            message: format!("a log became shorter: {to} bytes were recorded, {size} were left"),
        });
    }
}

/// What is wrong with the clock. Each condition is looked at by itself: a
/// source that disagrees does not hide that the clock is off.
fn clock(attestation: &Attestation<'_>) -> Vec<Condition> {
    const SUBJECT: &str = "clock";
    let mut found = vec![];
    let mut find = |code, subject: &str, message: String| {
        found.push(Condition { code, subject: subject.into(), message });
    };
    let names: Vec<&str> = attestation.falsetickers().collect();
    match attestation.agreed {
        Some(_) => {
            for source in &attestation.sources {
                if let State::Disagrees(claim) = &source.state {
                    let message =
                        format!("{} disagrees with the others: {}", source.src, say(claim));
                    find(AlertCode::ClockDisputed, &source.src, message);
                }
            }
        }
        None if !names.is_empty() => {
            let message = format!("no majority of the time sources agrees: {}", names.join(", "));
            find(AlertCode::ClockDisputed, SUBJECT, message);
        }
        None => {
            let message = "no time source vouches for the clock".into();
            find(AlertCode::ClockUnsynchronised, SUBJECT, message);
        }
    }
    let alarm = attestation.rule.alarm_ns;
    // A step is one without any source too: it makes chronyd begin anew.
    let stepped = attestation.step_ns.map(|step| format!("the clock jumped by {} ms", ms(step)));
    let off = attestation.agreed.and_then(|(offset, bound)| {
        let over = offset.saturating_abs().saturating_sub(bound) > alarm;
        over.then(|| {
            format!("the clock is off by {} ms, and {} ms are tolerated", ms(offset), ms(alarm))
        })
    });
    let both: Vec<String> = stepped.into_iter().chain(off).collect();
    if !both.is_empty() {
        find(AlertCode::ClockAnomalous, SUBJECT, both.join("; "));
    }
    if attestation.agreed.is_none() {
        return found;
    }
    let agree = attestation.sources.iter().filter(|source| {
        source.src != KERNEL && matches!(source.state, State::Ok(Claim::Interval { .. }))
    });
    let (agree, asked) = (agree.count(), attestation.rule.min_agreeing);
    if (agree as u64) < u64::from(asked) {
        let message = format!("{agree} time sources agree, and {asked} are asked for");
        find(AlertCode::ClockDegraded, SUBJECT, message);
    }
    found
}

fn say(claim: &Claim) -> String {
    match claim {
        Claim::Interval { offset_ns, bound_ns, .. } => {
            format!("it says that the clock is off by {} ± {} ms", ms(*offset_ns), ms(*bound_ns))
        }
        Claim::Window { not_before, not_after } => {
            format!("it says that the time is between {not_before} and {not_after}")
        }
    }
}

/// Nanoseconds as milliseconds, without floating point.
fn ms(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let micros = nanos.unsigned_abs() / 1_000;
    format!("{sign}{}.{:03}", micros / 1_000, micros % 1_000)
}

/// At most `limit` bytes, whole characters.
fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate((0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0));
    }
    text
}

#[cfg(test)]
mod tests;
