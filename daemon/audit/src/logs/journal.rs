//! The journal, read again through `journalctl` and held against the entries
//! that the chain recorded. One process reads along with the chain; where an
//! entry was removed or added, the two meet again at the next cursor.
//!
//! Nobody but journald's vacuuming takes entries from the journal's beginning
//! in good order: what is gone there cannot be verified. What is missing
//! behind an entry that is still there was taken out.

use std::{collections::BTreeMap, io};

use provenance_core::{
    encoding::digest::Digest,
    journal_export::EntryHasher,
    record::log_entry::What,
    report::{Code, Finding, Location, Report},
};
use provenance_host::{chain_files::ChainFile, clock};

use super::{
    JournalSource, Options,
    chain_index::{ChainIndex, Journal},
    directory_walk::{At, Start, walk},
    journalctl::{JournalctlReader, is_readable},
};

/// What a journal source's name begins with.
const SCHEME: &str = "journal:";
/// How often journalctl is started again to meet the chain.
const MAX_RESTARTS: u32 = 1000;
/// How many differences are held back until a journal is known to be the one.
const MAX_HELD: usize = 100;

/// Holds the journals of the chain against `options.journal`.
///
/// # Errors
/// As reading the chain.
pub(super) fn verify(
    files: &[ChainFile],
    survey: &ChainIndex,
    options: &Options<'_>,
    report: &mut Report,
) -> io::Result<()> {
    let mut runs: BTreeMap<&str, Run<'_>> = BTreeMap::new();
    for (src, journal) in survey.journals.iter().filter(|(_, journal)| journal.ranges > 0) {
        match (&options.journal, reason_against(src, options.journal.as_ref())) {
            (None, _) => report.not_checked(src.as_str(), "the journal was left out"),
            (_, Some(why)) => report.not_checked_decisive(src.as_str(), why),
            (Some(source), None) => {
                runs.insert(src, Run::new(source, src, *journal));
            }
        }
    }
    if runs.is_empty() {
        return Ok(());
    }
    walk(
        files,
        Start::default(),
        Some(survey.end),
        |_| {},
        |at, tick| {
            let wanted = options.wants(at.time);
            for entry in tick.logs.iter().filter(|_| wanted) {
                let What::Journal { after, upto, count, sha256 } = &entry.what else { continue };
                let span = Span { after: after.as_deref(), upto, count: *count, sha256: *sha256 };
                if let Some(run) = runs.get_mut(entry.src.as_ref()) {
                    run.span(entry.generation, at, &span, report);
                }
            }
        },
    )?;
    runs.into_values().for_each(|mut run| run.finish(report));
    Ok(())
}

/// Why a journal cannot be read here.
fn reason_against(src: &str, source: Option<&JournalSource>) -> Option<String> {
    let source = source?;
    let here = clock::machine_id();
    if *source == JournalSource::System && src.strip_prefix(SCHEME) != Some(&here) {
        return Some(format!(
            "it is another machine's, and this is {here}: run this there, or name a directory \
             with a copy of its journal"
        ));
    }
    is_readable(source).err()
}

/// Entries that the chain recorded.
struct Span<'e> {
    after: Option<&'e str>,
    upto: &'e str,
    count: u64,
    sha256: Digest,
}

/// What reading along gave.
struct SeenEntries {
    /// Entries up to the span's end.
    entries: u64,
    /// The digest of as many entries as were recorded.
    sha256: Option<Digest>,
    same: bool,
    /// The last entry of the span is there.
    met: bool,
    /// The journal's end was reached.
    ended: bool,
}

/// One journal, read along with the chain.
struct Run<'s> {
    source: &'s JournalSource,
    src: &'s str,
    journal: Journal,
    /// The generation that is being read.
    generation: Option<u64>,
    feed: Option<JournalctlReader>,
    /// The oldest entry, where the feed began with it.
    oldest: Option<String>,
    /// An entry that was read too early: the next feed begins with it.
    early: Option<String>,
    /// A recorded entry was met: what is missing behind it was there.
    anchored: bool,
    held: Vec<Finding>,
    restarts: u32,
    /// Recorded entries that are gone from the beginning, or of a generation
    /// that ended.
    gone: u64,
    gone_at: Option<At>,
    failed: bool,
}

