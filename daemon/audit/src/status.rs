//! `provctl status`: the last tick, its verdict, the newest checkpoint and
//! bundle. It reads, and verifies nothing but the forms.

use std::path::Path;

use provenance_core::{
    encoding::{json::Value, time::Timestamp},
    record::{Record, chain::Body},
    report::Head,
    signing::checkpoint::{Checkpoint, Note},
};
use provenance_host::{chain_files, durable, state_dir::StateDir};
use provenance_registry::reader::Reader;
use provenance_verifier::line_reader;

use crate::error::AuditError;

/// How the appliance stands.
#[derive(Debug, Default)]
pub struct Status {
    /// The chain's last record.
    pub head: Option<Head>,
    pub kind: String,
    /// The last tick: its time, the clock's verdict, how many entries.
    pub tick: Option<(Timestamp, String, u64)>,
    /// Records in the registry.
    pub registry: u64,
    /// Records that the newest checkpoint signs.
    pub checkpoint: Option<u64>,
    /// The newest bundle.
    pub bundle: Option<String>,
}

/// Reads the state folder.
///
/// # Errors
/// [`AuditError`].
pub fn read(path: &Path) -> Result<Status, AuditError> {
    let state = StateDir::new(path);
    if !state.chain().is_dir() {
        let why = "not a state folder: there is no chain/ in it (give --state DIR)";
        let missing = || AuditError::Missing(path.into());
        path.metadata().map_err(|_| missing())?;
        return Err(AuditError::NotEvidence { path: path.into(), why: why.into() });
    }
    let mut status = Status::default();
    let mut files = chain_files::list(&state.chain()).map_err(AuditError::io(path))?.files;
    // The last tick may be in the file before.
    while let Some(file) = files.pop() {
        let found = status.tick.is_some();
        let mut last = Status::default();
        let source = chain_files::open(&file).map_err(AuditError::io(&file.path))?;
        line_reader::for_each_line::<AuditError>(source, |line| {
            last.line(line);
            Ok(())
        })?;
        if status.head.is_none() {
            status = last;
        } else if !found {
            status.tick = last.tick;
        }
        if status.tick.is_some() {
            break;
        }
    }
    if let Ok(reader) = Reader::open_for_audit(&state.registry()) {
        status.registry = reader.len()?;
        status.bundle = reader.bundle_ids()?.into_keys().next_back();
    }
    let note = durable::read_regular(&state.checkpoint(), 64 << 10).ok();
    let note = note.and_then(|bytes| String::from_utf8(bytes).ok());
    status.checkpoint = note.and_then(|text| {
        let note = Note::parse(&text).ok()?;
        Checkpoint::parse(note.text).ok().map(|checkpoint| checkpoint.size)
    });
    Ok(status)
}

impl Status {
    fn line(&mut self, line: &[u8]) {
        let Ok(record) = Record::parse(line) else { return };
        self.head = Some(Head { seq: record.seq, hash: record.hash(), time: record.time });
        self.kind = record.kind.into();
        if let Ok(Body::Tick(tick)) = Body::read(&record) {
            let verdict = tick.clock.verdict.as_str().to_owned();
            self.tick = Some((record.time, verdict, tick.logs.len() as u64));
        }
    }

    /// As JSON (docs/json-output.md).
    pub fn to_value(&self) -> Value {
        let tick = self.tick.as_ref().map(|(time, verdict, entries)| {
            Value::object([
                ("time", (*time).into()),
                ("clock", verdict.as_str().into()),
                ("log_entries", (*entries).into()),
            ])
        });
        Value::object([
            ("last_kind", self.kind.as_str().into()),
            ("registry_records", self.registry.into()),
        ])
        .with_some("head", self.head.map(|head| head.to_value()))
        .with_some("last_tick", tick)
        .with_some("checkpoint_size", self.checkpoint)
        .with_some("last_bundle", self.bundle.as_deref())
    }
}
