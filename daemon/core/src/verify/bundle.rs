//! An evidence bundle (docs/format.md §6, steps 6.1 to 6.8).

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec::Vec,
};

use crate::{
    encoding::{digest::Digest, json_scanner::Scanner},
    merkle::{inclusion_proof::Proof, leaf_hash, verify_inclusion},
    record::{Record, time_attestation},
    registry::{BundleEntry, Entry},
    report::{Code, Finding, Head, Location, Report, Severity},
    signing::{
        checkpoint::{Checkpoint, Note},
        dsse,
        public_key::PublicKey,
        sigstore_bundle::SigstoreBundle,
    },
    statement::evidence::{Statement, StatementError},
};

/// A key that the verifier's policy trusts, for a span of the registry.
#[derive(Clone, Debug)]
pub struct Trusted {
    /// What people call it.
    pub name: String,
    /// The key.
    pub key: PublicKey,
    /// It may sign trees of more than so many records …
    pub from: u64,
    /// … and of at most so many.
    pub until: Option<u64>,
}

impl Trusted {
    /// Whether the key may sign a registry of `size` records.
    pub fn covers(&self, size: u64) -> bool {
        size > self.from && self.until.is_none_or(|until| size <= until)
    }
}

/// The files of a bundle, as bytes; an absent one is `None`.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// `statement.json`
    pub statement: Vec<u8>,
    /// `statement.json.sig`
    pub signature: Option<Vec<u8>>,
    /// `statement.sigstore.json`
    pub sigstore: Option<Vec<u8>>,
    /// `proof.json`
    pub proof: Option<Vec<u8>>,
    /// `statement.json.ots`
    pub ots: Option<Vec<u8>>,
    /// The proof may still be to come: an interrupted run is finished by the
    /// next. What holds the record otherwise is for the caller to verify.
    pub unproved: bool,
}

/// Verifies what can be verified of a bundle without its artifacts, and
/// returns its statement for these: its digests, and its chain range.
pub fn verify(
    files: &Files,
    trusted: &[Trusted],
    allow_unsigned: bool,
    report: &mut Report,
) -> Option<Statement> {
    let statement = match Statement::parse(&files.statement) {
        Ok(statement) => statement,
        // Only a trusted signature makes an unknown type a later one.
        Err(StatementError::UnknownType) if signed_by_any(files, trusted) => {
            report.not_checked_decisive(
                "the statement",
                "it is of a later type; use a newer provctl",
            );
            return None;
        }
        Err(error) => {
            let place = Location::file("statement.json");
            report.add_finding(Finding::new(Code::BundleMalformed, place, error.to_string()));
            return None;
        }
    };
    report.checked("statements", 1);
    attestation(&statement, report);
    // The proof first: a key's span is counted in the registry's records.
    let index = proof(files, &statement, trusted, report);
    signatures(files, &statement, trusted, allow_unsigned, index, report);
    Some(statement)
}

fn signed_by_any(files: &Files, trusted: &[Trusted]) -> bool {
    let Some(Ok(envelope)) = files.sigstore.as_deref().map(SigstoreBundle::parse) else {
        return false;
    };
    trusted.iter().any(|trusted| {
        envelope
            .verify(trusted.key.verifying_key(), &trusted.key.fingerprint())
            .is_ok_and(|payload| payload == files.statement)
    })
}

/// Steps 6.2 and 6.3: both signatures, by one key of the policy.
fn signatures(
    files: &Files,
    statement: &Statement,
    trusted: &[Trusted],
    allow_unsigned: bool,
    size: Option<u64>,
    report: &mut Report,
) {
    let (Some(signature), Some(sigstore)) = (&files.signature, &files.sigstore) else {
        return unsigned(files, statement, allow_unsigned, report);
    };
    if !statement.evidence.signed {
        let message = "the statement says that it is not signed, and there are signatures";
        report.add_finding(Finding::new(
            Code::BundleFile,
            Location::file("statement.json.sig"),
            message,
        ));
    }
    let place = Location::file("statement.sigstore.json");
    let envelope = match SigstoreBundle::parse(sigstore) {
        Ok(envelope) => envelope,
        Err(error) => {
            report.add_finding(Finding::new(Code::BundleSignature, place, error.to_string()));
            return;
        }
    };
    let hint = envelope.key_hint();
    let Some(trusted) = signer(hint, trusted, place.clone(), report) else { return };
    if let Some(size) = size
        && !trusted.covers(size)
    {
        let message = format!(
            "the key {} may not sign for registry record {}: it is revoked, or outside its span",
            trusted.name,
            size.saturating_sub(1)
        );
        report.add_finding(Finding::new(Code::BundleKey, place.clone(), message));
    }
    report.checked("signatures", 2);
    match envelope.verify(trusted.key.verifying_key(), &hint) {
        Ok(payload) if payload == files.statement => {}
        Ok(_) => {
            let message = "the signed payload is not statement.json";
            report.add_finding(Finding::new(Code::BundleSignature, place, message));
        }
        Err(error) => {
            report.add_finding(Finding::new(Code::BundleSignature, place, error.to_string()))
        }
    }
    let key = trusted.key.verifying_key();
    if let Err(error) = dsse::verify_detached(&files.statement, signature, key) {
        let place = Location::file("statement.json.sig");
        report.add_finding(Finding::new(Code::BundleSignature, place, error.to_string()));
    }
}

