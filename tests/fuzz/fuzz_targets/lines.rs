//! Lines of a chain file, however the reading is cut: joined again they are
//! the file.
#![no_main]

use std::io::{self, Read};

use libfuzzer_sys::fuzz_target;
use provenance_verifier::line_reader;

struct Drip<'a>(&'a [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(self.0.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((step, text)) = bytes.split_first() else { return };
    let mut again = vec![];
    let rest =
        line_reader::for_each_line::<io::Error>(Drip(text, usize::from(*step).max(1)), |line| {
            assert!(!line.contains(&b'\n'));
            again.extend_from_slice(line);
            again.push(b'\n');
            Ok(())
        });
    let (torn, tail) = rest.expect("reading from memory does not fail");
    assert_eq!(torn, tail.len() as u64);
    again.extend_from_slice(&tail);
    assert_eq!(again, text);
});
