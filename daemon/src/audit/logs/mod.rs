//! `provctl verify-chain --logs`: the watched logs are read again, rotated and
//! compressed ones too, and held against every range the chain recorded.

mod files;
mod journal;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use provenance_core::{
    chain::Body,
    logs::{Event, LogEntry, What},
    path,
    record::Record,
    report::Report,
    time::Timestamp,
};

use super::{AuditError, chain::Options};
use crate::host::{
    chainfiles::{self, ChainFile},
    systime,
};
use files::{Files, Known};
use journal::Journals;

/// Where the logs are.
#[derive(Clone, Debug)]
pub struct Logs {
    /// The root of the file system that they are on.
    pub root: PathBuf,
    /// The journal's folder, if it is not the machine's own.
    pub journal: Option<PathBuf>,
}

/// Re-reads what the records of `files` say of logs.
///
/// # Errors
/// [`AuditError`] where the chain's own files cannot be read.
pub(super) fn verify(
    files: &[ChainFile],
    logs: &Logs,
    options: &Options,
    report: &mut Report,
) -> Result<(), AuditError> {
    let Logs { root, journal } = logs;
    let mut known = BTreeMap::new();
    ticks(files, options, |_, _, entry| learn(&mut known, entry))?;
    let mut logs = Files::new(root.clone(), known, is_here(files));
    let mut journals = Journals::new(root, journal.as_deref());
    ticks(files, options, |seq, span, entry| match &entry.what {
        What::Range { from, to, sha256 } => {
            let range = files::Range { from: *from, to: *to, sha256: *sha256, seq, span };
            logs.range((&entry.src, entry.generation), range, report);
        }
        What::Journal { .. } => journals.entries(entry, seq, span, report),
        What::Event(_) => {}
    })?;
    logs.finish(report);
    Ok(())
}

/// Whether this is the machine that the chain began on.
fn is_here(files: &[ChainFile]) -> bool {
    let mut machine = None;
    let first = files.first().and_then(|file| chainfiles::open(file).ok());
    // The first line is enough: reading ends with it.
    let _ = first.map(|source| {
        chainfiles::for_each_line::<std::io::Error>(source, |line| {
            if let Ok(Ok(Body::Genesis(genesis))) = Record::parse(line).map(|r| Body::read(&r)) {
                machine = Some(genesis.machine.into_owned());
            }
            Err(std::io::ErrorKind::Interrupted.into())
        })
    });
    machine.is_some_and(|machine| machine == systime::machine_id())
}

/// When a record says that something was added: after the first time, and not
/// after the second.
type Span = (Timestamp, Timestamp);

/// Calls `each` with every log entry of every tick that is in view. What is
/// wrong with records has been said before.
fn ticks(
    files: &[ChainFile],
    options: &Options,
    mut each: impl FnMut(u64, Span, &LogEntry<'_>),
) -> Result<(), AuditError> {
    let mut before: Option<Timestamp> = None;
    for file in files {
        let source = chainfiles::open(file).map_err(AuditError::io(&file.path))?;
        chainfiles::for_each_line::<AuditError>(source, |line| {
            let Ok(record) = Record::parse(line) else { return Ok(()) };
            let after = before.replace(record.time).unwrap_or(record.time);
            let outside = options.from.is_some_and(|from| record.time < from)
                || options.to.is_some_and(|to| record.time >= to);
            if record.kind != "tick" || outside {
                return Ok(());
            }
            if let Ok(Body::Tick(tick)) = Body::read(&record) {
                for entry in &tick.logs {
                    each(record.seq, (after, record.time), entry);
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Where the chain last saw the bytes of a generation.
fn learn(known: &mut BTreeMap<(String, u64), Known>, entry: &LogEntry<'_>) {
    let Some(path) = path::decode(&entry.src) else { return };
    let key = (entry.src.clone().into_owned(), entry.generation);
    let known = known.entry(key).or_insert_with(|| Known::new(path));
    match &entry.what {
        What::Range { from: 0, to, sha256 } => known.head = Some((*to, *sha256)),
        What::Event(Event::Appeared { id }) => known.id = id.as_deref().map(String::from),
        What::Event(Event::Rotated { location }) => {
            known.current = false;
            known.place = location.as_deref().and_then(path::decode);
            known.gone = false;
        }
        What::Event(Event::Truncated { .. } | Event::Replaced | Event::Vanished) => {
            known.current = false;
            known.gone = true;
        }
        _ => {}
    }
}

/// `path` below `root`.
fn below(root: &Path, path: &[u8]) -> PathBuf {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let path = Path::new(OsStr::from_bytes(path));
    root.join(path.strip_prefix("/").unwrap_or(path))
}
