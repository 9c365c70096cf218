//! A run on its way: each object is put, and then read back as a whole, with
//! what keeps it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    statement::replication_manifest::{
        CHECKPOINT, File, MANIFEST, Manifest, REGISTRY, SIGNATURE, folder,
    },
};
use provenance_host::{durable, state_dir::StateDir};
use provenance_storage::{
    self, Object, PutRequest, Retention, StoreError, WriteStorage, replica::Run,
};

use super::progress::Progress;
use crate::error::ServiceError;

const SECOND_NS: i64 = 1_000_000_000;
const DAY_NS: i64 = 86_400 * SECOND_NS;

/// What came of a run.
pub(super) struct Uploaded {
    pub(super) objects: u64,
    pub(super) bytes: u64,
    pub(super) lock: &'static str,
    pub(super) unlocked: u64,
    pub(super) until: Option<Timestamp>,
}

/// Sends one run.
pub(super) struct Sending<'a> {
    state: &'a StateDir,
    spool: PathBuf,
    bucket: &'a mut dyn WriteStorage,
    base: &'a str,
    locks: Vec<(Retention, Timestamp)>,
    bytes: u64,
    progress: Progress,
}

/// Whether an object is there as it should be.
enum Step {
    Done(Option<String>),
    /// The file, or what lies in its place, is another one.
    Other,
}

/// Where what a run makes for itself lies until it is sent.
pub(super) fn spool(state: &StateDir, place: &str) -> PathBuf {
    let name = Digest::sha256(place.as_bytes()).to_hex();
    state.cache().join("store").join(name.get(..16).unwrap_or_default())
}

/// Removes it; what is left is overwritten by the next run.
pub(super) fn clean(state: &StateDir, place: &str) {
    for name in [REGISTRY, CHECKPOINT, MANIFEST, SIGNATURE, super::progress::FILE] {
        let _ = fs::remove_file(spool(state, place).join(name));
    }
}

impl<'a> Sending<'a> {
    pub(super) fn new(
        state: &'a StateDir,
        place: &str,
        bucket: &'a mut dyn WriteStorage,
        base: &'a str,
    ) -> Self {
        let spool = spool(state, place);
        let progress = Progress::default();
        Self { state, spool, bucket, base, locks: vec![], bytes: 0, progress }
    }

