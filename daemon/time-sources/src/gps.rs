//! What a GPS receiver said, as a time source. Pure: gpsd and serial receivers
//! feed it, and it judges.
//!
//! A fix says what time it *was*; it comes up to one cycle of the receiver
//! later, by how much nobody tells. So the claim is the interval of one cycle,
//! not a point. A pulse (PPS) has no such delay.

use provenance_core::{
    encoding::{
        json::Value,
        time::{Now, Timestamp},
    },
    record::time_attestation::{Claim, Source},
};

/// A fix older than this is none.
const FRESH_MS: u64 = 10_000;
/// How far a clock may run off in a while: 500 ppm, the most that the kernel
/// allows (adjtimex(2)).
const DRIFT_PPM: i64 = 500;
/// 1024 weeks, after which the week number in GPS signals begins anew.
const ROLLOVER_NS: i64 = 1024 * 7 * 86_400 * 1_000_000_000;
/// So near to a whole number of rollovers nothing else comes by chance.
const ROLLOVER_SLACK_NS: i64 = 60 * 1_000_000_000;
/// A cycle until two fixes have shown it, and the longest that is believed.
const LONGEST_CYCLE_NS: i64 = 1_000_000_000;
/// The receiver and the line take this long at least to be told apart.
const SHORTEST_CYCLE_NS: i64 = 50_000_000;
/// Both clocks ran alike if they differ by no more than this.
const ALIKE_NS: i64 = 5_000_000;
/// CLOCK_BOOTTIME is kept in milliseconds.
const GRAIN_NS: i64 = 1_000_000;

/// A moment that the receiver told, and when by the machine's clocks.
#[derive(Clone, Debug)]
struct Told {
    /// What the receiver said, in nanoseconds since the epoch.
    true_ns: i64,
    /// The system clock then.
    clock_ns: i64,
    /// CLOCK_BOOTTIME at about the same moment.
    up_ms: u64,
    /// How far it may be off.
    error_ns: i64,
}

/// Follows one receiver.
#[derive(Clone, Debug)]
pub struct Tracker {
    name: &'static str,
    /// Why nothing can be heard at all.
    down: Option<String>,
    fix: Option<Told>,
    pulse: Option<Told>,
    /// When anything was heard last.
    heard_ms: Option<u64>,
    /// When the receiver last said that it has no fix.
    no_fix_ms: Option<u64>,
    /// When it last told the same time again.
    repeated_ms: Option<u64>,
    cycle_ns: i64,
    /// Why the receiver itself is not to be believed.
    distrust: Option<String>,
    satellites: Option<u64>,
    three_d: bool,
    began_ms: Option<u64>,
}

