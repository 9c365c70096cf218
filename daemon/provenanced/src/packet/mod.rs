//! Compliance packets (docs/format.md §13): one ZIP file with the evidence of
//! a period. The same state and period give the same bytes.

pub mod schedule;
mod zip_writer;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use provenance_core::{
    encoding::time::Timestamp,
    packet::{self, Facts, Manifest},
    record::{Record, chain::Body},
    registry::{Entry, PacketEntry},
    report::Head,
    signing::{
        checkpoint::{self, Checkpoint},
        dsse,
        public_key::PublicKey,
        sigstore_bundle,
    },
    statement::evidence::{ChainRange, Collector, Link, MAX_STATEMENT, Statement},
};
use provenance_host::{chain_files, config::Config, durable, state_dir::StateDir};
use provenance_registry::Reader;
use provenance_verifier::{line_reader, report_html::Page};

use crate::{
    bundle::{self, FILES},
    error::ServiceError,
    ledger::{Ledger, each_row, read_entry},
};
use zip_writer::Zip;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The first instant of the period.
    pub from: Timestamp,
    /// The first instant behind it.
    pub to: Timestamp,
    /// The file to write; it must not be there.
    pub out: PathBuf,
    /// What the sample is drawn by; `None`: the registry's root.
    pub seed: Option<String>,
    /// Who exports it.
    pub who: String,
}

/// Is told how many records have been read.
pub type Progress<'a> = &'a mut dyn FnMut(u64);

fn tell(count: u64, progress: Progress<'_>) {
    if count.is_multiple_of(4_096) {
        progress(count);
    }
}

/// A packet that was made.
#[derive(Clone, Debug)]
pub struct PacketOutput {
    /// Where it is.
    pub path: PathBuf,
    /// As it is on record.
    pub entry: PacketEntry,
    /// How many files it holds.
    pub files: u64,
    /// The proof of its record, where there is a key.
    pub proof: Option<PathBuf>,
}

/// Makes a packet, and records that it was exported.
///
/// # Errors
/// [`ServiceError`]; nothing half-written is left.
pub(crate) fn make(
    config: &Config,
    state: &StateDir,
    evidence: &mut Ledger,
    now: Timestamp,
    request: &Request,
    progress: Progress<'_>,
) -> Result<PacketOutput, ServiceError> {
    if request.from >= request.to {
        return Err(ServiceError::Request("--from is not before --to".into()));
    }
    if fs::symlink_metadata(&request.out).is_ok() {
        let message = format!("{} is there already: name another file", request.out.display());
        return Err(ServiceError::Request(message));
    }
    // No bundle is made or expires meanwhile.
    let lock = bundle::lock(state)?;
    let mut tmp = request.out.as_os_str().to_owned();
    tmp.push(".tmp");
    let tmp = Unfinished(tmp.into());
    let _ = fs::remove_file(&tmp.0);
    let files = assemble(config, state, evidence, request, &tmp.0, progress)?;
    drop(lock);
    let digest = fs::File::open(&tmp.0).and_then(durable::digest);
    let (sha256, bytes) = digest.map_err(ServiceError::io("cannot read the packet"))?;
    let publish = || -> io::Result<()> {
        // Never over a file that came meanwhile.
        fs::hard_link(&tmp.0, &request.out)?;
        durable::sync_parent(&request.out)
    };
    publish().map_err(ServiceError::io(format!("cannot write {}", request.out.display())))?;
    let entry = PacketEntry {
        name: packet::file_name(&config.client, request.from, request.to),
        sha256,
        bytes,
        from: request.from,
        to: request.to,
        registry: cut(&evidence.reader()?)?,
        signed: evidence.signer().is_some(),
        who: request.who.clone(),
    };
    let index = evidence.record_at(now, &Entry::Packet(entry.clone()))?;
    let proof = match evidence.signer() {
        None => None,
        Some(_) => {
            let mut path = request.out.as_os_str().to_owned();
            path.push(".proof.json");
            let path = PathBuf::from(path);
            let bytes = bundle::proof_of(evidence, &path, index)?;
            durable::replace(&path, &bytes, 0o640)
                .map_err(ServiceError::io("cannot write the proof"))?;
            Some(path)
        }
    };
    Ok(PacketOutput { path: request.out.clone(), entry, files, proof })
}

