//! The time attestation and its agreement rule (docs/format.md §3).
//!
//! All offsets are *true time minus system clock*, in nanoseconds. A source
//! contributes an interval, never a bare offset. The rule is a pure function
//! of what the sources said, so that an auditor recomputes every verdict.

use alloc::{borrow::Cow, string::String, vec::Vec};

use crate::encoding::{
    json::Value,
    json_scanner::{ScanError, Scanner},
    time::Timestamp,
};

/// How many sources an attestation may list.
pub const MAX_SOURCES: usize = 64;
/// The kernel's own clock state. It repeats what the NTP client told it, so it
/// takes part in the intersection but does not count as a source that agrees.
pub const KERNEL: &str = "kernel";
/// How the names of NTP clients begin. What the kernel says of its clock it has
/// from them, without the correction that they have not made yet: beside one
/// that claims an interval the kernel takes no part (docs/format.md §3.1).
pub const NTP: &str = "ntp:";

/// When the clock counts as agreed and when as anomalous.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// |offset| − bound over this many nanoseconds is an anomaly.
    pub alarm_ns: i64,
    /// How many sources (other than the kernel) must meet.
    pub min_agreeing: u32,
}

/// What a source said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claim {
    /// True time is the system clock + `offset_ns` ± `bound_ns`, as of then.
    Interval {
        /// True time minus system clock.
        offset_ns: i64,
        /// Half the interval's width; never negative.
        bound_ns: i64,
        /// The system clock when this was measured.
        as_of: Timestamp,
    },
    /// True time lies between these: it bounds, and decides nothing finer.
    Window {
        /// True time is not before this.
        not_before: Timestamp,
        /// True time is not after this.
        not_after: Timestamp,
    },
}

/// A source's part in the attestation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State<'a> {
    /// It gave a claim that meets the agreed interval.
    Ok(Claim),
    /// Its claim misses the agreed interval, or no majority agrees.
    Disagrees(Claim),
    /// Configured, and gave nothing: why.
    Absent(Cow<'a, str>),
    /// Gave something unusable: why.
    Rejected(Cow<'a, str>),
}

/// A source as listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source<'a> {
    /// `kernel`, `ntp:chrony`, `gps:gpsd`, `btc:node`, …
    pub src: Cow<'a, str>,
    /// What it said.
    pub state: State<'a>,
    /// Free-form canonical JSON: what the claim was made from.
    pub detail: Option<Cow<'a, [u8]>>,
}

/// The verdict over a tick's sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockVerdict {
    /// At least the asked number of sources meet, and the clock is near.
    Agreed,
    /// None disagrees, but fewer than asked.
    Degraded,
    /// At least one disagrees.
    Disputed,
    /// They meet, and the clock is off by more than the threshold, or jumped.
    Anomalous,
    /// No source gave an interval.
    Unsynchronised,
}

const VERDICTS: [(ClockVerdict, &str); 5] = [
    (ClockVerdict::Agreed, "agreed"),
    (ClockVerdict::Degraded, "degraded"),
    (ClockVerdict::Disputed, "disputed"),
    (ClockVerdict::Anomalous, "anomalous"),
    (ClockVerdict::Unsynchronised, "unsynchronised"),
];

impl ClockVerdict {
    /// The word in the record.
    pub fn as_str(self) -> &'static str {
        VERDICTS.iter().find(|(verdict, _)| *verdict == self).map_or("", |(_, text)| text)
    }
}

/// The time attestation of a tick.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attestation<'a> {
    /// The verdict.
    pub verdict: ClockVerdict,
    /// The agreed interval as offset and bound, where there is one.
    pub agreed: Option<(i64, i64)>,
    /// By how much the system clock jumped since the record before.
    pub step_ns: Option<i64>,
    /// The rule applied.
    pub rule: Rule,
    /// Every configured source.
    pub sources: Vec<Source<'a>>,
    /// The window of true time at the record's time, where agreed.
    pub window: Option<(Timestamp, Timestamp)>,
}

/// Judges what the sources said at system time `now`. The states `Ok` and
/// `Disagrees` are assigned here, whatever they were.
///
/// RFC 5905 §11.2.1 (Marzullo): the interval that lies in most of the claimed
/// intervals is agreed if a majority of them meet in it.
pub fn judge<'a>(
    now: Timestamp,
    rule: Rule,
    step_ns: Option<i64>,
    mut sources: Vec<Source<'a>>,
) -> Attestation<'a> {
    let found = Found::of(&sources);
    for source in &mut sources {
        if let State::Ok(claim) | State::Disagrees(claim) = &source.state {
            let claim = claim.clone();
            let fits = found.fits(&source.src, &claim, now);
            source.state = if fits { State::Ok(claim) } else { State::Disagrees(claim) };
        }
    }
    let agreed = found.agreed.flatten().map(middle);
    Attestation {
        verdict: verdict(rule, step_ns, agreed, &sources),
        agreed,
        step_ns,
        rule,
        window: window(now, agreed),
        sources,
    }
}

