//! What the records of the log chain hold, by kind (docs/format.md §2).

use alloc::{borrow::Cow, string::String, vec::Vec};

use super::{
    Record,
    log_entry::{self, LogEntry, read_digest},
    time_attestation::{self, Attestation, read_time},
};
use crate::encoding::{
    digest::Digest,
    json::Value,
    json_scanner::{ScanError, Scanner},
    time::Timestamp,
};

/// The data of a chain record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body<'a> {
    /// Record 0: whose chain this is.
    Genesis(Genesis<'a>),
    /// The daemon begins, or goes on.
    Start(Session<'a>),
    /// The daemon ends in order.
    Stop(Session<'a>),
    /// The interval's record.
    Tick(Tick<'a>),
    /// Something was repaired, or could not be written for a time.
    Recovered(Recovered<'a>),
    /// The settings changed.
    Config {
        /// Digest of the settings before.
        old: Digest,
        /// Digest of the settings from here on.
        new: Digest,
        /// The interval from here on, in seconds.
        interval_s: u64,
    },
    /// A checkpoint of the registry, as a signed note.
    Checkpoint {
        /// The note's text.
        note: Cow<'a, str>,
    },
    /// A kind that this version does not know.
    Unknown,
}

/// Whose chain this is, and how it was set up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Genesis<'a> {
    /// A random 128-bit id in hex.
    pub chain: Cow<'a, str>,
    /// The client.
    pub client: Cow<'a, str>,
    /// Digest of the effective settings.
    pub config_sha256: Digest,
    /// The host's name.
    pub host: Cow<'a, str>,
    /// Seconds between ticks.
    pub interval_s: u64,
    /// The machine id (machine-id(5)).
    pub machine: Cow<'a, str>,
    /// Name and version of the program.
    pub software: Cow<'a, str>,
    /// The compliance tier.
    pub tier: Cow<'a, str>,
}

/// A beginning or an orderly end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session<'a> {
    /// The kernel's boot id.
    pub boot: Cow<'a, str>,
    /// Digest of the effective settings.
    pub config_sha256: Digest,
    /// Why.
    pub reason: Cow<'a, str>,
    /// Name and version of the program.
    pub software: Cow<'a, str>,
    /// CLOCK_BOOTTIME in milliseconds.
    pub up_ms: u64,
}

/// What a tick saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tick<'a> {
    /// The kernel's boot id.
    pub boot: Cow<'a, str>,
    /// The time attestation.
    pub clock: Attestation<'a>,
    /// What changed, sorted.
    pub logs: Vec<LogEntry<'a>>,
    /// Whether the next record continues this tick.
    pub more: bool,
    /// CLOCK_BOOTTIME in milliseconds.
    pub up_ms: u64,
}

/// What was repaired, or could not be written for a time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recovered<'a> {
    /// How often the append failed.
    pub attempts: Option<u64>,
    /// How many bytes were set aside.
    pub bytes: u64,
    /// With which errno(3) it failed last.
    pub errno: Option<u32>,
    /// Under which name in `chain/recovered/` they are.
    pub file: Option<Cow<'a, str>>,
    /// What happened, in words.
    pub reason: Cow<'a, str>,
    /// Digest of the bytes set aside.
    pub sha256: Option<Digest>,
    /// Since when it failed.
    pub since: Option<Timestamp>,
}

impl<'a> Body<'a> {
    /// Reads a record's data by its kind.
    ///
    /// # Errors
    /// [`ScanError`] for data that [`Body::to_value`] would not write.
    pub fn read(record: &Record<'a>) -> Result<Self, ScanError> {
        let mut scan = record.scan();
        let body = match record.kind {
            "tick" => Self::Tick(read_tick(&mut scan)?),
            "genesis" => Self::Genesis(read_genesis(&mut scan)?),
            "start" => Self::Start(read_session(&mut scan)?),
            "stop" => Self::Stop(read_session(&mut scan)?),
            "recovered" => Self::Recovered(read_recovered(&mut scan)?),
            "config" => read_config(&mut scan)?,
            "checkpoint" => {
                scan.open()?;
                scan.key("note")?;
                let note = scan.string()?;
                scan.close()?;
                Self::Checkpoint { note }
            }
            _ => {
                scan.value()?;
                Self::Unknown
            }
        };
        scan.finish()?;
        Ok(body)
    }

    /// The record's kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Genesis(_) => "genesis",
            Self::Start(_) => "start",
            Self::Stop(_) => "stop",
            Self::Tick(_) => "tick",
            Self::Recovered(_) => "recovered",
            Self::Config { .. } => "config",
            Self::Checkpoint { .. } => "checkpoint",
            Self::Unknown => "unknown",
        }
    }

    /// The data as JSON.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Genesis(genesis) => genesis.to_value(),
            Self::Start(session) | Self::Stop(session) => session.to_value(),
            Self::Tick(tick) => tick.to_value(),
            Self::Recovered(recovered) => recovered.to_value(),
            Self::Config { old, new, interval_s } => Value::object([
                ("old", (*old).into()),
                ("new", (*new).into()),
                ("interval_s", (*interval_s).into()),
            ]),
            Self::Checkpoint { note } => Value::object([("note", note.as_ref().into())]),
            Self::Unknown => Value::object([]),
        }
    }
}

