//! Evidence bundles (docs/format.md §6): written beside their place, fsynced,
//! renamed into it, then recorded, then proved.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use provenance_core::{
    bundle::BundleId,
    canon::Value,
    chain::Body,
    clock,
    digest::{Digest, Hasher},
    dsse,
    proof::Proof,
    record::Record,
    registry::{BundleEntry, Entry},
    report::Head,
    sigstore,
    statement::{ChainRange, Collector, Evidence as Predicate, Link, Statement, Subject},
    time::Timestamp,
};

use super::{
    ServiceError,
    evidence::{Evidence, read_entry},
};
use crate::{
    host::{
        chainfiles,
        config::Config,
        durable::{self, StateDir},
        systime,
    },
    registry::Reader,
};

/// What a bundle is to hold.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Files to attach.
    pub artifacts: Vec<PathBuf>,
    /// Controls that it is evidence for; empty: those of the settings.
    pub controls: Vec<String>,
    /// Why it is made.
    pub reason: String,
    /// Records from this time on; `None`: from the end of the last bundle on.
    pub from: Option<Timestamp>,
    /// Records before this time; `None`: up to the last.
    pub to: Option<Timestamp>,
}

/// A bundle that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its id.
    pub id: BundleId,
    /// Its folder.
    pub path: PathBuf,
    /// What was recorded of it.
    pub entry: BundleEntry,
    /// The checkpoint that covers it.
    pub checkpoint: Option<String>,
}

/// Makes a bundle.
///
/// # Errors
/// [`ServiceError`]; nothing half-written is left.
pub fn make(
    config: &Config,
    state: &StateDir,
    evidence: &mut Evidence,
    now: Timestamp,
    request: &Request,
) -> Result<Made, ServiceError> {
    durable::create_dirs(&state.bundles()).map_err(ServiceError::io("cannot make bundles/"))?;
    let _lock = lock(state)?;
    let reader = evidence.reader()?;
    settle(state, evidence, &reader, now)?;
    let id = next_id(state, &reader, now)?;
    let work = Work { folder: state.bundles().join(format!(".{id}.tmp")) };
    let cut = Cut::new(request, last_bundle(&reader)?)?;
    let (range, mut subjects) = work.chain_range(state, &cut)?;
    for artifact in &request.artifacts {
        subjects.push(work.attach(artifact)?);
    }
    subjects.sort_by(|a, b| a.name.cmp(&b.name));
    let controls = if request.controls.is_empty() { &config.controls } else { &request.controls };
    let statement = Statement {
        subjects,
        evidence: Predicate {
            bundle: id,
            client: config.client.clone(),
            host: config.host.clone(),
            tier: config.tier.to_string(),
            from: range.first.time,
            to: request.to.unwrap_or(now).max(range.last.time),
            controls: controls.clone(),
            reason: request.reason.clone(),
            chain: ChainRange {
                id: evidence.chain().into(),
                first: Link { seq: range.first.seq, hash: range.first.hash },
                last: Link { seq: range.last.seq, hash: range.last.hash },
            },
            clock: range.clock.unwrap_or_else(|| unattested(config, now)),
            collector: Collector {
                name: "provenanced".into(),
                version: env!("CARGO_PKG_VERSION").into(),
            },
            signed: evidence.signer().is_some(),
        },
    };
    let bytes = statement.encode().map_err(|error| ServiceError::Request(error.to_string()))?;
    work.sign(&bytes, evidence)?;
    let path = work.publish(state, id)?;
    let entry = entry_of(&statement, &bytes);
    let checkpoint = record(state, evidence, now, range.head, &entry)?;
    Ok(Made { id, path, entry, checkpoint })
}

/// Finishes or sets aside what an interrupted run left: called under the lock,
/// by the daemon at its start and before each bundle.
///
/// # Errors
/// [`ServiceError`].
pub fn settle(
    state: &StateDir,
    evidence: &mut Evidence,
    reader: &Reader,
    now: Timestamp,
) -> Result<(), ServiceError> {
    let known = reader.bundle_ids()?;
    for (name, path) in folders(state)? {
        match name.parse::<BundleId>() {
            Ok(_) if known.contains_key(&name) => {
                if !path.join("proof.json").exists() && evidence.signer().is_some() {
                    prove(evidence, &path, known.get(&name).copied().unwrap_or_default())?;
                }
            }
            Ok(id) => match finished(&path, id) {
                Some((statement, bytes)) => {
                    let last = statement.evidence.chain.last;
                    let time = statement.evidence.to;
                    let head = Head { seq: last.seq, hash: last.hash, time };
                    record(state, evidence, now, head, &entry_of(&statement, &bytes))?;
                }
                None => set_aside(state, &path, &name)?,
            },
            Err(_) => set_aside(state, &path, &name)?,
        }
    }
    Ok(())
}

