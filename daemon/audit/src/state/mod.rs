//! `provctl verify-chain`: the chain, the registry, the checkpoints, the
//! bundles on record, and the joins between them.

pub mod anchors;
pub mod bundles;
mod coverage;
mod limits;
pub mod package_events;
pub mod published_packages;
pub mod recovered;
pub mod registry;
pub mod registry_cursor;
pub mod sboms;
pub mod target;

use std::{fs, path::Path};

use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    merkle::inclusion_proof::Proof,
    record::{Record, chain::Body},
    report::{Code, Finding, Head, Location, Report, Severity},
    signing::checkpoint::{Checkpoint, Note},
    verify::chain::ChainVerifier,
};
use provenance_host::chain_files::{self, ChainFile};
use provenance_registry::reader::{Reader, RegistryError};
use provenance_verifier::{Progress, Stop, Trust, cross_check::compare_head, line_reader};

use crate::{error::AuditError, logs::Logs, state::limits::REREAD_DELAY};
use recovered::Recovered;
use registry_cursor::RegistryCursor;
use target::{Target, length};

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
    /// A proof that the auditor holds, with its anchor.
    pub anchor: Option<Proof>,
    /// Re-read the logs too.
    pub logs: Option<Logs>,
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
    // A running daemon appends a record, then its head, then signs, then puts
    // the checkpoint into the chain. So what names is read before what is
    // named: the checkpoint, the registry's length, then the chain. What a
    // record names that came later is looked for in the rows behind.
    let newest = target.checkpoint(&mut report)?;
    let reader = target.registry(&mut report)?;
    let cut = reader.as_ref().map_or(Ok(0), |reader| length(reader, &mut report))?;
    let listing = target.listing()?;
    // Where the logs are now, the whole chain tells.
    let all = listing.files;
    let files = in_span(&all, options);
    for stranger in &listing.strangers {
        let message = "this is no chain file, and the daemon puts nothing else here";
        report.add_finding(Finding::new(
            Code::ChainFile,
            Location::file(format!("chain/{stranger}")),
            message,
        ));
    }
    let whole = options.from.is_none() && options.to.is_none();
    let signed_size = newest.as_deref().and_then(checkpoint_of).map_or(0, |c| c.size);
    let join = reader.as_ref().map(|reader| RegistryCursor::new(reader, cut, signed_size));
    let partial = matches!(target, Target::File(_)) || options.from.is_some();
    let mut walk = Walk {
        verifier: ChainVerifier::new(partial, true)
            .with_max_gap(trust.policy.as_ref().and_then(|policy| policy.max_gap_s)),
        join,
        options,
        stop: &trust.stop,
        recovered: Recovered::new(target.recovered()),
        expected: expectations(trust, options),
        covered: None,
        signed: None,
        chained: 0,
        progress,
    };
    for file in &files {
        walk.file(file, &mut report)?;
    }
    walk.finish(whole && !partial, trust, &mut report)?;
    walk.stragglers(&files, &mut report)?;
    let keys = match &walk.join {
        Some(join) => join.trusted(trust.keys()),
        None => trust.keys().to_vec(),
    };
    let trusted =
        newest.as_deref().map(|note| walk.signature("checkpoint", note, &keys, &mut report));
    if let Some(note) = &options.checkpoint {
        walk.signature("the checkpoint given", note, &keys, &mut report);
    }
    walk.rolled_back(target, newest.as_deref(), &mut report)?;
    walk.coverage(trusted, trust, &mut report);
    if whole && !partial {
        walk.recovered.strangers(&mut report)?;
    }
    if let (Target::State(state), Some(join)) = (target, &mut walk.join) {
        bundles::check_registered_bundles(state, join, (trust, &keys), &mut report)?;
        sboms::check_registered_sboms(state, join, &trust.stop, &mut report)?;
        published_packages::check_registered_packages(
            &join.packages,
            state,
            &keys,
            &trust.stop,
            &mut report,
        )?;
        registry::keys(state, join, trust, &mut report)?;
        anchors::check_registered_anchors(join, trust, &mut report);
    }
    if let Some(proof) = &options.anchor {
        anchors::held(proof, walk.join.as_ref(), trust, &mut report);
    }
    if partial || !whole {
        let why = "only a part of the chain was looked at";
        report.not_checked("the rest of the chain", why);
    }
    if reader.as_ref().is_some_and(Reader::is_stale) {
        return Ok(None);
    }
    if let Some(error) = walk.join.and_then(|join| join.trouble) {
        return Err(error.into());
    }
    match &options.logs {
        Some(logs) => {
            let logs = logs.options(options.from, options.to);
            crate::logs::verify(&all, &logs, &mut report)?;
        }
        None => report.not_checked("the logs themselves", "not asked for: give --logs"),
    }
    Ok(Some(report))
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

/// The chain and the registry being read.
pub(super) struct Walk<'a> {
    pub(super) verifier: ChainVerifier,
    join: Option<RegistryCursor<'a>>,
    options: &'a Options,
    stop: &'a Stop,
    recovered: Recovered,
    expected: Vec<Expectation>,
    /// The last record that an expected head covers.
    pub(super) covered: Option<Head>,
    /// The last record that the newest checkpoint covers.
    pub(super) signed: Option<Head>,
    /// The largest registry that a checkpoint in the chain names.
    pub(super) chained: u64,
    progress: Progress<'a>,
}

