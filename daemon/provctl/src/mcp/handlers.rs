//! The answers: what the audit says, read-only and below one state folder.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::Arc,
};

use provenance_audit::{
    error::AuditError,
    packet,
    state::{self, bundles, registry},
    status,
};
use provenance_core::{
    encoding::{digest::Digest, json::Value as Canon},
    record::{Record, bundle_id::BundleId},
    registry::{AnchorStep, Entry},
    report::{Head, Report},
    signing::checkpoint::{Checkpoint, Note},
    statement::evidence::MAX_STATEMENT,
};
use provenance_host::{clock::SystemClock, config::Config, durable, state_dir::StateDir};
use provenance_registry::{Reader, RegistryError};
use provenance_time_sources::poller;
use provenance_verifier::{Stop, Trust};
use serde_json::{Value, json};

use super::{
    sanitize,
    tools::{Alerts, Chain, List, Question},
};

const MAX_CHECKPOINT: u64 = 64 << 10;
/// How many alerts and anchors are remembered while the registry is read.
const MAX_KEPT: usize = 1000;
/// The longest answer, as JSON: it goes out twice, and clients take a message of 1 MiB.
const MAX_ANSWER: usize = 256 << 10;

/// Gives whom the auditor trusts, read anew for each answer; or why not.
pub type TrustOf = dyn Fn() -> Result<Trust, String> + Send + Sync;
/// Gives the settings of the time sources.
pub type ConfigOf = dyn Fn() -> Result<Config, String> + Send + Sync;

/// Answers questions about one state folder.
#[derive(Clone)]
pub(super) struct ToolHandler {
    pub(super) state: StateDir,
    pub(super) trust: Arc<TrustOf>,
    pub(super) config: Arc<ConfigOf>,
}

/// Why there is no answer: words of ours, and what the operator may read.
pub(super) struct Refusal {
    pub(super) said: &'static str,
    pub(super) detail: String,
    /// Whether there is nothing of the name that was asked for.
    pub(super) missing: bool,
}

impl Refusal {
    pub(super) fn missing(said: &'static str, detail: String) -> Self {
        Self { said, detail, missing: true }
    }
}