impl Genesis<'_> {
    fn to_value(&self) -> Value {
        Value::object([
            ("chain", self.chain.as_ref().into()),
            ("client", self.client.as_ref().into()),
            ("config_sha256", self.config_sha256.into()),
            ("host", self.host.as_ref().into()),
            ("interval_s", self.interval_s.into()),
            ("machine", self.machine.as_ref().into()),
            ("software", self.software.as_ref().into()),
            ("tier", self.tier.as_ref().into()),
        ])
    }
}

impl Session<'_> {
    fn to_value(&self) -> Value {
        Value::object([
            ("boot", self.boot.as_ref().into()),
            ("config_sha256", self.config_sha256.into()),
            ("reason", self.reason.as_ref().into()),
            ("software", self.software.as_ref().into()),
            ("up_ms", self.up_ms.into()),
        ])
    }
}

impl Tick<'_> {
    fn to_value(&self) -> Value {
        Value::object([
            ("boot", self.boot.as_ref().into()),
            ("clock", self.clock.to_value()),
            ("logs", log_entry::to_value(&self.logs)),
            ("up_ms", self.up_ms.into()),
        ])
        .with_some("more", self.more.then_some(true))
    }
}

impl Recovered<'_> {
    fn to_value(&self) -> Value {
        Value::object([("bytes", self.bytes.into()), ("reason", self.reason.as_ref().into())])
            .with_some("attempts", self.attempts)
            .with_some("errno", self.errno)
            .with_some("file", self.file.as_deref())
            .with_some("sha256", self.sha256)
            .with_some("since", self.since)
    }
}

fn read_genesis<'a>(scan: &mut Scanner<'a>) -> Result<Genesis<'a>, ScanError> {
    scan.open()?;
    scan.key("chain")?;
    let chain = scan.plain()?.into();
    scan.key("client")?;
    let client = scan.string()?;
    scan.key("config_sha256")?;
    let config_sha256 = read_digest(scan)?;
    scan.key("host")?;
    let host = scan.string()?;
    scan.key("interval_s")?;
    let interval_s = read_interval(scan)?;
    scan.key("machine")?;
    let machine = scan.plain()?.into();
    scan.key("software")?;
    let software = scan.string()?;
    scan.key("tier")?;
    let tier = scan.plain()?.into();
    scan.close()?;
    Ok(Genesis { chain, client, config_sha256, host, interval_s, machine, software, tier })
}

fn read_session<'a>(scan: &mut Scanner<'a>) -> Result<Session<'a>, ScanError> {
    scan.open()?;
    scan.key("boot")?;
    let boot = scan.plain()?.into();
    scan.key("config_sha256")?;
    let config_sha256 = read_digest(scan)?;
    scan.key("reason")?;
    let reason = scan.string()?;
    scan.key("software")?;
    let software = scan.string()?;
    scan.key("up_ms")?;
    let up_ms = scan.uint()?;
    scan.close()?;
    Ok(Session { boot, config_sha256, reason, software, up_ms })
}

fn read_tick<'a>(scan: &mut Scanner<'a>) -> Result<Tick<'a>, ScanError> {
    scan.open()?;
    scan.key("boot")?;
    let boot = scan.plain()?.into();
    scan.key("clock")?;
    let clock = time_attestation::read(scan)?;
    scan.key("logs")?;
    let mut entries: Vec<LogEntry<'a>> = Vec::new();
    scan.array(|scan| {
        let entry = log_entry::read_entry(scan)?;
        if entries.last().is_some_and(|last| last.order() > entry.order()) {
            return scan.fail("log entries out of order");
        }
        entries.push(entry);
        Ok(())
    })?;
    let more = scan.maybe_key("more");
    if more && !scan.boolean()? {
        return scan.fail("more is true or absent");
    }
    scan.key("up_ms")?;
    let up_ms = scan.uint()?;
    scan.close()?;
    Ok(Tick { boot, clock, logs: entries, more, up_ms })
}

fn read_recovered<'a>(scan: &mut Scanner<'a>) -> Result<Recovered<'a>, ScanError> {
    let mut recovered = Recovered::default();
    scan.open()?;
    if scan.maybe_key("attempts") {
        recovered.attempts = Some(scan.uint()?);
    }
    scan.key("bytes")?;
    recovered.bytes = scan.uint()?;
    if scan.maybe_key("errno") {
        recovered.errno = Some(u32::try_from(scan.uint()?).or_else(|_| scan.fail("not an errno"))?);
    }
    if scan.maybe_key("file") {
        recovered.file = Some(scan.string()?);
    }
    scan.key("reason")?;
    recovered.reason = scan.string()?;
    if scan.maybe_key("sha256") {
        recovered.sha256 = Some(read_digest(scan)?);
    }
    if scan.maybe_key("since") {
        recovered.since = Some(read_time(scan)?);
    }
    scan.close()?;
    Ok(recovered)
}

