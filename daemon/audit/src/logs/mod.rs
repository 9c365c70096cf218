//! `provctl verify-chain --logs`: the watched logs are read again, rotated and
//! compressed ones too, and held against what the chain recorded.
//!
//! A first pass over the chain learns where the bytes of every generation are
//! to be; then each is looked for ([`find`]), and a second pass reads every
//! recorded range again ([`reread`]). Memory grows with the generations, not
//! with the records. A range differs or it does not: file, bytes and the
//! minute in which they were recorded are named.

mod candidates;
mod chain_index;
mod directory_walk;
mod file_stream;
mod journal;
mod journalctl;
mod modified_ranges;
mod options;
mod reread;
mod root_dir;

pub use options::{JournalSource, Logs, Options};

use std::io;

use provenance_core::report::{Code, Finding, Location, Report};

use candidates::{ResolvedLocation, Target};
use chain_index::ChainIndex;
use file_stream::ReadBuffer;
use modified_ranges::shown;
use provenance_host::{chain_files::ChainFile, clock};
use root_dir::Root;

/// Holds the logs against the chain's files. What differs, and what could not
/// be compared, is in the report.
///
/// # Errors
/// As reading the chain's files.
pub fn verify(files: &[ChainFile], options: &Options<'_>, report: &mut Report) -> io::Result<()> {
    let survey = ChainIndex::take(files, options)?;
    match Root::open(&options.root) {
        Ok(root) => {
            let here = machine_of(&root);
            if !is_elsewhere(&survey, here.as_deref(), report) {
                verify_files(files, &root, &survey, options, here, report)?;
            }
        }
        Err(error) => {
            let why = format!("{error}; give --root with the directory that the logs are below");
            report.not_checked_decisive("the logs", why);
        }
    }
    journal::verify(files, &survey, options, report)
}

fn verify_files(
    files: &[ChainFile],
    root: &Root,
    survey: &ChainIndex,
    options: &Options<'_>,
    here: Option<String>,
    report: &mut Report,
) -> io::Result<()> {
    let mut desk = ReadBuffer::new(options.progress);
    let targets = candidates::find(root, survey, &mut desk);
    let at_hand = |target: &Target<'_>| matches!(target.place, ResolvedLocation::File(_));
    let due = targets.iter().filter(|target| !matches!(target.place, ResolvedLocation::Gone));
    let same = here.is_some() && here == survey.machine;
    if due.clone().count() > 0
        && due.clone().all(|target| matches!(target.place, ResolvedLocation::Missing(_)))
        && !same
    {
        let why = format!(
            "none of the {} log files that the chain names is below {}: run this on the machine \
             that made the chain, or give --root with a copy of its logs",
            due.count(),
            options.root.display()
        );
        report.not_checked_decisive("the logs", why);
    } else {
        targets.iter().for_each(|target| absent(target, report));
    }
    gone(&targets, report);
    reread::reread(files, root, survey, &targets, options, &mut desk, report)?;
    let grown = targets.iter().filter(|target| at_hand(target)).map(grown).sum::<u64>();
    if grown > 0 {
        let why = "they were written after the last tick, and the chain does not hold them yet";
        report.not_checked(format!("{grown} bytes at the logs' ends"), why);
    }
    Ok(())
}

/// The id of the machine whose file system is at the root, where it says so.
fn machine_of(root: &Root) -> Option<String> {
    if root.is_machine() {
        return Some(clock::machine_id()).filter(|id| id != "unknown");
    }
    let text = String::from_utf8(root.small(b"etc/machine-id")?).ok()?;
    let id = text.trim();
    (id.len() == 32 && id.bytes().all(|c| c.is_ascii_hexdigit())).then(|| id.to_owned())
}

/// Whether these are not the chain's logs: files of the same names are on
/// every machine, and comparing them would accuse nobody justly.
fn is_elsewhere(survey: &ChainIndex, here: Option<&str>, report: &mut Report) -> bool {
    let (Some(theirs), Some(here)) = (survey.machine.as_deref(), here) else { return false };
    if theirs == here || theirs == "unknown" {
        return false;
    }
    let why = format!(
        "the chain is of the machine {theirs}, and this is {here}: run this there, or give --root \
         with a copy of its logs"
    );
    report.not_checked_decisive("the logs", why);
    true
}

/// Says that a file is not there, or cannot be read.
fn absent(target: &Target<'_>, report: &mut Report) {
    let Target { src, generation, wanted, place } = target;
    let (from, to) = wanted.bytes;
    let source = provenance_core::encoding::file_uri::decode(src).unwrap_or_default();
    let path = shown(generation.path(&source).unwrap_or_default());
    match place {
        ResolvedLocation::Missing(what) => {
            let there = what.map(|what| format!(" ({what} stands there)")).unwrap_or_default();
            let message = format!(
                "bytes {from} to {to} were recorded as being in this file, and neither it{there} \
                 nor any file beside it holds them"
            );
            report.add_finding(Finding::new(
                Code::LogMissing,
                place_of(target, Some(path)),
                message,
            ));
        }
        ResolvedLocation::Unreadable(path, errno) => {
            let why = format!("{}; run this as a user who may read it", io::Error::from(*errno));
            report.not_checked_decisive(shown(path), why);
        }
        ResolvedLocation::File(_) | ResolvedLocation::Gone => {}
    }
}

/// Says what is gone as the chain records it.
fn gone(targets: &[Target<'_>], report: &mut Report) {
    let mut bytes = 0_u64;
    for target in targets.iter().filter(|target| matches!(target.place, ResolvedLocation::Gone)) {
        let (from, to) = target.wanted.bytes;
        bytes = bytes.saturating_add(to - from);
        let message = format!("bytes {from} to {to} are gone, as the chain records");
        report.add_finding(Finding::new(Code::LogUnverifiable, place_of(target, None), message));
    }
    if bytes > 0 {
        let why = "the files were rotated away, deleted or truncated, as the chain records";
        report.not_checked(format!("{bytes} bytes of logs"), why);
    }
}

fn place_of(target: &Target<'_>, file: Option<String>) -> Location {
    let Target { src, generation, wanted, .. } = target;
    Location {
        file,
        seq: Some(wanted.seq),
        bytes: Some(wanted.bytes),
        time: Some(wanted.time),
        ..Location::default().source(src, generation.number)
    }
}

/// How many bytes a plain file has behind what is recorded.
fn grown(target: &Target<'_>) -> u64 {
    match &target.place {
        ResolvedLocation::File(found)
            if found.packing == provenance_host::decompress::Packing::Plain =>
        {
            found.size.saturating_sub(target.generation.to)
        }
        _ => 0,
    }
}
