//! Journal entries in the Journal Export Format
//! (systemd.io/JOURNAL_EXPORT_FORMATS), and the digest over them that a tick
//! records (docs/format.md §2).
//!
//! The digest is one that anybody can compute again from what
//! `journalctl -o export` writes. Of each entry it takes `__REALTIME_TIMESTAMP`,
//! `__MONOTONIC_TIMESTAMP` and every field whose name does not begin with two
//! underscores, `_BOOT_ID` once. A field is written
//! - as text, `NAME=value` LF, where the value is UTF-8 without control
//!   characters other than TAB,
//! - else as binary, `NAME` LF, the length as 8 bytes little-endian, the value,
//!   LF,
//! - but where the value is over 64 KiB as `NAME` NUL, the length as 8 bytes
//!   little-endian, the 32 bytes of the value's SHA-256, LF, so that nobody
//!   has to hold it.
//!
//! The fields so written are sorted by their bytes (a name may occur more
//! than once) and followed by one LF; SHA-256 runs over all entries.

use alloc::vec::Vec;

use crate::digest::{Digest, Hasher};

/// A longer value enters the digest by its own digest.
pub const MAX_INLINE: usize = 64 << 10;
/// The most fields that an entry may have; journald itself stops at 1024.
pub const MAX_FIELDS: usize = 4096;
/// The longest name of a field, as in journald.
pub const MAX_NAME: usize = 64;
/// How much of one entry may be held: journald's 1024 fields of 64 KiB.
const MAX_HELD: usize = 80 << 20;

/// The digest over entries, field by field.
#[derive(Debug, Default)]
pub struct EntryHasher {
    hasher: Hasher,
    /// The fields of the entry so far, as they are written.
    fields: Vec<Vec<u8>>,
    has_boot_id: bool,
    count: u64,
}

impl EntryHasher {
    /// A hasher that has seen no entry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a field of the current entry; passes over those that do not
    /// belong to the digest.
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        let value = match value.len() {
            0..=MAX_INLINE => FieldValue::Inline(value),
            length => FieldValue::Long(length as u64, Digest::of(value)),
        };
        self.add(name, value);
    }

    /// Ends the current entry.
    pub fn end_entry(&mut self) {
        self.fields.sort_unstable();
        for field in self.fields.drain(..) {
            self.hasher.update(&field);
        }
        self.hasher.update(b"\n");
        self.has_boot_id = false;
        self.count += 1;
    }

    /// Forgets the fields of an entry that was not ended.
    pub fn abandon_entry(&mut self) {
        self.fields.clear();
        self.has_boot_id = false;
    }

    /// How many entries were taken.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The digest over all entries that were ended.
    pub fn finish(self) -> Digest {
        self.hasher.finish()
    }

    fn add(&mut self, name: &[u8], value: FieldValue<'_>) {
        let address = name.starts_with(b"__");
        if address && !matches!(name, b"__REALTIME_TIMESTAMP" | b"__MONOTONIC_TIMESTAMP") {
            return;
        }
        if name == b"_BOOT_ID" && core::mem::replace(&mut self.has_boot_id, true) {
            return;
        }
        let mut field = name.to_vec();
        match value {
            FieldValue::Inline(value) if is_text(value) => {
                field.push(b'=');
                field.extend_from_slice(value);
            }
            FieldValue::Inline(value) => {
                field.push(b'\n');
                field.extend_from_slice(&(value.len() as u64).to_le_bytes());
                field.extend_from_slice(value);
            }
            FieldValue::Long(length, Digest(digest)) => {
                field.push(0);
                field.extend_from_slice(&length.to_le_bytes());
                field.extend_from_slice(&digest);
            }
        }
        field.push(b'\n');
        self.fields.push(field);
    }
}

enum FieldValue<'v> {
    Inline(&'v [u8]),
    Long(u64, Digest),
}

/// Whether a value is written as text: UTF-8 without C0 controls other than
/// TAB, DEL, or C1 controls.
pub fn is_text(value: &[u8]) -> bool {
    let control = |c: char| c.is_control() && c != '\t';
    core::str::from_utf8(value).is_ok_and(|text| !text.contains(control))
}