impl ToolHandler {
    /// Answers; ends early where `stop` says so.
    pub(super) fn handle(
        &self,
        question: Question,
        stop: &Stop,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Value, Refusal> {
        let answer = match question {
            Question::Time => self.time(),
            Question::Chain(arguments) => self.chain(&arguments, stop, progress),
            Question::List(arguments) => self.list(&arguments),
            Question::Show(named) => self.show_record(&named.id),
            Question::Verify(named) => self.verify(&named.id, stop, progress),
            Question::Anchors => self.anchors(),
            Question::Alerts(arguments) => self.alerts(&arguments),
            Question::Status => self.status(),
            Question::Verification => self.verification(),
        }?;
        // Whoever can write names into records could make it long.
        if answer.to_string().len() > MAX_ANSWER {
            return Err(refused("the answer would be too long: ask for less")(String::new()));
        }
        Ok(answer)
    }

    fn time(&self) -> Result<Value, Refusal> {
        let config = (self.config)().map_err(refused("the settings could not be read"))?;
        let clock = SystemClock::new()
            .map_err(|error| refused("the clock could not be read")(error.to_string()))?;
        let (attestation, now) = poller::check(&config, clock);
        let answer = attestation.to_value().with("time", now.time);
        Ok(self.stamped(time_only(sanitize::value(&answer)), None))
    }

    fn chain(
        &self,
        arguments: &Chain,
        stop: &Stop,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Value, Refusal> {
        let expect_head = match &arguments.expect_head {
            None => None,
            Some(hex) => Some(Digest::from_hex(hex.as_bytes()).ok_or_else(|| {
                refused("expect_head is not 64 lower-case hex digits")(String::new())
            })?),
        };
        let options = state::Options {
            from: arguments.from,
            to: arguments.to,
            expect_head,
            ..state::Options::default()
        };
        let trust = self.trust(stop)?;
        let report = state::verify(self.state.root(), &trust, &options, progress)?;
        Ok(self.judged(&report))
    }

    fn verify(
        &self,
        id: &str,
        stop: &Stop,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Value, Refusal> {
        let trust = self.trust(stop)?;
        // What is asked for is a name, never a path.
        let report = if id.parse::<BundleId>().is_ok() {
            bundles::verify(&self.state.bundles().join(id), &trust)?
        } else if is_packet_name(id) {
            let path = self.state.packets().join(id);
            let metadata = std::fs::symlink_metadata(&path).map_err(AuditError::io(&path))?;
            if !metadata.is_file() {
                return Err(Refusal::missing("there is no such packet", id.into()));
            }
            packet::verify(&path, &trust, progress)?
        } else {
            return Err(refused("this is neither a bundle's id nor a packet's name")(id.into()));
        };
        Ok(self.judged(&report))
    }

    fn list(&self, arguments: &List) -> Result<Value, Refusal> {
        let limit = arguments.limit.unwrap_or(20).clamp(1, 100);
        let kind = arguments.kind.as_str();
        let filter =
            registry::Filter { kind: Some(kind.into()), from: arguments.from, to: arguments.to };
        let (mut kept, mut total) = (VecDeque::new(), 0_u64);
        registry::each(&self.reader()?, &filter, |record| {
            if arguments.before_seq.is_some_and(|before| record.seq >= before) {
                return;
            }
            total += 1;
            if kept.len() == limit {
                kept.pop_front();
            }
            kept.push_back(record_as_json(record));
        })?;
        let records: Vec<Value> = kept.into_iter().rev().collect();
        let answer = json!({"records": records, "total": total, "verified": false});
        Ok(self.stamped(answer, None))
    }

    fn show_record(&self, id: &str) -> Result<Value, Refusal> {
        let body = match registry::find(&self.reader()?, id) {
            Err(AuditError::NotEvidence { .. }) => {
                return Err(Refusal::missing("the registry has no such record", id.into()));
            }
            body => body?,
        };
        let record = Record::parse(&body)
            .map_err(|error| refused("the record is malformed: verify_chain")(error.to_string()))?;
        let statement = id.parse::<BundleId>().ok().and_then(|_| self.statement(id));
        let answer =
            json!({"record": record_as_json(&record), "statement": statement, "verified": false});
        Ok(self.stamped(answer, None))
    }

    fn statement(&self, id: &str) -> Option<Value> {
        let folder = self.state.bundles().join(id);
        let path = folder.join("statement.json");
        let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|it| it.is_symlink());
        if is_link(&folder) || is_link(&path) {
            return None;
        }
        let bytes = durable::read_limited(&path, MAX_STATEMENT as u64).ok()?;
        Some(sanitize::value(&Canon::parse(&bytes).ok()?)).filter(Value::is_object)
    }

    fn anchors(&self) -> Result<Value, Refusal> {
        let reader = self.reader()?;
        let (mut anchors, mut done) = (BTreeMap::new(), None);
        each_of_kind(&reader, "anchor", |record| {
            let Ok(Entry::Anchor(entry)) = Entry::read(record.kind, record.data) else { return };
            let is_final = matches!(entry.step, AnchorStep::Final { .. });
            let height = match &entry.step {
                AnchorStep::Mined { height, .. } => Some(*height),
                AnchorStep::Final { proof, .. } => Some(proof.height),
                _ => None,
            };
            if is_final {
                done = done.max(Some(entry.size));
            }
            let state = json!({
                "size": entry.size, "root": entry.root.to_string(), "state": entry.step.state(),
                "seq": record.seq, "since": record.time.to_string(), "height": height,
            });
            anchors.insert(entry.size, state);
            if anchors.len() > 30 {
                anchors.pop_first();
            }
        })?;
        let newest: Vec<Value> = anchors.into_values().rev().collect();
        let answer = json!({
            "anchors": newest, "registry_size": reader.len()?, "final_size": done,
            "verified": false,
        });
        Ok(self.stamped(answer, None))
    }

    fn alerts(&self, arguments: &Alerts) -> Result<Value, Refusal> {
        let mut alerts: BTreeMap<String, (u64, Value)> = BTreeMap::new();
        each_of_kind(&self.reader()?, "alert", |record| {
            let Ok(value) = Canon::parse(record.data) else { return };
            let text = |name: &str| value.get(name).and_then(Canon::as_str);
            let Some(id) = text("alert") else { return };
            if text("state") == Some("resolved") && !arguments.resolved {
                alerts.remove(id);
                return;
            }
            alerts.insert(id.to_owned(), (record.seq, record_as_json(record)));
            if alerts.len() > MAX_KEPT {
                let oldest = alerts.iter().min_by_key(|(_, (seq, _))| *seq);
                let oldest = oldest.map(|(id, _)| id.clone());
                oldest.and_then(|id| alerts.remove(&id));
            }
        })?;
        let mut newest: Vec<(u64, Value)> = alerts.into_values().collect();
        let total = newest.len();
        newest.sort_by_key(|(seq, _)| std::cmp::Reverse(*seq));
        let limit = arguments.limit.unwrap_or(20).clamp(1, 100);
        let listed: Vec<Value> = newest.into_iter().take(limit).map(|(_, it)| it).collect();
        let answer = json!({"alerts": listed, "total": total, "verified": false});
        Ok(self.stamped(answer, None))
    }

    fn trust(&self, stop: &Stop) -> Result<Trust, Refusal> {
        let mut trust = (self.trust)().map_err(refused("the policy could not be read"))?;
        trust.stop = stop.clone();
        Ok(trust)
    }

    pub(super) fn reader(&self) -> Result<Reader, Refusal> {
        Ok(Reader::open_for_audit(&self.state.registry()).map_err(AuditError::from)?)
    }

    fn judged(&self, report: &Report) -> Value {
        self.stamped(sanitize::report(report), report.head)
    }

    /// Adds what the answer speaks of.
    pub(super) fn stamped(&self, mut answer: Value, head: Option<Head>) -> Value {
        let head = head.or_else(|| status::read(self.state.root()).ok()?.head);
        let evidence = json!({
            "head": head.map(|head| sanitize::value(&head.to_value())),
            "checkpoint": self.checkpoint(),
        });
        if let Some(members) = answer.as_object_mut() {
            members.insert("evidence".into(), evidence);
        }
        answer
    }

    fn checkpoint(&self) -> Option<Value> {
        let bytes = durable::read_limited(&self.state.checkpoint(), MAX_CHECKPOINT).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let checkpoint = Checkpoint::parse(Note::parse(&text).ok()?.text).ok()?;
        Some(json!({
            "origin": sanitize::token(&checkpoint.origin),
            "size": checkpoint.size,
            "root": checkpoint.root.to_string(),
        }))
    }
}

/// The members that the tool's outputSchema names.
fn time_only(mut answer: Value) -> Value {
    if let Some(members) = answer.as_object_mut() {
        let known = ["verdict", "time", "offset_ns", "bound_ns", "sources"];
        members.retain(|name, _| known.contains(&name.as_str()));
    }
    answer
}

pub(super) fn is_packet_name(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    id.len() <= 128 && !id.starts_with('.') && id.ends_with(".zip") && id.chars().all(plain)
}

pub(super) fn record_as_json(record: &Record<'_>) -> Value {
    json!({
        "seq": record.seq,
        "time": record.time.to_string(),
        "kind": sanitize::token(record.kind),
        "hash": record.hash().to_string(),
        "data": sanitize::value(&Canon::parse(record.data).unwrap_or(Canon::Null)),
    })
}

pub(super) fn each_of_kind(
    reader: &Reader,
    kind: &str,
    mut each: impl FnMut(&Record<'_>),
) -> Result<(), Refusal> {
    for row in reader.rows_of_kind(kind, 0) {
        if let Ok(record) = Record::parse(&row?.body) {
            each(&record);
        }
    }
    Ok(())
}

pub(super) fn refused(said: &'static str) -> impl FnOnce(String) -> Refusal {
    move |detail| Refusal { said, detail, missing: false }
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Self {
        AuditError::from(error).into()
    }
}

impl From<AuditError> for Refusal {
    fn from(error: AuditError) -> Self {
        // A damaged file's own words may stand in an error.
        let said = match &error {
            AuditError::Missing(_) | AuditError::Registry(RegistryError::Missing(_)) => {
                "there is nothing of that name to verify or read"
            }
            AuditError::NotEvidence { .. } => "what is there is no evidence that can be read",
            AuditError::Io { .. } => "reading failed",
            AuditError::Registry(RegistryError::Busy) => "the registry is busy: ask again",
            AuditError::Registry(_) => "the registry cannot be read: ask verify_chain",
            AuditError::Policy(_) => "the policy could not be read",
            AuditError::Copies(_) => "the copies cannot be read",
            AuditError::Stopped => "stopped before the end",
        };
        let missing = match &error {
            AuditError::Missing(_) => true,
            AuditError::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            _ => false,
        };
        Self { said, detail: error.to_string(), missing }
    }
}