impl<'s> Run<'s> {
    fn new(source: &'s JournalSource, src: &'s str, journal: Journal) -> Self {
        Self {
            source,
            src,
            journal,
            generation: None,
            feed: None,
            oldest: None,
            early: None,
            anchored: false,
            held: Vec::new(),
            restarts: 0,
            gone: 0,
            gone_at: None,
            failed: false,
        }
    }

    fn span(&mut self, generation: u64, at: At, span: &Span<'_>, report: &mut Report) {
        if self.generation != Some(generation) {
            self.finish(report);
            *self = Self::new(self.source, self.src, self.journal);
            self.generation = Some(generation);
        }
        if self.failed {
            return;
        }
        if let Err(why) = self.read_along(at, span, report) {
            self.failed = true;
            report.not_checked_decisive(self.src, why);
        }
    }

    fn read_along(&mut self, at: At, span: &Span<'_>, report: &mut Report) -> Result<(), String> {
        if self.feed.is_none() && self.early.is_none() && self.oldest.is_none() {
            self.begin(span)?;
        }
        let is_gone = |before: &Option<String>| {
            before.as_ref().is_some_and(|before| is_older(span.upto, before))
        };
        if !self.anchored && is_gone(&self.oldest) {
            self.note_gone(at, span);
            return Ok(());
        }
        let seen = match is_gone(&self.early) {
            true => SeenEntries { entries: 0, sha256: None, same: false, met: false, ended: false },
            false => self.read(span)?,
        };
        self.judge(at, span, &seen, report);
        Ok(())
    }

    /// Starts journalctl at the entry before the span, or where that is not
    /// there at the beginning.
    fn begin(&mut self, span: &Span<'_>) -> Result<(), String> {
        if let Some(after) = span.after {
            let mut feed = JournalctlReader::start(self.source, Some(after))?;
            if feed.next(&mut EntryHasher::new())?.as_deref() == Some(after) {
                (self.feed, self.anchored) = (Some(feed), true);
                return Ok(());
            }
        }
        self.oldest = JournalctlReader::start(self.source, None)?.next(&mut EntryHasher::new())?;
        self.feed = Some(JournalctlReader::start(self.source, None)?);
        Ok(())
    }

    /// Reads as many entries as were recorded, or to where they ended.
    fn read(&mut self, span: &Span<'_>) -> Result<SeenEntries, String> {
        if let Some(early) = self.early.take() {
            self.restarts += 1;
            if self.restarts > MAX_RESTARTS {
                return Err("it differs from the chain in over 1000 places".into());
            }
            self.feed = Some(JournalctlReader::start(self.source, Some(&early))?);
        }
        let mut seen =
            SeenEntries { entries: 0, sha256: None, same: false, met: false, ended: false };
        let Some(feed) = &mut self.feed else { return Ok(seen) };
        let (mut hasher, mut read) = (EntryHasher::new(), 0);
        while !(seen.met || self.early.is_some() && read >= span.count) {
            let Some(cursor) = feed.next(&mut hasher)? else {
                seen.ended = true;
                break;
            };
            read += 1;
            seen.met = cursor == span.upto;
            if self.early.is_none() && is_older(span.upto, &cursor) {
                self.early = Some(cursor);
            }
            if self.early.is_none() {
                seen.entries += 1;
            }
            if read == span.count {
                let sha256 = std::mem::take(&mut hasher).finish();
                (seen.sha256, seen.same) = (Some(sha256), sha256 == span.sha256);
                if seen.same {
                    // The feed stands right behind the span.
                    self.early = None;
                    return Ok(seen);
                }
            }
        }
        Ok(seen)
    }

    fn judge(&mut self, at: At, span: &Span<'_>, seen: &SeenEntries, report: &mut Report) {
        let fewer = seen.entries < span.count;
        let was_anchored = self.anchored;
        self.anchored |= seen.met || seen.same;
        let is_current = self.journal.current == self.generation;
        if seen.same {
            report.checked("journal entries", span.count);
        } else if !is_current || !was_anchored && fewer && !(seen.ended && self.oldest.is_none()) {
            self.note_gone(at, span);
        } else {
            report.checked("journal entries", span.count.min(seen.entries));
            let finding = self.finding(at, span, seen);
            if self.anchored {
                report.add_finding(finding);
            } else if self.held.len() < MAX_HELD {
                self.held.push(finding);
            }
        }
        if self.anchored {
            self.held.drain(..).for_each(|finding| report.add_finding(finding));
        }
    }

