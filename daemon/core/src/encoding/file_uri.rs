//! File names as text: `file:` and the percent-encoded bytes of the path, so
//! that no legal Linux name is lost (RFC 3986 unreserved characters and `/`
//! stay as they are, every other byte is `%XX` in upper case).

use alloc::{string::String, vec::Vec};

/// What a file source's name begins with.
pub const SCHEME: &str = "file:";

/// `file:` + the encoded bytes of `path`.
pub fn encode(path: &[u8]) -> String {
    let mut out = String::from(SCHEME);
    for &byte in path {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(digit.into(), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    out
}

/// The bytes of the path, where `text` is exactly what [`encode`] writes.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.strip_prefix(SCHEME)?.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let byte = upper_digit(bytes.next()?)? << 4 | upper_digit(bytes.next()?)?;
                Some(byte).filter(|byte| !plain(*byte))?
            }
            byte => Some(byte).filter(|byte| plain(*byte))?,
        });
    }
    Some(out)
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~')
}

fn upper_digit(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'A'..=b'F' => Some(c - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_odd_name_is_kept() {
        let name = b"/var/log/a b\xff%\n.log";
        assert_eq!(encode(name), "file:/var/log/a%20b%FF%25%0A.log");
        assert_eq!(decode(&encode(name)).as_deref(), Some(&name[..]));
    }

    #[test]
    fn two_spellings_of_one_name_are_refused() {
        for text in ["/var/log", "file:/a b", "file:/%2f", "file:/%2F", "file:/%4", "file:/%41"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_name_survives(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
    }
}
