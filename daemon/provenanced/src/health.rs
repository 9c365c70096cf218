//! `provenanced health`: how the appliance stands, part by part, and one
//! verdict over all. It reads; only the daily verification is recorded.

use std::time::Duration;

use provenance_core::{
    encoding::{
        json::Value,
        time::{Timestamp, human_span},
    },
    record::{
        Record,
        time_attestation::{Attestation, ClockVerdict},
    },
    registry::Entry,
    report::Severity,
};
use provenance_host::{chain_files, config::Config, disk_space, durable, state_dir::StateDir};
use provenance_registry::Reader;
use provenance_verifier::line_reader;

use crate::{alerts, anchoring, ledger::read_entry, replication};

/// Heads and checkpoints come hourly.
const HOURLY: Duration = Duration::from_secs(2 * 3600);
/// A verification comes daily.
const DAILY: Duration = Duration::from_secs(2 * 86_400);

/// How a part stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Health {
    /// As it should.
    Ok,
    /// It could not be told.
    Unknown,
    /// Somebody has to look.
    Failing,
}

impl Health {
    /// The word in the answer.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Failing => "failing",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Check {
    /// `time`, `chain`, `registry`, `checkpoint`, `verification`, `alerts`, `anchors`, `copies`,
    /// `disk`
    pub what: &'static str,
    /// How it stands.
    pub health: Health,
    pub message: String,
}

impl Check {
    fn new(what: &'static str, health: Health, message: impl Into<String>) -> Self {
        Self { what, health, message: message.into() }
    }

    /// As JSON (docs/json-output.md).
    pub(crate) fn to_value(&self) -> Value {
        Value::object([
            ("what", self.what.into()),
            ("health", self.health.as_str().into()),
            ("message", self.message.as_str().into()),
        ])
    }
}

/// The worst of all.
pub(crate) fn overall(checks: &[Check]) -> Health {
    checks.iter().map(|check| check.health).max().unwrap_or(Health::Unknown)
}

/// Looks at every part; `clock` is what the time sources say now.
pub(crate) fn checks(config: &Config, clock: &Attestation<'_>, now: Timestamp) -> Vec<Check> {
    let state = StateDir::new(&config.state_dir);
    let mut checks = vec![time(clock), chain(config, &state, now)];
    match Reader::open(&state.registry()) {
        Err(error) => checks.push(Check::new("registry", Health::Failing, error.to_string())),
        Ok(reader) => {
            checks.push(heads(&reader, now));
            checks.extend(config.signing_key.as_ref().map(|_| checkpoint(&state, &reader)));
            checks.push(verification(&reader, now));
            checks.push(open_alerts(&reader));
            checks.extend(config.anchor.as_ref().map(|_| anchors(&state, &reader, now)));
            checks.extend(copies(config, &state, &reader, now));
        }
    }
    checks.push(disk(config, &state));
    checks
}

fn time(clock: &Attestation<'_>) -> Check {
    let health = match clock.verdict {
        ClockVerdict::Agreed => Health::Ok,
        ClockVerdict::Degraded | ClockVerdict::Unsynchronised => Health::Unknown,
        ClockVerdict::Disputed | ClockVerdict::Anomalous => Health::Failing,
    };
    let wrong: Vec<&str> = clock.falsetickers().collect();
    let named = if wrong.is_empty() { String::new() } else { format!(": {}", wrong.join(", ")) };
    Check::new("time", health, format!("{}{named}", clock.verdict.as_str()))
}

fn chain(config: &Config, state: &StateDir, now: Timestamp) -> Check {
    let last = match last_record(state) {
        Ok(Some(last)) => last,
        Ok(None) => return Check::new("chain", Health::Failing, "there is no record yet"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Check::new("chain", Health::Failing, "there is no record yet");
        }
        Err(error) => {
            let message = format!("{}: {error}", state.chain().display());
            return Check::new("chain", Health::Failing, message);
        }
    };
    let (time, kind) = last;
    let age = now.since(time);
    let said = format!("the last record is {} old", human_span(age));
    let limit = i64::try_from(config.interval_s).unwrap_or(i64::MAX).saturating_mul(2_000_000_000);
    match () {
        () if kind == "stop" => Check::new("chain", Health::Failing, "the daemon is stopped"),
        () if age > limit.saturating_add(5_000_000_000) => {
            let message = format!("{said}: the daemon does not run, or cannot write");
            Check::new("chain", Health::Failing, message)
        }
        () => Check::new("chain", Health::Ok, said),
    }
}

fn last_record(state: &StateDir) -> std::io::Result<Option<(Timestamp, String)>> {
    let Some(file) = chain_files::list(&state.chain())?.files.pop() else { return Ok(None) };
    let mut last = None;
    line_reader::for_each_line::<std::io::Error>(chain_files::open(&file)?, |line| {
        if let Ok(record) = Record::parse(line) {
            last = Some((record.time, record.kind.to_owned()));
        }
        Ok(())
    })?;
    Ok(last)
}

fn heads(reader: &Reader, now: Timestamp) -> Check {
    let newest = reader.last_of_kind("head").map(|row| row.and_then(|row| time_of(&row.body)));
    match newest {
        Ok(Some(time)) => {
            let age = now.since(time);
            let late = u128::from(age.max(0).unsigned_abs()) > HOURLY.as_nanos();
            let health = if late { Health::Failing } else { Health::Ok };
            Check::new("registry", health, format!("the newest head is {} old", human_span(age)))
        }
        Ok(None) => Check::new("registry", Health::Unknown, "there is no head yet"),
        Err(error) => Check::new("registry", Health::Failing, error.to_string()),
    }
}

