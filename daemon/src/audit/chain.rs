//! `provctl verify-chain`: the chain, the registry, the checkpoints, the
//! bundles on record, and the joins between them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use provenance_core::{
    chain::Body,
    digest::Digest,
    note::{Checkpoint, Note},
    record::Record,
    report::{Code, Finding, Head, Place, Report, Verdict},
    time::Timestamp,
    verify::{
        bundle::{Trusted, check_note},
        chain::ChainVerifier,
    },
};

use super::{AuditError, Progress, Trust, join, join::Join, later, logs::Logs};
use crate::{
    host::{
        chainfiles::{self, ChainFile, Listing},
        durable::{self, StateDir},
    },
    registry::reader::{Reader, RegistryError},
};

/// A checkpoint file is at most this long.
const MAX_CHECKPOINT: u64 = 64 << 10;
/// Checkpoints come hourly: over two hours of records without one are more
/// than a tail in the making.
const TAIL_NS: i64 = 2 * 3_600_000_000_000;

/// What to verify, and against what.
#[derive(Debug, Default)]
pub struct Options {
    /// Records from this time on only.
    pub from: Option<Timestamp>,
    /// Records before this time only.
    pub to: Option<Timestamp>,
    /// A record with this hash must be in the chain.
    pub expect_head: Option<Digest>,
    /// A checkpoint that the auditor holds.
    pub checkpoint: Option<String>,
    /// Re-read the logs too.
    pub logs: Option<Logs>,
}

/// What was found at the path.
enum Target {
    State(StateDir),
    Chain(PathBuf),
    File(PathBuf),
}

