//! A strict scanner for canonical JSON (RFC 8785 without floating-point
//! numbers): it accepts only the bytes that [`super::json`] would write.
//!
//! Typed readers name the members of an object in their sorted order, so that
//! one pass over borrowed bytes checks the form and takes the values; nothing
//! is built that the reader does not keep.

use alloc::{borrow::Cow, string::String};

/// The largest integer that every JSON reader keeps exactly: 2^53 − 1.
pub const MAX_INT: i64 = (1 << 53) - 1;
/// How deeply arrays and objects may nest.
pub const MAX_DEPTH: u8 = 32;

/// Why bytes are not the canonical JSON that was expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct ScanError {
    /// What was expected, or what is wrong.
    pub what: &'static str,
    /// Where, from the start of the scanned bytes.
    pub at: usize,
}

type Result<T> = core::result::Result<T, ScanError>;

/// A position in canonical JSON.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// Bytes that are not UTF-8 follow the text.
    torn: bool,
}

impl<'a> Scanner<'a> {
    /// At the first of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        // Once for all: strings are then cut out without another look.
        let (text, torn) = match core::str::from_utf8(bytes) {
            Ok(text) => (text, false),
            Err(error) => {
                let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
                (core::str::from_utf8(valid).unwrap_or_default(), true)
            }
        };
        Self { text, at: 0, torn }
    }

    /// Succeeds only behind the last byte.
    pub fn finish(&self) -> Result<()> {
        if self.at == self.text.len() && !self.torn {
            Ok(())
        } else {
            self.fail("text behind the value")
        }
    }

    /// The next byte, without taking it.
    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// How many bytes have been taken.
    pub fn position(&self) -> usize {
        self.at
    }

    /// An error at this place.
    pub fn fail<T>(&self, what: &'static str) -> Result<T> {
        self.fail_at(what, self.at)
    }

    #[cold]
    fn fail_at<T>(&self, what: &'static str, at: usize) -> Result<T> {
        match self.torn && self.at >= self.text.len() {
            true => Err(ScanError { what: "not UTF-8", at: self.text.len() }),
            false => Err(ScanError { what, at }),
        }
    }

    /// Takes `{`.
    #[inline(always)]
    pub fn open(&mut self) -> Result<()> {
        self.literal(b"{", "expected an object")
    }

    /// Takes `}`: no member follows that the reader does not know.
    #[inline(always)]
    pub fn close(&mut self) -> Result<()> {
        self.literal(b"}", "expected the object's end (unknown or misplaced member)")
    }

    /// Takes the member name `name` with the comma before it, where one is due.
    #[inline(always)]
    pub fn key(&mut self, name: &str) -> Result<()> {
        if self.maybe_key(name) { Ok(()) } else { self.fail("a member is missing or misplaced") }
    }

    /// Like [`Self::key`] for a member that may be absent.
    // Inlined, so that a name that is known when this is compiled costs a
    // comparison or two, and no call.
    #[inline(always)]
    pub fn maybe_key(&mut self, name: &str) -> bool {
        let before = self.at.checked_sub(1).and_then(|i| self.text.as_bytes().get(i));
        let comma = before != Some(&b'{');
        let rest = self.rest();
        let rest = if comma { rest.strip_prefix(b",") } else { Some(rest) };
        let found = rest
            .and_then(|rest| rest.strip_prefix(b"\""))
            .and_then(|rest| rest.strip_prefix(name.as_bytes()))
            .is_some_and(|rest| rest.starts_with(b"\":"));
        if found {
            self.at += usize::from(comma) + name.len() + 3;
        }
        found
    }

    #[inline(always)]
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Takes `[`, the elements by `element`, and `]`.
    pub fn array(&mut self, mut element: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.literal(b"[", "expected an array")?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            element(self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.fail("expected , or ]"),
            }
        }
    }

    /// An integer of absolute value below 2^53.
    pub fn int(&mut self) -> Result<i64> {
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let start = self.at;
        let digits = self.rest().iter().take_while(|c| c.is_ascii_digit());
        let mut value = 0_i64;
        for digit in digits {
            value = value * 10 + i64::from(digit - b'0');
            self.at += 1;
            if value > MAX_INT {
                return self.fail("an integer of 2^53 or more");
            }
        }
        let leading_zero = self.at > start + 1 && self.text.as_bytes().get(start) == Some(&b'0');
        if self.at == start || leading_zero || negative && value == 0 {
            return Err(ScanError { what: "not a canonical integer", at: start });
        }
        Ok(if negative { -value } else { value })
    }

    /// An integer from 0 to 2^53 − 1.
    pub fn uint(&mut self) -> Result<u64> {
        let start = self.at;
        u64::try_from(self.int()?).map_err(|_| ScanError { what: "a negative count", at: start })
    }

    /// An integer of up to 64 bits: one of 2^53 or more is written as a string.
    pub fn wide_int(&mut self) -> Result<i64> {
        if self.peek() != Some(b'"') {
            return self.int();
        }
        let start = self.at;
        let text = self.plain()?;
        let value = text.parse::<i64>().ok().filter(|value| {
            value.unsigned_abs() > MAX_INT.unsigned_abs() && !text.starts_with('+')
        });
        let digits = text.trim_start_matches('-');
        match value {
            Some(value) if !digits.starts_with('0') => Ok(value),
            _ => Err(ScanError { what: "not a canonical integer", at: start }),
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self) -> Result<bool> {
        match self.peek() {
            Some(b't') => self.literal(b"true", "expected true").map(|()| true),
            _ => self.literal(b"false", "expected true or false").map(|()| false),
        }
    }

    /// A string without escapes: all that digests, times, ids and sources need.
    pub fn plain(&mut self) -> Result<&'a str> {
        self.literal(b"\"", "expected a string")?;
        let start = self.at;
        let run = self.run();
        match self.peek() {
            Some(b'"') => self.at += 1,
            Some(b'\\') => {
                return Err(ScanError { what: "an escape in a plain string", at: start });
            }
            _ => return self.fail_at("a string without end", start),
        }
        Ok(run)
    }

    /// A string of exactly `N` bytes that `read` accepts, which must refuse
    /// quotes, escapes and control characters.
    #[inline(always)]
    pub fn quoted<T, const N: usize>(
        &mut self,
        read: impl FnOnce(&'a [u8; N]) -> Option<T>,
    ) -> Option<T> {
        let (inner, rest) = self.rest().strip_prefix(b"\"")?.split_first_chunk::<N>()?;
        let value = read(inner).filter(|_| rest.first() == Some(&b'"'))?;
        self.at += N + 2;
        Some(value)
    }

    /// A string; escapes only where RFC 8785 writes them.
    pub fn string(&mut self) -> Result<Cow<'a, str>> {
        self.literal(b"\"", "expected a string")?;
        let start = self.at;
        let mut owned: Option<String> = None;
        loop {
            let run = self.run();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(match owned {
                        None => Cow::Borrowed(run),
                        Some(text) => Cow::Owned(text + run),
                    });
                }
                Some(b'\\') => {
                    let text = owned.get_or_insert_with(String::new);
                    text.push_str(run);
                    self.at += 1;
                    text.push(self.escape()?);
                }
                _ => return self.fail_at("a string without end", start),
            }
        }
    }

    /// Takes any canonical value and gives its bytes.
    pub fn value(&mut self) -> Result<&'a [u8]> {
        let start = self.at;
        self.skip(MAX_DEPTH)?;
        Ok(self.text.as_bytes().get(start..self.at).unwrap_or_default())
    }

    /// The unescaped text up to the next quote, escape or control character.
    fn run(&mut self) -> &'a str {
        let stop = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        let rest = self.rest();
        let length = rest.iter().position(stop).unwrap_or(rest.len());
        let start = self.at;
        self.at += length;
        // Both ends are at ASCII characters, or at the text's own.
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Behind the backslash: the two-character escapes, and `\u00xx` for the
    /// control characters that have none (RFC 8785 §3.2.2.2).
    fn escape(&mut self) -> Result<char> {
        let Some(c) = self.peek() else { return self.fail("a string without end") };
        self.at += 1;
        let short = match c {
            b'"' | b'\\' => char::from(c),
            b'b' => '\u{8}',
            b't' => '\t',
            b'n' => '\n',
            b'f' => '\u{c}',
            b'r' => '\r',
            b'u' => return self.control(),
            _ => return self.fail("an escape that is not canonical"),
        };
        Ok(short)
    }

    fn control(&mut self) -> Result<char> {
        self.literal(b"00", "an escape that is not canonical")?;
        let digit = |c: Option<u8>| match c {
            Some(c @ b'0'..=b'9') => Some(c - b'0'),
            Some(c @ b'a'..=b'f') => Some(c - b'a' + 10),
            _ => None,
        };
        let (high, low) =
            (digit(self.peek()), digit(self.text.as_bytes().get(self.at + 1).copied()));
        match (high, low) {
            (Some(high @ 0..=1), Some(low)) if !matches!(high << 4 | low, 8..=10 | 12..=13) => {
                self.at += 2;
                Ok(char::from(high << 4 | low))
            }
            _ => self.fail("an escape that is not canonical"),
        }
    }

    fn skip(&mut self, depth: u8) -> Result<()> {
        let Some(depth) = depth.checked_sub(1) else { return self.fail("nested too deeply") };
        match self.peek() {
            Some(b'{') => self.skip_object(depth),
            Some(b'[') => self.array(|scan| scan.skip(depth)),
            Some(b'"') => self.string().map(drop),
            Some(b't' | b'f') => self.boolean().map(drop),
            Some(b'n') => self.literal(b"null", "expected null"),
            _ => self.int().map(drop),
        }
    }

    fn skip_object(&mut self, depth: u8) -> Result<()> {
        self.members(|scan, _| scan.skip(depth))
    }

    /// Takes an object of any members; refuses a repeated or unsorted name.
    pub fn members(&mut self, mut member: impl FnMut(&mut Self, &str) -> Result<()>) -> Result<()> {
        self.open()?;
        if self.peek() == Some(b'}') {
            return self.close();
        }
        let mut last: Option<Cow<'a, str>> = None;
        loop {
            let at = self.at;
            let name = self.string()?;
            if last.is_some_and(|last| !sorts_before(&last, &name)) {
                return Err(ScanError { what: "a member name repeated or out of order", at });
            }
            self.literal(b":", "expected :")?;
            member(self, &name)?;
            last = Some(name);
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => return self.close(),
            }
        }
    }

    #[inline(always)]
    fn literal(&mut self, text: &[u8], what: &'static str) -> Result<()> {
        if self.rest().starts_with(text) {
            self.at += text.len();
            Ok(())
        } else {
            self.fail(what)
        }
    }
}

/// The order of member names: by UTF-16 code units (RFC 8785 §3.2.3).
pub(crate) fn sorts_before(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() { a < b } else { a.encode_utf16().lt(b.encode_utf16()) }
}
