//! `provctl countersign-request` and `verify-countersign`: what lies
//! somewhere, and who vouches for it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    report::{Code, Finding, Location as Where, Report},
    signing::public_key::PublicKey,
    statement::{
        Subject,
        countersignature::{Request, Tree},
    },
    verify::countersign::{RequestedCountersignature, Vote, judge},
};
use provenance_sbom::{
    directory_walk::{self, TreeRoot},
    rehash::ContentsError,
};
use provenance_verifier::Trust;

use crate::{
    error::AuditError,
    legacy_pki::{self, Weak},
};

/// What is asked of the signatures.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder or file.
    pub path: PathBuf,
    /// Where its signatures are, if not where they are looked for.
    pub signatures: Option<PathBuf>,
    /// Which version it must have been signed as.
    pub version: Option<String>,
    /// Whose key must have asked for the signatures.
    pub requester: Option<PublicKey>,
    /// How many different trusted keys must have signed.
    pub threshold: usize,
}

/// The report, and the trusted keys that signed, by fingerprint.
#[derive(Clone, Debug)]
pub struct CountersignResult {
    /// What was found.
    pub report: Report,
    pub votes: BTreeMap<Digest, Vote>,
}

/// The request for signatures of what lies at `path`.
///
/// # Errors
/// [`AuditError`].
pub fn request(
    path: &Path,
    author: String,
    key: PublicKey,
    version: Option<String>,
    time: Timestamp,
) -> Result<(TreeRoot, Request), AuditError> {
    let place = directory_walk::find(path).map_err(unread)?;
    let subject = Subject { name: place.name.clone(), sha256: place.digest().map_err(unread)? };
    let request = Request { author, key, subject, time, tree: place.kind, version };
    Ok((place, request))
}

/// Counts who vouches for what lies there.
///
/// # Errors
/// [`AuditError`] where it cannot be read.
pub fn verify(options: &Options, trust: &Trust) -> Result<CountersignResult, AuditError> {
    let mut report = Report::new();
    trust.demand_policy(&mut report);
    let place = directory_walk::find(&options.path).map_err(unread)?;
    let sha256 = place.digest().map_err(unread)?;
    report.checked("contents", 1);
    let (name, signatures) = signatures(options, &place, &mut report)?;
    let asked = RequestedCountersignature {
        tree: place.kind,
        sha256,
        version: options.version.as_deref(),
        requester: options.requester.as_ref(),
        threshold: options.threshold,
    };
    let votes = judge(&signatures, &name, &asked, trust.keys(), &mut report);
    if options.requester.is_none() {
        let why = "a request is not signed: --requester KEY says whose it must be, and that key's \
                   own signatures then count for nothing";
        report.not_checked("who asked for the signatures", why);
    }
    Ok(CountersignResult { report, votes })
}

/// The file of signatures, and what it is called.
fn signatures(
    options: &Options,
    place: &TreeRoot,
    report: &mut Report,
) -> Result<(String, Vec<u8>), AuditError> {
    let called = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let read = |path: &Path| directory_walk::signatures(path).map_err(AuditError::io(path));
    let Some(path) = &options.signatures else {
        let bytes = read(&place.signing_file)?.unwrap_or_default();
        let old = place.path.join(legacy_pki::NAME);
        // Any package may have a file of this name, which is another thing.
        match directory_walk::signatures(&old).ok().flatten().map(|bytes| legacy_pki::read(&bytes))
        {
            Some(Ok(found)) => weak(found, report),
            Some(Err(_)) => {
                report.not_checked(legacy_pki::NAME, "it holds no requests and signatures")
            }
            None => {}
        }
        return Ok((called(&place.signing_file), bytes));
    };
    let bytes = read(path)?.ok_or_else(|| AuditError::Missing(path.clone()))?;
    if place.kind == Tree::Nar && place.signing_file.exists() && !place.is_signing_file(path) {
        let why = "it is in no digest, and the signatures were looked for elsewhere";
        report.not_checked(called(&place.signing_file), why);
    }
    if called(path) == legacy_pki::NAME {
        match legacy_pki::read(&bytes) {
            Ok(found) => weak(found, report),
            Err(why) => {
                let place = Where::file(legacy_pki::NAME);
                report.add_finding(Finding::new(Code::CountersignMalformed, place, why));
            }
        }
        return Ok((called(path), vec![]));
    }
    Ok((called(path), bytes))
}

fn weak(found: Vec<Weak>, report: &mut Report) {
    for Weak { version, author } in found {
        let author = author.map_or_else(String::new, |author| format!(" by {author:?}"));
        let message =
            format!("weak: RSA with SHA-1{author} on version {version:?}, counts for nothing");
        report.add_finding(Finding::new(
            Code::CountersignWeak,
            Where::file(legacy_pki::NAME),
            message,
        ));
    }
}

fn unread(error: ContentsError) -> AuditError {
    match error {
        ContentsError::Io { path, source } => AuditError::io(path)(source),
        ContentsError::NotStored { name, why } => {
            AuditError::NotEvidence { path: name, why: why.into() }
        }
    }
}
