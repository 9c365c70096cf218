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

mod reader;

use alloc::vec::Vec;

use crate::encoding::digest::{Digest, Hasher};
pub use reader::{Entry, ExportError, Reader};

/// A longer value enters the digest by its own digest.
pub const MAX_INLINE: usize = 64 << 10;
/// The most fields that an entry may have; journald itself stops at 1024.
pub const MAX_FIELDS: usize = 4096;
/// The longest name of a field, as in journald.
pub const MAX_NAME: usize = 64;

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
            length => FieldValue::Long(length as u64, Digest::sha256(value)),
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
            assert_eq!(digest, Digest::sha256(sorted));
        }
    }

    #[test]
    fn a_long_value_enters_by_its_digest_in_either_form() {
        let value = [b'x'; MAX_INLINE + 1];
        let mut expected = b"A\0".to_vec();
        expected.extend_from_slice(&(value.len() as u64).to_le_bytes());
        expected.extend_from_slice(&Digest::sha256(&value).0);
        expected.extend_from_slice(b"\n\n");
        let text = [b"A=", &value[..], b"\n\n"].concat();
        let length = (value.len() as u64).to_le_bytes();
        let binary = [b"A\n", &length[..], &value, b"\n\n"].concat();
        for stream in [text, binary] {
            for size in [1000, stream.len()] {
                assert_eq!(read_all(&stream, size).unwrap().1, Digest::sha256(&expected));
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