/// The lock under which bundles are made; released when dropped.
///
/// # Errors
/// [`ServiceError`] where the lock's file cannot be opened.
pub fn lock(state: &StateDir) -> Result<File, ServiceError> {
    let locked = durable::create_dirs(&state.cache()).and_then(|()| {
        let path = state.cache().join("bundles.lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        file.lock()?;
        Ok(file)
    });
    locked.map_err(ServiceError::io("cannot lock bundles/"))
}

/// The newest bundle on record.
///
/// # Errors
/// [`ServiceError`].
pub fn last_bundle(reader: &Reader) -> Result<Option<BundleEntry>, ServiceError> {
    let row = reader.last_of_kind("bundle")?;
    Ok(row.and_then(|row| match read_entry(&row.body) {
        Some(Entry::Bundle(bundle)) => Some(bundle),
        _ => None,
    }))
}

/// The folders below bundles/ with their names, sorted.
///
/// # Errors
/// [`ServiceError`].
pub fn folders(state: &StateDir) -> Result<Vec<(String, PathBuf)>, ServiceError> {
    let read = || -> io::Result<Vec<(String, PathBuf)>> {
        let mut folders = vec![];
        match fs::read_dir(state.bundles()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            entries => {
                for entry in entries? {
                    let entry = entry?;
                    folders.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
                }
            }
        }
        folders.sort();
        Ok(folders)
    };
    read().map_err(ServiceError::io("cannot list bundles/"))
}

/// Which records the bundle is about.
struct Cut {
    first_seq: u64,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Cut {
    fn new(request: &Request, last: Option<BundleEntry>) -> Result<Self, ServiceError> {
        if let (Some(from), Some(to)) = (request.from, request.to)
            && from >= to
        {
            return Err(ServiceError::Request("--from is not before --to".into()));
        }
        let first_seq = match request.from {
            Some(_) => 0,
            None => last.map_or(0, |last| last.last_seq.saturating_add(1)),
        };
        Ok(Self { first_seq, from: request.from, to: request.to })
    }

    fn takes(&self, record: &Record<'_>) -> bool {
        record.seq >= self.first_seq
            && self.from.is_none_or(|from| record.time >= from)
            && self.to.is_none_or(|to| record.time < to)
    }
}

struct Range {
    first: Head,
    last: Head,
    /// The chain's last record, which may lie behind the range.
    head: Head,
    clock: Option<Value>,
}

/// The folder in the making. What is not published is removed.
struct Work {
    folder: PathBuf,
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Work {
    /// Copies the records of the cut, a file a day, and keeps their ends.
    fn chain_range(
        &self,
        state: &StateDir,
        cut: &Cut,
    ) -> Result<(Range, Vec<Subject>), ServiceError> {
        let _ = fs::remove_dir_all(&self.folder);
        let folder = self.folder.join("artifacts/chain");
        durable::create_dirs(&folder).map_err(ServiceError::io("cannot make the bundle"))?;
        let listing = chainfiles::list(&state.chain())
            .map_err(ServiceError::io("cannot list the chain's files"))?;
        let (mut ends, mut head, mut clock) = (None::<(Head, Head)>, None, None);
        let mut subjects = vec![];
        for file in &listing.files {
            let Some(day) = file.day else { continue };
            let source =
                chainfiles::open(file).map_err(ServiceError::io("cannot read the chain"))?;
            let mut copy = None::<Copy>;
            chainfiles::for_each_line::<ServiceError>(source, |line| {
                let record = Record::parse(line).map_err(|error| {
                    ServiceError::State(format!(
                        "{}: {error}; run `provctl verify-chain`",
                        file.name
                    ))
                })?;
                let this = Head { seq: record.seq, hash: record.hash(), time: record.time };
                head = Some(this);
                // A clock set back must not tear a hole: between the first and
                // the last record taken, all are.
                let open = ends.is_some_and(|(_, last)| last.seq.saturating_add(1) == record.seq);
                if !cut.takes(&record) || !open && ends.is_some() {
                    return Ok(());
                }
                let first = ends.map_or(this, |(first, _)| first);
                ends = Some((first, this));
                clock = attestation(&record).or_else(|| clock.take());
                if copy.is_none() {
                    copy =
                        Some(Copy::create(&self.folder, format!("artifacts/chain/{day}.jsonl"))?);
                }
                match &mut copy {
                    Some(copy) => copy.write(&[line, b"\n"]),
                    None => Ok(()),
                }
            })?;
            if let Some(copy) = copy {
                subjects.push(copy.finish()?);
            }
        }
        match (ends, head) {
            (Some((first, last)), Some(head)) => Ok((Range { first, last, head, clock }, subjects)),
            _ => {
                Err(ServiceError::Empty("no record of that period that no bundle holds yet".into()))
            }
        }
    }

    /// Copies a file under its own name.
    fn attach(&self, path: &Path) -> Result<Subject, ServiceError> {
        let what = path.display().to_string();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let subject = format!("artifacts/{name}");
        if !provenance_core::statement::is_safe_name(&subject) || name == "chain" {
            let message =
                format!("{what}: an artifact's name must be plain UTF-8, and not \"chain\"");
            return Err(ServiceError::Request(message));
        }
        if self.folder.join(&subject).exists() {
            let message = format!("{what}: another artifact has the same name; rename one");
            return Err(ServiceError::Request(message));
        }
        let mut source = File::open(path).map_err(ServiceError::io(what.clone()))?;
        if !source.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(ServiceError::Request(format!("{what} is not a regular file")));
        }
        let mut copy = Copy::create(&self.folder, subject)?;
        let mut buffer = vec![0; 128 << 10];
        loop {
            let count = source.read(&mut buffer).map_err(ServiceError::io(what.clone()))?;
            match buffer.get(..count) {
                Some(bytes) if !bytes.is_empty() => copy.write(&[bytes])?,
                _ => return copy.finish(),
            }
        }
    }

    fn sign(&self, statement: &[u8], evidence: &Evidence) -> Result<(), ServiceError> {
        self.file("statement.json", statement)?;
        let Some(signer) = evidence.signer() else { return Ok(()) };
        let sign = |message: &[u8]| signer.sign(message);
        let detached = dsse::sign_detached(statement, &sign);
        self.file("statement.json.sig", detached.as_bytes())?;
        let bundle = sigstore::sign(statement, &signer.public().fingerprint(), &sign);
        self.file("statement.sigstore.json", &bundle)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Result<(), ServiceError> {
        durable::replace(&self.folder.join(name), bytes, 0o440)
            .map_err(ServiceError::io(format!("cannot write {name}")))
    }

    /// Every file is fsynced; now its folders, then the name itself.
    fn publish(self, state: &StateDir, id: BundleId) -> Result<PathBuf, ServiceError> {
        let path = state.bundles().join(id.to_string());
        durable::sync_dir(&self.folder.join("artifacts/chain"))
            .and_then(|()| durable::sync_dir(&self.folder.join("artifacts")))
            .and_then(|()| durable::sync_dir(&self.folder))
            .and_then(|()| fs::rename(&self.folder, &path))
            .and_then(|()| durable::sync_dir(&state.bundles()))
            .map_err(ServiceError::io(format!("cannot publish {id}")))?;
        Ok(path)
    }
}

/// A file being copied into the bundle, with its digest.
struct Copy {
    file: io::BufWriter<File>,
    hasher: Hasher,
    name: String,
}

impl Copy {
    fn create(folder: &Path, name: String) -> Result<Self, ServiceError> {
        let file =
            OpenOptions::new().write(true).create_new(true).mode(0o440).open(folder.join(&name));
        let file = file.map_err(ServiceError::io(format!("cannot write {name}")))?;
        Ok(Self { file: io::BufWriter::new(file), hasher: Hasher::new(), name })
    }

    fn write(&mut self, parts: &[&[u8]]) -> Result<(), ServiceError> {
        for part in parts {
            self.hasher.update(part);
            self.file.write_all(part).map_err(ServiceError::io(self.name.clone()))?;
        }
        Ok(())
    }

    fn finish(self) -> Result<Subject, ServiceError> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error);
        file.and_then(|file| file.sync_all()).map_err(ServiceError::io(self.name.clone()))?;
        Ok(Subject { name: self.name, sha256: self.hasher.finish() })
    }
}

/// The clock of a tick, as a value.
fn attestation(record: &Record<'_>) -> Option<Value> {
    if record.kind != "tick" {
        return None;
    }
    match Body::read(record) {
        Ok(Body::Tick(tick)) => Some(tick.clock.to_value()),
        _ => None,
    }
}

/// Where the range has no tick, the kernel's word of this moment.
fn unattested(config: &Config, now: Timestamp) -> Value {
    clock::judge(now, config.rule, None, vec![systime::kernel_source(now)]).to_value()
}

fn entry_of(statement: &Statement, bytes: &[u8]) -> BundleEntry {
    let evidence = &statement.evidence;
    BundleEntry {
        id: evidence.bundle.to_string(),
        statement_sha256: Digest::of(bytes),
        first_seq: evidence.chain.first.seq,
        first_hash: evidence.chain.first.hash,
        last_seq: evidence.chain.last.seq,
        last_hash: evidence.chain.last.hash,
        from: evidence.from,
        to: evidence.to,
        signed: evidence.signed,
        artifacts: statement.subjects.len() as u64,
        reason: evidence.reason.clone(),
    }
}

/// Records the bundle with the chain's head, and proves that record.
fn record(
    state: &StateDir,
    evidence: &mut Evidence,
    now: Timestamp,
    head: Head,
    entry: &BundleEntry,
) -> Result<Option<String>, ServiceError> {
    let (appended, _, note) = evidence.commit(now, head, &[Entry::Bundle(entry.clone())])?;
    if let Some(record) = appended.last()
        && note.is_some()
    {
        prove(evidence, &state.bundles().join(&entry.id), record.seq)?;
    }
    Ok(note)
}

/// Writes `proof.json`: the bundle's record is in the newest signed tree.
fn prove(evidence: &Evidence, path: &Path, index: u64) -> Result<(), ServiceError> {
    let reader = evidence.reader()?;
    let unproved = |what: &str| ServiceError::State(format!("{}: {what}", path.display()));
    let checkpoint = evidence.newest_checkpoint()?.ok_or_else(|| unproved("no checkpoint"))?;
    let size = super::evidence::size_of(&checkpoint).ok_or_else(|| unproved("no checkpoint"))?;
    let row = reader.record(index)?.ok_or_else(|| unproved("its record is not there"))?;
    let proof = Proof {
        body: String::from_utf8(row.body).map_err(|_| unproved("its record is not UTF-8"))?,
        index,
        size,
        path: reader.inclusion(index, size)?,
        checkpoint,
    };
    let bytes = proof.encode().map_err(|error| unproved(&error.to_string()))?;
    durable::replace(&path.join("proof.json"), &bytes, 0o440)
        .map_err(ServiceError::io("cannot write proof.json"))
}

/// A folder that was published, and whose record was not committed: its
/// statement, if all it names is there.
fn finished(path: &Path, id: BundleId) -> Option<(Statement, Vec<u8>)> {
    let limit = provenance_core::statement::MAX_STATEMENT as u64;
    let bytes = durable::read_limited(&path.join("statement.json"), limit).ok()?;
    let statement = Statement::parse(&bytes).ok().filter(|s| s.evidence.bundle == id)?;
    let whole = statement.subjects.iter().all(|subject| {
        digest_of(&path.join(&subject.name)).is_ok_and(|digest| digest == subject.sha256)
    });
    whole.then_some((statement, bytes))
}

fn digest_of(path: &Path) -> io::Result<Digest> {
    let (mut file, mut hasher) = (File::open(path)?, Hasher::new());
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = file.read(&mut buffer)?;
        match buffer.get(..count) {
            Some(bytes) if !bytes.is_empty() => hasher.update(bytes),
            _ => return Ok(hasher.finish()),
        }
    }
}

