//! `provctl verify BUNDLE`, and the bundles of a state folder.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use provenance_core::{
    bundle::BundleId,
    digest::{Digest, Hasher},
    proof::MAX_PROOF,
    report::{Code, Finding, Place, Report},
    sigstore::MAX_BUNDLE,
    statement::{MAX_STATEMENT, Statement},
    verify::{
        bundle::{self, Files, Trusted},
        chain::ChainVerifier,
    },
};

use super::{AuditError, Trust, join::Join};
use crate::host::{
    chainfiles,
    durable::{self, StateDir},
};
use crate::registry::reader::Reader;

/// The files beside `artifacts/`.
const FILES: [&str; 5] = [
    "statement.json",
    "statement.json.sig",
    "statement.sigstore.json",
    "proof.json",
    "statement.json.ots",
];
/// How deep folders below `artifacts/` may nest.
const MAX_DEPTH: usize = 16;

/// Verifies one bundle folder by itself.
///
/// # Errors
/// [`AuditError`] where there is no bundle; what is wrong with one is in the
/// report.
pub fn verify(path: &Path, trust: &Trust) -> Result<Report, AuditError> {
    let path = folder_of(path)?;
    let mut report = Report::new();
    trust.demand_policy(&mut report);
    let statement = check(&path, (trust, trust.keys()), false, &mut report)?;
    if let Some(statement) = statement {
        let evidence = &statement.evidence;
        trust.check_identity((&evidence.client, &evidence.host), &mut report);
        let named = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if let Some(name) = named
            && name.parse::<BundleId>().is_ok_and(|id| id != evidence.bundle)
        {
            let message = "the folder's name is not the bundle's id";
            let finding = Finding::new(Code::BundleMalformed, Place::file(&name), message);
            report.find(finding.values(evidence.bundle, name));
        }
    }
    let why = "a bundle shows its own part; verify-chain on the state folder shows the whole";
    report.not_checked("the rest of the appliance's chain and registry", why);
    Ok(report)
}

/// Every bundle on record is in its folder, whole, and as recorded; and there
/// is no other.
pub(super) fn on_record(
    state: &StateDir,
    join: &Join<'_>,
    trust: (&Trust, &[Trusted]),
    report: &mut Report,
) -> Result<(), AuditError> {
    for (id, (entry, row)) in &join.bundles {
        let path = state.bundles().join(id);
        let name = format!("bundles/{id}");
        let valid = id.parse::<BundleId>().is_ok();
        if !valid || !path.join("statement.json").is_file() {
            let message = format!("registry record {row} names a bundle that is not there");
            let place = Place::file(name).bundle(id);
            report.find(Finding::new(Code::RegistryMissingBundle, place, message));
            continue;
        }
        let mut own = Report::new();
        let expired = join.expired.contains_key(id);
        let statement = check(&path, trust, expired, &mut own)?;
        let bytes = durable::read_limited(&path.join("statement.json"), MAX_STATEMENT as u64);
        if let (Some(statement), Ok(bytes)) = (statement, bytes)
            && !bundle::matches(entry, &statement, &bytes)
        {
            let message = format!("the statement is not the one of registry record {row}");
            let finding = Finding::new(Code::BundleDigest, Place::file("statement.json"), message);
            own.find(finding.values(entry.statement_sha256, Digest::of(&bytes)));
        }
        report.checked("bundles", 1);
        report.absorb(own.without_remarks_on_records().within(&name, id));
    }
    strangers(state, join, report)
}

