//! Addresses of calendars, as proofs name them.

/// A calendar's address is at most this long.
pub const MAX_URI: usize = 1000;

/// Whether proofs can name a calendar by this address.
pub fn is_uri(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"-._/:".contains(&c);
    text.len() <= MAX_URI && text.bytes().all(allowed)
}