fn set_aside(state: &StateDir, path: &Path, name: &str) -> Result<(), ServiceError> {
    tracing::warn!("bundles/{name} is unfinished or unknown: moved to aside/");
    durable::create_dirs(&state.aside())
        .and_then(|()| {
            let mut to = state.aside().join(name);
            for n in 1..1000 {
                if !to.exists() {
                    break;
                }
                to = state.aside().join(format!("{name}.{n}"));
            }
            fs::rename(path, to)
        })
        .and_then(|()| durable::sync_dir(&state.aside()))
        .map_err(ServiceError::io(format!("cannot set bundles/{name} aside")))
}

/// The next number of the day, behind every folder and every record.
fn next_id(state: &StateDir, reader: &Reader, now: Timestamp) -> Result<BundleId, ServiceError> {
    let folders = folders(state)?.into_iter().map(|(name, _)| name);
    let ids = folders.chain(reader.bundle_ids()?.into_keys());
    let of_day =
        ids.filter_map(|id| id.parse::<BundleId>().ok()).filter(|id| id.day() == now.day());
    let full = || ServiceError::Request("this day has 9999 bundles already".into());
    match of_day.max() {
        Some(last) => last.next().ok_or_else(full),
        None => BundleId::new(now.day(), 1).ok_or_else(full),
    }
}
