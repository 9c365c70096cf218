//! The journal export format: however the stream is cut, entries and digest
//! are the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::journal_export::{EntryHasher, Reader};

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, stream)) = bytes.split_first() else { return };
    let whole = read(stream, stream.len().max(1));
    assert_eq!(read(stream, usize::from(*cut).max(1)), whole);
});

/// The entries, how many, and their digest; or that it is no such stream.
fn read(stream: &[u8], step: usize) -> Option<(Vec<String>, u64, String)> {
    let (mut reader, mut hasher, mut entries) = (Reader::new(), EntryHasher::new(), vec![]);
    for mut chunk in stream.chunks(step) {
        while !chunk.is_empty() {
            let (entry, taken) = reader.read(chunk, &mut hasher).ok()?;
            assert!(taken > 0);
            chunk = &chunk[taken..];
            entries.extend(entry.map(|entry| format!("{entry:?}")));
        }
    }
    entries.extend(reader.finish(&mut hasher).ok()?.map(|entry| format!("{entry:?}")));
    Some((entries, hasher.count(), hasher.finish().to_string()))
}
