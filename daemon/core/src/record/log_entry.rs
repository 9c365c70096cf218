//! The entries of a tick's `logs` (docs/format.md §2): bytes added to a file,
//! entries added to a journal, and what else happened to a source.

use alloc::{borrow::Cow, vec::Vec};

use crate::encoding::{
    digest::Digest,
    json::Value,
    json_scanner::{ScanError, Scanner},
};

/// One entry: what happened to one generation of one source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogEntry<'a> {
    /// `file:` + encoded path, or `journal:` + machine id.
    pub src: Cow<'a, str>,
    /// 0, 1, 2, …: a new one begins at each rotation, truncation, replacement.
    pub generation: u64,
    /// What happened.
    pub what: What<'a>,
}

/// What happened to a generation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What<'a> {
    /// Bytes `[from, to)` were added; `sha256` is their digest.
    Range {
        /// Where the last recorded range of this generation ended; 0 at first.
        from: u64,
        /// The end, over `from`.
        to: u64,
        /// Over exactly these bytes.
        sha256: Digest,
    },
    /// Journal entries behind `after` (absent: from the journal's beginning)
    /// up to and with `upto`.
    Journal {
        /// The cursor of the last entry before.
        after: Option<Cow<'a, str>>,
        /// The cursor of the last entry.
        upto: Cow<'a, str>,
        /// How many entries.
        count: u64,
        /// Over the entries in the Journal Export Format, fields sorted.
        sha256: Digest,
    },
    /// Something other than growth.
    Event(Event<'a>),
}

/// What can happen to a source apart from growth.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// A generation begins: a file was found. `id` is its device and inode in
    /// hex, `dev:ino`; a journal has none.
    Appeared {
        /// `dev:ino`.
        id: Option<Cow<'a, str>>,
    },
    /// The name now belongs to another file. `location` (JSON: `as`) is where
    /// the bytes of this generation are now, where known.
    Rotated {
        /// `file:` + encoded path.
        location: Option<Cow<'a, str>>,
    },
    /// A file that had `to` bytes recorded has only `size` now, or was
    /// truncated and written again.
    Truncated {
        /// Bytes recorded.
        to: u64,
        /// Bytes found.
        size: u64,
    },
    /// The name holds other bytes now, and the old ones are nowhere to be
    /// found.
    Replaced,
    /// The file is gone.
    Vanished,
    /// The file cannot be read, by `errno`.
    Unreadable {
        /// As in errno(3).
        errno: u32,
    },
    /// The source itself said that it dropped messages.
    Lost {
        /// How many.
        count: u64,
    },
    /// The sources were not read in time for this tick: for how many
    /// milliseconds the reader had been at work.
    Late {
        /// Milliseconds.
        ms: u64,
    },
}

impl LogEntry<'_> {
    /// The entry's JSON.
    pub fn to_value(&self) -> Value {
        let object =
            Value::object([("src", self.src.as_ref().into()), ("gen", self.generation.into())]);
        match &self.what {
            What::Range { from, to, sha256 } => {
                object.with("from", *from).with("to", *to).with("sha256", *sha256)
            }
            What::Journal { after, upto, count, sha256 } => object
                .with_some("after", after.as_deref())
                .with("upto", upto.as_ref())
                .with("count", *count)
                .with("sha256", *sha256),
            What::Event(event) => event.describe(object.with("event", event.name())),
        }
    }

    /// The place among a tick's entries: by source, generation, then
    /// `appeared`, the ranges by `from`, and the other events in the order in
    /// which they happened.
    pub fn order(&self) -> (&str, u64, u64) {
        let place = match &self.what {
            What::Event(Event::Appeared { .. }) => 0,
            What::Range { from, .. } => from + 1,
            What::Journal { .. } => 1,
            What::Event(_) => u64::MAX,
        };
        (&self.src, self.generation, place)
    }

    /// The same entry, keeping nothing borrowed.
    pub fn into_owned(self) -> LogEntry<'static> {
        LogEntry {
            src: Cow::Owned(self.src.into_owned()),
            generation: self.generation,
            what: match self.what {
                What::Range { from, to, sha256 } => What::Range { from, to, sha256 },
                What::Journal { after, upto, count, sha256 } => {
                    What::Journal { after: after.map(owned), upto: owned(upto), count, sha256 }
                }
                What::Event(event) => What::Event(event.into_owned()),
            },
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

impl Event<'_> {
    /// The value of the member `event`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Appeared { .. } => "appeared",
            Self::Rotated { .. } => "rotated",
            Self::Truncated { .. } => "truncated",
            Self::Replaced => "replaced",
            Self::Vanished => "vanished",
            Self::Unreadable { .. } => "unreadable",
            Self::Lost { .. } => "lost",
            Self::Late { .. } => "late",
        }
    }

    fn describe(&self, object: Value) -> Value {
        match self {
            Self::Appeared { id } => object.with_some("id", id.as_deref()),
            Self::Rotated { location } => object.with_some("as", location.as_deref()),
            Self::Truncated { to, size } => object.with("to", *to).with("size", *size),
            Self::Unreadable { errno } => object.with("errno", *errno),
            Self::Lost { count } => object.with("count", *count),
            Self::Late { ms } => object.with("ms", *ms),
            Self::Replaced | Self::Vanished => object,
        }
    }

    fn into_owned(self) -> Event<'static> {
        match self {
            Self::Appeared { id } => Event::Appeared { id: id.map(owned) },
            Self::Rotated { location } => Event::Rotated { location: location.map(owned) },
            Self::Truncated { to, size } => Event::Truncated { to, size },
            Self::Replaced => Event::Replaced,
            Self::Vanished => Event::Vanished,
            Self::Unreadable { errno } => Event::Unreadable { errno },
            Self::Lost { count } => Event::Lost { count },
            Self::Late { ms } => Event::Late { ms },
        }
    }
}

