//! The proof beside a packet, `PACKET.zip.proof.json`: that this export is on
//! the appliance's record.

use provenance_core::{
    encoding::digest::{Digest, Hasher},
    merkle::{inclusion_proof::Proof, leaf_hash, verify_inclusion},
    packet::Manifest,
    record::Record,
    registry::{Entry, PacketEntry},
    report::{Code, Finding, Location, Report},
    signing::checkpoint::{Checkpoint, Note},
    verify::bundle::{Trusted, check_note},
};

use super::Packet;
use crate::{Source, VerifyError};

pub(super) fn verify(
    packet: &Packet<'_>,
    manifest: &Manifest,
    keys: &[Trusted],
    report: &mut Report,
) -> Result<(), VerifyError> {
    let name = packet.proof_name;
    let Some(bytes) = packet.proof else {
        let why = format!("{name} is not beside the packet");
        report.not_checked("that this export is on the appliance's record", why);
        return Ok(());
    };
    let fail = |code, message: &str, report: &mut Report| {
        report.add_finding(Finding::new(code, Location::file(name), message));
    };
    let proof = match Proof::parse(bytes) {
        Ok(proof) => proof,
        Err(error) => {
            fail(Code::ProofInclusion, &error.to_string(), report);
            return Ok(());
        }
    };
    let got = digest(packet.source)?;
    match entry(&proof.body) {
        Some(entry) if entry.sha256 != got => {
            let finding = Finding::new(
                Code::PacketDigest,
                Location::file(name),
                "the packet is not the one whose export is on record",
            );
            report.add_finding(finding.values(entry.sha256, got));
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
    check_note(&note, &checkpoint, keys, Location::file(name), report);
    Ok(())
}

fn entry(body: &str) -> Option<PacketEntry> {
    let record = Record::parse(body.as_bytes()).ok()?;
    match Entry::read(record.kind, record.data) {
        Ok(Entry::Packet(entry)) => Some(entry),
        _ => None,
    }
}

fn digest(source: &dyn Source) -> Result<Digest, VerifyError> {
    let (mut hasher, mut buffer, mut at) = (Hasher::new(), vec![0; 128 << 10], 0);
    loop {
        let count = source.read_at(&mut buffer, at)?;
        match buffer.get(..count) {
            Some(bytes) if !bytes.is_empty() => hasher.update(bytes),
            _ => return Ok(hasher.finish()),
        }
        at += count as u64;
    }
}