/// A file that is removed unless it got its own name.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// How many registry records a packet holds: all but the exports at the end,
/// so that exporting twice gives the same bytes.
fn cut(reader: &Reader) -> Result<u64, ServiceError> {
    let mut size = reader.len()?;
    while let Some(last) = size.checked_sub(1) {
        let row = reader.record(last)?;
        let export = row.as_ref().and_then(|row| Record::parse(&row.body).ok());
        if export.is_none_or(|record| record.kind != "packet") {
            break;
        }
        size = last;
    }
    Ok(size)
}

/// What the other files of a packet follow from.
struct Told {
    facts: Facts,
    page: Page,
}

/// The records of the period.
struct Range {
    first: Head,
    last: Head,
    /// The files that hold some.
    files: Vec<chain_files::ChainFile>,
    /// How many records were read to find them.
    count: u64,
}

fn assemble(
    config: &Config,
    state: &StateDir,
    evidence: &mut Ledger,
    request: &Request,
    path: &Path,
    progress: Progress<'_>,
) -> Result<u64, ServiceError> {
    let reader = evidence.reader()?;
    let size = cut(&reader)?;
    let root = reader.root_at(size)?;
    let mut told = Told {
        facts: Facts::new(request.from, request.to),
        page: Page::new(request.from, request.to),
    };
    let keys = registry_facts(&reader, size, &mut told)?;
    let range = chain_facts(state, request, &mut told, progress)?;
    let Told { facts, page } = told;
    let seed = request.seed.clone().unwrap_or_else(|| root.to_string());
    let (client, host) = (config.client.as_str(), config.host.as_str());
    let signed = evidence.signer().is_some();
    let mut manifest = Manifest {
        files: vec![],
        chain: ChainRange {
            id: evidence.chain().into(),
            first: Link { seq: range.first.seq, hash: range.first.hash },
            last: Link { seq: range.last.seq, hash: range.last.hash },
        },
        client: client.into(),
        collector: Collector {
            name: "provenanced".into(),
            version: env!("CARGO_PKG_VERSION").into(),
        },
        host: host.into(),
        from: request.from,
        to: request.to,
        root,
        size,
        seed: seed.clone(),
        sample: config.packet.sample,
        signed,
        tier: config.tier.to_string(),
    };
    let mut zip = Zip::create(path)?;
    // By name, so that the order never depends on a folder's.
    let period = (request.from, request.to);
    let guide = packet::verify_md(client, host, period.0, period.1, signed);
    zip.stored(packet::VERIFY, guide.as_bytes())?;
    for (bundle, (_, expired)) in &facts.bundles {
        add_bundle(&mut zip, &state.bundles().join(bundle), bundle, *expired)?;
    }
    add_chain(&mut zip, &range, progress)?;
    if let Some(signer) = evidence.signer() {
        let origin = Checkpoint::origin(client, host);
        let text = Checkpoint { origin: origin.clone(), size, root }.to_text();
        let note = checkpoint::sign(&text, &origin, signer.public(), |m| signer.sign(m));
        zip.stored(packet::CHECKPOINT, note.as_bytes())?;
    }
    zip.stored(packet::CONTROLS, packet::controls().as_bytes())?;
    zip.stored(packet::CUSTODY, &packet::custody(&facts))?;
    for key in &keys {
        zip.stored(&format!("keys/{}.pub", key.fingerprint()), key.to_pem().as_bytes())?;
    }
    let population = packet::population(&facts, &seed, config.packet.sample);
    zip.stored(packet::POPULATION, &population)?;
    add_registry(&mut zip, &reader, size)?;
    let report = page.render(&manifest, &facts);
    zip.deflated(packet::REPORT, |sink| sink(&report))?;
    zip.stored(packet::REVIEWS, &packet::reviews(&facts))?;
    for name in facts.sboms.keys() {
        let path = state.root().join(name);
        // What is on record and not there is for the verifier to find.
        if packet::is_safe_name(name) && path.is_file() {
            zip.copy(name, &path)?;
        }
    }
    manifest.files.clone_from(&zip.files);
    sign(&mut zip, &manifest, evidence)?;
    let files = zip.files.len() as u64;
    zip.finish()?;
    Ok(files)
}

fn sign(zip: &mut Zip, manifest: &Manifest, evidence: &Ledger) -> Result<(), ServiceError> {
    let bytes = manifest.encode().map_err(|error| ServiceError::Request(error.to_string()))?;
    zip.stored(packet::MANIFEST, &bytes)?;
    let Some(signer) = evidence.signer() else { return Ok(()) };
    let sign = |message: &[u8]| signer.sign(message);
    zip.stored(packet::SIGNATURE, dsse::sign_detached(&bytes, &sign).as_bytes())?;
    let envelope = sigstore_bundle::sign(&bytes, &signer.public().fingerprint(), &sign);
    zip.stored(packet::SIGSTORE, &envelope)
}