    fn finding(&self, at: At, span: &Span<'_>, seen: &SeenEntries) -> Finding {
        let Span { after, upto, count, sha256 } = span;
        let place = self.place(at);
        if seen.ended && !seen.met && seen.entries == 0 {
            let message = "the journal ends before these entries: they were removed";
            return Finding::new(Code::LogModified, place, message);
        }
        let (SeenEntries { entries, .. }, begin) =
            (seen, after.unwrap_or("the journal's beginning"));
        let what = match entries.cmp(count) {
            std::cmp::Ordering::Less => format!("{entries} entries are left of {count}"),
            std::cmp::Ordering::Equal => format!("of {count} entries at least one was changed"),
            std::cmp::Ordering::Greater => format!("{entries} entries are there, not {count},"),
        };
        let message = format!("{what} behind {begin} up to {upto}");
        let finding = Finding::new(Code::LogModified, place, message);
        match seen.sha256.filter(|_| entries == count) {
            Some(got) => finding.values(sha256, got),
            None => finding.values(format!("{count} entries"), format!("{entries} entries")),
        }
    }

    fn note_gone(&mut self, at: At, span: &Span<'_>) {
        self.gone = self.gone.saturating_add(span.count);
        self.gone_at = Some(At { since: self.gone_at.map_or(at.since, |gone| gone.since), ..at });
    }

    /// Says what was gone, and whether the journal was the one at all.
    fn finish(&mut self, report: &mut Report) {
        if let Some(at) = self.gone_at.filter(|_| !self.failed) {
            let gone = self.gone;
            let message = format!("{gone} entries are no longer in the journal");
            report.add_finding(Finding::new(Code::LogUnverifiable, self.place(at), message));
            let why = "journald removed the oldest entries, or the files were replaced";
            report.not_checked(format!("{gone} entries of {}", self.src), why);
        }
        if self.oldest.is_none() && !self.held.is_empty() && !self.failed {
            self.empty(report);
        }
        if !self.held.is_empty() && !self.failed {
            let why = "no entry that the chain names is in it: it is another journal, or was \
                       written anew";
            report.not_checked_decisive(self.src, why);
        }
    }

    /// The journal has no entries at all, which journald never leaves so; a
    /// copy may have been made without it.
    fn empty(&mut self, report: &mut Report) {
        let held = self.held.drain(..).next_back();
        if *self.source != JournalSource::System {
            return report
                .not_checked_decisive(self.src, "no journal files with entries are there");
        }
        let place = held.map(|finding| finding.place).unwrap_or_default();
        let message = "this machine's journal has no entries at all";
        report.add_finding(Finding::new(Code::LogMissing, place, message));
    }

    fn place(&self, at: At) -> Location {
        let generation = self.generation.unwrap_or_default();
        let time = Some((at.since, at.time));
        Location { time, ..Location::seq(at.seq).source(self.src, generation) }
    }
}

/// Whether the entry at cursor `a` was written before that at `b`: by their
/// sequence numbers where they have one source, else by the clock.
fn is_older(a: &str, b: &str) -> bool {
    match (Cursor::parse(a), Cursor::parse(b)) {
        (Some(a), Some(b)) if a.source == b.source => a.number < b.number,
        (Some(a), Some(b)) => a.time < b.time,
        _ => false,
    }
}

/// What of a cursor tells the order.
struct Cursor<'c> {
    source: &'c str,
    number: u64,
    time: u64,
}

impl<'c> Cursor<'c> {
    fn parse(text: &'c str) -> Option<Self> {
        let field = |name: &str| text.split(';').find_map(|field| field.strip_prefix(name));
        let hex = |name| field(name).and_then(|text| u64::from_str_radix(text, 16).ok());
        Some(Self { source: field("s=")?, number: hex("i=")?, time: hex("t=")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_ordered_by_number_or_by_time() {
        let (a, b) = ("s=1;i=9;b=0;m=1;t=5;x=0", "s=1;i=a;b=0;m=1;t=4;x=0");
        assert!(is_older(a, b) && !is_older(b, a) && !is_older(a, a));
        let c = "s=2;i=1;b=0;m=1;t=6;x=0";
        assert!(is_older(a, c) && !is_older(c, a));
        assert!(!is_older("garbage", a) && !is_older(a, ""));
    }
}
