//! The bundle's folder in the making.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use provenance_core::{
    encoding::{digest::Hasher, json::Value, time::Timestamp},
    record::{Record, bundle_id::BundleId, chain::Body},
    report::Head,
    signing::{dsse, sigstore_bundle},
    statement::evidence::Subject,
};
use provenance_host::{chain_files, durable, state_dir::StateDir};
use provenance_verifier::line_reader;

use super::request::Request;
use crate::{error::ServiceError, ledger::Ledger};

/// Which records the bundle is about.
pub(super) struct RecordRange {
    first_seq: u64,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl RecordRange {
    pub(super) fn new(request: &Request, covered: Option<u64>) -> Result<Self, ServiceError> {
        if let (Some(from), Some(to)) = (request.from, request.to)
            && from >= to
        {
            return Err(ServiceError::Request("--from is not before --to".into()));
        }
        let first_seq = match request.from {
            Some(_) => 0,
            None => covered.map_or(0, |last| last.saturating_add(1)),
        };
        Ok(Self { first_seq, from: request.from, to: request.to })
    }

    /// What is attached before the next record comes is not lost: the newest record
    /// that a bundle holds, once more, says behind what it was attached.
    pub(super) fn again(&self, request: &Request, covered: Option<u64>) -> Option<Self> {
        let open = self.from.is_none() && self.to.is_none();
        let first_seq = covered.filter(|_| open && !request.artifacts.is_empty())?;
        Some(Self { first_seq, from: None, to: None })
    }

    fn takes(&self, record: &Record<'_>) -> bool {
        record.seq >= self.first_seq
            && self.from.is_none_or(|from| record.time >= from)
            && self.to.is_none_or(|to| record.time < to)
    }
}

pub(super) struct Range {
    pub(super) first: Head,
    pub(super) last: Head,
    /// The chain's last record, which may lie behind the range.
    pub(super) head: Head,
    pub(super) clock: Option<Value>,
}

/// The folder in the making. What is not published is removed.
pub(super) struct BundleBuilder {
    pub(super) folder: PathBuf,
}

impl Drop for BundleBuilder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl BundleBuilder {
    /// Copies the records of the cut, a file a day, and keeps their ends.
    pub(super) fn chain_range(
        &self,
        state: &StateDir,
        cut: &RecordRange,
    ) -> Result<(Range, Vec<Subject>), ServiceError> {
        let _ = fs::remove_dir_all(&self.folder);
        let folder = self.folder.join("artifacts/chain");
        durable::create_dirs(&folder).map_err(ServiceError::io("cannot make the bundle"))?;
        let listing = chain_files::list(&state.chain())
            .map_err(ServiceError::io("cannot list the chain's files"))?;
        let (mut ends, mut head, mut clock) = (None::<(Head, Head)>, None, None);
        let mut subjects = vec![];
        for file in &listing.files {
            let Some(day) = file.day else { continue };
            let source =
                chain_files::open(file).map_err(ServiceError::io("cannot read the chain"))?;
            let mut copy = None::<Copy>;
            line_reader::for_each_line::<ServiceError>(source, |line| {
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
    pub(super) fn attach(&self, path: &Path) -> Result<Subject, ServiceError> {
        let what = path.display().to_string();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let subject = format!("artifacts/{name}");
        if !provenance_core::statement::evidence::is_safe_name(&subject) || name == "chain" {
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

    pub(super) fn sign(&self, statement: &[u8], evidence: &Ledger) -> Result<(), ServiceError> {
        self.file("statement.json", statement)?;
        let Some(signer) = evidence.signer() else { return Ok(()) };
        let sign = |message: &[u8]| signer.sign(message);
        let detached = dsse::sign_detached(statement, &sign);
        self.file("statement.json.sig", detached.as_bytes())?;
        let bundle = sigstore_bundle::sign(statement, &signer.public().fingerprint(), &sign);
        self.file("statement.sigstore.json", &bundle)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Result<(), ServiceError> {
        durable::replace(&self.folder.join(name), bytes, 0o440)
            .map_err(ServiceError::io(format!("cannot write {name}")))
    }

    /// Every file is fsynced; now its folders, then the name itself.
    pub(super) fn publish(self, state: &StateDir, id: BundleId) -> Result<PathBuf, ServiceError> {
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