/// What the sources have in common.
struct Found {
    /// The agreed interval `[low, high]`: outer `None` without any interval,
    /// inner `None` without a majority.
    agreed: Option<Option<(i64, i64)>>,
    /// The kernel repeats what an NTP client says.
    echoed: bool,
}

impl Found {
    fn of(sources: &[Source<'_>]) -> Self {
        let claims = |source: &Source<'_>| source.src.starts_with(NTP) && has_interval(source);
        let echoed = sources.iter().any(claims);
        let part = sources.iter().filter(|source| !(echoed && source.src == KERNEL));
        Self { agreed: intersect(part), echoed }
    }

    fn fits(&self, name: &str, claim: &Claim, now: Timestamp) -> bool {
        (self.echoed && name == KERNEL) || meets(claim, self.agreed, now)
    }
}

fn has_interval(source: &Source<'_>) -> bool {
    matches!(
        source.state,
        State::Ok(Claim::Interval { .. }) | State::Disagrees(Claim::Interval { .. })
    )
}

fn window(now: Timestamp, agreed: Option<(i64, i64)>) -> Option<(Timestamp, Timestamp)> {
    agreed.map(|(offset, bound)| {
        let low = offset.saturating_sub(bound);
        (now.plus_nanos(low), now.plus_nanos(offset.saturating_add(bound)))
    })
}

/// The agreed interval, as [`Found`] has it.
fn intersect<'s, 'a: 's>(
    sources: impl Iterator<Item = &'s Source<'a>> + Clone,
) -> Option<Option<(i64, i64)>> {
    let intervals = || {
        sources.clone().filter_map(|source| match &source.state {
            State::Ok(Claim::Interval { offset_ns, bound_ns, .. })
            | State::Disagrees(Claim::Interval { offset_ns, bound_ns, .. }) => {
                Some((offset_ns.saturating_sub(*bound_ns), offset_ns.saturating_add(*bound_ns)))
            }
            _ => None,
        })
    };
    // Most intervals meet at the lower end of one of them; of several such
    // places the earliest counts. Touching intervals meet.
    let depth = |at: i64| intervals().filter(|(low, high)| (*low..=*high).contains(&at)).count();
    let places = intervals().map(|(low, _)| (depth(low), core::cmp::Reverse(low)));
    let (most, core::cmp::Reverse(low)) = places.max()?;
    let high = intervals().map(|(_, high)| high).filter(|high| *high >= low).min()?;
    Some((most * 2 > intervals().count()).then_some((low, high)))
}

fn meets(claim: &Claim, agreed: Option<Option<(i64, i64)>>, now: Timestamp) -> bool {
    let (low, high) = match claim {
        Claim::Interval { offset_ns, bound_ns, .. } => {
            (offset_ns.saturating_sub(*bound_ns), offset_ns.saturating_add(*bound_ns))
        }
        Claim::Window { not_before, not_after } => (not_before.since(now), not_after.since(now)),
    };
    match (agreed, claim) {
        (Some(Some((agreed_low, agreed_high))), _) => low <= agreed_high && agreed_low <= high,
        // Nothing finer is agreed on: a window is held against the clock itself.
        (_, Claim::Window { .. }) => low <= 0 && 0 <= high,
        // No majority: each interval is in dispute.
        (_, Claim::Interval { .. }) => agreed.is_none(),
    }
}

/// The middle, and the smallest bound around it that holds the whole interval.
fn middle((low, high): (i64, i64)) -> (i64, i64) {
    let width = i128::from(high) - i128::from(low);
    let offset = i128::from(low) + width / 2;
    let narrow = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
    (narrow(offset), narrow(width - width / 2))
}