fn checkpoint(state: &StateDir, reader: &Reader) -> Check {
    let note = durable::read_limited(&state.checkpoint(), 64 << 10).ok();
    let size = note
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|note| crate::ledger::size_of(&note));
    match (size, reader.len()) {
        (Some(size), Ok(len)) => {
            Check::new("checkpoint", Health::Ok, format!("signs {size} of {len} registry records"))
        }
        (None, _) => Check::new("checkpoint", Health::Failing, "there is no signed checkpoint"),
        (_, Err(error)) => Check::new("checkpoint", Health::Failing, error.to_string()),
    }
}

fn verification(reader: &Reader, now: Timestamp) -> Check {
    let row = match reader.last_of_kind("verify") {
        Ok(row) => row,
        Err(error) => return Check::new("verification", Health::Failing, error.to_string()),
    };
    let entry = row.and_then(|row| Some((time_of(&row.body)?, read_entry(&row.body)?)));
    let Some((time, Entry::Verify(entry))) = entry else {
        let message = "none was recorded yet: run `provenanced health --verify` daily";
        return Check::new("verification", Health::Unknown, message);
    };
    let age = now.since(time);
    let said = format!("{} {} ago", entry.verdict, human_span(age));
    let late = u128::from(age.max(0).unsigned_abs()) > DAILY.as_nanos();
    match entry.verdict.as_str() {
        "failed" => Check::new("verification", Health::Failing, said),
        "verified" if !late => Check::new("verification", Health::Ok, said),
        _ => Check::new("verification", Health::Unknown, said),
    }
}

fn time_of(body: &[u8]) -> Option<Timestamp> {
    Record::parse(body).ok().map(|record| record.time)
}

fn open_alerts(reader: &Reader) -> Check {
    let open = match alerts::open_in(reader) {
        Ok(open) => open,
        Err(error) => return Check::new("alerts", Health::Failing, error.to_string()),
    };
    let serious = open.iter().any(|alert| alert.severity == Severity::Error);
    let health = if serious { Health::Failing } else { Health::Ok };
    let mut codes: Vec<&str> = open.iter().map(|alert| alert.code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    match open.len() {
        0 => Check::new("alerts", health, "none is open"),
        count => Check::new("alerts", health, format!("{count} open: {}", codes.join(", "))),
    }
}

fn anchors(state: &StateDir, reader: &Reader, now: Timestamp) -> Check {
    let check = |health, message: String| Check::new("anchors", health, message);
    let book = match anchoring::book(reader) {
        Ok(book) => book,
        Err(error) => return check(Health::Failing, error.to_string()),
    };
    let Some(last) = book.iter().next_back() else {
        return check(Health::Unknown, "there is none yet: run `provenanced anchor`".into());
    };
    let age = human_span(now.since(last.since));
    let said = format!("the newest is {} since {age}", last.state.as_str());
    match anchoring::Status::read(state).and_then(|status| status.error) {
        Some(error) => check(Health::Failing, format!("{said}; the last attempt failed: {error}")),
        // One that is late is an alert.
        None => check(Health::Ok, said),
    }
}

/// One for each place where copies go.
fn copies(config: &Config, state: &StateDir, reader: &Reader, now: Timestamp) -> Vec<Check> {
    let Some(settings) = &config.store else { return vec![] };
    let check = |health, message: String| Check::new("copies", health, message);
    let genesis = reader.record(0).ok().flatten().and_then(|row| read_entry(&row.body));
    let Some(Entry::Genesis { chain, .. }) = genesis else {
        return vec![check(Health::Failing, "the registry's record 0 is no genesis".into())];
    };
    let one = |place: &String| {
        let said = match replication::newest(reader, place) {
            Err(error) => return check(Health::Failing, error.to_string()),
            Ok(None) => return check(Health::Unknown, format!("{place}: none was made yet")),
            Ok(Some((run, time))) if run.unlocked > 0 && place.starts_with("s3:") => {
                let age = human_span(now.since(time));
                let message = format!("{place}: run {} is {age} old, and not kept", run.run);
                return check(Health::Failing, message);
            }
            Ok(Some((run, time))) => {
                format!("{place}: run {} is {} old", run.run, human_span(now.since(time)))
            }
        };
        match replication::Status::error(state, place) {
            Some(error) => {
                check(Health::Failing, format!("{said}; the last attempt failed: {error}"))
            }
            // One that is late is an alert.
            None => check(Health::Ok, said),
        }
    };
    replication::places(config, settings, &chain).iter().map(one).collect()
}

fn disk(config: &Config, state: &StateDir) -> Check {
    let room = match disk_space::room(state.root()) {
        Ok(room) => room,
        Err(error) => return Check::new("disk", Health::Unknown, error.to_string()),
    };
    let least = room.inodes.map_or(room.space, |inodes| inodes.min(room.space));
    let low = least < config.alert.disk_low_percent;
    let health = if low { Health::Failing } else { Health::Ok };
    let inodes = room.inodes.map(|inodes| format!(", {inodes} % of its inodes"));
    let message = format!("{} % of the space free{}", room.space, inodes.unwrap_or_default());
    Check::new("disk", health, message)
}