/// Why a stream is not in the Journal Export Format.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not the Journal Export Format: {what} at byte {at}; expected `journalctl -o export`")]
pub struct ExportError {
    /// What is wrong.
    pub what: &'static str,
    /// Where, from the start of the stream.
    pub at: u64,
}

/// An entry that [`Reader::read`] came to the end of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// `__CURSOR`, the entry's address in the journal; empty where absent.
    pub cursor: Vec<u8>,
}

/// A reader of `journalctl -o export` that takes the stream in pieces of any
/// size and holds no more than one entry's fields of up to 64 KiB.
#[derive(Debug, Default)]
pub struct Reader {
    state: ReaderState,
    entry: Entry,
    in_entry: bool,
    fields: usize,
    held: usize,
    at: u64,
}

#[derive(Debug)]
enum ReaderState {
    /// In a line: a text field, or the name of a binary one.
    Line(Vec<u8>, Option<Long>),
    /// In the length of a binary field.
    Length { name: Vec<u8>, bytes: Vec<u8> },
    /// In a binary value.
    Value { name: Vec<u8>, left: u64, value: Vec<u8>, long: Option<Long> },
    /// At the LF behind a binary value.
    Behind { name: Vec<u8>, value: Vec<u8>, long: Option<Long> },
}

impl Default for ReaderState {
    fn default() -> Self {
        Self::Line(Vec::new(), None)
    }
}

/// A value over [`MAX_INLINE`], digested as it comes.
#[derive(Debug)]
struct Long {
    name: usize,
    length: u64,
    hasher: Hasher,
}