/// Verifies a state folder, a bare chain folder or one chain file.
///
/// # Errors
/// [`AuditError`] where there is nothing to verify, or it cannot be read;
/// whatever is wrong with what was read is in the report.
pub fn verify(
    path: &Path,
    trust: &Trust,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Report, AuditError> {
    let target = Target::find(path)?;
    // A daemon that starts meanwhile changes what was opened as still.
    for _ in 0..3 {
        if let Some(report) = attempt(&target, trust, options, progress)? {
            return Ok(report);
        }
    }
    Err(RegistryError::Busy.into())
}

/// Verifies once; `None` where somebody began to write meanwhile.
fn attempt(
    target: &Target,
    trust: &Trust,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Option<Report>, AuditError> {
    let mut report = Report::new();
    trust.demand_policy(&mut report);
    let whole = options.from.is_none() && options.to.is_none();
    // A running daemon writes the chain, then the registry, then the
    // checkpoint: reading goes the other way, so that nothing names what was
    // not there yet.
    let newest = target.checkpoint(&mut report)?;
    let reader = target.registry(&mut report)?;
    let signed_size = newest.as_deref().and_then(checkpoint_of).map_or(0, |c| c.size);
    let join = reader.as_ref().map(|reader| Join::new(reader, signed_size));
    let listing = target.listing()?;
    // Where the logs are now, the whole chain tells.
    let all = listing.files.clone();
    let files = in_span(listing.files, options);
    for stranger in &listing.strangers {
        let message = "this is no chain file, and the daemon puts nothing else here";
        let place = Place::file(format!("chain/{stranger}"));
        report.find(Finding::new(Code::ChainFile, place, message));
    }
    let held = options.checkpoint.as_deref().map(|note| ("the checkpoint given", note));
    let partial = matches!(target, Target::File(_)) || options.from.is_some();
    let mut walk = Walk {
        verifier: ChainVerifier::new(partial, true)
            .with_max_gap(trust.policy.as_ref().and_then(|policy| policy.max_gap_s)),
        join,
        options,
        expected: expectations(trust, options),
        covered: None,
        signed: None,
        progress,
    };
    for file in &files {
        walk.file(file, &mut report)?;
    }
    walk.finish(whole && !partial, trust, &mut report)?;
    walk.stragglers(&files, &mut report)?;
    let checkpoints = newest.iter().map(|note| ("checkpoint", &**note)).chain(held);
    let keys = match &walk.join {
        Some(join) => join.trusted(trust.keys()),
        None => trust.keys().to_vec(),
    };
    let trusted = walk.checkpoints(checkpoints, &keys, &mut report)?;
    walk.coverage(trusted, trust, &mut report);
    if let (Target::State(state), Some(join)) = (target, &walk.join) {
        super::bundle::on_record(state, join, (trust, &keys), &mut report)?;
        super::registry::keys(state, join, trust, &mut report)?;
    }
    if partial || !whole {
        let why = "only a part of the chain was looked at";
        report.not_checked("the rest of the chain", why);
    }
    if reader.as_ref().is_some_and(Reader::is_stale) {
        return Ok(None);
    }
    match &options.logs {
        Some(logs) => {
            let logs = logs.options((options.from, options.to));
            super::logs::verify(&all, &logs, &mut report)?;
        }
        None => report.not_checked("the logs themselves", "not asked for: give --logs"),
    }
    Ok(Some(report))
}

impl Target {
    fn find(path: &Path) -> Result<Self, AuditError> {
        let metadata = fs::metadata(path).map_err(AuditError::io(path))?;
        if metadata.is_file() {
            return Ok(Self::File(path.into()));
        }
        if path.join("chain").is_dir() || path.join("registry.db").exists() {
            return Ok(Self::State(StateDir::new(path)));
        }
        let listing = chainfiles::list(path).map_err(AuditError::io(path))?;
        if listing.files.is_empty() {
            let why = "neither a state folder (with chain/ and registry.db), nor a chain folder \
                       (YYYY/MM/DD.jsonl), nor a chain file";
            return Err(AuditError::NotEvidence { path: path.into(), why: why.into() });
        }
        Ok(Self::Chain(path.into()))
    }

    fn listing(&self) -> Result<Listing, AuditError> {
        match self {
            Self::State(state) if !state.chain().is_dir() => Ok(Listing::default()),
            Self::State(state) => {
                chainfiles::list(&state.chain()).map_err(AuditError::io(state.chain()))
            }
            Self::Chain(path) => chainfiles::list(path).map_err(AuditError::io(path)),
            Self::File(path) => {
                Ok(Listing { files: vec![chainfiles::single(path)], strangers: vec![] })
            }
        }
    }

    fn registry(&self, report: &mut Report) -> Result<Option<Reader>, AuditError> {
        let Self::State(state) = self else {
            report.undecided("registry and checkpoints", "only chain files were given");
            return Ok(None);
        };
        let reader = match Reader::open_for_audit(&state.registry()) {
            Ok(reader) => reader,
            Err(error @ RegistryError::Newer { .. }) => return Err(error.into()),
            Err(error) => {
                let place = Place::file("registry.db");
                report.find(Finding::new(Code::RegistryMissing, place, error.to_string()));
                return Ok(None);
            }
        };
        super::registry::structure(&reader, report);
        Ok(Some(reader))
    }

    fn checkpoint(&self, report: &mut Report) -> Result<Option<String>, AuditError> {
        let Self::State(state) = self else { return Ok(None) };
        let path = state.checkpoint();
        match durable::read_limited(&path, MAX_CHECKPOINT) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Some(text)),
                Err(_) => {
                    let place = Place::file("checkpoint");
                    report.find(Finding::new(Code::CheckpointInvalid, place, "not UTF-8"));
                    Ok(None)
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(AuditError::io(path)(error)),
        }
    }
}

/// A record that must be in the chain.
struct Expectation {
    seq: Option<u64>,
    hash: Digest,
    met: bool,
}

fn expectations(trust: &Trust, options: &Options) -> Vec<Expectation> {
    let policy = trust.policy.iter().flat_map(|policy| &policy.heads);
    policy
        .map(|head| Expectation { seq: Some(head.seq), hash: head.hash, met: false })
        .chain(options.expect_head.map(|hash| Expectation { seq: None, hash, met: false }))
        .collect()
}

struct Walk<'a> {
    verifier: ChainVerifier,
    join: Option<Join<'a>>,
    options: &'a Options,
    expected: Vec<Expectation>,
    /// The last record that an expected head covers.
    covered: Option<Head>,
    /// The last record that the newest checkpoint covers.
    signed: Option<Head>,
    progress: Progress<'a>,
}