/// Gathers what the registry tells, and the keys in order of their names.
fn registry_facts(
    reader: &Reader,
    size: u64,
    told: &mut Told,
) -> Result<Vec<PublicKey>, ServiceError> {
    let mut keys = std::collections::BTreeMap::new();
    each_row(reader, 0, size, |body| {
        let record = Record::parse(body).map_err(|error| {
            ServiceError::State(format!("the registry: {error}; run `provctl verify-chain`"))
        })?;
        if let Some(entry) = read_entry(body) {
            told.facts.entry(record.seq, record.time, &entry);
            told.page.entry(record.seq, record.time, &entry);
            if let Entry::Key(key) = entry {
                keys.insert(key.key.fingerprint().to_hex(), key.key);
            }
        }
        Ok(())
    })?;
    told.facts.end_of_registry();
    Ok(keys.into_values().collect())
}

/// The records of the period: from the first that lies in it, without a hole.
fn chain_facts(
    state: &StateDir,
    request: &Request,
    told: &mut Told,
    progress: Progress<'_>,
) -> Result<Range, ServiceError> {
    let mut count = 0;
    let listing = chain_files::list(&state.chain())
        .map_err(ServiceError::io("cannot list the chain's files"))?;
    let (mut ends, mut files) = (None::<(Head, Head)>, vec![]);
    for file in listing.files {
        let source = chain_files::open(&file).map_err(ServiceError::io("cannot read the chain"))?;
        let mut holds = false;
        line_reader::for_each_line::<ServiceError>(source, |line| {
            let record = Record::parse(line).map_err(|error| {
                ServiceError::State(format!("{}: {error}; run `provctl verify-chain`", file.name))
            })?;
            count += 1;
            tell(count, progress);
            let open = ends.is_none_or(|(_, last)| last.seq.saturating_add(1) == record.seq);
            if open && record.time >= request.from && record.time < request.to {
                let this = Head { seq: record.seq, hash: record.hash(), time: record.time };
                ends = Some((ends.map_or(this, |(first, _)| first), this));
                told.facts.record(record.seq, record.time, record.kind == "tick");
                if let Ok(body) = Body::read(&record) {
                    told.page.record(record.time, &body);
                }
                holds = true;
            }
            Ok(())
        })?;
        if holds {
            files.push(file);
        }
    }
    match ends {
        Some((first, last)) => Ok(Range { first, last, files, count }),
        None => Err(ServiceError::Empty("the chain has no record of that period".into())),
    }
}

fn add_chain(zip: &mut Zip, range: &Range, progress: Progress<'_>) -> Result<(), ServiceError> {
    // Behind those that were read for what the other files follow from.
    let mut count = range.count;
    for file in &range.files {
        let source = chain_files::open(file).map_err(ServiceError::io("cannot read the chain"))?;
        zip.deflated(&file.name, |sink| {
            line_reader::for_each_line::<ServiceError>(source, |line| {
                count += 1;
                tell(count, progress);
                let seq = Record::parse(line).map(|record| record.seq);
                if seq.is_ok_and(|seq| (range.first.seq..=range.last.seq).contains(&seq)) {
                    sink(line)?;
                    sink(b"\n")?;
                }
                Ok(())
            })
            .map(|_| ())
        })?;
    }
    Ok(())
}

fn add_registry(zip: &mut Zip, reader: &Reader, size: u64) -> Result<(), ServiceError> {
    zip.deflated(packet::REGISTRY, |sink| {
        each_row(reader, 0, size, |body| {
            sink(body)?;
            sink(b"\n")
        })
    })
}

/// The files of a bundle that its statement names, and those beside them.
fn add_bundle(zip: &mut Zip, folder: &Path, id: &str, expired: bool) -> Result<(), ServiceError> {
    let statement = match durable::read_limited(&folder.join(FILES[0]), MAX_STATEMENT as u64) {
        Ok(bytes) => Statement::parse(&bytes).ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(ServiceError::io(format!("cannot read {id}"))(error)),
    };
    let subjects = statement.map(|statement| statement.subjects).unwrap_or_default();
    let mut names: Vec<String> = FILES.map(String::from).into();
    if !expired {
        names.extend(subjects.into_iter().map(|subject| subject.name));
    }
    names.sort();
    for name in names {
        let path = folder.join(&name);
        let name = format!("bundles/{id}/{name}");
        if !fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        zip.copy(&name, &path)?;
    }
    Ok(())
}