impl Reader {
    /// A reader at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes until an entry ends. Gives the entry, if one ended, and how
    /// many bytes were taken; the caller comes again with the rest. The
    /// fields go to `hasher`, whose entry is ended with the entry.
    ///
    /// # Errors
    /// [`ExportError`]; the reader is of no use after.
    pub fn read(
        &mut self,
        bytes: &[u8],
        hasher: &mut EntryHasher,
    ) -> Result<(Option<Entry>, usize), ExportError> {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let (ended, count) = self.step(rest, hasher)?;
            taken += count;
            self.at += count as u64;
            if ended {
                return Ok((Some(core::mem::take(&mut self.entry)), taken));
            }
        }
        Ok((None, taken))
    }

    /// The stream's end: the last entry may lack the empty line behind it.
    ///
    /// # Errors
    /// [`ExportError`] in the midst of a field.
    pub fn finish(mut self, hasher: &mut EntryHasher) -> Result<Option<Entry>, ExportError> {
        match &self.state {
            ReaderState::Line(line, None) if line.is_empty() => {}
            _ => return self.fail("the stream ends within a field"),
        }
        if !self.in_entry {
            return Ok(None);
        }
        hasher.end_entry();
        Ok(Some(core::mem::take(&mut self.entry)))
    }

    /// Takes some bytes; says whether an entry ended with them, and how many.
    fn step(
        &mut self,
        bytes: &[u8],
        hasher: &mut EntryHasher,
    ) -> Result<(bool, usize), ExportError> {
        match core::mem::take(&mut self.state) {
            ReaderState::Line(line, long) => self.line(line, long, bytes, hasher),
            ReaderState::Length { name, bytes: mut length } => {
                let (now, _) = bytes.split_at(bytes.len().min(8 - length.len()));
                length.extend_from_slice(now);
                self.state = match <[u8; 8]>::try_from(length.as_slice()) {
                    Ok(length) => self.value(name, u64::from_le_bytes(length)),
                    Err(_) => ReaderState::Length { name, bytes: length },
                };
                Ok((false, now.len()))
            }
            ReaderState::Value { name, left, mut value, mut long } => {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let (now, _) = bytes.split_at(count);
                match &mut long {
                    Some(long) => long.hasher.update(now),
                    None => {
                        self.hold(count)?;
                        value.extend_from_slice(now);
                    }
                }
                let left = left - count as u64;
                self.state = if left == 0 {
                    ReaderState::Behind { name, value, long }
                } else {
                    ReaderState::Value { name, left, value, long }
                };
                Ok((false, count))
            }
            ReaderState::Behind { name, value, long } => {
                if bytes.first() != Some(&b'\n') {
                    return self.fail("no LF behind a binary value");
                }
                self.field(&name, &value, long, hasher)?;
                Ok((false, 1))
            }
        }
    }

    /// The state in which a binary value of this length is read.
    fn value(&self, name: Vec<u8>, left: u64) -> ReaderState {
        let long = (left > MAX_INLINE as u64).then(|| Long {
            name: name.len(),
            length: left,
            hasher: Hasher::new(),
        });
        match left {
            0 => ReaderState::Behind { name, value: Vec::new(), long },
            _ => ReaderState::Value { name, left, value: Vec::new(), long },
        }
    }

    fn line(
        &mut self,
        mut line: Vec<u8>,
        mut long: Option<Long>,
        bytes: &[u8],
        hasher: &mut EntryHasher,
    ) -> Result<(bool, usize), ExportError> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (now, _) = bytes.split_at(end.unwrap_or(bytes.len()));
        match &mut long {
            Some(long) => {
                long.length += now.len() as u64;
                long.hasher.update(now);
            }
            None => {
                self.hold(now.len())?;
                line.extend_from_slice(now);
                long = self.outgrown(&mut line)?;
            }
        }
        if end.is_none() {
            self.state = ReaderState::Line(line, long);
            return Ok((false, now.len()));
        }
        let taken = now.len() + 1;
        if line.is_empty() {
            let ended = core::mem::take(&mut self.in_entry);
            if ended {
                hasher.end_entry();
            }
            (self.fields, self.held) = (0, 0);
            return Ok((ended, taken));
        }
        match line.iter().position(|byte| *byte == b'=') {
            Some(at) => {
                let (name, value) = line.split_at(at);
                self.field(name, value.get(1..).unwrap_or_default(), long, hasher)?;
            }
            None => {
                self.check_name(&line)?;
                self.state = ReaderState::Length { name: line, bytes: Vec::new() };
            }
        }
        Ok((false, taken))
    }

    /// A text value that has become too long to hold is digested instead;
    /// only its name stays in `line`.
    fn outgrown(&self, line: &mut Vec<u8>) -> Result<Option<Long>, ExportError> {
        match line.iter().position(|byte| *byte == b'=') {
            None if line.len() > MAX_NAME => self.fail("a name of over 64 bytes"),
            Some(at) if line.len() > at + 1 + MAX_INLINE => {
                let value = line.split_off(at + 1);
                let mut hasher = Hasher::new();
                hasher.update(&value);
                Ok(Some(Long { name: at, length: value.len() as u64, hasher }))
            }
            _ => Ok(None),
        }
    }

    fn field(
        &mut self,
        name: &[u8],
        value: &[u8],
        long: Option<Long>,
        hasher: &mut EntryHasher,
    ) -> Result<(), ExportError> {
        self.check_name(name)?;
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return self.fail("an entry of over 4096 fields");
        }
        self.in_entry = true;
        match long {
            Some(long) => hasher.add(
                name.get(..long.name).unwrap_or(name),
                FieldValue::Long(long.length, long.hasher.finish()),
            ),
            None => {
                if name == b"__CURSOR" {
                    self.entry.cursor = value.to_vec();
                }
                hasher.field(name, value);
            }
        }
        Ok(())
    }

    fn check_name(&self, name: &[u8]) -> Result<(), ExportError> {
        // journald keeps to A-Z, 0-9 and _; what else may be in a file that
        // it did not write only must not be taken for a separator.
        let allowed = |byte: &u8| byte.is_ascii_graphic() && *byte != b'=';
        match name.len() {
            0 => self.fail("a field without a name"),
            1..=MAX_NAME if name.iter().all(allowed) => Ok(()),
            1..=MAX_NAME => self.fail("a name with other than printing characters"),
            _ => self.fail("a name of over 64 bytes"),
        }
    }

    fn hold(&mut self, bytes: usize) -> Result<(), ExportError> {
        self.held += bytes;
        if self.held > MAX_HELD { self.fail("an entry that is too long") } else { Ok(()) }
    }

    fn fail<T>(&self, what: &'static str) -> Result<T, ExportError> {
        Err(ExportError { what, at: self.at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The entries' digest, the stream cut into pieces of `size` bytes.
    fn read_all(bytes: &[u8], size: usize) -> Result<(Vec<Entry>, Digest), ExportError> {
        let (mut reader, mut hasher) = (Reader::new(), EntryHasher::new());
        let mut entries = Vec::new();
        for mut piece in bytes.chunks(size.max(1)) {
            while !piece.is_empty() {
                let (entry, taken) = reader.read(piece, &mut hasher)?;
                entries.extend(entry);
                piece = &piece[taken..];
            }
        }
        entries.extend(reader.finish(&mut hasher)?);
        Ok((entries, hasher.finish()))
    }

    #[test]
    fn the_digest_is_over_sorted_fields_without_addresses() {
        let stream = b"__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=5\n__MONOTONIC_TIMESTAMP=4\n\
            __SEQNUM=9\n_BOOT_ID=ab\nMESSAGE=hello\n_BOOT_ID=ab\nBIN\n\x02\0\0\0\0\0\0\0a\n\n\
            EMPTY\n\0\0\0\0\0\0\0\0\n\n";
        let sorted = b"BIN\n\x02\0\0\0\0\0\0\0a\n\nEMPTY=\nMESSAGE=hello\n_BOOT_ID=ab\n\
            __MONOTONIC_TIMESTAMP=4\n__REALTIME_TIMESTAMP=5\n\n";
        for size in 1..=stream.len() {
            let (entries, digest) = read_all(stream, size).unwrap();
            assert_eq!(entries, [Entry { cursor: b"s=1;i=2".to_vec() }]);
            assert_eq!(digest, Digest::of(sorted));
        }
    }

    #[test]
    fn a_long_value_enters_by_its_digest_in_either_form() {
        let value = [b'x'; MAX_INLINE + 1];
        let mut expected = b"A\0".to_vec();
        expected.extend_from_slice(&(value.len() as u64).to_le_bytes());
        expected.extend_from_slice(&Digest::of(&value).0);
        expected.extend_from_slice(b"\n\n");
        let text = [b"A=", &value[..], b"\n\n"].concat();
        let length = (value.len() as u64).to_le_bytes();
        let binary = [b"A\n", &length[..], &value, b"\n\n"].concat();
        for stream in [text, binary] {
            for size in [1000, stream.len()] {
                assert_eq!(read_all(&stream, size).unwrap().1, Digest::of(&expected));
            }
        }
    }

    #[test]
    fn control_characters_make_a_value_binary() {
        for (value, text) in [
            (&b"a\tb"[..], true),
            ("h\u{e9}".as_bytes(), true),
            (b"", true),
            (b"a\nb", false),
            (b"\x1b[31m", false),
            (b"\x7f", false),
            ("\u{85}".as_bytes(), false),
            (b"\xff", false),
        ] {
            assert_eq!(is_text(value), text, "{value:?}");
        }
    }

    #[test]
    fn what_is_not_the_format_is_refused() {
        let long = [b'A'; 100];
        for stream in [
            &b"MESSAGE"[..],
            b"=x\n\n",
            b"A=1",
            b"A\n\x01\0\0",
            b"A\n\x01\0\0\0\0\0\0\0xy",
            b"A\n\xff\xff\xff\xff\xff\xff\xff\xffxy",
            b"A B=1\n\n",
            &long,
        ] {
            assert!(read_all(stream, 7).is_err(), "{stream:?}");
        }
        assert!(read_all(&b"A=1\n".repeat(MAX_FIELDS + 1), 4096).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_however_they_are_cut(
            bytes in prop::collection::vec(prop_oneof![
                Just(b'\n'), Just(b'='), Just(b'A'), Just(0), any::<u8>()], 0..200),
            size in 1_usize..50,
        ) {
            prop_assert_eq!(read_all(&bytes, size).ok(), read_all(&bytes, 200).ok());
        }

        #[test]
        fn fields_given_and_fields_read_have_one_digest(
            fields in prop::collection::vec(("[A-Z]{1,8}", any::<Vec<u8>>()), 1..8),
        ) {
            let (mut direct, mut stream) = (EntryHasher::new(), Vec::new());
            for (name, value) in &fields {
                direct.field(name.as_bytes(), value);
                stream.extend_from_slice(name.as_bytes());
                stream.push(b'\n');
                stream.extend_from_slice(&(value.len() as u64).to_le_bytes());
                stream.extend_from_slice(value);
                stream.push(b'\n');
            }
            direct.end_entry();
            stream.push(b'\n');
            prop_assert_eq!(read_all(&stream, 13).unwrap().1, direct.finish());
        }
    }
}