/// The trusted key of this digest; that there is none is found.
pub(super) fn signer<'a>(
    hint: Digest,
    trusted: &'a [Trusted],
    place: Location,
    report: &mut Report,
) -> Option<&'a Trusted> {
    let known = trusted.iter().find(|trusted| trusted.key.fingerprint() == hint);
    if known.is_some() {
        return known;
    }
    let message = format!("signed by the key with SHA-256 {hint}, which the policy does not name");
    let finding = Finding::new(Code::BundleKey, place, message);
    if trusted.is_empty() {
        // Without a policy nobody is trusted, and nothing is shown to be wrong.
        report.add_finding(finding.severity(Severity::Info));
        let why = "no key is trusted: give --policy FILE with the auditor's keys";
        report.not_checked_decisive("who signed", why);
    } else {
        report.add_finding(finding);
    }
    None
}

fn unsigned(files: &Files, statement: &Statement, allowed: bool, report: &mut Report) {
    let place = Location::file("statement.json.sig");
    if statement.evidence.signed {
        let name = if files.signature.is_none() {
            "statement.json.sig"
        } else {
            "statement.sigstore.json"
        };
        let message = "the statement says that it is signed, and a signature is missing";
        report.add_finding(Finding::new(Code::BundleSignature, Location::file(name), message));
    } else if allowed {
        let message = "nobody signed; the policy accepts that";
        let finding = Finding::new(Code::BundleUnsigned, place, message);
        report.add_finding(finding.severity(Severity::Info));
        let why = "the bundle is unsigned: anybody could have made it";
        report.not_checked_decisive("who made the bundle", why);
    } else {
        let message = "nobody signed this bundle (a policy may accept that: allow_unsigned)";
        report.add_finding(Finding::new(Code::BundleUnsigned, place, message));
    }
}

/// Step 6.5: the bundle's record is in a registry whose root a trusted key
/// signed. Gives the size of the tree that first held the record.
fn proof(
    files: &Files,
    statement: &Statement,
    trusted: &[Trusted],
    report: &mut Report,
) -> Option<u64> {
    let place = || Location::file("proof.json");
    let Some(bytes) = &files.proof else {
        if statement.evidence.signed && files.unproved {
            let message = "proof.json is not there yet; the next run writes it";
            let finding = Finding::new(Code::BundleFile, place(), message);
            report.add_finding(finding.severity(Severity::Warning));
            report.not_checked_decisive("the bundle's own proof", "it was not written yet");
        } else if statement.evidence.signed {
            let message = "proof.json is missing: every signed bundle has one";
            report.add_finding(Finding::new(Code::BundleFile, place(), message));
        } else {
            report.not_checked("inclusion in the registry", "an unsigned bundle has no proof");
        }
        return None;
    };
    let fail = |code, message: String, report: &mut Report| {
        report.add_finding(Finding::new(code, place(), message));
    };
    let proof = match Proof::parse(bytes) {
        Ok(proof) => proof,
        Err(error) => {
            fail(Code::ProofInclusion, error.to_string(), report);
            return None;
        }
    };
    match read_entry(&proof.body) {
        Some(entry) if matches(&entry, statement, &files.statement) => {}
        _ => {
            let message = "the proved record is not that of this bundle";
            fail(Code::ProofInclusion, message.into(), report);
        }
    }
    let note = Note::parse(&proof.checkpoint);
    let checkpoint = note.as_ref().ok().and_then(|note| Checkpoint::parse(note.text).ok());
    let (Ok(note), Some(checkpoint)) = (note, checkpoint) else {
        fail(Code::CheckpointInvalid, "the proof's checkpoint is none".into(), report);
        return None;
    };
    let leaf = leaf_hash(proof.body.as_bytes());
    let included = checkpoint.size == proof.size
        && verify_inclusion(leaf, proof.index, proof.size, &proof.path, checkpoint.root);
    if !included {
        let message = "the path does not lead from the record to the checkpoint's root";
        fail(Code::ProofInclusion, message.into(), report);
    }
    let (client, host) = (&statement.evidence.client, &statement.evidence.host);
    if checkpoint.origin != Checkpoint::origin(client, host) {
        let message = format!("the proof's checkpoint is of {}", checkpoint.origin);
        fail(Code::CheckpointInvalid, message, report);
    }
    report.checked("inclusion proofs", 1);
    check_note(&note, &checkpoint, trusted, place(), report);
    Some(proof.index.saturating_add(1))
}

