//! What a run holds: all that the registry says since the run before, and the
//! chain up to the last record that it names.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Seek, SeekFrom, Write as _},
    path::Path,
    time::SystemTime,
};

use provenance_core::{
    encoding::digest::{Digest, Hasher},
    record::{Record, chain::Body},
    registry::{
        CertificateEntry, Entry,
        package::{self, PUBLISHED, Status},
    },
    report::Head,
    statement::{
        evidence::{Link, MAX_STATEMENT, Statement},
        replication_manifest::{
            CHECKPOINT, File, MANIFEST, MAX_FILES, Manifest, ManifestError, REGISTRY, SIGNATURE,
            is_raw,
        },
    },
};
use provenance_host::{chain_files, durable};
use provenance_registry::Reader;
use provenance_verifier::line_reader;

use super::{Last, Work, upload::spool};
use crate::{
    bundle, certificates,
    error::ServiceError,
    ledger::{each_row, read_entry, registry_writer::TreeHead},
};

/// A file that was written so long before the last run was begun may not have
/// been seen by it.
const SLACK_NS: i64 = 120_000_000_000;

/// Takes a line of the chain, with its file and where in that the walk began;
/// says whether it wants more.
type EachLine<'e> = dyn FnMut((&str, u64), &Record<'_>, &[u8]) -> bool + 'e;

/// Where a run ends, and what it found on the way.
struct Chain {
    files: Vec<File>,
    head: Link,
    file: String,
    end: u64,
}

