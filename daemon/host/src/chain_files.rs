//! The chain's files: `chain/YYYY/MM/DD.jsonl`, found and read line by line
//! in bounded memory. Read-only.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use provenance_core::encoding::time::Day;

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
