//! Start-up is recovery: the chain is read from the last snapshot on, so that
//! the followers know where they were, and what a crash left is repaired.

use std::{collections::BTreeSet, io};

use provenance_core::{
    encoding::{
        digest::Digest,
        json::Value,
        time::{Now, Timestamp},
    },
    record::{
        Record,
        chain::{Body, Genesis, Recovered},
        log_entry::LogEntry,
    },
    report::Head,
};
use provenance_host::{chain_files, clock, config::Config, durable, state_dir::StateDir};
use provenance_verifier::line_reader;

use crate::{PROGRAM_VERSION, chain::ChainWriter, error::ServiceError, ledger::Ledger};

/// A snapshot is at most 64 MiB: 100,000 sources of some hundred bytes.
const MAX_SNAPSHOT: u64 = 64 << 20;

/// What the past says.
#[derive(Debug, Default)]
pub struct ReplayedState {
    /// The last record with both clocks.
    pub last: Option<Now>,
    /// What was set aside and is to be recorded.
    pub recovered: Vec<Recovered<'static>>,
    /// Digest of the settings that were in force.
    pub config_sha256: Option<Digest>,
    /// Whether the last session ended in order.
    pub stopped: bool,
    /// The tree size of the newest checkpoint in the chain.
    pub checkpoint: u64,
}

/// Takes what the past holds of the log sources.
pub trait Replay {
    /// Takes the snapshot kept with an earlier head; whether it was one.
    fn restore(&mut self, snapshot: &Value) -> bool;

    /// An entry of a tick behind that head.
    fn entry(&mut self, entry: &LogEntry<'_>);

    /// Any record that is read again, also before that head.
    fn record(&mut self, _record: &Record<'_>, _body: &Body<'_>) {}
}

/// Begins the chain where there is none, and reads it where there is one.
///
/// # Errors
/// [`ServiceError`]: a chain without its registry, of another id, or damaged.
pub fn recover(
    config: &Config,
    state: &StateDir,
    chain: &mut ChainWriter,
    evidence: &Ledger,
    now: Timestamp,
    replay: &mut impl Replay,
) -> Result<ReplayedState, ServiceError> {
    if chain.head().is_none() {
        chain.append(now, &Body::Genesis(genesis(config, evidence.chain())))?;
    }
    let mut reading =
        Reading { past: ReplayedState::default(), known: BTreeSet::new(), from: 0, head: None };
    if let Some(Snapshot { head, config_sha256, sources }) = read_snapshot(state)
        && replay.restore(&sources)
    {
        reading.from = head.seq.saturating_add(1);
        reading.head = Some(head);
        // Where the last start was is not read again.
        reading.past.config_sha256 = Some(config_sha256);
    }
    let listing = chain_files::list(&state.chain())
        .map_err(ServiceError::io("cannot list the chain's files"))?;
    // From the file before the snapshot's on: right after midnight the last
    // record with both clocks may still be in there.
    let start = reading.head.map(|head| head.time.day());
    let begin = listing.files.iter().take_while(|file| file.day < start).count().saturating_sub(1);
    let mut first = true;
    for file in listing.files.into_iter().skip(begin) {
        let source = chain_files::open(&file).map_err(ServiceError::io("cannot read the chain"))?;
        line_reader::for_each_line::<ServiceError>(source, |line| {
            if std::mem::take(&mut first) {
                reading.check_identity(line, evidence.chain())?;
            }
            reading.line(&file.name, line, replay)
        })?;
    }
    let Reading { mut past, known, from, .. } = reading;
    past.recovered = chain
        .unrecorded(from, |name| known.contains(name))
        .map_err(ServiceError::io("cannot read chain/recovered"))?;
    Ok(past)
}

/// Keeps a snapshot of the followers with the head it belongs to and the digest
/// of the settings in force there: a cache that spares reading the chain from its beginning.
///
/// # Errors
/// As writing the file.
pub fn keep_snapshot(
    state: &StateDir,
    head: Head,
    config_sha256: Digest,
    snapshot: Value,
) -> io::Result<()> {
    let value = Value::object([
        ("config_sha256", config_sha256.into()),
        ("head", head.to_value()),
        ("sources", snapshot),
    ]);
    durable::replace(&state.cache().join("sources.json"), &value.encode(), 0o640)
}

struct Snapshot {
    head: Head,
    config_sha256: Digest,
    sources: Value,
}

fn read_snapshot(state: &StateDir) -> Option<Snapshot> {
    let bytes = durable::read_limited(&state.cache().join("sources.json"), MAX_SNAPSHOT).ok()?;
    let value = Value::parse(&bytes).ok()?;
    let head = value.get("head")?;
    let head = Head {
        seq: u64::try_from(head.get("seq")?.as_int()?).ok()?,
        hash: Digest::from_hex(head.get("hash")?.as_str()?.as_bytes())?,
        time: Timestamp::parse(head.get("time")?.as_str()?.as_bytes())?,
    };
    Some(Snapshot {
        head,
        config_sha256: Digest::from_hex(value.get("config_sha256")?.as_str()?.as_bytes())?,
        sources: value.get("sources")?.clone(),
    })
}

fn genesis(config: &Config, chain: &str) -> Genesis<'static> {
    Genesis {
        chain: chain.to_owned().into(),
        client: config.client.clone().into(),
        config_sha256: config.sha256,
        host: config.host.clone().into(),
        interval_s: config.interval_s,
        machine: clock::machine_id().into(),
        software: PROGRAM_VERSION.into(),
        tier: config.tier.to_string().into(),
    }
}

