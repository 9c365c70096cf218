//! A state folder from an appliance's copies, run by run. Of each file no more
//! than a piece is in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    report::{Code, Finding, Location, Report, Verdict},
    statement::replication_manifest::{MANIFEST, MAX_MANIFEST, Manifest, REGISTRY, SIGNATURE},
    verify::{bundle::Trusted, replication},
};
use provenance_host::state_dir::StateDir;
use provenance_registry::rebuild::Rebuild;
use provenance_verifier::line_reader;

use super::{
    Appliance, CopyError,
    runs::{self, Run, Runs},
};
use crate::{ReadResult, ReadStorage, StoreError};

const DAY_NS: i64 = 86_400_000_000_000;
/// A put comes some time after its run was begun.
const SLACK_NS: i64 = DAY_NS;

/// By whom manifests may be signed.
#[derive(Clone, Copy, Debug)]
pub struct Trusting<'a> {
    /// The policy's keys; without any, signatures are not checked.
    pub keys: &'a [Trusted],
    /// Whether the policy accepts evidence that nobody signed.
    pub allow_unsigned: bool,
}

/// What was fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetched {
    /// The last run that is whole.
    pub last: Manifest,
    /// How many runs count.
    pub runs: u64,
    /// How many bytes were read.
    pub bytes: u64,
}

/// Makes the state folder `to`, which must not be there or be empty, from the
/// copies of an appliance.
///
/// # Errors
/// [`CopyError`]; what is wrong with the copies is in the report.
pub fn fetch(
    bucket: &mut dyn ReadStorage,
    appliance: &Appliance,
    to: &Path,
    trusting: Trusting<'_>,
    report: &mut Report,
) -> Result<Fetched, CopyError> {
    let registry = StateDir::new(to).registry();
    let mut work = Work {
        bucket,
        appliance,
        to: to.into(),
        trusting,
        last: None,
        runs: 0,
        bytes: 0,
        lengths: BTreeMap::new(),
        rebuild: Rebuild::begin(&registry)?,
    };
    work.all(report)?;
    let Work { last, runs, bytes, rebuild, .. } = work;
    rebuild.finish(&registry)?;
    let Some((last, _)) = last else {
        let message = format!("{}: no run is whole, so there is nothing to read", appliance.base);
        return Err(CopyError::Place(message));
    };
    Ok(Fetched { last, runs, bytes })
}

struct Work<'a> {
    bucket: &'a mut dyn ReadStorage,
    appliance: &'a Appliance,
    to: PathBuf,
    trusting: Trusting<'a>,
    /// The last run that counts, and the digest of its manifest.
    last: Option<(Manifest, Digest)>,
    runs: u64,
    bytes: u64,
    /// The chain's files, as far as they are there.
    lengths: BTreeMap<String, u64>,
    rebuild: Rebuild,
}

/// A run whose manifest was read; whether it counts, the next one tells.
struct Pending {
    run: Run,
    manifest: Manifest,
    sha256: Digest,
    /// Which of its files are missing, by their place.
    missing: Vec<usize>,
}

impl Pending {
    /// Files are put in their order: what is missing is the end.
    fn is_unfinished(&self) -> bool {
        let behind = self.manifest.files.len().saturating_sub(self.missing.len());
        !self.missing.is_empty() && self.missing.first() == Some(&behind)
    }
}

