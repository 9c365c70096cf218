//! The headers that an auditor holds: a text file with a line for each,
//! `HEIGHT HEADER` or, to pin a block, `HEIGHT HASH` (docs/format.md §7).

use alloc::collections::BTreeMap;

use super::{BlockHash, ChainWork, HEADER, Header};
use crate::encoding::digest::from_hex;

/// A header file is at most this long: some 380,000 headers.
pub const MAX_HEADERS: usize = 64 << 20;

/// What an auditor knows of the blocks.
#[derive(Clone, Debug, Default)]
pub struct Headers(BTreeMap<u32, Block>);

/// What is known of one block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Block {
    /// Its header.
    Header(Header),
    /// Only its hash.
    Hash(BlockHash),
}

/// Why a file is not one of headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct HeadersError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: &'static str,
}

impl Block {
    /// The block's hash.
    pub fn hash(&self) -> BlockHash {
        match self {
            Self::Header(header) => header.hash(),
            Self::Hash(hash) => *hash,
        }
    }
}

impl Headers {
    /// Reads a file. Each header meets its own target, and follows from the
    /// one before it where that is in the file. `#` begins a comment.
    ///
    /// # Errors
    /// [`HeadersError`], naming the line.
    pub fn parse(text: &str) -> Result<Self, HeadersError> {
        let (mut headers, mut lines) = (Self::default(), BTreeMap::new());
        for (line, text) in (1..).zip(text.lines()) {
            let fail = |what| HeadersError { line, what };
            let text = text.split('#').next().unwrap_or_default().trim();
            if text.is_empty() {
                continue;
            }
            let (height, hex) = text
                .split_once(char::is_whitespace)
                .and_then(|(height, hex)| Some((height.parse().ok()?, hex.trim())))
                .ok_or(fail("not a height, and a header or a hash in hex"))?;
            let block = block(hex).map_err(fail)?;
            if headers.0.insert(height, block).is_some_and(|known| known != block) {
                return Err(fail("two blocks of one height"));
            }
            lines.insert(height, line);
        }
        for (below, above) in headers.0.iter().zip(headers.0.iter().skip(1)) {
            let next = below.0.checked_add(1) == Some(*above.0);
            if let Block::Header(header) = above.1
                && next
                && header.prev() != below.1.hash()
            {
                let line = lines.get(above.0).copied().unwrap_or_default();
                let what = "the header does not follow from the one of the height below";
                return Err(HeadersError { line, what });
            }
        }
        Ok(headers)
    }

    /// Adds a block that the auditor names by its hash: no header of another
    /// stands at its height.
    pub fn pin(&mut self, height: u32, hash: BlockHash) {
        if self.get(height).is_none_or(|known| known.hash() != hash) {
            self.0.insert(height, Block::Hash(hash));
        }
    }

    /// The block of this height.
    pub fn get(&self, height: u32) -> Option<Block> {
        self.0.get(&height).copied()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The work of the block of this height and of those that the file has on
    /// top of it, without a hole, and how many they are.
    pub fn work_from(&self, height: u32) -> (u32, ChainWork) {
        let mut found = (0, ChainWork::default());
        for ((at, block), due) in self.0.range(height..).zip(height..) {
            match block {
                Block::Header(header) if *at == due => {
                    let work = header.check().unwrap_or_default();
                    found = (found.0 + 1, found.1.and(work));
                }
                _ => break,
            }
        }
        found
    }
}

fn block(hex: &str) -> Result<Block, &'static str> {
    if hex.len() != 2 * HEADER {
        let hash = BlockHash::from_hex(hex.as_bytes());
        return hash.map(Block::Hash).ok_or("neither a header (160 hex digits) nor a hash (64)");
    }
    let bytes = from_hex(hex).and_then(|bytes| bytes.try_into().ok());
    let header = Header(bytes.ok_or("a header is 160 lower-case hex digits")?);
    match header.check() {
        Ok(_) => Ok(Block::Header(header)),
        Err(_) => Err("the header does not meet its own target"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::String, vec, vec::Vec};

    fn chain(count: u32) -> Vec<Header> {
        let mut chain: Vec<Header> = vec![];
        for _ in 0..count {
            let mut header = Header([0; 80]);
            if let Some(last) = chain.last() {
                header.0[4..36].copy_from_slice(&last.hash().0.0);
            }
            header.0[72..76].copy_from_slice(&0x207f_ffff_u32.to_le_bytes());
            while header.check().is_err() {
                header.0[76] += 1;
            }
            chain.push(header);
        }
        chain
    }

    fn line(height: u32, header: &Header) -> String {
        format!("{height} {}\n", crate::encoding::digest::to_hex(&header.0))
    }

    #[test]
    fn headers_and_hashes_are_read_and_held_against_one_another() {
        let chain = chain(3);
        let mut text = String::from("# from my own node\n\n");
        text += &line(7, &chain[0]);
        text += &format!("8\t{}  # pinned\r\n", chain[1].hash());
        text += &line(9, &chain[2]);
        let headers = Headers::parse(&text).unwrap();
        assert_eq!(headers.get(7), Some(Block::Header(chain[0])));
        assert_eq!(headers.get(8), Some(Block::Hash(chain[1].hash())));
        assert_eq!((headers.get(6), headers.len()), (None, 3));
        assert_eq!(headers.work_from(7), (1, ChainWork(2)));
        let text = text + &line(10, &chain[0]);
        let error = Headers::parse(&text).unwrap_err();
        assert_eq!((error.line, error.what.contains("follow")), (6, true));
    }

    #[test]
    fn the_work_on_top_is_counted_up_to_the_first_hole() {
        let chain = chain(5);
        let text: String = (3..).zip(&chain).map(|(height, it)| line(height, it)).collect();
        let headers = Headers::parse(&(text.clone() + &line(20, &chain[0]))).unwrap();
        assert_eq!(headers.work_from(4), (4, ChainWork(8)));
        assert_eq!(headers.work_from(20), (1, ChainWork(2)));
        assert_eq!(headers.work_from(9), (0, ChainWork(0)));
        let mut pinned = Headers::parse(&text).unwrap();
        pinned.pin(3, chain[0].hash());
        pinned.pin(2, chain[1].hash());
        assert_eq!(pinned.get(3), Some(Block::Header(chain[0])));
        // Of a header and a pin that disagree the pin was typed by hand.
        pinned.pin(4, chain[0].hash());
        assert_eq!(pinned.get(4), Some(Block::Hash(chain[0].hash())));
        assert_eq!(pinned.get(2).unwrap().hash(), chain[1].hash());
    }

    #[test]
    fn what_is_no_header_file_is_refused() {
        let chain = chain(2);
        let mut weak = chain[0];
        weak.0[72] = 0;
        weak.0[75] = 0x03;
        for text in [
            "7".into(),
            "7 00".into(),
            format!("-1 {}", chain[0].hash()),
            format!("4294967296 {}", chain[0].hash()),
            line(7, &chain[0]).to_uppercase(),
            line(7, &weak),
            line(7, &chain[0]) + &line(7, &chain[1]),
            line(7, &chain[1]) + &line(8, &chain[0]),
        ] {
            assert!(Headers::parse(&text).is_err(), "{text}");
        }
    }
}