fn read_config(scan: &mut Scanner<'_>) -> Result<Body<'static>, ScanError> {
    scan.open()?;
    scan.key("interval_s")?;
    let interval_s = read_interval(scan)?;
    scan.key("new")?;
    let new = read_digest(scan)?;
    scan.key("old")?;
    let old = read_digest(scan)?;
    scan.close()?;
    Ok(Body::Config { old, new, interval_s })
}

/// The longest interval between ticks: a day.
pub const MAX_INTERVAL_S: u64 = 86_400;

fn read_interval(scan: &mut Scanner<'_>) -> Result<u64, ScanError> {
    match scan.uint()? {
        interval @ 1..=MAX_INTERVAL_S => Ok(interval),
        _ => scan.fail("an interval is 1 s to a day"),
    }
}

/// The name of a day's chain file, relative to the state folder.
pub fn file_name(time: Timestamp) -> String {
    alloc::format!("chain/{}.jsonl", time.day().path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{self, time_attestation::Rule};

    fn session() -> Session<'static> {
        Session {
            boot: "b0".into(),
            config_sha256: Digest::sha256(b"c"),
            reason: "SIGTERM \"now\"".into(),
            software: "provenanced 0.1.0".into(),
            up_ms: 12,
        }
    }

    #[test]
    fn every_kind_survives_its_bytes() {
        let time = Timestamp::from_nanos(1);
        let genesis = Genesis {
            chain: "00".into(),
            client: "clinic \u{e9}".into(),
            config_sha256: Digest::sha256(b"c"),
            host: "h".into(),
            interval_s: 60,
            machine: "m".into(),
            software: "s".into(),
            tier: "enterprise".into(),
        };
        let clock = time_attestation::judge(
            time,
            Rule { alarm_ns: 1, min_agreeing: 1 },
            None,
            [time_attestation::Source::absent("kernel", "x\ny")].into(),
        );
        let tick = |more| Tick {
            boot: "b0".into(),
            clock: clock.clone(),
            logs: [].into(),
            more,
            up_ms: 5,
        };
        let torn = Recovered {
            bytes: 3,
            file: Some("torn".into()),
            reason: "torn".into(),
            sha256: Some(Digest::sha256(b"abc")),
            ..Recovered::default()
        };
        let failed = Recovered {
            attempts: Some(4),
            errno: Some(28),
            reason: "append failed".into(),
            since: Some(time),
            ..Recovered::default()
        };
        for body in [
            Body::Genesis(genesis),
            Body::Start(session()),
            Body::Stop(session()),
            Body::Tick(tick(false)),
            Body::Tick(tick(true)),
            Body::Recovered(torn),
            Body::Recovered(failed),
            Body::Config { old: Digest::ZERO, new: Digest::sha256(b"n"), interval_s: 300 },
            Body::Checkpoint { note: "msp\n1\nroot\n\n\u{2014} k sig\n".into() },
        ] {
            let line = record::encode(body.kind(), 0, Digest::ZERO, time, &body.to_value());
            let record = Record::parse(&line).unwrap();
            assert_eq!(Body::read(&record), Ok(body));
        }
    }

    #[test]
    fn unsorted_entries_and_unknown_members_are_refused() {
        let time = Timestamp::from_nanos(1);
        let text = |data: &str| {
            alloc::format!(
                "{{\"data\":{data},\"kind\":\"tick\",\"prev\":\"{}\",\"seq\":0,\"time\":\"{time}\",\"v\":1}}",
                Digest::ZERO
            )
        };
        let clock = "{\"rule\":{\"alarm_ns\":1,\"min_agreeing\":1},\"sources\":[],\"verdict\":\"unsynchronised\"}";
        let range = |src: &str| {
            alloc::format!(
                "{{\"from\":0,\"gen\":0,\"sha256\":\"{}\",\"src\":\"{src}\",\"to\":1}}",
                Digest::ZERO
            )
        };
        let tick = |logs: &str, extra: &str| {
            text(&alloc::format!(
                "{{\"boot\":\"b\",\"clock\":{clock},\"logs\":[{logs}]{extra},\"up_ms\":1}}"
            ))
        };
        let read = |line: &str| Body::read(&Record::parse(line.as_bytes()).unwrap()).map(drop);
        let (a, b) = (range("file:/a"), range("file:/b"));
        assert!(read(&tick(&alloc::format!("{a},{b}"), "")).is_ok());
        assert!(read(&tick(&alloc::format!("{b},{a}"), "")).is_err());
        assert!(read(&tick("", ",\"more\":false")).is_err());
        assert!(read(&tick("", ",\"other\":1")).is_err());
    }
}
