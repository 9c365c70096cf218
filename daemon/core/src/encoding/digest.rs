//! SHA-256 digests (FIPS 180-4), written as 64 lower-case hex digits.

use alloc::{string::String, vec::Vec};
use core::fmt;

use sha2::{Digest as _, Sha256, block_api::compress256};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The `prev` of record 0: 64 zeros.
    pub const ZERO: Self = Self([0; 32]);

    /// The digest of `bytes`.
    pub fn sha256(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads exactly 64 lower-case hex digits; anything else is `None`.
    pub fn from_hex(hex: &[u8]) -> Option<Self> {
        let hex: &[u8; 64] = hex.try_into().ok()?;
        // Without a branch for each digit, so that many are read at once.
        let (mut nibbles, mut bad) = ([0; 64], 0);
        for (nibble, c) in nibbles.iter_mut().zip(hex) {
            let (digit, letter) = (c.wrapping_sub(b'0'), c.wrapping_sub(b'a'));
            bad |= u8::from(digit > 9) & u8::from(letter > 5);
            *nibble = if digit > 9 { letter.wrapping_add(10) } else { digit };
        }
        let mut out = [0; 32];
        for (byte, [high, low]) in out.iter_mut().zip(nibbles.as_chunks().0) {
            *byte = high << 4 | low;
        }
        (bad == 0).then_some(Self(out))
    }

    /// 64 lower-case hex digits.
    pub fn to_hex(self) -> String {
        to_hex(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Lower-case hex of any bytes.
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |n: u8| DIGITS.get(usize::from(n)).copied().unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Bytes from lower-case hex; anything else is `None`.
pub fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = hex.as_bytes().as_chunks();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    bytes.collect::<Option<_>>().filter(|_| rest.is_empty())
}

/// A digest over bytes that arrive in pieces.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

/// The digest of a file and of each of its lines, in one go: two streams of
/// blocks that do not wait for each other keep the processor's SHA unit busy.
#[derive(Clone)]
pub struct LineHasher {
    state: [u32; 8],
    /// Bytes that do not fill a block yet.
    rest: Block,
    filled: usize,
    bytes: u64,
}

type Block = [u8; 64];

/// The initial state (FIPS 180-4 §5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

impl LineHasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self { state: INITIAL, rest: [0; 64], filled: 0, bytes: 0 }
    }

    /// Takes a line and the LF behind it, and gives the line's own digest.
    pub fn line(&mut self, line: &[u8]) -> Digest {
        let mut own = INITIAL;
        let (own_blocks, own_rest) = line.as_chunks();
        let behind = self.fill(line);
        let (blocks, rest) = behind.as_chunks();
        let mut blocks = blocks.iter();
        for block in own_blocks {
            compress(&mut own, block);
            if let Some(block) = blocks.next() {
                compress(&mut self.state, block);
            }
        }
        blocks.for_each(|block| compress(&mut self.state, block));
        self.fill(rest);
        self.fill(b"\n");
        self.bytes += line.len() as u64 + 1;
        finish(own, own_rest, line.len() as u64)
    }

    /// The digest of all lines with their LFs.
    pub fn finish(self) -> Digest {
        finish(self.state, self.rest.get(..self.filled).unwrap_or_default(), self.bytes)
    }

    /// Fills the block that was begun, and gives what did not go in.
    fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = self.rest.get_mut(self.filled..).unwrap_or_default();
        let (now, later) = bytes.split_at(room.len().min(bytes.len()));
        if let Some(room) = room.get_mut(..now.len()) {
            room.copy_from_slice(now);
        }
        self.filled += now.len();
        if self.filled == self.rest.len() {
            compress(&mut self.state, &self.rest);
            self.filled = 0;
        }
        later
    }
}

impl Default for LineHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LineHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LineHasher")
    }
}

fn compress(state: &mut [u32; 8], block: &Block) {
    compress256(state, core::slice::from_ref(block));
}

/// Pads the last bytes of a message of `length` (FIPS 180-4 §5.1.1).
fn finish(mut state: [u32; 8], rest: &[u8], length: u64) -> Digest {
    let mut last = [[0; 64]; 2];
    let bytes = last.as_flattened_mut();
    if let Some((begun, behind)) = bytes.split_at_mut_checked(rest.len()) {
        begun.copy_from_slice(rest);
        behind.iter_mut().take(1).for_each(|byte| *byte = 0x80);
    }
    // The length takes the last eight bytes of the last block.
    let used = if rest.len() < 56 { 1 } else { 2 };
    let bits = length.wrapping_mul(8).to_be_bytes();
    let end = bytes.iter_mut().take(used * 64).skip(used * 64 - bits.len());
    end.zip(bits).for_each(|(to, from)| *to = from);
    last.iter().take(used).for_each(|block| compress(&mut state, block));
    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    Digest(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn sha256_of_abc_is_the_vector_of_fips_180_4() {
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::sha256(b"abc").to_string(), hex);
        assert_eq!(Digest::sha256(b"abc").to_hex(), hex);
        assert_eq!(Digest::from_hex(hex.as_bytes()), Some(Digest::sha256(b"abc")));
    }

    #[test]
    fn hex_is_64_lower_case_digits_and_nothing_else() {
        let good = Digest::sha256(b"").to_hex();
        for bad in [&good[1..], &good.to_uppercase(), &(good.clone() + "0"), "", "zz"] {
            assert_eq!(Digest::from_hex(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(from_hex("00ff7a"), Some([0, 0xff, 0x7a].into()));
        assert_eq!((from_hex(""), from_hex("0"), from_hex("0G")), (Some([].into()), None, None));
        assert_eq!(from_hex("FF"), None);
    }

    #[test]
    fn lines_of_every_length_around_a_block_hash_as_one_by_one() {
        for length in 0..300 {
            let line = Vec::from_iter((0..length).map(|byte| byte as u8));
            let mut hasher = LineHasher::new();
            assert_eq!(hasher.line(&line), Digest::sha256(&line), "{length}");
            assert_eq!(hasher.finish(), Digest::sha256(&[&line[..], b"\n"].concat()), "{length}");
        }
        assert_eq!(LineHasher::new().finish(), Digest::sha256(b""));
    }

    proptest! {
        #[test]
        fn a_file_hashes_as_its_lines_and_as_a_whole(
            lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 0..20),
        ) {
            let mut hasher = LineHasher::new();
            for line in &lines {
                prop_assert_eq!(hasher.line(line), Digest::sha256(line));
            }
            let whole: Vec<u8> = lines.iter().flat_map(|line| [&line[..], b"\n"].concat()).collect();
            prop_assert_eq!(hasher.finish(), Digest::sha256(&whole));
        }
    }
}
