//! The chain's files: `chain/YYYY/MM/DD.jsonl`, found and read line by line
//! in bounded memory. Read-only.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use provenance_core::{record::MAX_RECORD, time::Day};

/// One day's file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ChainFile {
    /// The day in its name; `None` for a file that was named by hand.
    pub day: Option<Day>,
    /// `chain/2026/11/21.jsonl`, as in a `segment` record.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// What a chain folder holds.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The days' files in their order.
    pub files: Vec<ChainFile>,
    /// Whatever else is there, relative to the folder.
    pub strangers: Vec<String>,
}

/// Lists the chain folder `dir`.
///
/// # Errors
/// As reading the folders.
pub fn list(dir: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for (year, path) in entries(dir)? {
        if year == "recovered" {
            continue;
        }
        if !path.is_dir() || !is_number(&year, 4) {
            listing.strangers.push(year);
            continue;
        }
        for (month, path) in entries(&path)? {
            if !path.is_dir() || !is_number(&month, 2) {
                listing.strangers.push(format!("{year}/{month}"));
                continue;
            }
            for (file, path) in entries(&path)? {
                match day_of(&year, &month, &file).filter(|_| is_regular(&path)) {
                    Some(day) => listing.files.push(ChainFile {
                        day: Some(day),
                        name: format!("chain/{}.jsonl", day.path()),
                        path,
                    }),
                    None => listing.strangers.push(format!("{year}/{month}/{file}")),
                }
            }
        }
    }
    listing.files.sort();
    Ok(listing)
}

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

/// The names below `dir` with their paths, sorted; a name that is not UTF-8 is
/// no chain file's.
fn entries(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        entries.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    entries.sort();
    Ok(entries)
}

fn day_of(year: &str, month: &str, file: &str) -> Option<Day> {
    let day = file.strip_suffix(".jsonl").filter(|day| is_number(day, 2))?;
    let day = Day { year: year.parse().ok()?, month: month.parse().ok()?, day: day.parse().ok()? };
    day.start().map(|_| day)
}

fn is_number(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|c| c.is_ascii_digit())
}

fn is_regular(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// A chain file outside a chain folder: its day is not taken from the name.
pub fn single(path: &Path) -> ChainFile {
    ChainFile { day: None, name: path.display().to_string(), path: path.to_owned() }
}

/// Opens a chain file for reading.
///
/// # Errors
/// As open(2), with the path in the message.
pub fn open(file: &ChainFile) -> io::Result<File> {
    File::open(&file.path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.path.display())))
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

    #[test]
    fn a_folder_is_listed_by_day_and_strangers_are_named() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["2026/11/21.jsonl", "2026/02/03.jsonl", "2026/02/30.jsonl", "x", "recovered/y"]
        {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        let listing = list(dir.path()).unwrap();
        let names: Vec<_> = listing.files.iter().map(|file| &*file.name).collect();
        assert_eq!(names, ["chain/2026/02/03.jsonl", "chain/2026/11/21.jsonl"]);
        assert_eq!(listing.strangers, ["2026/02/30.jsonl", "x"]);
    }
}