    /// `None` where the run cannot be finished any more.
    pub(super) fn all(
        &mut self,
        manifest: &Manifest,
        bytes: &[u8],
        there: Option<&Run>,
        now: &dyn Fn() -> Timestamp,
    ) -> Result<Option<Uploaded>, ServiceError> {
        self.progress = Progress::open(&self.spool, Digest::sha256(bytes));
        let longest = manifest.files.iter().map(|file| file.days).max().unwrap_or(1);
        let own = |name: &str, bytes: &[u8]| File {
            name: name.into(),
            bytes: bytes.len() as u64,
            sha256: Digest::sha256(bytes),
            from: 0,
            days: longest,
        };
        // The signature first: a manifest is never there without it.
        let mut files = vec![];
        if manifest.signed {
            match fs::read(self.spool.join(SIGNATURE)) {
                Ok(signature) => files.push(own(SIGNATURE, &signature)),
                // Another key signed it; then it is there, or the run is given up.
                Err(_) if there.is_some_and(|run| run.first(SIGNATURE).is_some()) => {}
                Err(_) => return Ok(None),
            }
        }
        files.push(own(MANIFEST, bytes));
        let mut held = true;
        for file in files.iter().chain(&manifest.files) {
            let object = there.and_then(|run| run.first(&file.name));
            let key = format!("{}/{}/{}", self.base, folder(manifest.run), file.name);
            let Step::Done(version) = self.one(&key, file, object, now)? else { return Ok(None) };
            // What says that it is kept is tried once in each run, before all else.
            if file.name == MANIFEST && !self.bucket.refuses_removal(&key, version.as_deref())? {
                held = false;
                self.again(&key, file, now)?;
            }
        }
        let objects = (files.len() + manifest.files.len()) as u64;
        let kept = |(lock, until): &&(Retention, Timestamp)| held && lock.keeps_until(*until);
        let unlocked = objects - self.locks.iter().filter(kept).count() as u64;
        let least = self.locks.iter().map(|(lock, _)| *lock).min().unwrap_or(Retention::None);
        let until = self.locks.iter().map(|(lock, _)| match lock {
            Retention::Compliance(until) => Some(*until),
            _ => None,
        });
        let until = until.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().min());
        let lock = match least {
            _ if !held => "none",
            Retention::None => "none",
            Retention::Governance(_) => "governance",
            Retention::Compliance(_) => "compliance",
            Retention::Immutable => "immutable",
        };
        Ok(Some(Uploaded { objects, bytes: self.bytes, lock, unlocked, until }))
    }

    /// What the storage let go is put again: a copy that is not kept is better
    /// than none.
    fn again(
        &mut self,
        key: &str,
        file: &File,
        now: &dyn Fn() -> Timestamp,
    ) -> Result<(), ServiceError> {
        match provenance_storage::read(self.bucket.reader(), key, None, file.bytes, &mut |_| Ok(()))
        {
            Ok(_) => Ok(()),
            Err(StoreError::Missing(_)) => {
                tracing::warn!("the storage removed an object that it said it keeps: {key}");
                self.one(key, file, None, now).map(|_| ())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn one(
        &mut self,
        key: &str,
        file: &File,
        there: Option<&Object>,
        now: &dyn Fn() -> Timestamp,
    ) -> Result<Step, ServiceError> {
        let days = i64::try_from(file.days).unwrap_or(i64::MAX);
        let until = now().plus_nanos(days.saturating_mul(DAY_NS)).nanos();
        let until = Timestamp::from_nanos(until.div_euclid(SECOND_NS).saturating_mul(SECOND_NS));
        let version = match there {
            Some(object) => object.version.clone(),
            None => {
                let path = self.source(&file.name);
                if !is_such(&path, file) {
                    return Ok(Step::Other);
                }
                let put = PutRequest {
                    key,
                    path: &path,
                    from: file.from,
                    bytes: file.bytes,
                    sha256: file.sha256,
                    until,
                };
                match self.bucket.put(&put) {
                    Err(StoreError::Changed(_)) => return Ok(Step::Other),
                    put => put?,
                }
            }
        };
        // One of an earlier call is kept from then on.
        let due = if there.is_some() { until.plus_nanos(-30 * DAY_NS) } else { until };
        if let Some(lock) = there.and_then(|_| self.progress.lock(&file.name, version.as_deref())) {
            self.locks.push((lock, due));
            self.bytes += file.bytes;
            return Ok(Step::Done(version));
        }
        let version = version.as_deref();
        let got =
            provenance_storage::read(self.bucket.reader(), key, version, file.bytes, &mut |_| {
                Ok(())
            })?;
        if (got.sha256, got.bytes) != (file.sha256, file.bytes) {
            if there.is_some() {
                return Ok(Step::Other);
            }
            return Err(StoreError::Refused {
                place: self.bucket.reader().name(),
                doing: "reading back what was put",
                why: format!("{key} has other bytes than were put"),
            }
            .into());
        }
        let lock = got.lock.unwrap_or(Retention::None);
        self.progress.insert(&file.name, version, lock);
        self.locks.push((lock, due));
        self.bytes += got.bytes;
        Ok(Step::Done(version.map(str::to_owned)))
    }

    fn source(&self, name: &str) -> PathBuf {
        match name {
            REGISTRY | CHECKPOINT | MANIFEST | SIGNATURE => self.spool.join(name),
            name => self.state.root().join(name),
        }
    }
}

/// Whether the file still is what the manifest names.
fn is_such(path: &Path, file: &File) -> bool {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let read = || -> std::io::Result<(Digest, u64)> {
        let mut source = fs::File::open(path)?;
        source.seek(SeekFrom::Start(file.from))?;
        durable::digest(source.take(file.bytes))
    };
    read().is_ok_and(|found| found == (file.sha256, file.bytes))
}
