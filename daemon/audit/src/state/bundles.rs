//! `provctl verify BUNDLE`, and the bundles of a state folder.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use provenance_core::{
    encoding::digest::Digest,
    merkle::inclusion_proof::MAX_PROOF,
    opentimestamps::MAX_OTS,
    record::{bundle_id::BundleId, chain::Body},
    report::{Code, Finding, Location, Report, Severity, Verdict},
    signing::sigstore_bundle::MAX_BUNDLE,
    statement::evidence::{MAX_STATEMENT, Statement},
    verify::{
        bundle::{self, Files, Trusted},
        chain::ChainVerifier,
    },
};
use provenance_host::{durable, state_dir::StateDir};
use provenance_verifier::{Trust, line_reader};

use super::registry_cursor::RegistryCursor;
use crate::{
    error::AuditError,
    files::{digest, walk},
};

/// The files beside `artifacts/`.
const FILES: [&str; 5] = [
    "statement.json",
    "statement.json.sig",
    "statement.sigstore.json",
    "proof.json",
    "statement.json.ots",
];
/// Verifies one bundle folder by itself.
///
/// # Errors
/// [`AuditError`] where there is no bundle; what is wrong with one is in the
/// report.
pub fn verify(path: &Path, trust: &Trust) -> Result<Report, AuditError> {
    let path = folder_of(path)?;
    let mut report = Report::new();
    trust.demand_policy(&mut report);
    let checked = check(&path, trust, trust.keys(), true, Stage::Whole, &mut report)?;
    if let Some(checked) = checked {
        let evidence = &checked.statement.evidence;
        trust.check_identity(&evidence.client, &evidence.host, &mut report);
        let named = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if let Some(name) = named
            && name.parse::<BundleId>().is_ok_and(|id| id != evidence.bundle)
        {
            let message = "the folder's name is not the bundle's id";
            let finding = Finding::new(Code::BundleMalformed, Location::file(&name), message);
            report.add_finding(finding.values(evidence.bundle, name));
        }
    }
    let why = "a bundle shows its own part; verify-chain on the state folder shows the whole";
    report.not_checked("the rest of the appliance's chain and registry", why);
    Ok(report)
}

/// Every bundle on record is in its folder, whole, and as recorded; and there
/// is no other.
pub(super) fn check_registered_bundles(
    state: &StateDir,
    join: &mut RegistryCursor<'_>,
    trust: (&Trust, &[Trusted]),
    report: &mut Report,
) -> Result<(), AuditError> {
    let recorded: Vec<_> = join.bundles.iter().map(|(id, it)| (id.clone(), it.clone())).collect();
    let newest = recorded.iter().map(|(_, (_, row))| *row).max();
    for (id, (entry, row)) in recorded {
        trust.0.stop.check()?;
        let path = state.bundles().join(&id);
        let name = format!("bundles/{id}");
        let valid = id.parse::<BundleId>().is_ok();
        if !valid || !path.join("statement.json").is_file() {
            let message = format!("registry record {row} names a bundle that is not there");
            let place = Location::file(name).bundle(&id);
            report.add_finding(Finding::new(Code::RegistryMissingBundle, place, message));
            continue;
        }
        // Only the newest may wait for its proof: before another is made, what
        // an interrupted run left is finished.
        let unproved = Some(row) == newest && !patient(|| Ok(path.join("proof.json").exists()))?;
        let stage = |join: &RegistryCursor<'_>| match (join.expired.contains_key(&id), unproved) {
            (true, _) => Stage::Expired,
            (_, true) => Stage::Unproved,
            _ => Stage::Whole,
        };
        let mut own = Report::new();
        let before = stage(join);
        let within = (trust.0, trust.1, false);
        let mut checked = check(&path, within.0, within.1, within.2, before, &mut own)?;
        if own.verdict() == Verdict::Failed {
            // Its retention may have ended while we looked.
            join.catch_up(report);
            if stage(join) != before {
                own = Report::new();
                checked = check(&path, within.0, within.1, within.2, stage(join), &mut own)?;
            }
        }
        let bytes = durable::read_regular(&path.join("statement.json"), MAX_STATEMENT as u64);
        let anchored = checked.as_ref().and_then(|checked| checked.anchored);
        if let Some(anchored) = anchored {
            super::anchors::continues(join, anchored, Location::file("proof.json"), &mut own);
        }
        if let (Some(checked), Ok(bytes)) = (checked, bytes)
            && !bundle::matches(&entry, &checked.statement, &bytes)
        {
            let message = format!("the statement is not the one of registry record {row}");
            let finding =
                Finding::new(Code::BundleDigest, Location::file("statement.json"), message);
            own.add_finding(finding.values(entry.statement_sha256, Digest::sha256(&bytes)));
        }
        report.checked("bundles", 1);
        report.absorb(own.without_remarks_on_records().within(&name, &id));
    }
    strangers(state, join, trust, report)
}

