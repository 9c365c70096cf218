//! Bitcoin's serialisation, read from bytes that anybody may have written.

/// What is left to read.
#[derive(Clone, Debug)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// A little-endian number of four bytes.
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Bitcoin's compact size, in its one shortest form.
    pub(super) fn compact(&mut self) -> Option<u64> {
        let [first] = self.array()?;
        let (value, least) = match first {
            0xfd => (u64::from(u16::from_le_bytes(self.array()?)), 0xfd),
            0xfe => (u64::from(self.u32()?), 0x1_0000),
            0xff => (u64::from_le_bytes(self.array()?), 0x1_0000_0000),
            small => (u64::from(small), 0),
        };
        (value >= least).then_some(value)
    }

    /// So many bytes as a compact size before them says.
    pub(super) fn prefixed(&mut self) -> Option<&'a [u8]> {
        let count = usize::try_from(self.compact()?).ok()?;
        self.take(count)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
