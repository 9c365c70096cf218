//! Counter-signing: what somebody asked to be signed is looked at again,
//! recorded, signed, and put beside it.
//!
//! The record comes first, so that no signature leaves without one. It holds
//! all of what is signed, and Ed25519 gives the same signature each time: a
//! call that was interrupted is finished by the next, with the same bytes.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    registry::{CountersignEntry, Entry},
    signing::sigstore_bundle::{self, SigstoreBundle},
    statement::countersignature::{Countersignature, MAX_FILE, MAX_REQUEST, Request, lines},
};
use provenance_host::{config::Config, durable, state_dir::StateDir};
use provenance_sbom::{
    directory_walk::{self, TreeRoot},
    is_store_path,
    rehash::ContentsError,
};

use crate::{
    error::ServiceError,
    ledger::{Ledger, signer::Signer},
    state_lock::lock,
};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct CountersignRequest {
    /// The file with the request.
    pub request: PathBuf,
    /// What is to be signed: a folder or a file.
    pub path: PathBuf,
    /// Where the signature goes, if not where it is looked for.
    pub signatures: Option<PathBuf>,
    /// Why it is signed.
    pub reason: Option<String>,
    pub who: String,
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CountersignOutcome {
    /// It was signed and recorded.
    Signed,
    /// It was on record, and its signature was put back.
    Restored,
    /// The signature was there, and was recorded.
    Recorded,
    /// All was there already.
    Nothing,
}

/// A counter-signature, and what was done for it.
#[derive(Clone, Debug)]
pub struct Countersigned {
    /// What was done.
    pub did: CountersignOutcome,
    /// What is on record.
    pub entry: CountersignEntry,
    /// The file with the signature.
    pub file: PathBuf,
}

impl CountersignOutcome {
    /// `signed`, `restored`, `recorded` or `nothing`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Restored => "restored",
            Self::Recorded => "recorded",
            Self::Nothing => "nothing",
        }
    }
}

/// Signs what was asked, if it is what lies there.
///
/// # Errors
/// [`ServiceError`]; then nothing was signed, or it is on record and the next
/// call puts the signature to its place.
pub(crate) fn countersign(
    config: &Config,
    state: &StateDir,
    evidence: &mut Ledger,
    now: Timestamp,
    ask: &CountersignRequest,
) -> Result<Countersigned, ServiceError> {
    let request = read_request(&ask.request)?;
    let key = |evidence: &Ledger| evidence.signer().map(|signer| signer.public().clone());
    let Some(key) = key(evidence) else {
        return Err(ServiceError::Request("a counter-signature needs a signing_key".into()));
    };
    if request.key == key {
        let message = "the request is by this appliance's own key: somebody else must sign it";
        return Err(ServiceError::Request(message.into()));
    }
    let place = directory_walk::find(&ask.path).map_err(unread)?;
    let file = ask.signatures.clone().unwrap_or_else(|| place.signing_file.clone());
    if ask.signatures.is_none() && in_store(&place.path) {
        let message = "nothing is written into a Nix store: say with --signatures where the \
                       signature goes";
        return Err(ServiceError::Request(message.into()));
    }
    if place.holds(&file) {
        let file = file.display();
        let message = format!("{file} is a part of what is signed: put --signatures elsewhere");
        return Err(ServiceError::Request(message));
    }
    let _ours = lock(state, "countersign.lock")?;
    let _theirs = lock_folder(&file)?;
    hold(&request, &place, &file)?;
    let before = directory_walk::signatures(&file)
        .map_err(ServiceError::io(format!("cannot read {}", file.display())))?
        .unwrap_or_default();
    let found = own(&before, &file, &request, evidence)?;
    let recorded = recorded(evidence, &request, key.fingerprint(), found.as_ref())?;
    let this = |entry, did| Ok(Countersigned { did, entry, file: file.clone() });
    match (found, recorded) {
        (Some(_), Some(entry)) => this(entry, CountersignOutcome::Nothing),
        (Some(signed), None) => {
            let same = (&signed.client, &signed.host) == (&config.client, &config.host);
            let entry = entry(key.fingerprint(), signed)?;
            // Another appliance with this key signed it, and has it on record.
            if !same {
                return this(entry, CountersignOutcome::Nothing);
            }
            evidence.record(now, &[Entry::Countersign(entry.clone())])?;
            this(entry, CountersignOutcome::Recorded)
        }
        (None, Some(entry)) => {
            let after = signed_by(evidence, &entry, config, &before)?;
            put(&file, &after)?;
            this(entry, CountersignOutcome::Restored)
        }
        (None, None) => {
            let signed = Countersignature {
                request,
                reason: ask.reason.clone(),
                client: config.client.clone(),
                host: config.host.clone(),
                who: ask.who.clone(),
                time: now,
            };
            let entry = entry(key.fingerprint(), signed)?;
            let after = signed_by(evidence, &entry, config, &before)?;
            evidence.record(now, &[Entry::Countersign(entry.clone())])?;
            put(&file, &after)?;
            this(entry, CountersignOutcome::Signed)
        }
    }
}

/// A file added there would be a change of what the store has registered.
fn in_store(path: &Path) -> bool {
    path.ancestors().any(|path| path.to_str().is_some_and(is_store_path))
}

fn read_request(path: &Path) -> Result<Request, ServiceError> {
    let bytes = durable::read_limited(path, MAX_REQUEST as u64)
        .map_err(ServiceError::io(format!("cannot read {}", path.display())))?;
    // A file that an editor or `provctl … > FILE` ended with LF.
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let why = |error| ServiceError::State(format!("{}: {error}", path.display()));
    Request::parse(bytes).map_err(why)
}

