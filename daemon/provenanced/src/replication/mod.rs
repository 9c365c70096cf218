//! `provenanced store`: copies what is not yet in storage, run by run, reads it
//! back, and records each run that is whole (docs/format.md §15). Killed at any
//! point, the next call goes on.

mod plan;
mod progress;
mod status;
mod upload;

use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    record::Record,
    registry::{Entry, StoreEntry},
    report::Report,
    signing::dsse,
    statement::replication_manifest::{MANIFEST, MAX_MANIFEST, Manifest, SIGNATURE, base, folder},
};
pub use status::Status;
use upload::Sending;

use crate::{
    error::ServiceError,
    ledger::{Ledger, keys_on_record, read_entry},
};
use provenance_host::{
    config::{self, Config},
    state_dir::StateDir,
};
use provenance_storage::{
    self, ReadStorage, StoreError, WriteStorage,
    replica::{Run, Runs},
};

/// What is to be done.
pub struct ReplicationRequest<'a> {
    pub config: &'a Config,
    /// `[store]`
    pub settings: &'a config::Store,
    pub bucket: &'a mut dyn WriteStorage,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplicationResult {
    /// Where the copies are.
    pub place: String,
    /// The runs that were finished, as they are on record.
    pub runs: Vec<StoreEntry>,
    /// Runs that were begun before and cannot be finished.
    pub given_up: Vec<u64>,
    /// How many registry records the storage has now.
    pub size: u64,
}

/// Copies what is not there yet.
///
/// # Errors
/// [`ServiceError`]; what was finished before is on record.
pub fn run(
    asked: ReplicationRequest<'_>,
    state: &StateDir,
    evidence: &mut Ledger,
    now: impl Fn() -> Timestamp,
) -> Result<ReplicationResult, ServiceError> {
    let _lock = crate::state_lock::lock(state, "store.lock")?;
    let ReplicationRequest { config, settings, bucket } = asked;
    let base = base(&config.client, &config.host, evidence.chain());
    let place = format!("{}{base}", bucket.reader().name());
    let mut work = Work {
        settings,
        state,
        evidence,
        bucket,
        base,
        now: &now,
        outcome: ReplicationResult { place, runs: vec![], given_up: vec![], size: 0 },
    };
    let done = work.all();
    let (outcome, place) = (work.outcome, Status::from_result(&done));
    place.save(state, &outcome.place)?;
    done.map(|()| outcome)
}

/// Where the settings say that copies go, as their records name it.
pub(crate) fn places(config: &Config, settings: &config::Store, chain: &str) -> Vec<String> {
    let base = base(&config.client, &config.host, chain);
    let local =
        settings.local.as_deref().map(|path| provenance_storage::FolderReader::new(path).name());
    let s3 = settings.s3.as_ref().map(config::S3::url);
    local.into_iter().chain(s3).map(|name| format!("{name}{base}")).collect()
}

/// A run that is whole.
#[derive(Clone, Debug)]
struct Last {
    manifest: Manifest,
    sha256: Digest,
}

struct Work<'a> {
    settings: &'a config::Store,
    state: &'a StateDir,
    evidence: &'a mut Ledger,
    bucket: &'a mut dyn WriteStorage,
    base: String,
    now: &'a dyn Fn() -> Timestamp,
    outcome: ReplicationResult,
}