fn strangers(state: &StateDir, join: &Join<'_>, report: &mut Report) -> Result<(), AuditError> {
    if !state.bundles().is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(state.bundles()).map_err(AuditError::io(state.bundles()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // One in the making, or left by a crash: the next run settles it.
        let making = name.starts_with(".EB-") && name.ends_with(".tmp");
        if !making && !join.bundles.contains_key(&name) && !soon(|| is_recorded(state, &name)) {
            let message = "the registry knows no such bundle";
            let place = Place::file(format!("bundles/{name}"));
            report.find(Finding::new(Code::BundleUnregistered, place, message));
        }
    }
    Ok(())
}

/// Whether something comes true within a moment: a running daemon may be
/// between two steps of making a bundle.
fn soon(holds: impl Fn() -> bool) -> bool {
    (0..20).any(|attempt| {
        if attempt > 0 {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        holds()
    })
}

fn is_recorded(state: &StateDir, name: &str) -> bool {
    let reader = Reader::open_for_audit(&state.registry());
    let ids = reader.and_then(|reader| reader.bundle_ids());
    ids.is_ok_and(|ids| ids.contains_key(name))
}

/// Steps 6.1 to 6.8 on a folder.
fn check(
    path: &Path,
    (trust, keys): (&Trust, &[Trusted]),
    expired: bool,
    report: &mut Report,
) -> Result<Option<Statement>, AuditError> {
    if path.join("statement.json.sig").exists() {
        // The proof is written last, behind the record.
        soon(|| path.join("proof.json").exists());
    }
    let files = Files {
        statement: read(path, "statement.json", MAX_STATEMENT, report)?.unwrap_or_default(),
        signature: read(path, "statement.json.sig", 4096, report)?,
        sigstore: read(path, "statement.sigstore.json", MAX_BUNDLE, report)?,
        proof: read(path, "proof.json", MAX_PROOF, report)?,
    };
    let statement = bundle::verify(&files, keys, trust.allows_unsigned(), report);
    let Some(statement) = statement else { return Ok(None) };
    if expired && !path.join("artifacts").exists() {
        let message = "the artifacts were removed when their retention ended, as recorded";
        report.find(Finding::new(Code::BundleExpired, Place::file("artifacts"), message));
        report.not_checked("artifacts", "their retention ended; statement and proof remain");
        return Ok(Some(statement));
    }
    artifacts(path, &statement, report)?;
    range(path, &statement, report)?;
    Ok(Some(statement))
}

/// A file of the bundle; one over its limit or no regular file is a finding.
fn read(
    folder: &Path,
    name: &str,
    limit: usize,
    report: &mut Report,
) -> Result<Option<Vec<u8>>, AuditError> {
    let path = folder.join(name);
    let metadata = match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(AuditError::io(&path))?,
    };
    if !metadata.is_file() || metadata.len() > limit as u64 {
        let message = "not a regular file, or over its size limit";
        report.find(Finding::new(Code::BundleFile, Place::file(name), message));
        return Ok(None);
    }
    durable::read_limited(&path, limit as u64).map(Some).map_err(AuditError::io(path))
}

/// Steps 6.4: every artifact has its digest, and there is no other file.
fn artifacts(folder: &Path, statement: &Statement, report: &mut Report) -> Result<(), AuditError> {
    let mut names = BTreeSet::new();
    for subject in &statement.subjects {
        names.insert(subject.name.clone());
        let path = folder.join(&subject.name);
        match digest(&path) {
            Ok(got) if got == subject.sha256 => {}
            Ok(got) => {
                let message = "the artifact is not the one that the statement names";
                let finding = Finding::new(Code::BundleDigest, Place::file(&subject.name), message);
                report.find(finding.values(subject.sha256, got));
            }
            Err(error) => {
                let message = format!("the artifact cannot be read: {error}");
                report.find(Finding::new(Code::BundleFile, Place::file(&subject.name), message));
            }
        }
        report.checked("artifacts", 1);
    }
    names.extend(FILES.map(String::from));
    let mut found = vec![];
    walk(folder, Path::new(""), 0, &mut found).map_err(AuditError::io(folder))?;
    for name in found.into_iter().filter(|name| !names.contains(name)) {
        let message = "the statement does not name this file";
        report.find(Finding::new(Code::BundleFile, Place::file(name), message));
    }
    Ok(())
}

/// Step 6.7: the records among the artifacts are the range, unbroken.
fn range(folder: &Path, statement: &Statement, report: &mut Report) -> Result<(), AuditError> {
    let mut chain = Report::new();
    let mut verifier = ChainVerifier::new(true, false);
    let mut first = None;
    let files = statement.subjects.iter().filter(|s| s.name.starts_with("artifacts/chain/"));
    for subject in files {
        let Ok(source) = File::open(folder.join(&subject.name)) else { continue };
        verifier.begin_file(&subject.name, None);
        let (torn, _) = chainfiles::for_each_line::<io::Error>(source, |line| {
            if let Some(seen) = verifier.line(line, &mut chain) {
                first.get_or_insert(seen.head);
            }
            Ok(())
        })
        .map_err(AuditError::io(folder))?;
        if torn > 0 {
            verifier.torn(torn, &mut chain);
        }
    }
    bundle::check_range(statement, first, verifier.head(), &mut chain);
    chain.head = verifier.head();
    report.head = chain.head;
    report.absorb(chain);
    Ok(())
}

/// The files below `folder`, as names with `/`.
fn walk(folder: &Path, below: &Path, depth: usize, found: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        if entry.file_type()?.is_dir() && depth < MAX_DEPTH {
            walk(folder, &name, depth + 1, found)?;
        } else {
            found.push(name.to_string_lossy().into_owned());
        }
    }
    found.sort();
    Ok(())
}

fn digest(path: &Path) -> io::Result<Digest> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
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

/// The bundle's folder: given itself, or by one of its files.
fn folder_of(path: &Path) -> Result<PathBuf, AuditError> {
    let metadata = fs::metadata(path).map_err(AuditError::io(path))?;
    let folder = match path.parent() {
        Some(parent) if metadata.is_file() => parent.to_owned(),
        _ => path.to_owned(),
    };
    // A name such as `.` would not tell the bundle's id.
    let folder = fs::canonicalize(&folder).map_err(AuditError::io(&folder))?;
    if folder.join("statement.json").is_file() {
        return Ok(folder);
    }
    let why = "not an evidence bundle: there is no statement.json in it";
    Err(AuditError::NotEvidence { path: path.into(), why: why.into() })
}