impl Tracker {
    /// Of a receiver that has said nothing. `name` is `gps:gpsd` or `gps:nmea`.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            down: None,
            fix: None,
            pulse: None,
            heard_ms: None,
            no_fix_ms: None,
            repeated_ms: None,
            cycle_ns: LONGEST_CYCLE_NS,
            distrust: None,
            satellites: None,
            three_d: false,
            began_ms: None,
        }
    }

    /// It cannot be heard, and why.
    pub(crate) fn down(&mut self, why: impl Into<String>) {
        self.down = Some(why.into());
    }

    /// It can be heard.
    pub fn up(&mut self) {
        self.down = None;
    }

    /// Something was heard.
    pub(crate) fn heard(&mut self, now: &Now) {
        self.heard_ms = Some(now.up_ms);
        self.began_ms.get_or_insert(now.up_ms);
    }

    /// A fix of this UTC time, in nanoseconds since the epoch, came in `now`;
    /// the receiver estimates its error as `error_ns`.
    pub(crate) fn fix(&mut self, true_ns: i64, error_ns: i64, three_d: bool, now: &Now) {
        self.heard(now);
        self.three_d = three_d;
        self.no_fix_ms = None;
        if let Some(last) = &self.fix {
            let step = true_ns.saturating_sub(last.true_ns);
            if step == 0 {
                // Several sentences tell of one fix.
                self.repeated_ms = Some(now.up_ms);
                return;
            }
            if (SHORTEST_CYCLE_NS..=LONGEST_CYCLE_NS).contains(&step) {
                self.cycle_ns = step;
            }
        }
        self.repeated_ms = None;
        let clock_ns = now.time.nanos();
        let error_ns = error_ns.max(0);
        self.fix = Some(Told { true_ns, clock_ns, up_ms: now.up_ms, error_ns });
    }

    /// The receiver says that it has none.
    pub(crate) fn no_fix(&mut self, now: &Now) {
        self.heard(now);
        self.no_fix_ms = Some(now.up_ms);
    }

    /// A pulse at this true time, when the system clock showed `clock_ns`.
    pub(crate) fn pulse(&mut self, true_ns: i64, clock_ns: i64, error_ns: i64, now: &Now) {
        self.heard(now);
        // It is told a little later than it was.
        let since_ms = now.time.nanos().saturating_sub(clock_ns).max(0) / 1_000_000;
        let up_ms = now.up_ms.saturating_sub(since_ms.unsigned_abs());
        self.pulse = Some(Told { true_ns, clock_ns, up_ms, error_ns: error_ns.max(0) });
    }

    /// How many satellites are used.
    pub(crate) fn satellites(&mut self, used: u64) {
        self.satellites = Some(used);
    }

    /// The receiver itself says that it is deceived or simulated; `None` when
    /// it says that no more.
    pub(crate) fn distrust(&mut self, why: Option<String>) {
        self.distrust = why;
    }

    /// What it gives at `now`.
    pub fn source(&self, now: &Now) -> Source<'static> {
        let detail = self.detail(now);
        let (Some(fix), None) = (self.fresh(now), &self.down) else {
            let (reason, gave) = self.nothing(now);
            return match gave {
                true => Source::rejected(self.name, reason, Some(&detail)),
                false => Source::absent(self.name, reason),
            };
        };
        if let Some(why) = &self.distrust {
            return Source::rejected(self.name, why.clone(), Some(&detail));
        }
        let half = self.cycle_ns / 2;
        let coarse = fix.at(now, half, half);
        if let Some(reason) = rollover(coarse.0) {
            return Source::rejected(self.name, reason, Some(&detail));
        }
        let fine = self.pulse.as_ref().filter(|pulse| age_ms(pulse.up_ms, now) <= FRESH_MS);
        let fine = fine.map(|pulse| pulse.at(now, 0, 0));
        // A pulse says when a second began, not which one: it must lie where
        // the fix puts it.
        let (offset_ns, bound_ns) = match fine {
            Some(fine) if coarse.0.abs_diff(fine.0) <= coarse.1.unsigned_abs() => fine,
            _ => coarse,
        };
        let age = i64::try_from(age_ms(fix.up_ms, now)).unwrap_or(i64::MAX);
        let as_of = Timestamp::from_nanos(now.time.nanos().saturating_sub(age * 1_000_000));
        Source::claims(self.name, Claim::Interval { offset_ns, bound_ns, as_of }, Some(&detail))
    }

    fn fresh(&self, now: &Now) -> Option<&Told> {
        let fix = self.fix.as_ref().filter(|fix| age_ms(fix.up_ms, now) <= FRESH_MS);
        // Since it said that it has none, what it said before is no time.
        fix.filter(|_| self.no_fix_ms.is_none())
    }

    /// Why there is no claim, and whether the receiver gave something.
    fn nothing(&self, now: &Now) -> (String, bool) {
        if let Some(why) = &self.down {
            return (why.clone(), false);
        }
        let seconds = |since: u64| age_ms(since, now) / 1000;
        let Some(heard) = self.heard_ms else { return ("nothing was heard yet".into(), false) };
        if age_ms(heard, now) > FRESH_MS {
            return (format!("nothing was heard for {} s", seconds(heard)), false);
        }
        let since = self.fix.as_ref().map(|fix| fix.up_ms);
        if let (Some(since), Some(repeated), None) = (since, self.repeated_ms, self.no_fix_ms)
            && age_ms(repeated, now) <= FRESH_MS
        {
            let stood = seconds(since);
            return (format!("the receiver repeats itself: its time stood for {stood} s"), true);
        }
        match since.or(self.began_ms) {
            Some(since) => (format!("no fix for {} s", seconds(since)), false),
            None => ("no fix".into(), false),
        }
    }

    fn detail(&self, now: &Now) -> Value {
        let mode = match (&self.fix, self.no_fix_ms) {
            (Some(_), None) if self.three_d => "3d",
            (Some(_), None) => "2d",
            _ => "none",
        };
        let age = |told: &Option<Told>| told.as_ref().map(|told| age_ms(told.up_ms, now));
        Value::object([("mode", mode.into()), ("cycle_ms", (self.cycle_ns / 1_000_000).into())])
            .with_some("fix_age_ms", age(&self.fix))
            .with_some("pps_age_ms", age(&self.pulse))
            .with_some("satellites", self.satellites)
    }
}

impl Told {
    /// True time minus system clock at `now`, and its bound; the moment was
    /// told `delay_ns` ± `unsure_ns` after it was.
    fn at(&self, now: &Now, delay_ns: i64, unsure_ns: i64) -> (i64, i64) {
        let by_clock = now.time.nanos().saturating_sub(self.clock_ns);
        let by_boottime = i64::try_from(age_ms(self.up_ms, now)).unwrap_or(i64::MAX / 2_000_000);
        let by_boottime = by_boottime.saturating_mul(1_000_000);
        // A clock that was set since does not tell how long it was.
        let alike = by_clock.saturating_sub(by_boottime).saturating_abs() <= ALIKE_NS;
        let (elapsed, grain) = if alike { (by_clock, 0) } else { (by_boottime, GRAIN_NS) };
        let true_now = self.true_ns.saturating_add(delay_ns).saturating_add(elapsed);
        let drift = elapsed.max(0) / 1_000_000 * DRIFT_PPM;
        let bound = unsure_ns
            .saturating_add(self.error_ns)
            .saturating_add(drift)
            .saturating_add(grain)
            .max(1);
        (true_now.saturating_sub(now.time.nanos()), bound)
    }
}

fn age_ms(up_ms: u64, now: &Now) -> u64 {
    now.up_ms.saturating_sub(up_ms)
}

/// Why an offset tells of a week number that began anew.
fn rollover(offset_ns: i64) -> Option<String> {
    let half = if offset_ns < 0 { -ROLLOVER_NS / 2 } else { ROLLOVER_NS / 2 };
    let times = offset_ns.saturating_add(half) / ROLLOVER_NS;
    let rest = offset_ns.saturating_sub(times.saturating_mul(ROLLOVER_NS));
    (times != 0 && rest.saturating_abs() <= ROLLOVER_SLACK_NS).then(|| {
        let weeks = times.saturating_mul(1024);
        format!("week rollover: the receiver is off by exactly {weeks} weeks; it needs an update")
    })
}

#[cfg(test)]
mod tests;