impl Work<'_> {
    fn all(&mut self) -> Result<(), ServiceError> {
        self.bucket.check()?;
        let mut last = self.last()?;
        let mut number = last.as_ref().map_or(0, |last| last.manifest.run.saturating_add(1));
        // What is there and not on record: another call was killed, or this state
        // folder was rebuilt from the copies.
        let mut runs = Runs::new(&self.base, last.as_ref().map(|last| last.manifest.run));
        while let Some(run) = runs.next(self.bucket.reader(), &mut Report::new())? {
            // Ours follow one another. What lies further on is somebody else's, and
            // decides no number of ours.
            if run.number > number {
                break;
            }
            number = number.saturating_add(1);
            let Some((manifest, bytes)) = self.ours(&run, last.as_ref())? else {
                self.outcome.given_up.push(run.number);
                continue;
            };
            match self.finish(&manifest, &bytes, Some(&run))? {
                true => last = Some(Last { sha256: Digest::sha256(&bytes), manifest }),
                false => self.outcome.given_up.push(run.number),
            }
        }
        if let Some((manifest, bytes)) = self.plan(number, last.as_ref())? {
            if !self.finish(&manifest, &bytes, None)? {
                let what = "a file changed while it was copied; the next run copies it again";
                return Err(StoreError::Changed(what.into()).into());
            }
            last = Some(Last { sha256: Digest::sha256(&bytes), manifest });
        }
        self.outcome.size = last.map_or(0, |last| last.manifest.to);
        Ok(())
    }

    /// The last run on record, with its manifest as the storage has it.
    fn last(&mut self) -> Result<Option<Last>, ServiceError> {
        let Some((entry, _)) = newest(&self.evidence.reader()?, &self.outcome.place)? else {
            return Ok(None);
        };
        let key = format!("{}/{}/{MANIFEST}", self.base, folder(entry.run));
        let limit = MAX_MANIFEST as u64;
        let state = |why: &str| ServiceError::State(format!("{}: {why}", self.outcome.place));
        // The first version of an object counts, and its newest is what comes
        // without a version: somebody may have put another.
        let version = first_version(self.bucket.reader(), &key)?;
        let read =
            provenance_storage::read_whole(self.bucket.reader(), &key, version.as_deref(), limit);
        let (bytes, _) = match read {
            Err(StoreError::Missing(_)) => {
                return Err(state(&format!(
                    "run {} is on record and its manifest is not there: the copies were removed, \
                     or the storage is another one; keep what is left as evidence, and name \
                     another bucket or prefix",
                    entry.run
                )));
            }
            read => read?,
        };
        if Digest::sha256(&bytes) != entry.manifest_sha256 {
            let why = "the last run's manifest is not the one on record: verify the copies";
            return Err(state(why));
        }
        let manifest = Manifest::parse(&bytes).map_err(|error| state(&error.to_string()))?;
        Ok(Some(Last { manifest, sha256: entry.manifest_sha256 }))
    }

    /// A run's manifest, if it is of this state folder and goes on from `last`.
    fn ours(
        &mut self,
        run: &Run,
        last: Option<&Last>,
    ) -> Result<Option<(Manifest, Vec<u8>)>, ServiceError> {
        let limit = MAX_MANIFEST as u64;
        let Some(manifest) = self.small(run, MANIFEST, limit)? else { return Ok(None) };
        let Ok(read) = Manifest::parse(&manifest) else { return Ok(None) };
        if read.run != run.number || read.base() != self.base {
            return Ok(None);
        }
        if read.signed {
            let Some(signature) = self.small(run, SIGNATURE, 4096)? else { return Ok(None) };
            let keys = keys_on_record(&self.evidence.reader()?)?;
            let by = |key| dsse::verify_detached(&manifest, &signature, key).is_ok();
            if !keys.iter().any(|entry| by(entry.key.verifying_key())) {
                return Ok(None);
            }
        }
        if read.follows != last.map(|last| (last.manifest.run, last.sha256)) {
            return Ok(None);
        }
        let reader = self.evidence.reader()?;
        if read.to > reader.len()? || reader.root_at(read.to)? != read.root {
            return Err(ServiceError::State(format!(
                "{}: run {} has {} records of a registry that goes on otherwise than this one: \
                 rebuild this state folder with `provenanced restore`, or name another prefix",
                self.outcome.place, run.number, read.to
            )));
        }
        Ok(Some((read, manifest)))
    }

    fn small(
        &mut self,
        run: &Run,
        name: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, ServiceError> {
        let Some(object) = run.first(name).cloned() else { return Ok(None) };
        let version = object.version.as_deref();
        Ok(Some(
            provenance_storage::read_whole(self.bucket.reader(), &object.key, version, limit)?.0,
        ))
    }

    /// Puts what is missing of a run, reads all of it back and records it;
    /// `false` where its files are no longer what the manifest names.
    fn finish(
        &mut self,
        manifest: &Manifest,
        bytes: &[u8],
        there: Option<&Run>,
    ) -> Result<bool, ServiceError> {
        let signature = self
            .evidence
            .signer()
            .filter(|_| manifest.signed)
            .map(|signer| dsse::sign_detached(bytes, &|message: &[u8]| signer.sign(message)));
        self.spool(manifest, bytes, signature.as_deref())?;
        let mut sending = Sending::new(self.state, &self.outcome.place, self.bucket, &self.base);
        let Some(sent) = sending.all(manifest, bytes, there, self.now)? else {
            tracing::warn!(run = manifest.run, "given up: its files are no longer what they were");
            return Ok(false);
        };
        let entry = StoreEntry {
            place: self.outcome.place.clone(),
            run: manifest.run,
            manifest_sha256: Digest::sha256(bytes),
            size: manifest.to,
            objects: sent.objects,
            bytes: sent.bytes,
            lock: sent.lock.into(),
            unlocked: sent.unlocked,
            retain_until: sent.until,
        };
        self.evidence.record((self.now)(), &[Entry::Store(entry.clone())])?;
        upload::clean(self.state, &self.outcome.place);
        self.outcome.runs.push(entry);
        Ok(true)
    }
}

/// The newest run on record in this place, and when it was recorded.
pub(super) fn newest(
    reader: &provenance_registry::Reader,
    place: &str,
) -> Result<Option<(StoreEntry, Timestamp)>, ServiceError> {
    let entry = |body: &[u8]| match read_entry(body) {
        Some(Entry::Store(entry)) if entry.place == place => Some(entry),
        _ => None,
    };
    let row = reader.last_such("store", |record| entry(record.line).is_some())?;
    Ok(row.and_then(|row| {
        let time = Record::parse(&row.body).ok()?.time;
        Some((entry(&row.body)?, time))
    }))
}

fn first_version(bucket: &mut dyn ReadStorage, key: &str) -> Result<Option<String>, ServiceError> {
    let mut version = None;
    bucket.list(key, "", &mut |object| {
        if object.key == key && !object.deleted {
            version = object.version;
        }
        true
    })?;
    Ok(version)
}