fn verdict(
    rule: Rule,
    step_ns: Option<i64>,
    agreed: Option<(i64, i64)>,
    sources: &[Source<'_>],
) -> ClockVerdict {
    let disputed = sources.iter().any(|source| matches!(source.state, State::Disagrees(_)));
    let agreeing = sources.iter().filter(|source| source.src != KERNEL);
    let agreeing =
        agreeing.filter(|source| matches!(source.state, State::Ok(Claim::Interval { .. }))).count();
    match agreed {
        _ if disputed => ClockVerdict::Disputed,
        None => ClockVerdict::Unsynchronised,
        Some((offset, bound)) => {
            let off = offset.saturating_abs().saturating_sub(bound) > rule.alarm_ns;
            if off || step_ns.is_some() {
                ClockVerdict::Anomalous
            } else if agreeing < rule.min_agreeing.try_into().unwrap_or(usize::MAX) {
                ClockVerdict::Degraded
            } else {
                ClockVerdict::Agreed
            }
        }
    }
}

/// Whether the system clock jumped between two moments of one boot: the
/// difference of its advance and CLOCK_BOOTTIME's, where it is over the
/// alarm threshold. Both run at the same (disciplined) rate, so slewing does
/// not show here; only a step does.
pub fn step_between(
    time: Timestamp,
    up_ms: u64,
    later_time: Timestamp,
    later_up_ms: u64,
    rule: Rule,
) -> Option<i64> {
    let elapsed = i128::from(later_up_ms) - i128::from(up_ms);
    let step = i128::from(later_time.since(time)) - elapsed * 1_000_000;
    let step = i64::try_from(step).unwrap_or(i64::MAX);
    (step.saturating_abs() > rule.alarm_ns).then_some(step)
}

impl Attestation<'_> {
    /// Recomputes the attestation from its own sources at the record's time.
    ///
    /// # Errors
    /// The attestation that the sources give, where it is another one.
    pub fn recheck(&self, now: Timestamp) -> Result<(), Attestation<'_>> {
        let found = Found::of(&self.sources);
        let agreed = found.agreed.flatten().map(middle);
        let states = self.sources.iter().all(|source| match &source.state {
            State::Ok(claim) => found.fits(&source.src, claim, now),
            State::Disagrees(claim) => !found.fits(&source.src, claim, now),
            State::Absent(_) | State::Rejected(_) => true,
        });
        if states
            && agreed == self.agreed
            && window(now, agreed) == self.window
            && verdict(self.rule, self.step_ns, agreed, &self.sources) == self.verdict
        {
            return Ok(());
        }
        Err(judge(now, self.rule, self.step_ns, self.sources.clone()))
    }

    /// The sources that disagree.
    pub fn falsetickers(&self) -> impl Iterator<Item = &str> {
        let disagrees = |source: &&Source<'_>| matches!(source.state, State::Disagrees(_));
        self.sources.iter().filter(disagrees).map(|source| source.src.as_ref())
    }

    /// As JSON.
    pub fn to_value(&self) -> Value {
        let rule = Value::object([
            ("alarm_ns", self.rule.alarm_ns.into()),
            ("min_agreeing", self.rule.min_agreeing.into()),
        ]);
        let sources = self.sources.iter().map(Source::to_value).collect();
        Value::object([("verdict", self.verdict.as_str().into()), ("rule", rule)])
            .with("sources", Value::Array(sources))
            .with_some("offset_ns", self.agreed.map(|(offset, _)| offset))
            .with_some("bound_ns", self.agreed.map(|(_, bound)| bound))
            .with_some("step_ns", self.step_ns)
            .with_some(
                "window",
                self.window.map(|(low, high)| Value::Array([low.into(), high.into()].into())),
            )
    }
}

impl Source<'_> {
    fn to_value(&self) -> Value {
        let detail = self.detail.as_deref().map(|bytes| Value::parse(bytes).unwrap_or(Value::Null));
        let object = Value::object([("src", self.src.as_ref().into())]).with_some("detail", detail);
        let (state, claim, reason) = match &self.state {
            State::Ok(claim) => ("ok", Some(claim), None),
            State::Disagrees(claim) => ("disagrees", Some(claim), None),
            State::Absent(reason) => ("absent", None, Some(reason)),
            State::Rejected(reason) => ("rejected", None, Some(reason)),
        };
        let object = object.with("state", state).with_some("reason", reason.map(|r| r.as_ref()));
        match claim {
            Some(Claim::Interval { offset_ns, bound_ns, as_of }) => object
                .with("offset_ns", *offset_ns)
                .with("bound_ns", *bound_ns)
                .with("as_of", *as_of),
            Some(Claim::Window { not_before, not_after }) => {
                object.with("not_before", *not_before).with("not_after", *not_after)
            }
            None => object,
        }
    }
}

