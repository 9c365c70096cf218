//! NTP by chronyd (docs/format.md §3): `chrony-probe` is run, and its report
//! (daemon/chrony-probe/README.md) becomes a claim.

mod report;

use std::{
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use provenance_core::{
    encoding::{json::Value, time::Timestamp},
    record::time_attestation::{Claim, Source},
};

use provenance_host::child_process::{self, Finished};

use report::{Report, State, Tracking};

/// The source's name in records.
pub const NAME: &str = "ntp:chrony";
/// The program that asks chronyd.
const PROBE: &str = "chrony-probe";
/// Where to find it, if set.
const PROBE_VARIABLE: &str = "MSP_CHRONY_PROBE";
/// The longest that the probe may be given.
const MAX_PROBE_TIMEOUT: Duration = Duration::from_secs(60);
/// 64 sources with names of 255 bytes fit twice.
const MAX_REPORT: usize = 64 << 10;
/// How much of the probe's own words a reason repeats.
const MAX_SAID: usize = 200;
/// The exit code for something that is no answer of chronyd's.
const PROTOCOL: i32 = 76;
/// chronyd is its own reference: 127.127.1.1, its `local` mode.
const LOCAL: &str = "7F7F0101";
/// After eight polls without an answer chronyd calls a source unreachable, and
/// after eight intervals without an update we say that it holds over.
const HOLDOVER_INTERVALS: i64 = 8;
/// How many falsetickers are named in a record.
const MAX_NAMED: usize = 8;

/// The probe: what `MSP_CHRONY_PROBE` names, or the one beside the running
/// program, or the one that `PATH` finds.
pub(crate) fn find_probe() -> PathBuf {
    if let Some(set) = env::var_os(PROBE_VARIABLE).filter(|set| !set.is_empty()) {
        return set.into();
    }
    let beside = env::current_exe().ok().map(|program| program.with_file_name(PROBE));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PROBE.into())
}

/// Asks the chronyd at `address` (`unix:/run/chrony/chronyd.sock`,
/// `udp:127.0.0.1:323`) by the program `probe`, see [`find_probe`]. It takes no
/// longer than `deadline`, and blocks: call it from a thread that may wait.
pub fn ask(
    probe: &Path,
    address: &str,
    deadline: Duration,
    now: impl Fn() -> Timestamp,
) -> Source<'static> {
    // The probe is given less, so that it ends by itself and tidies up.
    let timeout = (deadline / 4 * 3).min(MAX_PROBE_TIMEOUT).as_millis().max(1).to_string();
    let arguments = ["--timeout-ms", &timeout, address].map(OsString::from);
    let finished = child_process::run(probe, arguments, deadline, MAX_REPORT);
    evaluate(finished, now())
}

fn evaluate(finished: io::Result<Finished>, as_of: Timestamp) -> Source<'static> {
    let finished = match finished {
        Ok(finished) => finished,
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::FileTooLarge => {
                    Source::rejected(NAME, format!("{PROBE}: {error}"), None)
                }
                _ => Source::absent(NAME, format!("{PROBE}: {error}")),
            };
        }
    };
    match finished.status.code() {
        Some(0) => claim(&finished.output, as_of),
        Some(PROTOCOL) => Source::rejected(NAME, reason(&finished), None),
        _ => Source::absent(NAME, reason(&finished)),
    }
}

/// The probe's first line, as far as it can be shown, or how it ended.
fn reason(finished: &Finished) -> String {
    let line = finished.said.lines().next().unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).take(MAX_SAID).collect();
    if line.is_empty() { format!("{PROBE}: {}", finished.status) } else { line }
}

/// What a report says as of then: pure.
pub fn claim(report: &[u8], as_of: Timestamp) -> Source<'static> {
    let report = match Report::read(report) {
        Ok(report) => report,
        Err(error) => {
            return Source::rejected(NAME, format!("{PROBE}'s report: {error}"), None);
        }
    };
    let age_ms = age_ms(&report.tracking, as_of);
    let detail = detail(&report, age_ms);
    let said = &report.tracking;
    let unusable = if said.leap == "unsynchronised" {
        Some("chronyd is not synchronised")
    } else if !(1..16).contains(&said.stratum) {
        Some("chronyd's stratum is none of 1 to 15")
    } else if said.ref_id == LOCAL {
        Some("chronyd is its own reference (local)")
    } else if said.root_delay_ns < 0 || said.root_dispersion_ns < 0 {
        Some("a negative root delay or dispersion")
    } else {
        None
    };
    if let Some(reason) = unusable {
        return Source::rejected(NAME, reason, Some(&detail));
    }
    // Half of an odd delay is rounded up: the bound holds. The offset is no part
    // of it: true time is as near to the system clock *and its correction*.
    let half_delay = said.root_delay_ns / 2 + said.root_delay_ns % 2;
    let claim = Claim::Interval {
        offset_ns: said.system_offset_ns,
        bound_ns: said.root_dispersion_ns.saturating_add(half_delay),
        as_of,
    };
    Source::claims(NAME, claim, Some(&detail))
}

/// How long ago chronyd last compared its clock, by that clock.
fn age_ms(said: &Tracking<'_>, as_of: Timestamp) -> Option<i64> {
    let compared = (said.ref_time_ns > 0).then(|| Timestamp::from_nanos(said.ref_time_ns))?;
    Some((as_of.plus_nanos(said.system_offset_ns).since(compared) / 1_000_000).max(0))
}

fn detail(report: &Report<'_>, age_ms: Option<i64>) -> Value {
    let said = &report.tracking;
    let in_use = || report.sources.iter().filter(|source| source.state.in_use());
    let count = |test: fn(State) -> bool| {
        u64::try_from(report.sources.iter().filter(|source| test(source.state)).count())
            .unwrap_or(u64::MAX)
    };
    // Known only where the authentication of each source in use is.
    let known = in_use().next().is_some() && in_use().all(|source| source.auth.is_some());
    let nts = known.then(|| in_use().all(|source| source.auth == Some("nts")));
    let longest = in_use().map(|source| source.poll_ms()).max().unwrap_or_default();
    let longest = longest.max(said.update_interval_ms).saturating_mul(HOLDOVER_INTERVALS);
    let holdover =
        count(|state| state == State::Selected) == 0 || age_ms.is_none_or(|age| age > longest);
    let liars = report.sources.iter().filter(|source| source.state == State::Falseticker);
    let liars: Vec<Value> = liars.take(MAX_NAMED).map(|source| source.name.into()).collect();
    Value::object([
        ("holdover", holdover.into()),
        ("leap", said.leap.into()),
        ("ref_id", said.ref_id.into()),
        ("root_delay_ns", said.root_delay_ns.into()),
        ("root_dispersion_ns", said.root_dispersion_ns.into()),
        ("selectable", count(State::selectable).into()),
        ("sources", report.source_count.into()),
        ("stratum", said.stratum.into()),
        ("system_offset_ns", said.system_offset_ns.into()),
    ])
    .with_some("falsetickers", (!liars.is_empty()).then_some(liars))
    .with_some("nts", nts)
    .with_some("update_age_ms", age_ms)
}

#[cfg(test)]
mod tests;
