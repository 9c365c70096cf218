//! The end of the chain as a crash may have left it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use provenance_core::{
    encoding::digest::{Digest, Hasher},
    record::{Record, chain::Recovered},
    report::Head,
};
use provenance_host::{
    chain_files::{self, ChainFile},
    durable,
    state_dir::StateDir,
};
use provenance_verifier::line_reader;

use super::ChainError;

/// The chain's last record and what stands behind it.
#[derive(Debug, Default)]
pub(super) struct ChainTail {
    /// The last whole record.
    pub(super) head: Option<Head>,
    /// The newest file: the next record goes there, or into a later one.
    pub(super) file: Option<ChainFile>,
    /// Its length without what was set aside.
    pub(super) length: u64,
}

/// Finds the end, and sets aside what an append that never finished left:
/// bytes behind the last LF, or one last line that is no successor of the
/// line before it (a power cut may persist the pages of a write in any order).
/// None of that was ever acknowledged.
pub(super) fn set_aside_torn_tail(state: &StateDir) -> Result<ChainTail, ChainError> {
    let mut files = chain_files::list(&state.chain())?.files;
    let newest = files.last().cloned();
    while let Some(file) = files.pop() {
        let end = read_end(&file, files.last())?;
        if end.good < end.total {
            let seq = end.head.map_or(0, |head| head.seq + 1);
            set_aside(state, &file, end.good, seq)?;
        }
        if let Some(head) = end.head {
            let length = if newest.as_ref() == Some(&file) { end.good } else { 0 };
            return Ok(ChainTail { head: Some(head), file: newest, length });
        }
    }
    Ok(ChainTail { head: None, file: newest, length: 0 })
}

struct End {
    head: Option<Head>,
    /// Bytes up to the last good line's end.
    good: u64,
    total: u64,
}

fn read_end(file: &ChainFile, before: Option<&ChainFile>) -> Result<End, ChainError> {
    let mut end = End { head: None, good: 0, total: 0 };
    let mut bad: Option<String> = None;
    let (torn, _) = line_reader::for_each_line::<ChainError>(chain_files::open(file)?, |line| {
        if let Some(why) = bad.take() {
            return Err(ChainError::Broken { file: file.name.clone(), why });
        }
        end.total += line.len() as u64 + 1;
        match Record::parse(line) {
            Ok(record) if follows(&record, end.head.as_ref(), before.is_none()) => {
                end.head = Some(Head { seq: record.seq, hash: record.hash(), time: record.time });
                end.good = end.total;
            }
            Ok(record) => {
                bad = Some(format!("record {} does not follow the one before it", record.seq))
            }
            Err(error) => bad = Some(error.to_string()),
        }
        Ok(())
    })?;
    end.total += torn;
    Ok(end)
}

/// The first line of a file is held against the file before only by a
/// verification; of the first file it must be record 0.
fn follows(record: &Record<'_>, head: Option<&Head>, first_file: bool) -> bool {
    match head {
        Some(head) => record.seq == head.seq + 1 && record.prev == head.hash,
        None => !first_file || record.seq == 0 && record.prev == Digest::ZERO,
    }
}

/// Moves the bytes of `file` from `good` on to `chain/recovered/`. Each step
/// can be repeated: the copy is whole and durable before the file is cut.
fn set_aside(state: &StateDir, file: &ChainFile, good: u64, seq: u64) -> Result<(), ChainError> {
    durable::create_dirs(&state.recovered())?;
    let mut source = OpenOptions::new().read(true).write(true).open(&file.path)?;
    source.seek(SeekFrom::Start(good))?;
    let tmp = state.recovered().join("torn.tmp");
    let digest = copy(&mut source, &tmp)?;
    let hex = digest.to_hex();
    let short = hex.get(..16).unwrap_or(&hex);
    fs::rename(&tmp, state.recovered().join(format!("{seq:012}-{short}.torn")))?;
    durable::sync_dir(&state.recovered())?;
    source.set_len(good)?;
    source.sync_all()?;
    Ok(())
}

fn copy(source: &mut File, to: &Path) -> io::Result<Digest> {
    let (mut hasher, mut buffer) = (Hasher::new(), [0; 16 << 10]);
    let mut copy = File::create(to)?;
    loop {
        let count = source.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
        copy.write_all(bytes)?;
    }
    copy.sync_all()?;
    Ok(hasher.finish())
}

/// What lies in `chain/recovered/` from before the record `seq` or later and
/// is not among `known` names: set aside, and not yet recorded.
///
/// # Errors
/// As reading the folder and the files.
pub(super) fn unrecorded(
    state: &StateDir,
    seq: u64,
    known: impl Fn(&str) -> bool,
) -> io::Result<Vec<Recovered<'static>>> {
    let mut found = vec![];
    let entries = match fs::read_dir(state.recovered()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let of = name.strip_suffix(".torn").and_then(|name| name.get(..12)?.parse::<u64>().ok());
        if of.is_none_or(|of| of < seq) || known(&name) {
            continue;
        }
        let (sha256, bytes) = durable::digest(File::open(entry.path())?)?;
        found.push(Recovered {
            bytes,
            sha256: Some(sha256),
            file: Some(name.into()),
            reason: "an append that never finished was set aside".into(),
            ..Recovered::default()
        });
    }
    found.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(found)
}