/// Step 5.2: the checkpoint is signed by a key that the policy trusts for a
/// tree of this size.
pub fn check_note(
    note: &Note<'_>,
    checkpoint: &Checkpoint,
    trusted: &[Trusted],
    place: Location,
    report: &mut Report,
) -> bool {
    let signer = trusted.iter().find(|trusted| note.signed_by(&checkpoint.origin, &trusted.key));
    report.checked("checkpoint signatures", u64::from(signer.is_some()));
    match signer {
        Some(trusted) if trusted.covers(checkpoint.size) => true,
        Some(trusted) => {
            let message = format!(
                "the key {} may not sign a registry of {} records: it is revoked, or outside \
                 its span",
                trusted.name, checkpoint.size
            );
            report.add_finding(Finding::new(Code::BundleKey, place, message));
            false
        }
        None if trusted.is_empty() => {
            let why = "no key is trusted: give --policy FILE with the auditor's keys";
            report.not_checked_decisive("who signed the checkpoints", why);
            false
        }
        None => {
            let message = "the checkpoint is not signed by a key of the policy";
            report.add_finding(Finding::new(Code::CheckpointSignature, place, message));
            false
        }
    }
}

fn read_entry(body: &str) -> Option<BundleEntry> {
    let record = Record::parse(body.as_bytes()).ok()?;
    match Entry::read(record.kind, record.data) {
        Ok(Entry::Bundle(entry)) => Some(entry),
        _ => None,
    }
}

/// Step 6.6: the registry's record says the same as the statement.
pub fn matches(entry: &BundleEntry, statement: &Statement, bytes: &[u8]) -> bool {
    let evidence = &statement.evidence;
    let chain = &evidence.chain;
    *entry
        == BundleEntry {
            id: evidence.bundle.to_string(),
            statement_sha256: Digest::sha256(bytes),
            first_seq: chain.first.seq,
            first_hash: chain.first.hash,
            last_seq: chain.last.seq,
            last_hash: chain.last.hash,
            from: evidence.from,
            to: evidence.to,
            signed: evidence.signed,
            artifacts: statement.subjects.len() as u64,
            reason: evidence.reason.to_owned(),
        }
}

/// Step 6.8: the statement's own attestation follows from its sources. It is
/// dated by the record it is taken from, which is in the chain range; here its
/// form is checked.
fn attestation(statement: &Statement, report: &mut Report) {
    let bytes = statement.evidence.clock.encode();
    let mut scan = Scanner::new(&bytes);
    if let Err(error) = time_attestation::read(&mut scan).and_then(|_| scan.finish()) {
        let message = format!("the statement's time attestation is none: {error}");
        let place = Location::file("statement.json");
        report.add_finding(Finding::new(Code::BundleMalformed, place, message));
    }
}

/// Step 6.7: the records that the bundle holds are the statement's range.
pub fn check_range(
    statement: &Statement,
    first: Option<Head>,
    last: Option<Head>,
    report: &mut Report,
) {
    let chain = &statement.evidence.chain;
    for (what, link, head) in [("first", chain.first, first), ("last", chain.last, last)] {
        if head.is_none_or(|head| (head.seq, head.hash) != (link.seq, link.hash)) {
            let message = format!("the {what} record of the range is not among the artifacts");
            let finding = Finding::new(Code::BundleChain, Location::seq(link.seq), message);
            let got = head.map_or_else(|| "nothing".into(), |head| head.hash.to_string());
            report.add_finding(finding.values(link.hash, got));
        }
    }
}