/// Two appliances may sign the same thing at once.
fn lock_folder(file: &Path) -> Result<File, ServiceError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let failed = || ServiceError::io(format!("cannot open {}", folder.display()));
    let open = File::open(folder).map_err(failed())?;
    match open.try_lock() {
        Ok(()) => Ok(open),
        Err(TryLockError::WouldBlock) => Err(ServiceError::Locked(folder.display().to_string())),
        Err(TryLockError::Error(error)) => Err(failed()(error)),
    }
}

/// Nobody signs what was not seen.
fn hold(request: &Request, place: &TreeRoot, file: &Path) -> Result<(), ServiceError> {
    let left = durable::beside(file);
    match fs::remove_file(&left) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(ServiceError::io(format!("cannot remove {}", left.display()))(error));
        }
        _ => {}
    }
    let sha256 = place.digest().map_err(unread)?;
    if (request.tree, request.subject.sha256) == (place.kind, sha256) {
        return Ok(());
    }
    Err(ServiceError::State(format!(
        "what lies at {} ({} {sha256}) is not what was asked to be signed ({} {}): it was changed, \
         or the request is of something else",
        place.path.display(),
        place.kind.as_str(),
        request.tree.as_str(),
        request.subject.sha256
    )))
}

/// The counter-signature of the same by our own key, where it is in the file.
fn own(
    bytes: &[u8],
    file: &Path,
    request: &Request,
    evidence: &Ledger,
) -> Result<Option<Countersignature>, ServiceError> {
    let Some(public) = evidence.signer().map(Signer::public) else { return Ok(None) };
    let (fingerprint, mut found) = (public.fingerprint(), None);
    for (number, line) in lines(bytes) {
        let bundle = line.ok_or("it has no end".to_owned());
        let bundle =
            bundle.and_then(|line| SigstoreBundle::parse(line).map_err(|error| error.to_string()));
        let bundle = bundle.map_err(|why| {
            let file = file.display();
            let message =
                format!("{file}, line {number}: {why}; correct or remove it, and call again");
            ServiceError::State(message)
        })?;
        let payload = bundle.verify(public.verifying_key(), &fingerprint);
        let signed = payload.ok().and_then(|payload| Countersignature::parse(payload).ok());
        found = found.or(signed.filter(|signed| signed.request.same(request)));
    }
    Ok(found)
}

/// What is on record of the same, by the same key.
fn recorded(
    evidence: &Ledger,
    request: &Request,
    key: Digest,
    found: Option<&Countersignature>,
) -> Result<Option<CountersignEntry>, ServiceError> {
    let statement = found.and_then(|found| found.encode().ok()).map(|bytes| Digest::sha256(&bytes));
    let fits = |entry: &CountersignEntry| {
        entry.key == key
            && entry.request.same(request)
            && statement.is_none_or(|sha256| entry.statement_sha256 == sha256)
    };
    let read = |kind: &str, data: &[u8]| match Entry::read(kind, data) {
        Ok(Entry::Countersign(entry)) => Some(entry).filter(fits),
        _ => None,
    };
    let reader = evidence.reader()?;
    let row = reader.last_such("countersign", |record| read(record.kind, record.data).is_some())?;
    let entry = row.and_then(|row| crate::ledger::read_entry(&row.body));
    Ok(match entry {
        Some(Entry::Countersign(entry)) => Some(entry),
        _ => None,
    })
}

fn entry(key: Digest, signed: Countersignature) -> Result<CountersignEntry, ServiceError> {
    let bytes = signed.encode().map_err(|error| ServiceError::Request(error.to_string()))?;
    Ok(CountersignEntry {
        key,
        statement_sha256: Digest::sha256(&bytes),
        request: Box::new(signed.request),
        reason: signed.reason,
        who: signed.who,
        time: signed.time,
    })
}

/// The file with the signature of what the entry tells behind what was there.
fn signed_by(
    evidence: &Ledger,
    entry: &CountersignEntry,
    config: &Config,
    before: &[u8],
) -> Result<Vec<u8>, ServiceError> {
    let statement = entry.signed(&config.client, &config.host).encode();
    let statement = statement.ok().filter(|bytes| Digest::sha256(bytes) == entry.statement_sha256);
    let (Some(statement), Some(signer)) = (statement, evidence.signer()) else {
        let message = "the record of the counter-signature does not give what was signed: run \
                       `provctl verify-chain`";
        return Err(ServiceError::State(message.into()));
    };
    let sign = |message: &[u8]| signer.sign(message);
    let bundle = sigstore_bundle::sign(&statement, &signer.public().fingerprint(), &sign);
    let after = [before, &bundle, b"\n"].concat();
    if after.len() > MAX_FILE {
        let message = format!("the file of signatures would be over {MAX_FILE} bytes");
        return Err(ServiceError::Request(message));
    }
    Ok(after)
}

fn put(file: &Path, bytes: &[u8]) -> Result<(), ServiceError> {
    let what = format!(
        "cannot write {}; the counter-signature is on record, and the same call puts it there",
        file.display()
    );
    durable::replace(file, bytes, 0o644).map_err(ServiceError::io(what))
}

fn unread(error: ContentsError) -> ServiceError {
    match error {
        ContentsError::Io { path, source } => {
            ServiceError::io(format!("cannot read {}", path.display()))(source)
        }
        other => ServiceError::State(other.to_string()),
    }
}