struct Reading {
    past: ReplayedState,
    /// Files in chain/recovered that a record names.
    known: BTreeSet<String>,
    /// The first record that the snapshot does not hold.
    from: u64,
    /// The record that the snapshot belongs to.
    head: Option<Head>,
}

impl Reading {
    /// Where reading begins with record 0, it names the chain.
    fn check_identity(&self, line: &[u8], id: &str) -> Result<(), ServiceError> {
        match Record::parse(line).map(|record| Body::read(&record)) {
            Ok(Ok(Body::Genesis(genesis))) if genesis.chain != id => {
                Err(ServiceError::State(format!(
                    "the chain {} and the registry, which belongs to the chain {id}, are not of \
                     one state folder: put the right one back, or begin with a new state_dir",
                    genesis.chain
                )))
            }
            _ => Ok(()),
        }
    }

    fn line(
        &mut self,
        file: &str,
        line: &[u8],
        replay: &mut impl Replay,
    ) -> Result<(), ServiceError> {
        let damaged = |why: String| {
            ServiceError::State(format!(
                "{file} is damaged: {why}. The daemon does not guess: run `provctl \
                 verify-chain`, keep a copy of the state folder, and begin with a new state_dir"
            ))
        };
        let record = Record::parse(line).map_err(|error| damaged(error.to_string()))?;
        if let Some(head) = self.head.filter(|head| head.seq == record.seq)
            && head.hash != record.hash()
        {
            return Err(damaged(format!("record {} is not the one it was", record.seq)));
        }
        let body = Body::read(&record)
            .map_err(|error| damaged(format!("record {}: {error}", record.seq)))?;
        self.note(&record, &body);
        replay.record(&record, &body);
        if record.seq >= self.from
            && let Body::Tick(tick) = &body
        {
            tick.logs.iter().for_each(|entry| replay.entry(entry));
        }
        Ok(())
    }

    fn note(&mut self, record: &Record<'_>, body: &Body<'_>) {
        let past = &mut self.past;
        let mut moment = |up_ms: u64, boot: &str| {
            past.last = Some(Now { time: record.time, up_ms, boot: boot.to_owned() });
        };
        match body {
            Body::Tick(tick) => moment(tick.up_ms, &tick.boot),
            Body::Start(session) | Body::Stop(session) => {
                moment(session.up_ms, &session.boot);
                past.config_sha256 = Some(session.config_sha256);
            }
            Body::Config { new, .. } => past.config_sha256 = Some(*new),
            Body::Checkpoint { note } => {
                past.checkpoint = crate::ledger::size_of(note).unwrap_or(past.checkpoint);
            }
            Body::Recovered(recovered) => {
                self.known.extend(recovered.file.as_deref().map(String::from));
            }
            Body::Genesis(_) | Body::Unknown => {}
        }
        match body {
            Body::Stop(_) => past.stopped = true,
            Body::Start(_) | Body::Tick(_) => past.stopped = false,
            _ => {}
        }
    }
}
