//! Which objects of a run were read back already: so that a call which goes on
//! with it does not read them again. A cache: without it they are.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use provenance_core::encoding::{digest::Digest, time::Timestamp};

use provenance_host::durable;
use provenance_storage::Retention;

/// Its name in the spool.
pub(super) const FILE: &str = "read-back";
const MAX: u64 = 64 << 20;

/// What was read back.
#[derive(Debug, Default)]
pub(super) struct Progress {
    seen: BTreeMap<String, (Option<String>, Retention)>,
    file: Option<File>,
}

impl Progress {
    /// That of the run with this manifest.
    pub(super) fn open(spool: &Path, manifest: Digest) -> Self {
        let path = spool.join(FILE);
        let first = manifest.to_hex();
        let text = durable::read_limited(&path, MAX).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let same = lines.next() == Some(&first);
        let seen = if same { lines.filter_map(read).collect() } else { BTreeMap::new() };
        let file = match same {
            true => File::options().append(true).open(&path),
            false => fs::write(&path, first + "\n")
                .and_then(|()| File::options().append(true).open(&path)),
        };
        Self { seen, file: file.ok() }
    }

    /// What keeps an object that was read back.
    pub(super) fn lock(&self, name: &str, version: Option<&str>) -> Option<Retention> {
        let (seen, lock) = self.seen.get(name)?;
        (seen.as_deref() == version).then_some(*lock)
    }

    /// An object was read back. That this is not noted costs time alone.
    pub(super) fn insert(&mut self, name: &str, version: Option<&str>, lock: Retention) {
        let (kind, until) = match lock {
            Retention::None => ("none", 0),
            Retention::Governance(until) => ("governance", until.nanos()),
            Retention::Compliance(until) => ("compliance", until.nanos()),
            Retention::Immutable => ("immutable", 0),
        };
        let version = version.unwrap_or_default();
        if let Some(file) = &mut self.file {
            let _ = file.write_all(format!("{name}\t{version}\t{kind}\t{until}\n").as_bytes());
        }
    }
}

fn read(line: &str) -> Option<(String, (Option<String>, Retention))> {
    let mut parts = line.split('\t');
    let (name, version) = (parts.next()?, parts.next()?);
    let (kind, until) = (parts.next()?, parts.next()?.parse().ok()?);
    let until = Timestamp::from_nanos(until);
    let lock = match kind {
        "none" => Retention::None,
        "governance" => Retention::Governance(until),
        "compliance" => Retention::Compliance(until),
        "immutable" => Retention::Immutable,
        _ => return None,
    };
    let version = Some(version.to_owned()).filter(|version| !version.is_empty());
    parts.next().is_none().then_some((name.to_owned(), (version, lock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_back_is_known_for_the_same_manifest_and_version_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, other) = (Digest::sha256(b"ours"), Digest::sha256(b"other"));
        let until = Retention::Compliance(Timestamp::from_nanos(7));
        let mut progress = Progress::open(dir.path(), ours);
        progress.insert("a", Some("v1"), until);
        progress.insert("b", None, Retention::Immutable);
        drop(progress);
        // A line that was cut by a power cut.
        let mut file = File::options().append(true).open(dir.path().join(FILE)).unwrap();
        file.write_all(b"c\tv1\tnone").unwrap();
        let progress = Progress::open(dir.path(), ours);
        assert_eq!(progress.lock("a", Some("v1")), Some(until));
        assert_eq!(progress.lock("b", None), Some(Retention::Immutable));
        assert_eq!((progress.lock("a", Some("v2")), progress.lock("c", Some("v1"))), (None, None));
        assert_eq!(Progress::open(dir.path(), other).lock("a", Some("v1")), None);
        assert_eq!(Progress::open(dir.path(), ours).lock("a", Some("v1")), None);
    }
}