impl Walk<'_> {
    fn file(&mut self, file: &ChainFile, report: &mut Report) -> Result<(), AuditError> {
        let source = chain_files::open(file).map_err(AuditError::io(&file.path))?;
        self.verifier.begin_file(&file.name, file.day);
        if let Some(join) = &mut self.join {
            join.begin_file(&file.name);
        }
        let mut line_number = 0;
        let (torn, _) = line_reader::for_each_line::<AuditError>(source, |line| {
            line_number += 1;
            self.stop.check()?;
            if self.skips(line) {
                return Ok(());
            }
            let Some(seen) = self.verifier.line(line, report) else { return Ok(()) };
            let (head, body) = (seen.head, seen.body);
            self.meet(head, report);
            if let Body::Recovered(recovered) = &body {
                let place = Location::file(&file.name).line(line_number).at_seq(head.seq);
                self.recovered.check(recovered, place, report)?;
            }
            if let Some(join) = &mut self.join {
                join.record(head, line_number, report);
                if join.signed_head == Some(head.seq) {
                    self.signed = Some(head);
                }
                if let Body::Checkpoint { note } = &body {
                    let place = Location::file(&file.name).line(line_number).at_seq(head.seq);
                    join.checkpoint(note, place, report);
                    self.chained =
                        self.chained.max(checkpoint_of(note).map_or(0, |note| note.size));
                }
            }
            if head.seq % 8_192 == 0 {
                (self.progress)(report.count_checked("records"));
            }
            Ok(())
        })?;
        if torn > 0 && being_written(file, self.verifier.bytes() + torn) {
            let why = "it was being written when the file was read";
            report.not_checked("the last line of the chain", why);
        } else if torn > 0 {
            self.verifier.torn(torn, report);
        }
        let whole = self.options.from.is_none() && self.options.to.is_none();
        let summary = self.verifier.end_file();
        if summary.bytes == 0 {
            let message = "a file without a record: an append that never began, or it was emptied";
            let finding = Finding::new(Code::ChainFile, Location::file(&file.name), message);
            report.add_finding(finding.severity(Severity::Warning));
        }
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
                let finding = Finding::new(Code::ChainForked, Location::seq(head.seq), message);
                report.add_finding(finding.values(expected.hash, head.hash));
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
            if !whole {
                let what = format!("the expected head {}", expected.hash);
                report.not_checked_decisive(
                    what,
                    "it is not in the part of the chain that was looked at",
                );
                continue;
            }
            let message =
                "the chain does not hold the expected head: it was cut off, or is another";
            let place = expected.seq.map_or_else(Location::default, Location::seq);
            let finding = Finding::new(Code::ChainTruncated, place, message);
            let got = head.map_or_else(|| "nothing".into(), |head| head.hash.to_string());
            report.add_finding(finding.values(expected.hash, got));
        }
        if let Some((_, client, host)) = self.verifier.identity() {
            trust.check_identity(client, host, report);
        }
        let Some(join) = &mut self.join else { return Ok(()) };
        join.finish(head, whole, report);
        if let (Some(chain), Some(registry)) = (self.verifier.identity(), join.identity())
            && chain != registry
        {
            let message = "chain and registry are not of one appliance";
            let finding =
                Finding::new(Code::RegistryBroken, Location::file("registry.db"), message);
            let text =
                |(chain, client, host): (&str, &str, &str)| format!("{chain} {client}/{host}");
            report.add_finding(finding.values(text(chain), text(registry)));
        }
        Ok(())
    }

    /// Heads that lay too far back when the registry named them.
    fn stragglers(&mut self, files: &[&ChainFile], report: &mut Report) -> Result<(), AuditError> {
        let Some(join) = &mut self.join else { return Ok(()) };
        let mut late = std::mem::take(&mut join.stragglers);
        if late.is_empty() {
            return Ok(());
        }
        late.sort_unstable_by_key(|(seq, ..)| *seq);
        for file in files {
            let source = chain_files::open(file).map_err(AuditError::io(&file.path))?;
            line_reader::for_each_line::<AuditError>(source, |line| {
                if let Ok(record) = Record::parse(line)
                    && let Ok(at) = late.binary_search_by_key(&record.seq, |(seq, ..)| *seq)
                {
                    let first = late.partition_point(|(seq, ..)| *seq < record.seq);
                    let same = late.iter().skip(first).take_while(|(seq, ..)| *seq == record.seq);
                    for (seq, hash, row) in same {
                        let place = Location::file(&file.name);
                        compare_head(*seq, *hash, *row, record.hash(), place, report);
                    }
                    let _ = at;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Whether a file's last line is only not whole yet: it grows while we look.
fn being_written(file: &ChainFile, read: u64) -> bool {
    (0..5).any(|_| {
        let grown = fs::metadata(&file.path).is_ok_and(|metadata| metadata.len() > read);
        if !grown {
            std::thread::sleep(REREAD_DELAY);
        }
        grown
    })
}

pub(super) fn checkpoint_of(note: &str) -> Option<Checkpoint> {
    Note::parse(note).and_then(|note| Checkpoint::parse(note.text)).ok()
}

/// The files whose day is not outside the span. A clock that was set back
/// puts records into a later file, so the files after the span are kept.
fn in_span<'f>(files: &'f [ChainFile], options: &Options) -> Vec<&'f ChainFile> {
    let first = options.from.map(|from| from.day());
    files.iter().filter(|file| file.day.is_none() || file.day >= first).collect()
}
