//! Lines of any length in bounded memory.

use std::io::{self, Read};

use provenance_core::record::MAX_RECORD;

/// Calls `each` with every line (without LF) of `source`, and returns the
/// bytes behind the last LF: how many, and the first [`MAX_RECORD`] of them.
/// A line over that limit is handed over cut, which no record survives.
///
/// # Errors
/// As reading, or what `each` returns.
pub fn for_each_line<E: From<io::Error>>(
    mut source: impl Read,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(u64, Vec<u8>), E> {
    const READ: usize = 128 << 10;
    let mut buffer = vec![0; READ];
    let (mut filled, mut skipped) = (0_usize, 0_u64);
    loop {
        if filled == buffer.len() {
            if buffer.len() > MAX_RECORD {
                // Keep one byte over the limit, so that the line is refused.
                skipped += (filled - MAX_RECORD - 1) as u64;
                filled = MAX_RECORD + 1;
            }
            buffer.resize((buffer.len() * 2).min(MAX_RECORD + 1 + READ), 0);
        }
        let count = match source.read(buffer.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let fresh = filled;
        filled += count;
        let mut start = 0;
        let mut search = fresh;
        while let Some(length) =
            memchr::memchr(b'\n', buffer.get(search..filled).unwrap_or_default())
        {
            each(buffer.get(start..search + length).unwrap_or_default())?;
            skipped = 0;
            start = search + length + 1;
            search = start;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
    }
    buffer.truncate(filled);
    Ok((filled as u64 + skipped, buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mut source: impl Read) -> (Vec<Vec<u8>>, (u64, Vec<u8>)) {
        let mut lines = Vec::new();
        let rest = for_each_line::<io::Error>(&mut source, |line| {
            lines.push(line.to_vec());
            Ok(())
        });
        (lines, rest.unwrap())
    }

    /// Hands out a few bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn lines_come_whole_however_they_are_read() {
        let long = vec![b'x'; 300_000];
        let text = [b"a\n\nbc\n".as_slice(), &long, b"\ntorn"].concat();
        for step in [1, 7, 100_000, usize::MAX] {
            let (lines, rest) = lines(Drip(&text, step));
            assert_eq!(lines, [b"a".as_slice(), b"", b"bc", &long], "{step}");
            assert_eq!(rest, (4, b"torn".to_vec()));
        }
    }

    #[test]
    fn a_line_without_end_costs_bounded_memory_and_is_cut() {
        let text = [vec![b'x'; 3 * MAX_RECORD], b"\nnext\n".to_vec()].concat();
        let (got, rest) = lines(&text[..]);
        assert_eq!(got.len(), 2);
        assert!(got[0].len() > MAX_RECORD && got[0].len() < MAX_RECORD + (512 << 10));
        assert_eq!((got[1].as_slice(), rest.0), (&b"next"[..], 0));
        let (_, rest) = lines(&text[..3 * MAX_RECORD]);
        assert_eq!(rest.0, 3 * MAX_RECORD as u64);
    }
}
