//! The one form of ZIP that a packet has (docs/format.md §13.1): every byte
//! of it is either content or follows from names, sizes and checksums, so that
//! none can be changed unseen. No archive comment, no extra field, no data
//! descriptor, no ZIP64, nothing before, between or behind.

use alloc::{string::String, vec::Vec};

/// The length of a local header without the name.
pub const LOCAL: usize = 30;
/// The length of a central header without the name.
pub const CENTRAL: usize = 46;
/// The length of the end record.
pub const END: usize = 22;
/// So many files at most.
pub const MAX_ENTRIES: usize = 65_534;
/// A packet is shorter than this.
pub const MAX_BYTES: u64 = u32::MAX as u64;
/// 1980-01-01, the first day that ZIP can name.
const DATE: u16 = 0x0021;
/// A regular file, mode 0644, as Unix marks it.
const ATTRIBUTES: u32 = 0o100_644 << 16;

/// How a file's bytes lie in the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// As they are.
    Stored,
    /// RFC 1951.
    Deflated,
}

/// A file of the packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// How its bytes lie there.
    pub method: Method,
    /// CRC-32 of its bytes.
    pub crc: u32,
    /// How many bytes lie there.
    pub packed: u32,
    /// How many bytes it has.
    pub bytes: u32,
    /// Where its local header begins.
    pub offset: u32,
}

impl Entry {
    /// The local header with the name.
    pub fn local(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LOCAL + self.name.len());
        out.extend_from_slice(b"PK\x03\x04");
        self.common(&mut out);
        out.extend_from_slice(&0u16.to_le_bytes());
        out.extend_from_slice(self.name.as_bytes());
        out
    }

    /// The central header with the name.
    pub fn central(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(CENTRAL + self.name.len());
        // Made by: Unix, version 2.0 of the format.
        out.extend_from_slice(b"PK\x01\x02\x14\x03");
        self.common(&mut out);
        // No extra field, no comment, disk 0, binary.
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&ATTRIBUTES.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(self.name.as_bytes());
        out
    }

    /// Where its bytes begin.
    pub fn start(&self) -> u64 {
        u64::from(self.offset) + (LOCAL + self.name.len()) as u64
    }

    /// Where the next header begins.
    pub fn end(&self) -> u64 {
        self.start() + u64::from(self.packed)
    }

    /// What both headers share: needed version to the name's length.
    fn common(&self, out: &mut Vec<u8>) {
        // Bit 11: the name is UTF-8.
        let flags = if self.name.is_ascii() { 0u16 } else { 0x0800 };
        let method = match self.method {
            Method::Stored => 0u16,
            Method::Deflated => 8,
        };
        let length = u16::try_from(self.name.len()).unwrap_or(u16::MAX);
        for short in [20, flags, method, 0, DATE] {
            out.extend_from_slice(&short.to_le_bytes());
        }
        for long in [self.crc, self.packed, self.bytes] {
            out.extend_from_slice(&long.to_le_bytes());
        }
        out.extend_from_slice(&length.to_le_bytes());
    }

    /// The next central header of `bytes` and what is left behind it; `None`
    /// unless it is byte for byte what [`Self::central`] writes.
    pub fn read_central(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let short = |at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let long = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let end = CENTRAL + usize::from(short(28)?);
        let entry = Self {
            name: core::str::from_utf8(bytes.get(CENTRAL..end)?).ok()?.into(),
            method: match short(10)? {
                0 => Method::Stored,
                8 => Method::Deflated,
                _ => return None,
            },
            crc: long(16)?,
            packed: long(20)?,
            bytes: long(24)?,
            offset: long(42)?,
        };
        let (header, rest) = bytes.split_at_checked(end)?;
        (entry.central() == header).then_some((entry, rest))
    }
}

/// The end record: how many entries, and where their headers are.
pub fn end(entries: usize, central: u32, offset: u32) -> Vec<u8> {
    let count = u16::try_from(entries).unwrap_or(u16::MAX).to_le_bytes();
    let mut out = Vec::with_capacity(END);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&count);
    out.extend_from_slice(&count);
    out.extend_from_slice(&central.to_le_bytes());
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out
}

/// Reads what [`end`] writes: entries, length and place of their headers.
pub fn read_end(bytes: &[u8]) -> Option<(usize, u32, u32)> {
    let long = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let count = u16::from_le_bytes(*bytes.get(10..)?.first_chunk()?);
    let (central, offset) = (long(12)?, long(16)?);
    let count = usize::from(count);
    (count <= MAX_ENTRIES && end(count, central, offset) == bytes)
        .then_some((count, central, offset))
}
