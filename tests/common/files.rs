//! Files of a state folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// All files below the folder, sorted; none where there is no such folder.
pub(crate) fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// The whole lines of the chain; bytes after the last LF are no record yet.
pub(crate) fn chain_lines(state: &Path) -> Vec<String> {
    let mut files = walk(&state.join("chain"));
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect()
}

/// The chain's records of this kind.
pub(crate) fn chain_records(state: &Path, kind: &str) -> Vec<Value> {
    let lines = chain_lines(state);
    let records = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["kind"] == kind).collect()
}
