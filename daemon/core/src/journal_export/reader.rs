//! Reading `journalctl -o export`, from anybody, in pieces of any size.

use alloc::vec::Vec;

use super::{EntryHasher, FieldValue, MAX_FIELDS, MAX_INLINE, MAX_NAME};
use crate::encoding::digest::Hasher;

/// How much of one entry may be held: journald's 1024 fields of 64 KiB.
const MAX_HELD: usize = 80 << 20;

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