/// Sorts a tick's entries as the format asks; stable, so that events keep the
/// order in which they happened.
pub fn sort(entries: &mut [LogEntry<'_>]) {
    entries.sort_by(|a, b| a.order().cmp(&b.order()));
}

/// Reads one entry. The members' names say which of the forms it is; in each
/// they stand sorted.
///
/// # Errors
/// [`ScanError`] for anything that [`LogEntry::to_value`] would not write.
pub fn read_entry<'a>(scan: &mut Scanner<'a>) -> Result<LogEntry<'a>, ScanError> {
    scan.open()?;
    let entry = if scan.maybe_key("event") || starts_event(scan) {
        read_event(scan)?
    } else if scan.maybe_key("from") {
        read_range(scan)?
    } else {
        read_journal(scan)?
    };
    scan.close()?;
    Ok(entry)
}

fn read_range<'a>(scan: &mut Scanner<'a>) -> Result<LogEntry<'a>, ScanError> {
    let from = scan.uint()?;
    scan.key("gen")?;
    let generation = scan.uint()?;
    scan.key("sha256")?;
    let sha256 = read_digest(scan)?;
    scan.key("src")?;
    let src = Cow::Borrowed(scan.plain()?);
    scan.key("to")?;
    let to = scan.uint()?;
    if to <= from {
        return scan.fail("a range that does not end behind its beginning");
    }
    Ok(LogEntry { src, generation, what: What::Range { from, to, sha256 } })
}

fn read_journal<'a>(scan: &mut Scanner<'a>) -> Result<LogEntry<'a>, ScanError> {
    let after = if scan.maybe_key("after") { Some(scan.plain()?.into()) } else { None };
    scan.key("count")?;
    let count = scan.uint()?;
    scan.key("gen")?;
    let generation = scan.uint()?;
    scan.key("sha256")?;
    let sha256 = read_digest(scan)?;
    scan.key("src")?;
    let src = Cow::Borrowed(scan.plain()?);
    scan.key("upto")?;
    let upto = scan.plain()?.into();
    Ok(LogEntry { src, generation, what: What::Journal { after, upto, count, sha256 } })
}

/// An event may have a member that sorts before `event`.
fn starts_event(scan: &Scanner<'_>) -> bool {
    let mut ahead = scan.clone();
    for name in ["as", "count", "errno"] {
        if ahead.maybe_key(name) {
            return ahead.value().is_ok() && ahead.maybe_key("event");
        }
    }
    false
}