impl Walk<'_> {
    fn file(&mut self, file: &ChainFile, report: &mut Report) -> Result<(), AuditError> {
        let source = chainfiles::open(file).map_err(AuditError::io(&file.path))?;
        self.verifier.begin_file(&file.name, file.day);
        if let Some(join) = &mut self.join {
            join.begin_file(&file.name);
        }
        let mut line_number = 0;
        let (torn, _) = chainfiles::for_each_line::<AuditError>(source, |line| {
            line_number += 1;
            if self.skips(line) {
                return Ok(());
            }
            let Some(seen) = self.verifier.line(line, report) else { return Ok(()) };
            let (head, body) = (seen.head, seen.body);
            self.meet(head, report);
            if let Some(join) = &mut self.join {
                join.record(head, line_number, report);
                if join.signed_head == Some(head.seq) {
                    self.signed = Some(head);
                }
                if let Body::Checkpoint { note } = &body {
                    let place = Place::file(&file.name).line(line_number).at_seq(head.seq);
                    join.checkpoint(note, place, report);
                }
            }
            if head.seq % 8_192 == 0 {
                (self.progress)(report.count_checked("records"));
            }
            Ok(())
        })?;
        if torn > 0 {
            self.verifier.torn(torn, report);
        }
        let whole = self.options.from.is_none() && self.options.to.is_none();
        let summary = self.verifier.end_file();
        if let Some(join) = self.join.as_mut().filter(|_| whole) {
            join.file(summary, report);
        }
        Ok(())
    }

    /// Records outside the span that was asked for.
    fn skips(&self, line: &[u8]) -> bool {
        if self.options.from.is_none() && self.options.to.is_none() {
            return false;
        }
        let Ok(record) = Record::parse(line) else { return false };
        self.options.from.is_some_and(|from| record.time < from)
            || self.options.to.is_some_and(|to| record.time >= to)
    }

    fn meet(&mut self, head: Head, report: &mut Report) {
        for expected in self.expected.iter_mut().filter(|expected| !expected.met) {
            if expected.hash == head.hash {
                expected.met = true;
                self.covered = Some(head);
                report.checked("expected heads", 1);
            } else if expected.seq == Some(head.seq) {
                expected.met = true;
                let message = "the chain holds another record than the expected head";
                let finding = Finding::new(Code::ChainForked, Place::seq(head.seq), message);
                report.find(finding.values(expected.hash, head.hash));
            }
        }
    }

    fn finish(
        &mut self,
        whole: bool,
        trust: &Trust,
        report: &mut Report,
    ) -> Result<(), AuditError> {
        self.verifier.finish(report);
        let head = self.verifier.head();
        for expected in self.expected.iter().filter(|expected| !expected.met) {
            let message =
                "the chain does not hold the expected head: it was cut off, or is another";
            let place = expected.seq.map_or_else(Place::default, Place::seq);
            let finding = Finding::new(Code::ChainTruncated, place, message);
            let got = head.map_or_else(|| "nothing".into(), |head| head.hash.to_string());
            report.find(finding.values(expected.hash, got));
        }
        if let Some((_, client, host)) = self.verifier.identity() {
            trust.check_identity((client, host), report);
        }
        let Some(join) = &mut self.join else { return Ok(()) };
        join.finish(head, whole, report);
        if let (Some(chain), Some(registry)) = (self.verifier.identity(), join.identity())
            && chain != registry
        {
            let message = "chain and registry are not of one appliance";
            let finding = Finding::new(Code::RegistryBroken, Place::file("registry.db"), message);
            let text =
                |(chain, client, host): (&str, &str, &str)| format!("{chain} {client}/{host}");
            report.find(finding.values(text(chain), text(registry)));
        }
        Ok(())
    }

    /// Heads that lay too far back when the registry named them.
    fn stragglers(&mut self, files: &[ChainFile], report: &mut Report) -> Result<(), AuditError> {
        let Some(join) = &mut self.join else { return Ok(()) };
        let mut late = std::mem::take(&mut join.stragglers);
        if late.is_empty() {
            return Ok(());
        }
        late.sort_unstable_by_key(|(seq, ..)| *seq);
        for file in files {
            let source = chainfiles::open(file).map_err(AuditError::io(&file.path))?;
            chainfiles::for_each_line::<AuditError>(source, |line| {
                if let Ok(record) = Record::parse(line)
                    && let Ok(at) = late.binary_search_by_key(&record.seq, |(seq, ..)| *seq)
                {
                    let first = late.partition_point(|(seq, ..)| *seq < record.seq);
                    let same = late.iter().skip(first).take_while(|(seq, ..)| *seq == record.seq);
                    for straggler in same {
                        join::compare_head(
                            *straggler,
                            record.hash(),
                            Place::file(&file.name),
                            report,
                        );
                    }
                    let _ = at;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Each checkpoint is signed by a trusted key, and its root is that of
    /// the registry. Whether there was one, and all are.
    fn checkpoints<'n>(
        &mut self,
        notes: impl Iterator<Item = (&'n str, &'n str)>,
        keys: &[Trusted],
        report: &mut Report,
    ) -> Result<Option<bool>, AuditError> {
        let mut all = None;
        for (name, text) in notes {
            let place = Place::file(name);
            let parsed = Note::parse(text)
                .and_then(|note| Checkpoint::parse(note.text).map(|checkpoint| (note, checkpoint)));
            let (note, checkpoint) = match parsed {
                Ok(parsed) => parsed,
                Err(error) => {
                    report.find(Finding::new(Code::CheckpointInvalid, place, error.to_string()));
                    all = Some(false);
                    continue;
                }
            };
            let trusted = check_note(&note, &checkpoint, keys, place.clone(), report);
            all = Some(all.unwrap_or(true) && trusted);
            match &mut self.join {
                Some(join) => join.check_root(&checkpoint, place, report),
                None => report.undecided(name, "there is no registry to hold it against"),
            }
        }
        Ok(all)
    }

    /// How far signatures and expected heads reach, and what lies behind.
    fn coverage(&mut self, trusted: Option<bool>, trust: &Trust, report: &mut Report) {
        let head = self.verifier.head();
        match (trusted, self.join.as_ref().map(|join| join.keys.is_empty())) {
            (None, Some(false)) => {
                let message = "the registry names a signing key, and there is no checkpoint";
                report.find(Finding::new(
                    Code::CheckpointInvalid,
                    Place::file("checkpoint"),
                    message,
                ));
            }
            (None, _) if self.covered.is_none() => {
                let why = "nobody signed a checkpoint: who can write the files can write them \
                           anew; give --expect-head with a hash that you noted";
                report.undecided("that the chain was not rewritten as a whole", why);
            }
            _ => {}
        }
        let signed = self.signed.filter(|_| trusted == Some(true));
        // What a failed report was signed up to would only mislead.
        report.signed_to = signed.filter(|_| report.verdict() != Verdict::Failed);
        let covered = later(signed, self.covered);
        let (Some(head), Some(covered)) = (head, covered) else { return };
        if trust.policy.is_none() || covered.seq >= head.seq {
            return;
        }
        let what = format!("records {} to {}", covered.seq.saturating_add(1), head.seq);
        let why = "they were made after the newest checkpoint: chained, and not signed yet";
        if head.time.since(covered.time) > TAIL_NS {
            report.undecided(what, why);
        } else {
            report.not_checked(what, why);
        }
    }
}

fn checkpoint_of(note: &str) -> Option<Checkpoint> {
    Note::parse(note).and_then(|note| Checkpoint::parse(note.text)).ok()
}

/// The files whose day is not outside the span. A clock that was set back
/// puts records into a later file, so the files after the span are kept.
fn in_span(files: Vec<ChainFile>, options: &Options) -> Vec<ChainFile> {
    let first = options.from.map(|from| from.day());
    files.into_iter().filter(|file| file.day.is_none() || file.day >= first).collect()
}