fn strangers(
    state: &StateDir,
    join: &mut RegistryCursor<'_>,
    trust: (&Trust, &[Trusted]),
    report: &mut Report,
) -> Result<(), AuditError> {
    if !state.bundles().is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(state.bundles()).map_err(AuditError::io(state.bundles()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // One in the making, or left by a crash: the next run settles it.
        let making = name.starts_with(".EB-") && name.ends_with(".tmp");
        if making || join.bundles.contains_key(&name) {
            continue;
        }
        let message = "the registry knows no such bundle";
        let place = Location::file(format!("bundles/{name}"));
        let finding = Finding::new(Code::BundleUnregistered, place, message);
        let mut recorded = || {
            join.catch_up(report);
            Ok(join.later_bundles.contains(&name))
        };
        if recorded()? {
            continue;
        }
        let coming = is_coming(&entry.path(), &name, trust)?;
        if if coming { patient(recorded)? } else { recorded()? } {
            continue;
        }
        if !coming {
            report.add_finding(finding);
        } else {
            report.add_finding(finding.severity(Severity::Warning));
            let why = "it is whole and not on record: a crash came between, or it was put there";
            report.not_checked_decisive(format!("the bundle {name}"), why);
        }
    }
    Ok(())
}

/// Whether a folder is as a run leaves it just before the bundle is recorded.
fn is_coming(path: &Path, name: &str, trust: (&Trust, &[Trusted])) -> Result<bool, AuditError> {
    if !path.join("statement.json").is_file() || path.join("proof.json").exists() {
        return Ok(false);
    }
    let mut own = Report::new();
    let checked = check(path, trust.0, trust.1, false, Stage::Unproved, &mut own)?;
    let named = checked.is_some_and(|it| it.statement.evidence.bundle.to_string() == name);
    Ok(named && own.verdict() != Verdict::Failed)
}

/// Waits a little for what another process is about to finish.
fn patient(mut done: impl FnMut() -> Result<bool, AuditError>) -> Result<bool, AuditError> {
    for _ in 0..5 {
        if done()? {
            return Ok(true);
        }
        std::thread::sleep(super::limits::REREAD_DELAY);
    }
    done()
}

/// What is there of a bundle.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// All of it.
    Whole,
    /// A run between its record and its proof may have been interrupted.
    Unproved,
    /// The removal of the artifacts is recorded, and begun or done.
    Expired,
}

/// What was read of a bundle.
struct Checked {
    statement: Statement,
    /// Size and root of the tree that it was anchored in.
    anchored: Option<(u64, Digest)>,
}

