//! The record: one envelope for the log chain and for the registry
//! (docs/format.md §1). A record is one canonical JSON object; its hash is
//! SHA-256 over its bytes, without the LF that ends its line in a chain file.

pub mod alert;
pub mod bundle_id;
pub mod chain;
pub mod coverage;
pub mod log_entry;
pub mod time_attestation;

use alloc::vec::Vec;

use crate::encoding::{
    digest::Digest,
    json::Value,
    json_scanner::{MAX_INT, ScanError, Scanner},
    time::Timestamp,
};

/// A record is at most 8 MiB.
pub const MAX_RECORD: usize = 8 << 20;

/// A record whose envelope was read; `data` is still to be read by its kind.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The record's bytes, without LF.
    pub line: &'a [u8],
    /// The bytes of the member `data`.
    pub data: &'a [u8],
    /// What `data` holds.
    pub kind: &'a str,
    /// The hash of the record before it.
    pub prev: Digest,
    /// Its place: 0, 1, 2, …
    pub seq: u64,
    /// The system clock at commit.
    pub time: Timestamp,
}

/// Why a line is no record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// Over [`MAX_RECORD`].
    #[error("a record of {0} bytes is over the limit of 8 MiB")]
    TooLong(usize),
    /// Written by a later version of the format.
    #[error("format version {0} is unknown to this program; use a newer provctl")]
    Version(i64),
    /// JSON, but not in its canonical form.
    #[error("not canonical JSON: {0}")]
    NonCanonical(ScanError),
    /// No record at all.
    #[error("not a record: {0}")]
    Malformed(ScanError),
}

/// The end of a record: `","v":1}` behind the time.
const END: &[u8] = b"\",\"v\":1}";

impl<'a> Record<'a> {
    /// Reads the envelope of `line` (without LF). The caller reads `data`
    /// with a [`Scanner`] to its end, which makes the check of the form whole.
    ///
    /// # Errors
    /// [`RecordError`]; the slow path names what is wrong and where.
    pub fn parse(line: &'a [u8]) -> Result<Self, RecordError> {
        if line.len() > MAX_RECORD {
            return Err(RecordError::TooLong(line.len()));
        }
        Self::envelope(line).ok_or_else(|| Self::explain(line))
    }

    /// Whether `line` is canonical JSON of any form.
    pub fn is_canonical(line: &[u8]) -> bool {
        let mut scan = Scanner::new(line);
        scan.value().is_ok() && scan.finish().is_ok()
    }

    /// The hash that the next record's `prev` must hold.
    pub fn hash(&self) -> Digest {
        Digest::sha256(self.line)
    }

    /// A scanner over `data`.
    pub fn scan(&self) -> Scanner<'a> {
        Scanner::new(self.data)
    }

    /// From the end backward: the members behind `data` have fixed forms, so
    /// the kind is known before `data` is looked at.
    fn envelope(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"{\"data\":")?.strip_suffix(END)?;
        let (rest, time) = rest.split_at_checked(rest.len().checked_sub(Timestamp::LEN)?)?;
        let (rest, seq) = take_digits(rest.strip_suffix(b",\"time\":\"")?)?;
        let rest = rest.strip_suffix(b"\",\"seq\":")?;
        let (rest, prev) = rest.split_at_checked(rest.len().checked_sub(64)?)?;
        let rest = rest.strip_suffix(b"\",\"prev\":\"")?;
        let length = rest.iter().rev().take_while(|c| is_kind_byte(**c)).count();
        let (rest, kind) = rest.split_at_checked(rest.len() - length)?;
        Some(Self {
            line,
            data: rest.strip_suffix(b",\"kind\":\"").filter(|data| data.starts_with(b"{"))?,
            kind: core::str::from_utf8(kind).ok().filter(|kind| !kind.is_empty())?,
            prev: Digest::from_hex(prev)?,
            seq,
            time: Timestamp::parse(time)?,
        })
    }

    fn explain(line: &[u8]) -> RecordError {
        let mut scan = Scanner::new(line);
        if let Err(error) = scan.value().map(drop) {
            return RecordError::NonCanonical(error);
        }
        if let Err(error) = scan.finish() {
            return RecordError::NonCanonical(error);
        }
        match read_members(line) {
            Ok(version) if version != 1 => RecordError::Version(version),
            Ok(_) => {
                RecordError::Malformed(ScanError { what: "a member of the wrong form", at: 0 })
            }
            Err(error) => RecordError::Malformed(error),
        }
    }
}

