//! What of the period the chain covers, and which logs.

use std::collections::{BTreeMap, BTreeSet};

use provenance_core::{
    encoding::time::{Day, Timestamp},
    packet::days,
    record::{
        chain::Body,
        log_entry::{Event, What},
    },
};

const HOUR: i64 = 3_600_000_000_000;
/// So many of the longest pauses are kept.
pub(super) const MAX_PAUSES: usize = 512;
/// So many different distances between ticks are counted.
const MAX_DISTANCES: usize = 4_096;
/// So many logs are kept, as they come.
const MAX_LOGS: usize = 4_096;

/// A day: of which hours the period has a part, which have a tick, how many.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hours {
    pub(super) asked: u32,
    pub(super) had: u32,
    pub(super) ticks: u64,
}

/// What was recorded of one log.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// Bytes, or entries of a journal.
    pub(super) amount: u64,
    /// How often it grew, and how often it began anew.
    pub(super) ranges: u64,
    pub(super) rotated: u64,
    /// What an auditor asks about, by name.
    pub(super) events: BTreeMap<&'static str, u64>,
    pub(super) last: Timestamp,
}

/// Days, pauses and logs.
#[derive(Clone, Debug)]
pub(super) struct TimeCoverage {
    pub(super) days: BTreeMap<Day, Hours>,
    /// Length, beginning, and whether an orderly stop explains it.
    pub(super) pauses: BTreeSet<(i64, Timestamp, bool)>,
    distances: BTreeMap<i64, u64>,
    last_tick: Option<Timestamp>,
    stopped: bool,
    goes_on: bool,
    pub(super) records: u64,
    pub(super) ticks: u64,
    pub(super) starts: u64,
    pub(super) stops: u64,
    pub(super) recovered: u64,
    pub(super) ends: Option<(Timestamp, Timestamp)>,
    pub(super) logs: BTreeMap<String, Log>,
    /// There were more logs.
    pub(super) more: bool,
}

impl TimeCoverage {
    pub(super) fn new(from: Timestamp, to: Timestamp) -> Self {
        let hours = |day: Day| {
            let start = day.start().unwrap_or_default();
            let part = |hour: &i64| {
                let begin = start.plus_nanos(hour * HOUR);
                begin < to && begin.plus_nanos(HOUR) > from
            };
            let asked = (0..24).filter(part).fold(0, |mask, hour| mask | 1 << hour);
            (day, Hours { asked, had: 0, ticks: 0 })
        };
        Self {
            days: days(from, to).map(hours).collect(),
            pauses: BTreeSet::new(),
            distances: BTreeMap::new(),
            last_tick: None,
            stopped: false,
            goes_on: false,
            records: 0,
            ticks: 0,
            starts: 0,
            stops: 0,
            recovered: 0,
            ends: None,
            logs: BTreeMap::new(),
            more: false,
        }
    }

    pub(super) fn record(&mut self, time: Timestamp, body: &Body<'_>) {
        self.records += 1;
        self.ends = Some(self.ends.map_or((time, time), |(first, _)| (first, time)));
        match body {
            Body::Start(_) => self.starts += 1,
            Body::Stop(_) => (self.stops, self.stopped) = (self.stops + 1, true),
            Body::Recovered(_) => self.recovered += 1,
            Body::Tick(tick) => {
                if !core::mem::replace(&mut self.goes_on, tick.more) {
                    self.tick(time);
                }
                for entry in &tick.logs {
                    self.log(time, &entry.src, &entry.what);
                }
            }
            _ => {}
        }
    }

    fn tick(&mut self, time: Timestamp) {
        self.ticks += 1;
        let day = self.days.entry(time.day()).or_default();
        day.ticks += 1;
        day.had |= 1 << time.nanos().div_euclid(HOUR).rem_euclid(24);
        if let Some(last) = self.last_tick.replace(time) {
            let length = time.since(last).max(0);
            let seconds = (length + 500_000_000) / 1_000_000_000;
            if self.distances.len() < MAX_DISTANCES || self.distances.contains_key(&seconds) {
                *self.distances.entry(seconds).or_default() += 1;
            }
            self.pauses.insert((length, last, self.stopped));
            if self.pauses.len() > MAX_PAUSES {
                self.pauses.pop_first();
            }
        }
        self.stopped = false;
    }

    fn log(&mut self, time: Timestamp, src: &str, what: &What<'_>) {
        if self.logs.len() >= MAX_LOGS && !self.logs.contains_key(src) {
            self.more = true;
            return;
        }
        let log = self.logs.entry(src.into()).or_default();
        log.last = time;
        match what {
            What::Range { from, to, .. } => {
                log.ranges += 1;
                log.amount = log.amount.saturating_add(to.saturating_sub(*from));
            }
            What::Journal { count, .. } => {
                log.ranges += 1;
                log.amount = log.amount.saturating_add(*count);
            }
            What::Event(Event::Appeared { .. }) => {}
            What::Event(Event::Rotated { .. }) => log.rotated += 1,
            What::Event(event) => *log.events.entry(event.name()).or_default() += 1,
        }
    }

    /// The distance in whole seconds that most ticks have, at least 1.
    pub(super) fn usual(&self) -> Option<i64> {
        let most = self.distances.iter().max_by_key(|(seconds, count)| (**count, -**seconds));
        most.map(|(seconds, _)| (*seconds).max(1))
    }

    /// The pauses over twice the usual distance, the longest first.
    pub(super) fn long_pauses(&self) -> Vec<(i64, Timestamp, bool)> {
        let over = self.usual().unwrap_or_default().saturating_mul(2_000_000_000);
        // A tick that is late by less than a second is none.
        let over = over.saturating_add(1_000_000_000);
        self.pauses.iter().rev().take_while(|(length, ..)| *length > over).copied().collect()
    }
}
