//! The clock over time, by source: what is plotted, in a bounded number of
//! cells whose width doubles as the time grows.

use std::collections::BTreeMap;

use provenance_core::{
    encoding::time::Timestamp,
    record::time_attestation::{Attestation, Claim, ClockVerdict, State},
};

/// At most so many cells lie side by side.
const MAX_CELLS: i64 = 400;
/// At most so many sources are followed, as they come.
const MAX_SOURCES: usize = 16;
/// The verdicts from the best to the worst.
pub(super) const VERDICTS: [ClockVerdict; 5] = [
    ClockVerdict::Agreed,
    ClockVerdict::Degraded,
    ClockVerdict::Unsynchronised,
    ClockVerdict::Disputed,
    ClockVerdict::Anomalous,
];

/// What one source claimed.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    /// Lowest and highest end of the claims, by cell.
    pub(super) cells: BTreeMap<i64, (i64, i64)>,
    /// How often it was ok, disagreed, was absent, was rejected.
    pub(super) states: [u64; 4],
    /// The widest bound, and the last claim.
    pub(super) widest: i64,
    pub(super) last: Option<(i64, i64)>,
}

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// Of a cell, in nanoseconds.
    pub(super) width: i64,
    /// First and last cell.
    pub(super) span: Option<(i64, i64)>,
    pub(super) agreed: Series,
    pub(super) sources: BTreeMap<String, Series>,
    /// The worst verdict, by cell, as its place in [`VERDICTS`].
    pub(super) worst: BTreeMap<i64, usize>,
    /// How many ticks had each.
    pub(super) verdicts: [u64; 5],
    /// There were more sources.
    pub(super) more: bool,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            width: 1_000_000_000,
            span: None,
            agreed: Series::default(),
            sources: BTreeMap::new(),
            worst: BTreeMap::new(),
            verdicts: [0; 5],
            more: false,
        }
    }
}

impl Series {
    fn claim(&mut self, cell: i64, low: i64, high: i64) {
        let known = self.cells.entry(cell).or_insert((low, high));
        *known = (known.0.min(low), known.1.max(high));
        let half = (i128::from(high) - i128::from(low)) / 2;
        let bound = i64::try_from(half).unwrap_or(i64::MAX);
        self.widest = self.widest.max(bound);
        self.last = Some((low.saturating_add(bound), bound));
    }

    fn widen(&mut self) {
        let mut cells = BTreeMap::new();
        for (cell, (low, high)) in core::mem::take(&mut self.cells) {
            let known = cells.entry(cell.div_euclid(2)).or_insert((low, high));
            *known = (known.0.min(low), known.1.max(high));
        }
        self.cells = cells;
    }
}

impl Clock {
    /// The attestation of a tick at `time`.
    pub(super) fn tick(&mut self, time: Timestamp, clock: &Attestation<'_>) {
        let cell = self.cell(time);
        if let Some((offset, bound)) = clock.agreed {
            self.agreed.claim(cell, offset.saturating_sub(bound), offset.saturating_add(bound));
        }
        let rank = VERDICTS.iter().position(|known| *known == clock.verdict).unwrap_or_default();
        if let Some(count) = self.verdicts.get_mut(rank) {
            *count += 1;
        }
        let worst = self.worst.entry(cell).or_default();
        *worst = rank.max(*worst);
        for source in &clock.sources {
            let room = self.sources.len() < MAX_SOURCES;
            if !room && !self.sources.contains_key(source.src.as_ref()) {
                self.more = true;
                continue;
            }
            let series = self.sources.entry(source.src.as_ref().into()).or_default();
            let (state, claim) = match &source.state {
                State::Ok(claim) => (0, Some(claim)),
                State::Disagrees(claim) => (1, Some(claim)),
                State::Absent(_) => (2, None),
                State::Rejected(_) => (3, None),
            };
            if let Some(count) = series.states.get_mut(state) {
                *count += 1;
            }
            match claim {
                Some(Claim::Interval { offset_ns, bound_ns, .. }) => {
                    let (low, high) =
                        (offset_ns.saturating_sub(*bound_ns), offset_ns.saturating_add(*bound_ns));
                    series.claim(cell, low, high);
                }
                Some(Claim::Window { not_before, not_after }) => {
                    series.claim(cell, not_before.since(time), not_after.since(time));
                }
                None => {}
            }
        }
    }

    /// The cell that `time` lies in; there are never more than [`MAX_CELLS`].
    fn cell(&mut self, time: Timestamp) -> i64 {
        loop {
            let cell = time.nanos().div_euclid(self.width);
            let (first, last) = self.span.map_or((cell, cell), |(a, b)| (a.min(cell), b.max(cell)));
            self.span = Some((first, last));
            if last - first < MAX_CELLS {
                return cell;
            }
            self.width = self.width.saturating_mul(2);
            self.span = Some((first.div_euclid(2), last.div_euclid(2)));
            self.agreed.widen();
            self.sources.values_mut().for_each(Series::widen);
            let mut worst = BTreeMap::new();
            for (cell, rank) in core::mem::take(&mut self.worst) {
                let known = worst.entry(cell.div_euclid(2)).or_insert(rank);
                *known = rank.max(*known);
            }
            self.worst = worst;
        }
    }
}