/// Reads an attestation; its verdict is not yet rechecked.
///
/// # Errors
/// [`ScanError`] for anything that [`Attestation::to_value`] would not write.
pub fn read<'a>(scan: &mut Scanner<'a>) -> Result<Attestation<'a>, ScanError> {
    scan.open()?;
    let bound = optional(scan, "bound_ns", Scanner::wide_int)?;
    let offset = optional(scan, "offset_ns", Scanner::wide_int)?;
    scan.key("rule")?;
    scan.open()?;
    scan.key("alarm_ns")?;
    let alarm_ns = scan.int()?;
    scan.key("min_agreeing")?;
    let min_agreeing = u32::try_from(scan.uint()?).or_else(|_| scan.fail("not a count"))?;
    scan.close()?;
    scan.key("sources")?;
    let mut sources = Vec::new();
    scan.array(|scan| {
        if sources.len() == MAX_SOURCES {
            return scan.fail("too many time sources");
        }
        sources.push(read_source(scan)?);
        Ok(())
    })?;
    let step_ns = optional(scan, "step_ns", Scanner::wide_int)?;
    scan.key("verdict")?;
    let text = scan.plain()?;
    let Some((verdict, _)) = VERDICTS.iter().find(|(_, name)| *name == text) else {
        return scan.fail("an unknown clock verdict");
    };
    let window = optional(scan, "window", |scan| {
        let mut times = [None; 2];
        let mut slots = times.iter_mut();
        scan.array(|scan| match slots.next() {
            Some(slot) => {
                *slot = Some(read_time(scan)?);
                Ok(())
            }
            None => scan.fail("a window has two times"),
        })?;
        match times {
            [Some(low), Some(high)] => Ok((low, high)),
            _ => scan.fail("a window has two times"),
        }
    })?;
    scan.close()?;
    let agreed = match (offset, bound) {
        (Some(offset), Some(bound)) => Some((offset, bound)),
        (None, None) => None,
        _ => return scan.fail("an offset without its bound"),
    };
    let rule = Rule { alarm_ns, min_agreeing };
    Ok(Attestation { verdict: *verdict, agreed, step_ns, rule, sources, window })
}

fn read_source<'a>(scan: &mut Scanner<'a>) -> Result<Source<'a>, ScanError> {
    scan.open()?;
    let as_of = optional(scan, "as_of", read_time)?;
    let bound = optional(scan, "bound_ns", Scanner::wide_int)?;
    let detail = optional(scan, "detail", Scanner::value)?.map(Cow::Borrowed);
    let not_after = optional(scan, "not_after", read_time)?;
    let not_before = optional(scan, "not_before", read_time)?;
    let offset = optional(scan, "offset_ns", Scanner::wide_int)?;
    let reason = optional(scan, "reason", Scanner::string)?;
    scan.key("src")?;
    let src = Cow::Borrowed(scan.plain()?);
    scan.key("state")?;
    let state = scan.plain()?;
    scan.close()?;
    let claim = match (as_of, bound, offset, not_before, not_after) {
        (Some(as_of), Some(bound_ns @ 0..), Some(offset_ns), None, None) => {
            Some(Claim::Interval { offset_ns, bound_ns, as_of })
        }
        (None, None, None, Some(not_before), Some(not_after)) => {
            Some(Claim::Window { not_before, not_after })
        }
        (None, None, None, None, None) => None,
        _ => return scan.fail("a source's claim is incomplete"),
    };
    let state = match (state, claim, reason) {
        ("ok", Some(claim), None) => State::Ok(claim),
        ("disagrees", Some(claim), None) => State::Disagrees(claim),
        ("absent", None, Some(reason)) => State::Absent(reason),
        ("rejected", None, Some(reason)) => State::Rejected(reason),
        _ => return scan.fail("a source's state does not fit what it gives"),
    };
    Ok(Source { src, state, detail })
}

// Inlined for the sake of `Scanner::maybe_key`.
#[inline(always)]
fn optional<'a, T>(
    scan: &mut Scanner<'a>,
    name: &str,
    read: impl FnOnce(&mut Scanner<'a>) -> Result<T, ScanError>,
) -> Result<Option<T>, ScanError> {
    if scan.maybe_key(name) { read(scan).map(Some) } else { Ok(None) }
}

/// A time as a JSON string.
///
/// # Errors
/// Where it is not of the 30-byte form.
pub fn read_time(scan: &mut Scanner<'_>) -> Result<Timestamp, ScanError> {
    match scan.quoted::<_, { Timestamp::LEN }>(|text| Timestamp::parse(text)) {
        Some(time) => Ok(time),
        None => scan.fail("expected a time in UTC with nine digits"),
    }
}

impl Source<'static> {
    /// A source that gave nothing.
    pub fn absent(src: &str, reason: impl Into<String>) -> Self {
        let state = State::Absent(Cow::Owned(reason.into()));
        Self { src: Cow::Owned(src.into()), state, detail: None }
    }

    /// A source that gave something unusable.
    pub fn rejected(src: &str, reason: impl Into<String>, detail: Option<&Value>) -> Self {
        let state = State::Rejected(Cow::Owned(reason.into()));
        let detail = detail.map(|value| Cow::Owned(value.encode()));
        Self { src: Cow::Owned(src.into()), state, detail }
    }

    /// A source that made a claim.
    pub fn claims(src: &str, claim: Claim, detail: Option<&Value>) -> Self {
        let detail = detail.map(|value| Cow::Owned(value.encode()));
        Self { src: Cow::Owned(src.into()), state: State::Ok(claim), detail }
    }
}

#[cfg(test)]
mod tests;