/// The bytes of a new record.
pub fn encode(kind: &str, seq: u64, prev: Digest, time: Timestamp, data: &Value) -> Vec<u8> {
    let mut line = b"{\"data\":".to_vec();
    data.encode_into(&mut line);
    let tail = alloc::format!(
        ",\"kind\":\"{kind}\",\"prev\":\"{prev}\",\"seq\":{seq},\"time\":\"{time}\",\"v\":1}}"
    );
    line.extend_from_slice(tail.as_bytes());
    line
}

fn is_kind_byte(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_' || c == b'-'
}

/// Splits a canonical integer off the end.
fn take_digits(bytes: &[u8]) -> Option<(&[u8], u64)> {
    let length = bytes.iter().rev().take(17).take_while(|c| c.is_ascii_digit()).count();
    let (rest, digits) = bytes.split_at_checked(bytes.len() - length)?;
    let canonical = !digits.is_empty() && (digits.len() == 1 || !digits.starts_with(b"0"));
    let value = digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    (canonical && value <= MAX_INT.unsigned_abs()).then_some((rest, value))
}

fn read_members(line: &[u8]) -> Result<i64, ScanError> {
    let mut scan = Scanner::new(line);
    scan.open()?;
    for name in ["data", "kind", "prev", "seq", "time"] {
        scan.key(name)?;
        scan.value()?;
    }
    scan.key("v")?;
    let version = scan.int()?;
    scan.close()?;
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn line() -> Vec<u8> {
        let time = Timestamp::parse(b"2026-11-21T04:20:00.000000000Z").unwrap();
        encode("stop", 7, Digest::sha256(b"6"), time, &Value::object([("up_ms", Value::Int(5))]))
    }

    #[test]
    fn a_record_is_one_canonical_line_and_reads_back() {
        let line = line();
        let text = String::from_utf8(line.clone()).unwrap();
        assert_eq!(
            text,
            "{\"data\":{\"up_ms\":5},\"kind\":\"stop\",\"prev\":\
             \"e7f6c011776e8db7cd330b54174fd76f7d0216b612387a5ffcfb81e6f0919683\",\
             \"seq\":7,\"time\":\"2026-11-21T04:20:00.000000000Z\",\"v\":1}"
        );
        assert_eq!(Value::parse(&line).unwrap().encode(), line);
        let record = Record::parse(&line).unwrap();
        assert_eq!((record.kind, record.seq, record.data), ("stop", 7, &b"{\"up_ms\":5}"[..]));
        assert_eq!(record.prev, Digest::sha256(b"6"));
        assert_eq!(record.hash(), Digest::sha256(&line));
    }

    #[test]
    fn each_changed_byte_is_refused_or_changes_the_hash() {
        let line = line();
        for at in 0..line.len() {
            for flip in [1_u8, 0x20, 0x80] {
                let mut bad = line.clone();
                bad[at] ^= flip;
                let same = Record::parse(&bad).is_ok_and(|r| r.hash() == Digest::sha256(&line));
                assert!(!same, "byte {at}");
            }
        }
    }

    #[test]
    fn errors_tell_what_is_wrong() {
        let text = String::from_utf8(line()).unwrap();
        let parse = |text: &str| Record::parse(text.as_bytes()).unwrap_err();
        assert_eq!(parse(&text.replace("\"v\":1", "\"v\":2")), RecordError::Version(2));
        assert!(matches!(
            parse(&text.replace(",\"kind", ", \"kind")),
            RecordError::NonCanonical(_)
        ));
        assert!(matches!(parse(&text.replace("\"seq\":7,", "")), RecordError::Malformed(_)));
        assert!(matches!(parse(""), RecordError::NonCanonical(_)));
        let long = "x".repeat(MAX_RECORD + 1);
        assert_eq!(parse(&long), RecordError::TooLong(MAX_RECORD + 1));
    }
}
