//! A block's header of 80 bytes: its hash, its target, its work.

use core::fmt;

use super::{AnchorError, BlockHash, bytes::Bytes};
use crate::encoding::digest::Digest;

/// How long a header is.
pub const HEADER: usize = 80;

/// A block's header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header(pub [u8; HEADER]);

/// How many hashes it takes on average to find such a block; the largest
/// number stands for itself and all above it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct ChainWork(pub u128);

impl Header {
    /// The hash.
    pub fn hash(&self) -> BlockHash {
        BlockHash::of(&self.0)
    }

    /// The block before it.
    pub fn prev(&self) -> BlockHash {
        BlockHash(Digest(self.part(4)))
    }

    /// The root of its transactions.
    pub fn merkle_root(&self) -> Digest {
        Digest(self.part(36))
    }

    /// Its time, in seconds since the epoch.
    pub fn time(&self) -> u32 {
        u32::from_le_bytes(self.part(68))
    }

    /// Its target in compact form.
    pub fn bits(&self) -> u32 {
        u32::from_le_bytes(self.part(72))
    }

    /// Checks that the hash meets the target that the header itself names.
    ///
    /// # Errors
    /// [`AnchorError::Header`].
    pub fn check(&self) -> Result<ChainWork, AnchorError> {
        let target = target(self.bits())?;
        let mut hash = self.hash().0.0;
        hash.reverse();
        if hash > target {
            return Err(AnchorError::Header("its hash does not meet its own target"));
        }
        Ok(work(&target))
    }

    fn part<const N: usize>(&self, at: usize) -> [u8; N] {
        let part = self.0.get(at..).and_then(|bytes| Bytes(bytes).array());
        part.unwrap_or([0; N])
    }
}

/// The target, big-endian, from its compact form.
fn target(bits: u32) -> Result<[u8; 32], AnchorError> {
    let [size, high, middle, low] = bits.to_be_bytes();
    if high & 0x80 != 0 {
        return Err(AnchorError::Header("its target is negative"));
    }
    let mut target = [0; 32];
    for (i, byte) in [high, middle, low].into_iter().enumerate() {
        // Byte i has the weight 256^(size − 1 − i); what falls below is cut.
        let Some(weight) = usize::from(size).checked_sub(i + 1) else { continue };
        match 31_usize.checked_sub(weight).and_then(|at| target.get_mut(at)) {
            Some(place) => *place = byte,
            None if byte != 0 => return Err(AnchorError::Header("its target overflows")),
            None => {}
        }
    }
    if target == [0; 32] {
        return Err(AnchorError::Header("its target is zero"));
    }
    Ok(target)
}

/// 2^256 / (target + 1), as Bitcoin counts work.
fn work(target: &[u8; 32]) -> ChainWork {
    // A target has three bytes at most that are not zero, so this does not overflow.
    let divisor = increment(*target);
    let (mut rest, mut quotient) = ([0_u8; 32], 0_u128);
    for bit in 0..=256 {
        let carry = shift(&mut rest, u8::from(bit == 0));
        let fits = carry || rest >= divisor;
        if fits {
            subtract(&mut rest, &divisor);
        }
        if quotient >> 127 == 1 {
            return ChainWork(u128::MAX);
        }
        quotient = quotient << 1 | u128::from(fits);
    }
    ChainWork(quotient)
}

fn increment(mut number: [u8; 32]) -> [u8; 32] {
    for byte in number.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
    number
}

/// Doubles, adds `bit`, and says whether the number left its bytes.
fn shift(number: &mut [u8; 32], bit: u8) -> bool {
    let carry = number.iter_mut().rev().fold(bit, |carry, byte| {
        let next = *byte >> 7;
        *byte = *byte << 1 | carry;
        next
    });
    carry == 1
}

fn subtract(number: &mut [u8; 32], other: &[u8; 32]) {
    let mut borrow = false;
    for (byte, other) in number.iter_mut().zip(other).rev() {
        let (once, first) = byte.overflowing_sub(*other);
        let (twice, second) = once.overflowing_sub(u8::from(borrow));
        (*byte, borrow) = (twice, first || second);
    }
}

impl ChainWork {
    /// The work of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The number of whole bits: 2^`bits` hashes at least.
    pub fn bits(self) -> u32 {
        self.0.checked_ilog2().unwrap_or_default()
    }
}

impl fmt::Display for ChainWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "2^{} hashes", self.bits())
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header({})", self.hash())
    }
}