/// Steps 6.1 to 6.8, and those of section 7, on a folder that is verified
/// `alone` or as a part of its appliance's state.
fn check(
    path: &Path,
    trust: &Trust,
    keys: &[Trusted],
    alone: bool,
    stage: Stage,
    report: &mut Report,
) -> Result<Option<Checked>, AuditError> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
        let message = "the bundle is elsewhere: its folder is a symbolic link";
        report.add_finding(Finding::new(Code::BundleFile, Location::default(), message));
    }
    let files = Files {
        statement: read(path, "statement.json", MAX_STATEMENT, report)?.unwrap_or_default(),
        signature: read(path, "statement.json.sig", 4096, report)?,
        sigstore: read(path, "statement.sigstore.json", MAX_BUNDLE, report)?,
        proof: read(path, "proof.json", MAX_PROOF, report)?,
        ots: read(path, "statement.json.ots", MAX_OTS, report)?,
        unproved: stage == Stage::Unproved,
    };
    let statement = bundle::verify(&files, keys, trust.allows_unsigned(), report);
    let Some(statement) = statement else { return Ok(None) };
    let Files { statement: bytes, proof, ots, .. } = &files;
    let bytes = (&**bytes, proof.as_deref(), ots.as_deref());
    let anchored =
        provenance_verifier::block_headers::of_bundle(bytes, &trust.blocks, alone, report);
    let checked = Checked { statement, anchored };
    let statement = &checked.statement;
    if stage == Stage::Expired {
        artifacts(path, statement, stage, report)?;
        let message = "the artifacts were removed when their retention ended, as recorded";
        report.add_finding(Finding::new(Code::BundleExpired, Location::file("artifacts"), message));
        report.not_checked("artifacts", "their retention ended; statement and proof remain");
        return Ok(Some(checked));
    }
    artifacts(path, statement, stage, report)?;
    range(path, statement, report)?;
    Ok(Some(checked))
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
        report.add_finding(Finding::new(Code::BundleFile, Location::file(name), message));
        return Ok(None);
    }
    durable::read_regular(&path, limit as u64).map(Some).map_err(AuditError::io(path))
}

/// Steps 6.4: every artifact has its digest, and there is no other file.
fn artifacts(
    folder: &Path,
    statement: &Statement,
    stage: Stage,
    report: &mut Report,
) -> Result<(), AuditError> {
    let expired = stage == Stage::Expired;
    let mut names = BTreeSet::new();
    for subject in &statement.subjects {
        names.insert(subject.name.clone());
        let path = folder.join(&subject.name);
        match digest(&path) {
            Ok(got) if got == subject.sha256 => {}
            Err(error) if expired && error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(AuditError::io(path)(error));
            }
            Ok(got) => {
                let message = "the artifact is not the one that the statement names";
                let finding =
                    Finding::new(Code::BundleDigest, Location::file(&subject.name), message);
                report.add_finding(finding.values(subject.sha256, got));
            }
            Err(error) => {
                let message = format!("the artifact cannot be read: {error}");
                report.add_finding(Finding::new(
                    Code::BundleFile,
                    Location::file(&subject.name),
                    message,
                ));
            }
        }
        report.checked("artifacts", 1);
    }
    names.extend(FILES.map(String::from));
    if stage == Stage::Unproved {
        names.insert("proof.json.tmp".into());
    }
    let mut found = vec![];
    walk(folder, Path::new(""), 0, &mut found).map_err(AuditError::io(folder))?;
    for name in found.into_iter().filter(|name| !names.contains(name)) {
        let message = "the statement does not name this file";
        report.add_finding(Finding::new(Code::BundleFile, Location::file(name), message));
    }
    Ok(())
}

/// Step 6.7: the records among the artifacts are the range, unbroken.
fn range(folder: &Path, statement: &Statement, report: &mut Report) -> Result<(), AuditError> {
    let mut chain = Report::new();
    let mut verifier = ChainVerifier::new(true, false);
    let (mut first, mut clock) = (None, None);
    let files = statement.subjects.iter().filter(|s| s.name.starts_with("artifacts/chain/"));
    for subject in files {
        // What is none was found above.
        let Ok(source) = durable::open_regular(&folder.join(&subject.name)) else { continue };
        verifier.begin_file(&subject.name, None);
        let (torn, _) = line_reader::for_each_line::<io::Error>(source, |line| {
            if let Some(seen) = verifier.line(line, &mut chain) {
                first.get_or_insert(seen.head);
                if let Body::Tick(tick) = seen.body {
                    clock = Some(tick.clock.to_value());
                }
            }
            Ok(())
        })
        .map_err(AuditError::io(folder))?;
        if torn > 0 {
            verifier.torn(torn, &mut chain);
        }
    }
    bundle::check_range(statement, first, verifier.head(), &mut chain);
    if clock.is_some_and(|clock| clock != statement.evidence.clock) {
        let message = "the statement's time attestation is not that of the range's last tick";
        let place = Location::file("statement.json");
        chain.add_finding(Finding::new(Code::ClockVerdict, place, message));
    }
    chain.head = verifier.head();
    report.head = chain.head;
    report.absorb(chain);
    Ok(())
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
