//! The proof beside a packet, `PACKET.zip.proof.json`: that this export is on
//! the appliance's record.

use std::{fs::File, io::Read, path::Path};

use provenance_core::{
    digest::{Digest, Hasher},
    merkle::{leaf_hash, verify_inclusion},
    note::{Checkpoint, Note},
    packet::Manifest,
    proof::{MAX_PROOF, Proof},
    record::Record,
    registry::{Entry, PacketEntry},
    report::{Code, Finding, Place, Report},
    verify::bundle::{Trusted, check_note},
};

use super::AuditError;
use crate::host::durable;

pub(super) fn verify(
    path: &Path,
    manifest: &Manifest,
    keys: &[Trusted],
    report: &mut Report,
) -> Result<(), AuditError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".proof.json");
    let name = Path::new(&beside).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bytes = match durable::read_limited(Path::new(&beside), MAX_PROOF as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let why = format!("{name} is not beside the packet");
            report.not_checked("that this export is on the appliance's record", why);
            return Ok(());
        }
        Err(error) => return Err(AuditError::io(beside)(error)),
    };
    let fail = |code, message: &str, report: &mut Report| {
        report.find(Finding::new(code, Place::file(&name), message));
    };
    let proof = match Proof::parse(&bytes) {
        Ok(proof) => proof,
        Err(error) => {
            fail(Code::ProofInclusion, &error.to_string(), report);
            return Ok(());
        }
    };
    let got = digest(path)?;
    match entry(&proof.body) {
        Some(entry) if entry.sha256 != got => {
            let finding = Finding::new(
                Code::PacketDigest,
                Place::file(&name),
                "the packet is not the one whose export is on record",
            );
            report.find(finding.values(entry.sha256, got));
        }
        Some(entry) if (entry.from, entry.to) == (manifest.from, manifest.to) => {}
        _ => fail(Code::ProofInclusion, "the proved record is not that of this packet", report),
    }
    let note = Note::parse(&proof.checkpoint);
    let checkpoint = note.as_ref().ok().and_then(|note| Checkpoint::parse(note.text).ok());
    let (Ok(note), Some(checkpoint)) = (note, checkpoint) else {
        fail(Code::CheckpointInvalid, "the proof's checkpoint is none", report);
        return Ok(());
    };
    if checkpoint.origin != Checkpoint::origin(&manifest.client, &manifest.host) {
        fail(Code::CheckpointInvalid, "the proof's checkpoint is of another origin", report);
    }
    let leaf = leaf_hash(proof.body.as_bytes());
    if checkpoint.size != proof.size
        || !verify_inclusion(leaf, proof.index, proof.size, &proof.path, checkpoint.root)
    {
        let message = "the path does not lead from the record to the checkpoint's root";
        fail(Code::ProofInclusion, message, report);
    }
    report.checked("inclusion proofs", 1);
    check_note(&note, &checkpoint, keys, Place::file(&name), report);
    Ok(())
}

fn entry(body: &str) -> Option<PacketEntry> {
    let record = Record::parse(body.as_bytes()).ok()?;
    match Entry::read(record.kind, record.data) {
        Ok(Entry::Packet(entry)) => Some(entry),
        _ => None,
    }
}

fn digest(path: &Path) -> Result<Digest, AuditError> {
    let mut file = File::open(path).map_err(AuditError::io(path))?;
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 128 << 10]);
    loop {
        let count = file.read(&mut buffer)?;
        match buffer.get(..count) {
            Some(bytes) if !bytes.is_empty() => hasher.update(bytes),
            _ => return Ok(hasher.finish()),
        }
    }
}
