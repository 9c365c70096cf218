//! The journal: read again by `journalctl -o export`, in one stream, and held
//! against the recorded digests by cursor.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read},
    path::Path,
    time::Duration,
};

use provenance_core::{
    digest::Digest,
    export::{EntryHasher, Reader},
    logs::{LogEntry, What},
    report::{Code, Finding, Place, Report},
};

use super::Span;
use crate::host::{command::Running, systime};

const PATIENCE: Duration = Duration::from_secs(60);

/// Every journal source with its stream.
pub(super) struct Journals {
    /// Where journalctl looks, if not at the machine's own journal.
    place: Option<String>,
    streams: BTreeMap<String, Stream>,
    machine: String,
}

enum Stream {
    Open(Box<Open>),
    /// Not to be had: said once.
    Closed,
}

struct Open {
    child: Running,
    reader: Option<Reader>,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    /// Entries that were read ahead: their digest so far, how many, and the
    /// last one's cursor.
    ahead: Option<(EntryHasher, String)>,
    /// Nothing was compared yet: what comes first may be vacuumed in part.
    first: bool,
    /// The last comparison read too far.
    skewed: bool,
}

struct Wanted<'a> {
    upto: &'a str,
    count: u64,
    sha256: Digest,
}

impl Journals {
    pub(super) fn new(root: &Path, folder: Option<&Path>) -> Self {
        let place = match folder {
            Some(folder) => Some(format!("--directory={}", folder.display())),
            None => (root != Path::new("/")).then(|| format!("--root={}", root.display())),
        };
        Self { place, streams: BTreeMap::new(), machine: systime::machine_id() }
    }

    pub(super) fn entries(
        &mut self,
        entry: &LogEntry<'_>,
        seq: u64,
        span: Span,
        report: &mut Report,
    ) {
        let What::Journal { after, upto, count, sha256 } = &entry.what else { return };
        let own = entry.src.strip_prefix("journal:").is_some_and(|id| id == self.machine);
        if !self.streams.contains_key(entry.src.as_ref()) {
            let stream = if own || self.place.is_some() {
                Open::start(self.place.as_deref(), after.as_deref(), report)
            } else {
                let why =
                    "it is another machine's: run it there, or name it with --journal or --root";
                report.undecided(entry.src.as_ref(), why);
                Stream::Closed
            };
            self.streams.insert(entry.src.clone().into_owned(), stream);
        }
        let Some(Stream::Open(open)) = self.streams.get_mut(entry.src.as_ref()) else { return };
        let wanted = Wanted { upto, count: *count, sha256: *sha256 };
        let mut place = Place::seq(seq).source(&entry.src, entry.generation);
        place.time = Some(span);
        report.checked("journal entries", *count);
        if let Err(why) = open.compare(&wanted, place, report) {
            report.undecided(entry.src.as_ref(), why);
            self.streams.insert(entry.src.clone().into_owned(), Stream::Closed);
        }
    }
}

impl Open {
    fn start(place: Option<&str>, after: Option<&str>, report: &mut Report) -> Stream {
        let mut arguments =
            vec!["--output=export".to_owned(), "--no-pager".into(), "--quiet".into()];
        arguments.extend(place.map(String::from));
        arguments.extend(after.map(|after| format!("--after-cursor={after}")));
        match Running::start("journalctl", arguments, PATIENCE) {
            Ok(child) => Stream::Open(Box::new(Self {
                child,
                reader: Some(Reader::new()),
                buffer: vec![0; 128 << 10],
                from: 0,
                to: 0,
                ahead: None,
                first: true,
                skewed: false,
            })),
            Err(error) => {
                report.undecided("the journal", format!("journalctl cannot be run: {error}"));
                Stream::Closed
            }
        }
    }

    /// Reads up to the wanted last entry. What was vacuumed before the first
    /// entry that is still there is unverifiable, and not modified.
    fn compare(
        &mut self,
        wanted: &Wanted<'_>,
        place: Place,
        report: &mut Report,
    ) -> Result<(), String> {
        let mut taken = self.ahead.take();
        loop {
            if let Some((hasher, last)) = taken.take() {
                if last == wanted.upto {
                    self.judge(wanted, hasher, place, report);
                    return Ok(());
                }
                if is_behind(&last, wanted.upto) {
                    // Read too far: either all of it is gone, or its end is.
                    let whole = hasher.count() == 1;
                    self.skewed = !whole;
                    if whole {
                        self.ahead = Some((hasher, last));
                    }
                    self.say(whole && self.first, place, report);
                    return Ok(());
                }
                taken = Some((hasher, last));
            }
            let (mut hasher, _) = taken.take().unwrap_or_default();
            match self.next(&mut hasher)? {
                Some(cursor) => taken = Some((hasher, cursor)),
                None => {
                    self.say(self.first, place, report);
                    return Ok(());
                }
            }
        }
    }

    fn judge(
        &mut self,
        wanted: &Wanted<'_>,
        hasher: EntryHasher,
        place: Place,
        report: &mut Report,
    ) {
        let count = hasher.count();
        let sha256 = hasher.finish();
        if count != wanted.count || sha256 != wanted.sha256 {
            // The oldest entries of the first range may have been vacuumed,
            // and behind an overrun one entry is missing to us.
            let partial = (self.first || self.skewed) && count < wanted.count;
            self.say(partial, place, report);
        }
        (self.first, self.skewed) = (false, false);
    }

    fn say(&self, vacuumed: bool, place: Place, report: &mut Report) {
        let finding = if vacuumed {
            let message = "these journal entries are no longer there: vacuumed";
            Finding::new(Code::LogUnverifiable, place, message)
        } else {
            let message =
                "the journal entries are not those that were recorded: changed, added or removed";
            Finding::new(Code::LogModified, place, message)
        };
        report.find(finding);
    }

    /// The next entry's cursor; its fields go to `hasher`.
    fn next(&mut self, hasher: &mut EntryHasher) -> Result<Option<String>, String> {
        loop {
            let Some(reader) = &mut self.reader else { return Ok(None) };
            let rest = self.buffer.get(self.from..self.to).unwrap_or_default();
            let (entry, taken) = reader.read(rest, hasher).map_err(|error| error.to_string())?;
            self.from += taken;
            if let Some(entry) = entry {
                return Ok(Some(String::from_utf8_lossy(&entry.cursor).into_owned()));
            }
            (self.from, self.to) = (0, 0);
            match self.child.read(&mut self.buffer) {
                Ok(0) => {
                    let last = self.reader.take().map(|reader| reader.finish(hasher));
                    let last = last.transpose().map_err(|error| error.to_string())?.flatten();
                    return Ok(
                        last.map(|entry| String::from_utf8_lossy(&entry.cursor).into_owned())
                    );
                }
                Ok(count) => self.to = count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("journalctl: {error}")),
            }
        }
    }
}

/// Whether the entry at `cursor` comes behind the one at `other`: by the
/// sequence number within one journal, else by the time (a volatile journal
/// begins anew with each boot).
fn is_behind(cursor: &str, other: &str) -> bool {
    let part = |cursor: &str, name: &str| -> Option<String> {
        cursor.split(';').find_map(|part| part.strip_prefix(name)).map(String::from)
    };
    let name = if part(cursor, "s=") == part(other, "s=") { "i=" } else { "t=" };
    let number = |cursor: &str| u64::from_str_radix(&part(cursor, name)?, 16).ok();
    number(cursor) > number(other)
}