fn read_event<'a>(scan: &mut Scanner<'a>) -> Result<LogEntry<'a>, ScanError> {
    let mut location = None;
    let (mut count, mut errno) = (None, None);
    if scan.maybe_key("as") {
        location = Some(scan.plain()?.into());
        scan.key("event")?;
    } else if scan.maybe_key("count") {
        count = Some(scan.uint()?);
        scan.key("event")?;
    } else if scan.maybe_key("errno") {
        errno = Some(u32::try_from(scan.uint()?).or_else(|_| scan.fail("not an errno"))?);
        scan.key("event")?;
    }
    let name = scan.plain()?;
    scan.key("gen")?;
    let generation = scan.uint()?;
    let id = if scan.maybe_key("id") { Some(scan.plain()?.into()) } else { None };
    let ms = if scan.maybe_key("ms") { Some(scan.uint()?) } else { None };
    let size = if scan.maybe_key("size") { Some(scan.uint()?) } else { None };
    scan.key("src")?;
    let src = Cow::Borrowed(scan.plain()?);
    let to = if scan.maybe_key("to") { Some(scan.uint()?) } else { None };
    let event = match (name, location, count, errno, id, ms, size, to) {
        ("appeared", None, None, None, id, None, None, None) => Event::Appeared { id },
        ("rotated", location, None, None, None, None, None, None) => Event::Rotated { location },
        ("truncated", None, None, None, None, None, Some(size), Some(to)) => {
            Event::Truncated { to, size }
        }
        ("replaced", None, None, None, None, None, None, None) => Event::Replaced,
        ("vanished", None, None, None, None, None, None, None) => Event::Vanished,
        ("unreadable", None, None, Some(errno), None, None, None, None) => {
            Event::Unreadable { errno }
        }
        ("lost", None, Some(count), None, None, None, None, None) => Event::Lost { count },
        ("late", None, None, None, None, Some(ms), None, None) => Event::Late { ms },
        _ => return scan.fail("an event of unknown form"),
    };
    Ok(LogEntry { src, generation, what: What::Event(event) })
}

/// A digest as a JSON string.
///
/// # Errors
/// Where it is not 64 lower-case hex digits.
pub fn read_digest(scan: &mut Scanner<'_>) -> Result<Digest, ScanError> {
    match scan.quoted::<_, 64>(|hex| Digest::from_hex(hex)) {
        Some(digest) => Ok(digest),
        None => scan.fail("expected a SHA-256 digest in lower-case hex"),
    }
}

/// The entries as a JSON array.
pub fn to_value(entries: &[LogEntry<'_>]) -> Value {
    Value::Array(entries.iter().map(LogEntry::to_value).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn every_form_survives_its_bytes() {
        let sha256 = Digest::sha256(b"x");
        let event = What::Event;
        for what in [
            What::Range { from: 0, to: 9, sha256 },
            What::Journal { after: None, upto: "s=1;i=2".into(), count: 3, sha256 },
            What::Journal { after: Some("s=0".into()), upto: "s=1".into(), count: 3, sha256 },
            event(Event::Appeared { id: Some("fe00:1a".into()) }),
            event(Event::Appeared { id: None }),
            event(Event::Rotated { location: Some("file:/var/log/a.1".into()) }),
            event(Event::Rotated { location: None }),
            event(Event::Truncated { to: 9, size: 2 }),
            event(Event::Replaced),
            event(Event::Vanished),
            event(Event::Unreadable { errno: 13 }),
            event(Event::Lost { count: 4 }),
            event(Event::Late { ms: 2500 }),
        ] {
            let entry = LogEntry { src: "file:/var/log/a".into(), generation: 2, what };
            let bytes = entry.to_value().encode();
            let mut scan = Scanner::new(&bytes);
            assert_eq!(read_entry(&mut scan), Ok(entry));
            assert_eq!(scan.finish(), Ok(()));
        }
    }

    #[test]
    fn entries_sort_by_source_generation_and_place() {
        let entry = |generation, what| LogEntry { src: "file:/a".into(), generation, what };
        let range = |from| What::Range { from, to: from + 1, sha256: Digest::ZERO };
        let expected = vec![
            entry(0, range(7)),
            entry(0, What::Event(Event::Rotated { location: None })),
            entry(0, What::Event(Event::Vanished)),
            entry(1, What::Event(Event::Appeared { id: None })),
            entry(1, range(0)),
            entry(1, range(1)),
        ];
        let mut mixed = vec![
            expected[5].clone(),
            expected[3].clone(),
            expected[1].clone(),
            expected[4].clone(),
            expected[2].clone(),
            expected[0].clone(),
        ];
        sort(&mut mixed);
        assert_eq!(mixed, expected);
    }
}
