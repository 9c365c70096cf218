//! Nix's base 32: digits without e, o, t and u; the last one holds the lowest
//! five bits.

use alloc::string::String;

/// The digits, by value.
pub const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// How many digits that many bytes take.
pub fn length(bytes: usize) -> usize {
    bytes.saturating_mul(8).div_ceil(5)
}

/// The digits of `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    let byte = |at: usize| bytes.get(at).copied().map_or(0, u16::from);
    let digit = |n: usize| {
        let (at, shift) = (n * 5 / 8, n * 5 % 8);
        let value = (byte(at) | byte(at + 1) << 8) >> shift & 31;
        DIGITS.get(usize::from(value)).copied().map_or('0', char::from)
    };
    (0..length(bytes.len())).rev().map(digit).collect()
}

/// The bytes that `digits` encode, into all of `bytes`; `false` where they are
/// others, or hold more bits.
pub fn decode(digits: &[u8], bytes: &mut [u8]) -> bool {
    if digits.len() != length(bytes.len()) {
        return false;
    }
    bytes.fill(0);
    for (n, digit) in digits.iter().rev().enumerate() {
        let Some(value) = DIGITS.iter().position(|known| known == digit) else { return false };
        let (at, shift) = (n * 5 / 8, n * 5 % 8);
        let [low, high] = ((value as u16) << shift).to_le_bytes();
        if let Some(byte) = bytes.get_mut(at) {
            *byte |= low;
        }
        match bytes.get_mut(at + 1) {
            Some(byte) => *byte |= high,
            None if high != 0 => return false,
            None => {}
        }
    }
    true
}
