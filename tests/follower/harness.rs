//! A temporary folder, a follower of it, everything it recorded, and the
//! rules that all of it must obey.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use provenance_core::{
    encoding::{digest::Digest, json_scanner::Scanner},
    record::log_entry::{Event, LogEntry, What, read_entry},
};
use provenance_log_follower::{Follower, Settings};

/// See the module.
pub(crate) struct FollowerFixture {
    dir: tempfile::TempDir,
    settings: Settings,
    follower: Follower,
    /// All entries, by tick, in the order of the record.
    pub(crate) history: Vec<LogEntry<'static>>,
}

impl FollowerFixture {
    pub(crate) fn new() -> Self {
        Self::build(&["**"], &[], 1 << 30)
    }

    pub(crate) fn watching(patterns: &[&str]) -> Self {
        Self::build(patterns, &[], 1 << 30)
    }

    pub(crate) fn excluding(patterns: &[&str]) -> Self {
        Self::build(&["**"], patterns, 1 << 30)
    }

    pub(crate) fn with_budget(budget: u64) -> Self {
        Self::build(&["**"], &[], budget)
    }

    fn build(watch: &[&str], exclude: &[&str], budget_bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        let full = |patterns: &[&str]| {
            let full = patterns.iter().map(|one| format!("{}/{one}", dir.path().display()));
            full.collect::<Vec<_>>()
        };
        let settings = Settings {
            watch: full(watch),
            exclude: full(exclude),
            state_dir: dir.path().join("state"),
            budget_bytes,
        };
        let follower = Follower::new(&settings).unwrap();
        Self { dir, settings, follower, history: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn append(&self, name: &str, bytes: &[u8]) {
        self.append_raw(name.as_bytes(), bytes);
    }

    pub(crate) fn append_raw(&self, name: &[u8], bytes: &[u8]) {
        let path = self.dir.path().join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(bytes).unwrap();
    }

    /// Cuts the file in place, as copytruncate does, and writes.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(crate) fn copy(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path(to)).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// zstd keeps what it compressed.
    pub(crate) fn remove_if(&self, name: &str) {
        if self.path(name).exists() {
            self.remove(name);
        }
    }

    /// Runs a program in the folder; after `--`, the file that takes its
    /// output.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) {
        let mut parts = arguments.split(|argument| *argument == "--");
        let mut command = Command::new(program);
        command.current_dir(self.dir.path()).args(parts.next().unwrap());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{program}: {output:?}");
        if let Some([file]) = parts.next() {
            self.write(file, &output.stdout);
        }
    }

    /// Collects; gives the entries in short form.
    pub(crate) fn collect(&mut self) -> Vec<String> {
        let entries = self.follower.collect(Instant::now() + Duration::from_secs(60));
        for entry in &entries {
            let bytes = entry.to_value().encode();
            assert_eq!(read_entry(&mut Scanner::new(&bytes)).as_ref(), Ok(entry));
        }
        let short = entries.iter().map(|entry| self.short(entry)).collect();
        self.history.extend(entries);
        self.check();
        short
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, expected: &[&str]) {
        assert_eq!(self.collect(), expected);
    }

    /// A restart: the follower is made again from the chain.
    pub(crate) fn replayed(&mut self) {
        self.follower = Follower::new(&self.settings).unwrap();
        for entry in &self.history {
            self.follower.replay(entry);
        }
    }

    /// A restart with the cached state.
    pub(crate) fn restored(&mut self) {
        let snapshot = self.follower.snapshot();
        let bytes = snapshot.encode();
        let read = provenance_core::encoding::json::Value::parse(&bytes).unwrap();
        self.follower = Follower::new(&self.settings).unwrap();
        self.follower.restore(&read).unwrap();
        assert_eq!(self.follower.snapshot(), snapshot);
    }

    /// The bytes that a generation's ranges say it has, must be a prefix of
    /// `truth`, and its digests those of `truth`. Gives how many.
    pub(crate) fn covered(&self, name: &str, generation: u64, truth: &[u8]) -> u64 {
        let mut end = 0;
        for entry in self.of(name).filter(|entry| entry.generation == generation) {
            if let What::Range { from, to, sha256 } = entry.what {
                let bytes = &truth[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()];
                assert_eq!(Digest::sha256(bytes), sha256, "{name}#{generation} {from}-{to}");
                end = to;
            }
        }
        end
    }

    /// Like [`Self::covered`], `None` where `truth` are not its bytes.
    pub(crate) fn try_covered(&self, name: &str, generation: u64, truth: &[u8]) -> Option<u64> {
        let mut end = 0;
        for entry in self.of(name).filter(|entry| entry.generation == generation) {
            if let What::Range { from, to, sha256 } = entry.what {
                let (from, until) = (usize::try_from(from).ok()?, usize::try_from(to).ok()?);
                if Digest::sha256(truth.get(from..until)?) != sha256 {
                    return None;
                }
                end = to;
            }
        }
        Some(end)
    }

    /// All generations there ever were.
    pub(crate) fn generations(&self) -> BTreeSet<(String, u64)> {
        let all = self.history.iter();
        all.map(|entry| (self.name(&entry.src), entry.generation)).collect()
    }

    /// Where a generation's bytes were said to be at last.
    pub(crate) fn place(&self, name: &str, generation: u64) -> Option<PathBuf> {
        let mut place = None;
        for entry in self.of(name).filter(|entry| entry.generation == generation) {
            match &entry.what {
                What::Event(Event::Appeared { .. }) => place = Some(self.path(name)),
                What::Event(Event::Rotated { location }) => {
                    let path =
                        location.as_deref().and_then(provenance_core::encoding::file_uri::decode);
                    place = path.map(|path| Path::new(OsStr::from_bytes(&path)).to_owned());
                }
                What::Event(Event::Vanished | Event::Replaced | Event::Truncated { .. }) => {
                    place = None;
                }
                _ => {}
            }
        }
        place
    }

    /// Sources by name, with how many generations each has had.
    pub(crate) fn sources(&self) -> BTreeMap<String, u64> {
        let mut sources = BTreeMap::new();
        for entry in &self.history {
            let count: &mut u64 = sources.entry(self.name(&entry.src)).or_default();
            *count = (*count).max(entry.generation + 1);
        }
        sources
    }

    pub(crate) fn follower(&self) -> &Follower {
        &self.follower
    }

    /// Sources and generations that are followed now.
    pub(crate) fn followed(&self) -> (usize, usize) {
        self.follower.followed()
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &LogEntry<'static>> {
        self.history.iter().filter(move |entry| self.name(&entry.src) == name)
    }

    /// What any history must obey.
    pub(crate) fn check(&self) {
        let mut ends: BTreeMap<(&str, u64), u64> = BTreeMap::new();
        let mut opened: BTreeMap<&str, u64> = BTreeMap::new();
        for entry in &self.history {
            let key = (entry.src.as_ref(), entry.generation);
            match &entry.what {
                What::Event(Event::Appeared { id }) => {
                    assert!(id.is_some(), "{entry:?}");
                    let next = opened.entry(key.0).or_default();
                    assert_eq!(*next, key.1, "generations follow each other: {entry:?}");
                    *next += 1;
                    assert_eq!(ends.insert(key, 0), None, "opened twice: {entry:?}");
                }
                What::Range { from, to, .. } => {
                    let end = ends.get_mut(&key).expect("a range of an open generation");
                    assert_eq!(*end, *from, "a hole: {entry:?}");
                    *end = *to;
                }
                // A directory that cannot be read has no generation.
                What::Event(Event::Unreadable { .. }) => {}
                _ => assert!(ends.contains_key(&key), "an event of no generation: {entry:?}"),
            }
        }
    }

    fn name(&self, src: &str) -> String {
        let root =
            provenance_core::encoding::file_uri::encode(self.dir.path().as_os_str().as_bytes());
        src.strip_prefix(&(root + "/")).unwrap().to_owned()
    }

    fn short(&self, entry: &LogEntry<'_>) -> String {
        let what = match &entry.what {
            What::Range { from, to, .. } => format!("{from}-{to}"),
            What::Event(Event::Rotated { location: Some(location) }) => {
                format!("rotated {}", self.name(location))
            }
            What::Event(Event::Truncated { to, size }) => format!("truncated {to}>{size}"),
            What::Event(Event::Unreadable { errno }) => format!("unreadable {errno}"),
            What::Event(event) => event.name().to_owned(),
            What::Journal { .. } => panic!("no journal is followed here"),
        };
        format!("{}#{} {what}", self.name(&entry.src), entry.generation)
    }
}