impl Work<'_> {
    fn all(&mut self, report: &mut Report) -> Result<(), CopyError> {
        let mut pending = None::<Pending>;
        let mut runs = Runs::new(&self.appliance.base, None);
        while let Some(run) = runs.next(self.bucket, report)? {
            let Some(next) = self.open(run, report)? else { continue };
            let expected = next.manifest.follows.map(|(run, _)| run);
            if let Some(before) = pending.take() {
                self.settle(before, Some(expected), report)?;
            }
            pending = Some(next);
        }
        match pending {
            Some(last) => self.settle(last, None, report),
            None => Ok(()),
        }
    }

    fn place(&self, run: &Run, name: &str) -> Location {
        Location::file(format!(
            "{}/{name}",
            provenance_core::statement::replication_manifest::folder(run.number)
        ))
    }

    /// Reads a run's manifest. A run without one never began: it was killed
    /// before, and another took its place.
    fn open(&mut self, run: Run, report: &mut Report) -> Result<Option<Pending>, CopyError> {
        let place = self.place(&run, MANIFEST);
        let Some(bytes) = self.small(&run, MANIFEST, report)? else {
            let begun = run.objects.keys().any(|name| name != SIGNATURE);
            if begun {
                let message = "there are objects of a run, and not its manifest";
                report.add_finding(Finding::new(Code::StoreMissing, place, message));
            }
            return Ok(None);
        };
        let signature = self.small(&run, SIGNATURE, report)?;
        let manifest = replication::read(&bytes, run.number, place.clone(), report);
        let Some(manifest) = manifest else { return Ok(None) };
        let Trusting { keys, allow_unsigned } = self.trusting;
        let signed = (&*bytes, signature.as_deref());
        let mut own = Report::new();
        replication::signature(
            signed.0,
            signed.1,
            &manifest,
            keys,
            allow_unsigned,
            place.clone(),
            &mut own,
        );
        let named = [&manifest.client, &manifest.host, &manifest.chain];
        let Appliance { client, host, chain, .. } = self.appliance;
        if named != [client, host, chain] {
            let message = "the run's manifest is of another appliance than its place";
            let finding = Finding::new(Code::StoreManifest, place, message);
            own.add_finding(finding.values(format!("{client}/{host}/{chain}"), manifest.base()));
        }
        // What somebody else put there is said, and is no part of the state.
        let foreign = own.verdict() == Verdict::Failed;
        report.absorb(own);
        if foreign {
            return Ok(None);
        }
        let missing = manifest.files.iter().enumerate();
        let missing = missing.filter(|(_, file)| run.first(&file.name).is_none());
        let missing = missing.map(|(at, _)| at).collect();
        Ok(Some(Pending { run, manifest, sha256: Digest::sha256(&bytes), missing }))
    }

    /// Takes a run, or leaves it: `next` is the run that the manifest behind it
    /// goes on from; nothing where it is the last.
    fn settle(
        &mut self,
        pending: Pending,
        next: Option<Option<u64>>,
        report: &mut Report,
    ) -> Result<(), CopyError> {
        let number = pending.run.number;
        let given_up = next.is_some_and(|next| next != Some(number));
        if pending.is_unfinished() && (given_up || next.is_none()) {
            let why = match given_up {
                true => "it was not finished, and another took its place",
                false => {
                    "it is not finished: the last objects that its manifest names are not there"
                }
            };
            report.not_checked(format!("run {number} of the copies"), why);
            return Ok(());
        }
        let place = self.place(&pending.run, MANIFEST);
        let before = self.last.as_ref().map(|(manifest, sha256)| (manifest, *sha256));
        replication::follows(&pending.manifest, before, place, report);
        self.restore_pending(&pending, report)?;
        self.runs += 1;
        report.checked("runs", 1);
        self.last = Some((pending.manifest, pending.sha256));
        Ok(())
    }

    fn restore_pending(&mut self, pending: &Pending, report: &mut Report) -> Result<(), CopyError> {
        let Pending { run, manifest, .. } = pending;
        let names: BTreeSet<&str> = manifest.files.iter().map(|file| &*file.name).collect();
        for (name, versions) in &run.objects {
            let place = self.place(run, name);
            let ours = [MANIFEST, SIGNATURE].contains(&&**name);
            if !ours && !names.contains(&**name) {
                let message = "the run's manifest does not name this object";
                report.add_finding(Finding::new(Code::StoreExtra, place, message));
                continue;
            }
            runs::versions(self.bucket, &place, versions, report)?;
        }
        for file in &manifest.files {
            let place = self.place(run, &file.name);
            let Some(object) = run.first(&file.name).cloned() else {
                let message = "the run's manifest names this object, and it is not there";
                let finding = Finding::new(Code::StoreMissing, place, message);
                report.add_finding(finding.values(file.sha256, "nothing"));
                continue;
            };
            let got = self.copy(&object.key, object.version.as_deref(), file);
            let got = match got {
                Err(CopyError::Store(StoreError::Missing(_))) => {
                    let message = "it is listed, and cannot be read";
                    report.add_finding(Finding::new(Code::StoreMissing, place, message));
                    continue;
                }
                got => got?,
            };
            self.bytes += got.bytes;
            report.checked("objects", 1);
            if got.sha256 != file.sha256 || got.bytes != file.bytes {
                let message = "the object is not the one that its run's manifest names";
                let finding = Finding::new(Code::StoreDigest, place.clone(), message);
                report.add_finding(finding.values(file.sha256, got.sha256));
            }
            let kept = manifest.time.plus_nanos(
                i64::try_from(file.days).unwrap_or(i64::MAX).saturating_mul(DAY_NS) - SLACK_NS,
            );
            self.lock(got, kept, place, report);
        }
        Ok(())
    }

    /// What a folder's files are kept by is not for a reader to see; of a bucket's
    /// objects the service tells.
    fn lock(&self, got: ReadResult, kept: Timestamp, place: Location, report: &mut Report) {
        let Some(lock) = got.lock else {
            let why = "the key may not ask the storage (s3:GetObjectRetention)";
            if !report.gaps().iter().any(|gap| gap.why == why) {
                report.not_checked("whether the storage keeps the objects", why);
            }
            return;
        };
        if self.bucket.name().starts_with("s3:") && !lock.keeps_until(kept) {
            let message =
                format!("the storage does not say that nobody can remove the object before {kept}");
            report.add_finding(Finding::new(Code::StoreUnlocked, place, message));
        }
    }

    /// Puts an object's bytes where they belong.
    fn copy(
        &mut self,
        key: &str,
        version: Option<&str>,
        file: &provenance_core::statement::replication_manifest::File,
    ) -> Result<ReadResult, CopyError> {
        let path = self.to.join(&file.name);
        let what = || path.display().to_string();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(CopyError::io(what()))?;
        }
        let grows = is_chain_day(&file.name);
        let mut options = OpenOptions::new();
        options.mode(0o640).create(true).write(true);
        if grows {
            options.append(true);
        } else {
            options.truncate(true);
        }
        // An earlier copy may be read-only.
        if !grows {
            let _ = fs::remove_file(&path);
        }
        let mut sink = options.open(&path).map_err(CopyError::io(what()))?;
        if grows {
            // Where the pieces do not meet, the file is not what it was, and the
            // chain's verifier says so.
            let length = self.lengths.entry(file.name.clone()).or_default();
            if *length != file.from {
                sink.set_len(file.from.min(*length)).map_err(CopyError::io(what()))?;
            }
            *length = file.from.saturating_add(file.bytes);
        }
        let written = &mut |chunk: &[u8]| sink.write_all(chunk);
        let got = crate::read(self.bucket, key, version, file.bytes, written)?;
        if file.name == REGISTRY {
            drop(sink);
            self.records(&path)?;
            fs::remove_file(&path).map_err(CopyError::io(what()))?;
        }
        Ok(got)
    }

    fn records(&mut self, path: &Path) -> Result<(), CopyError> {
        let what = || path.display().to_string();
        let source = BufReader::new(File::open(path).map_err(CopyError::io(what()))?);
        let (rest, bytes) = line_reader::for_each_line::<Failed>(source, |line| {
            self.rebuild.push(line).map_err(Failed::Registry)
        })
        .map_err(|failed| match failed {
            Failed::Registry(error) => CopyError::Registry(error),
            Failed::Io(source) => CopyError::Io { what: what(), source },
        })?;
        // No line's end: it stays in, and is no record.
        if rest > 0 { Ok(self.rebuild.push(&bytes)?) } else { Ok(()) }
    }

    /// A small object as a whole.
    fn small(
        &mut self,
        run: &Run,
        name: &str,
        report: &mut Report,
    ) -> Result<Option<Vec<u8>>, CopyError> {
        let Some(object) = run.first(name).cloned() else { return Ok(None) };
        let version = object.version.as_deref();
        let read = crate::read_whole(self.bucket, &object.key, version, MAX_MANIFEST as u64);
        match read {
            Ok((bytes, _)) => Ok(Some(bytes)),
            Err(StoreError::Missing(_)) => {
                let message = "it is listed, and cannot be read";
                let place = self.place(run, name);
                report.add_finding(Finding::new(Code::StoreMissing, place, message));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a file grows from run to run.
pub(crate) fn is_chain_day(name: &str) -> bool {
    name.starts_with("chain/") && !name.starts_with("chain/recovered/")
}

/// What reading lines and adding them may end with.
enum Failed {
    Io(io::Error),
    Registry(provenance_registry::reader::RegistryError),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