impl Work<'_> {
    /// The next run; `None` where nothing is new.
    pub(super) fn plan(
        &mut self,
        run: u64,
        last: Option<&Last>,
    ) -> Result<Option<(Manifest, Vec<u8>)>, ServiceError> {
        let time = (self.now)();
        let _bundles = bundle::lock(self.state)?;
        let reader = self.evidence.reader()?;
        bundle::settle_unfinished(self.state, self.evidence, &reader, time)?;
        let from = last.map_or(0, |last| last.manifest.to);
        let Some(head) = self.tail(last)? else { return Ok(None) };
        if !self.is_due(&reader, last, head)? {
            return Ok(None);
        }
        let (_, tail, note) = self.evidence.commit(time, head, &[])?;
        let mut files = Files { work: self, found: vec![], names: BTreeSet::new() };
        let named = files.registry(&reader, (from, tail.size))?;
        let (registry, mut later) = (files.found.pop(), std::mem::take(&mut files.found));
        files.proofs(&reader, from, last)?;
        later.append(&mut files.found);
        let chain = self.chain(last, named.max(head.seq))?;
        // Whoever reads the storage alone finds what a record names when the
        // record is there: keys and chain, the rest, registry, checkpoint.
        let (keys, rest): (Vec<File>, Vec<File>) =
            later.into_iter().partition(|file| file.name.starts_with("keys/"));
        let checkpoint = note.map(|note| self.file(CHECKPOINT, note.as_bytes()));
        let all = [keys, chain.files, rest, registry.into_iter().collect()].concat();
        let files: Vec<File> = all.into_iter().chain(checkpoint).collect();
        if files.len() > MAX_FILES {
            return Err(malformed(ManifestError::TooMany(files.len())));
        }
        let manifest = Manifest {
            chain: self.evidence.chain().into(),
            client: self.client()?.0,
            host: self.client()?.1,
            run,
            time,
            follows: last.map(|last| (last.manifest.run, last.sha256)),
            head: chain.head,
            head_file: chain.file,
            head_end: chain.end,
            from,
            to: tail.size,
            root: tail.root,
            signed: self.evidence.signer().is_some(),
            files,
        };
        let bytes = manifest.encode().map_err(malformed)?;
        Ok(Some((manifest, bytes)))
    }

    /// Client and host, as the base has them.
    fn client(&self) -> Result<(String, String), ServiceError> {
        let mut parts = self.base.split('/').map(str::to_owned);
        let missing = || ServiceError::State("the copies have no place".into());
        Ok((parts.next().ok_or_else(missing)?, parts.next().ok_or_else(missing)?))
    }

    /// Whether there is more to copy than what earlier runs left behind
    /// themselves.
    fn is_due(
        &self,
        reader: &Reader,
        last: Option<&Last>,
        head: Head,
    ) -> Result<bool, ServiceError> {
        let Some(last) = last else { return Ok(true) };
        if head.seq > last.manifest.head.seq {
            return Ok(true);
        }
        for row in reader.rows(last.manifest.to) {
            let ours = Record::parse(&row?.body)
                .is_ok_and(|record| matches!(record.kind, "store" | "head"));
            if !ours {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The chain's last whole record.
    fn tail(&self, last: Option<&Last>) -> Result<Option<Head>, ServiceError> {
        let mut head = last.map(|last| {
            let Link { seq, hash } = last.manifest.head;
            Head { seq, hash, time: last.manifest.time }
        });
        self.lines(last, &mut |_, record, _| {
            head = Some(Head { seq: record.seq, hash: record.hash(), time: record.time });
            true
        })?;
        Ok(head)
    }

    /// The chain's files behind the last run, up to record `seq`.
    fn chain(&self, last: Option<&Last>, seq: u64) -> Result<Chain, ServiceError> {
        let mut chain = Chain {
            files: vec![],
            head: last.map_or(Link { seq: 0, hash: Digest::ZERO }, |last| last.manifest.head),
            file: last.map(|last| last.manifest.head_file.clone()).unwrap_or_default(),
            end: last.map_or(0, |last| last.manifest.head_end),
        };
        let mut reached = last.is_some_and(|last| last.manifest.head.seq >= seq);
        let mut open = None::<(File, Hasher)>;
        let mut set_aside = vec![];
        self.lines(last, &mut |(name, from), record, line| {
            if reached {
                return false;
            }
            if open.as_ref().is_none_or(|(file, _)| file.name != name) {
                chain.files.extend(open.take().map(closed));
                let days = self.settings.document_days;
                let file = File { name: name.into(), bytes: 0, sha256: Digest::ZERO, from, days };
                (chain.file, chain.end) = (name.into(), from);
                open = Some((file, Hasher::new()));
            }
            if let Some((file, hasher)) = &mut open {
                hasher.update(line);
                hasher.update(b"\n");
                file.bytes += line.len() as u64 + 1;
                chain.end += line.len() as u64 + 1;
            }
            chain.head = Link { seq: record.seq, hash: record.hash() };
            if record.kind == "recovered"
                && let Ok(Body::Recovered(recovered)) = Body::read(record)
            {
                set_aside.extend(recovered.file.map(|name| format!("chain/recovered/{name}")));
            }
            reached = record.seq >= seq;
            !reached
        })?;
        chain.files.extend(open.take().map(closed));
        if !reached {
            return Err(ServiceError::State(format!(
                "the registry names record {seq} of the chain, and the chain ends before it: run \
                 `provctl verify-chain`"
            )));
        }
        let mut files = Files { work: self, found: vec![], names: BTreeSet::new() };
        for name in set_aside {
            files.add(&name)?;
        }
        chain.files.append(&mut files.found);
        Ok(chain)
    }

    /// Every line of the chain behind the last run, with its file and where in
    /// that this walk began, until `each` has enough.
    fn lines(&self, last: Option<&Last>, each: &mut EachLine<'_>) -> Result<(), ServiceError> {
        let listing = chain_files::list(&self.state.chain());
        let listing = listing.map_err(ServiceError::io("cannot list the chain's files"))?;
        let before = last.map(|last| (&*last.manifest.head_file, last.manifest.head_end));
        for file in &listing.files {
            let from = match before {
                Some((name, _)) if *file.name < *name => continue,
                Some((name, end)) if file.name == name => end,
                _ => 0,
            };
            let mut source = chain_files::open(file)?;
            source.seek(SeekFrom::Start(from))?;
            let walked = line_reader::for_each_line::<Stop>(source, |line| {
                let record = Record::parse(line).map_err(|error| {
                    Stop::Bad(format!("{}: {error}; run `provctl verify-chain`", file.name))
                })?;
                if each((&file.name, from), &record, line) { Ok(()) } else { Err(Stop::Enough) }
            });
            match walked {
                Ok(_) => {}
                Err(Stop::Enough) => return Ok(()),
                Err(Stop::Bad(why)) => return Err(ServiceError::State(why)),
                Err(Stop::Io(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> File {
        let (sha256, bytes) = (Digest::sha256(bytes), bytes.len() as u64);
        File { name: name.into(), bytes, sha256, from: 0, days: self.days(name) }
    }

    fn days(&self, name: &str) -> u64 {
        if is_raw(name) { self.settings.retain_days } else { self.settings.document_days }
    }

    /// Writes what a run makes for itself beside what it copies. All of it
    /// follows from manifest and registry, so that a run can be gone on with.
    pub(super) fn spool(
        &self,
        manifest: &Manifest,
        bytes: &[u8],
        signature: Option<&str>,
    ) -> Result<(), ServiceError> {
        let folder = spool(self.state, &self.outcome.place);
        let failed = || ServiceError::io(format!("cannot write into {}", folder.display()));
        durable::create_dirs(&folder).map_err(failed())?;
        let write = |name: &str, bytes: &[u8]| {
            durable::replace(&folder.join(name), bytes, 0o640).map_err(failed())
        };
        write(MANIFEST, bytes)?;
        match signature {
            Some(signature) => write(SIGNATURE, signature.as_bytes())?,
            None => drop(fs::remove_file(folder.join(SIGNATURE))),
        }
        let tail = TreeHead { size: manifest.to, root: manifest.root };
        if let Some(note) = self.evidence.checkpoint_at(tail) {
            write(CHECKPOINT, note.as_bytes())?;
        }
        let file = fs::File::create(folder.join(REGISTRY)).map_err(failed())?;
        let mut file = io::BufWriter::new(file);
        let reader = self.evidence.reader()?;
        each_row(&reader, manifest.from, manifest.to, |body| {
            file.write_all(body).and_then(|()| file.write_all(b"\n")).map_err(failed())
        })?;
        file.flush().map_err(failed())
    }
}

/// The files of a run being found.
struct Files<'a, 'w> {
    work: &'a Work<'w>,
    found: Vec<File>,
    names: BTreeSet<String>,
}

impl Files<'_, '_> {
    /// All that the registry's records name; the last file is the registry's own.
    /// Gives the last record of the chain that they name.
    fn registry(&mut self, reader: &Reader, span: (u64, u64)) -> Result<u64, ServiceError> {
        let (mut hasher, mut bytes, mut named) = (Hasher::new(), 0, 0);
        each_row(reader, span.0, span.1, |body| {
            hasher.update(body);
            hasher.update(b"\n");
            bytes += body.len() as u64 + 1;
            match read_entry(body) {
                Some(Entry::Head { seq, .. }) => named = named.max(seq),
                Some(Entry::Alert(alert)) => named = named.max(alert.seq),
                Some(entry) => self.named(&entry)?,
                None => {}
            }
            Ok(())
        })?;
        let days = self.work.days(REGISTRY);
        let (name, sha256) = (REGISTRY.into(), hasher.finish());
        self.found.push(File { name, bytes, sha256, from: 0, days });
        Ok(named)
    }

    fn named(&mut self, entry: &Entry) -> Result<(), ServiceError> {
        match entry {
            Entry::Key(key) => self.add(&format!("keys/{}.pub", key.key.fingerprint())),
            Entry::Sbom(sbom) => {
                sbom.documents.iter().try_for_each(|document| self.add(&document.name))
            }
            Entry::Packet(packet) => {
                let name = format!("packets/{}", packet.name);
                let path = self.work.state.root().join(&name);
                // One that was exported elsewhere is not ours to keep.
                if durable::digest_of(&path).is_ok_and(|sha256| sha256 == packet.sha256) {
                    self.add(&name)?;
                    self.add(&format!("{name}.proof.json"))?;
                }
                Ok(())
            }
            Entry::Bundle(bundle) => self.bundle(&bundle.id),
            Entry::Certificate(CertificateEntry::Issued(issued)) => {
                self.add(&certificates::file(issued))
            }
            Entry::Package(event) if event.event == Status::Published.event() => {
                PUBLISHED.iter().try_for_each(|ending| {
                    self.add(&package::file(&event.package, &event.version, ending))
                })
            }
            _ => Ok(()),
        }
    }

    fn bundle(&mut self, id: &str) -> Result<(), ServiceError> {
        for name in bundle::FILES {
            self.add(&format!("bundles/{id}/{name}"))?;
        }
        let path = self.work.state.bundles().join(id).join("statement.json");
        let bytes = durable::read_limited(&path, MAX_STATEMENT as u64);
        let bytes = bytes.map_err(ServiceError::io(format!("cannot read {}", path.display())))?;
        let statement = Statement::parse(&bytes).map_err(|error| {
            ServiceError::State(format!("{}: {error}; run `provctl verify-chain`", path.display()))
        })?;
        // Without artifacts where their retention ended before they were copied.
        statement.subjects.iter().try_for_each(|s| self.add(&format!("bundles/{id}/{}", s.name)))
    }

    /// Proofs of bundles that earlier runs copied, where they were written anew:
    /// an anchor came.
    fn proofs(
        &mut self,
        reader: &Reader,
        before: u64,
        last: Option<&Last>,
    ) -> Result<(), ServiceError> {
        let Some(last) = last else { return Ok(()) };
        let since = u64::try_from(last.manifest.time.nanos().saturating_sub(SLACK_NS));
        let since = SystemTime::UNIX_EPOCH
            .checked_add(std::time::Duration::from_nanos(since.unwrap_or_default()));
        for (id, row) in reader.bundle_ids()? {
            for name in ["proof.json", "statement.json.ots"].iter().filter(|_| row < before) {
                let name = format!("bundles/{id}/{name}");
                let written = fs::metadata(self.work.state.root().join(&name))
                    .and_then(|metadata| metadata.modified());
                if written.is_ok_and(|written| since.is_none_or(|since| written >= since)) {
                    self.add(&name)?;
                }
            }
        }
        Ok(())
    }

    /// A file of the state folder, if it is there and was not added yet.
    fn add(&mut self, name: &str) -> Result<(), ServiceError> {
        let path = self.work.state.root().join(name);
        if !provenance_core::statement::replication_manifest::is_copied(name) || !is_regular(&path)
        {
            return Ok(());
        }
        if !self.names.insert(name.to_owned()) {
            return Ok(());
        }
        let failed = || ServiceError::io(format!("cannot read {}", path.display()));
        let bytes = fs::metadata(&path).map_err(failed())?.len();
        let sha256 = durable::digest_of(&path).map_err(failed())?;
        let days = self.work.days(name);
        self.found.push(File { name: name.into(), bytes, sha256, from: 0, days });
        if self.found.len() > MAX_FILES {
            return Err(malformed(ManifestError::TooMany(self.found.len())));
        }
        Ok(())
    }
}

fn is_regular(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

fn closed((file, hasher): (File, Hasher)) -> File {
    File { sha256: hasher.finish(), ..file }
}

fn malformed(error: ManifestError) -> ServiceError {
    ServiceError::State(format!("the copies of one run: {error}"))
}

/// Why a walk ended.
enum Stop {
    Enough,
    Bad(String),
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
