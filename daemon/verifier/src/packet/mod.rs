//! `provctl verify PACKET.zip` (docs/format.md §13): each file is read once,
//! as a stream, and held against the manifest and against the others.

mod archive;
mod bundles;
mod chain;
mod export;
mod registry;
mod walk;

pub use walk::Packet;

use provenance_core::{
    packet::{self, Facts, Manifest},
    report::{Code, Finding, Location, Report},
    signing::{
        checkpoint::{Checkpoint, MAX_NOTE, Note},
        sigstore_bundle::MAX_BUNDLE,
    },
    verify::{bundle::Trusted, packet as core},
};

use crate::{
    Progress, Trust, VerifyError, block_headers, packet::walk::Walk, report_html::Page, sbom,
};
use archive::{Archive, OWN, Sums};
use registry::Registry;

/// A document or a list in a packet is read whole up to this length.
const MAX_WHOLE: u64 = 64 << 20;

/// Verifies a packet.
///
/// # Errors
/// [`VerifyError`] where it cannot be read; what is wrong with it is in the
/// report.
pub fn verify(
    packet: &Packet<'_>,
    trust: &Trust,
    progress: Progress<'_>,
) -> Result<Report, VerifyError> {
    let mut report = Report::new();
    trust.demand_policy(&mut report);
    let Some(archive) = Archive::open(packet.source, &mut report)? else { return Ok(report) };
    let Some((files, manifest)) = manifest(&archive, &mut report)? else { return Ok(report) };
    trust.check_identity(&manifest.client, &manifest.host, &mut report);
    let seen = vec![false; archive.entries.len()];
    let mut walk = Walk { archive, manifest, trust, seen, progress, records: 0 };
    walk.names(&mut report);
    let mut registry = walk.registry(&mut report)?;
    let keys = crate::cross_check::bounded(trust.keys(), &registry.keys);
    core::signatures(&files, &walk.manifest, &keys, trust.allows_unsigned(), &mut report);
    walk.checkpoint(&registry, &keys, &mut report)?;
    walk.keys(&registry, &mut report)?;
    walk.chain(&mut registry, &mut report)?;
    walk.bundles(&registry, &keys, &mut report)?;
    let on_record = (&registry.anchors, packet::REGISTRY, registry.newest_bundle);
    block_headers::check_registered_anchors(on_record, &trust.blocks, &mut report);
    walk.sboms(&registry.facts, &mut report)?;
    walk.papers(&registry, &mut report)?;
    walk.rest(&mut report)?;
    export::verify(packet, &walk.manifest, &keys, &mut report)?;
    let why = "a packet shows its period; verify-chain on the state folder shows the whole";
    report.not_checked("the appliance's chain outside the period", why);
    if registry.vouching > 0 {
        let what = format!(
            "what {} records of certificates, packages and counter-signatures vouch for",
            registry.vouching
        );
        let why = "their own signatures and archives are not in a packet; verify-chain on the \
                   state folder judges them, verify-cert and verify-countersign one alone";
        report.not_checked(what, why);
    }
    let why = "the logs are not in a packet; verify-chain --logs holds them against the chain";
    report.not_checked("the contents of the logs", why);
    Ok(report)
}

/// The manifest with its signatures, and what it says.
fn manifest(
    archive: &Archive<'_>,
    report: &mut Report,
) -> Result<Option<(core::Files, Manifest)>, VerifyError> {
    let read = |name: &str, limit: usize, report: &mut Report| {
        let entry = archive.find(name).and_then(|at| archive.entries.get(at));
        match entry {
            Some(entry) => archive.read_whole(entry, limit as u64, report),
            None => Ok(None),
        }
    };
    let bytes = read(packet::MANIFEST, packet::MAX_MANIFEST, report)?;
    let Some((bytes, _)) = bytes else {
        if archive.find(packet::MANIFEST).is_none() {
            let message = "a packet has a manifest, packet.json";
            let place = Location::file(packet::MANIFEST);
            report.add_finding(Finding::new(Code::PacketMissingFile, place, message));
        }
        return Ok(None);
    };
    let signature = read(packet::SIGNATURE, 4096, report)?.map(|(bytes, _)| bytes);
    let sigstore = read(packet::SIGSTORE, MAX_BUNDLE, report)?.map(|(bytes, _)| bytes);
    let manifest = core::read(&bytes, report);
    Ok(manifest.map(|manifest| (core::Files { manifest: bytes, signature, sigstore }, manifest)))
}

impl Walk<'_> {
    /// Step 13.4: what the manifest names is there, and nothing else is.
    fn names(&self, report: &mut Report) {
        for (name, ..) in &self.manifest.files {
            if self.archive.find(name).is_none() {
                let message = "the manifest names this file, and it is not in the packet";
                report.add_finding(Finding::new(
                    Code::PacketMissingFile,
                    Location::file(name),
                    message,
                ));
            }
        }
        for entry in &self.archive.entries {
            if self.named(&entry.name).is_none() && !OWN.contains(&&*entry.name) {
                let message = "the manifest does not name this file";
                let place = Location::file(&entry.name);
                report.add_finding(Finding::new(Code::PacketExtraFile, place, message));
            }
        }
        let signed = self.manifest.signed.then_some(packet::CHECKPOINT);
        let always = [
            packet::CONTROLS,
            packet::CUSTODY,
            packet::POPULATION,
            packet::REGISTRY,
            packet::REPORT,
            packet::REVIEWS,
            packet::VERIFY,
        ];
        for name in always.into_iter().chain(signed) {
            if self.named(name).is_none() {
                let message = "every packet has this file, and the manifest does not name it";
                report.add_finding(Finding::new(
                    Code::PacketMissingFile,
                    Location::file(name),
                    message,
                ));
            }
        }
    }

    fn named(
        &self,
        name: &str,
    ) -> Option<&(
        String,
        provenance_core::encoding::digest::Digest,
        provenance_core::encoding::digest::Digest,
    )> {
        let files = &self.manifest.files;
        let at = files.binary_search_by(|(known, ..)| known.as_str().cmp(name)).ok()?;
        files.get(at)
    }

    /// The digests are those of the manifest.
    fn hold(&mut self, at: usize, sums: Option<&Sums>, report: &mut Report) {
        if let Some(seen) = self.seen.get_mut(at) {
            *seen = true;
        }
        let (Some(entry), Some(sums)) = (self.archive.entries.get(at), sums) else { return };
        let Some((_, sha256, packed)) = self.named(&entry.name) else { return };
        report.checked("files", 1);
        let place = Location {
            file: Some(entry.name.clone()),
            bytes: Some((entry.start(), entry.end())),
            ..Location::default()
        };
        if sums.sha256 != *sha256 {
            let message = "the file is not the one that the manifest names";
            let finding = Finding::new(Code::PacketDigest, place, message);
            report.add_finding(finding.values(sha256, sums.sha256));
        } else if sums.packed != *packed {
            let message = "the file's bytes in the ZIP file are not those that were written, \
                           though they give the same content";
            let finding = Finding::new(Code::PacketDigest, place, message);
            report.add_finding(finding.values(packed, sums.packed));
        }
    }

    /// A file that is read whole; `None` where it is not there or unreadable.
    fn whole(
        &mut self,
        name: &str,
        limit: u64,
        report: &mut Report,
    ) -> Result<Option<Vec<u8>>, VerifyError> {
        let Some(at) = self.archive.find(name) else { return Ok(None) };
        let Some(entry) = self.archive.entries.get(at) else { return Ok(None) };
        let read = self.archive.read_whole(entry, limit, report)?;
        self.hold(at, read.as_ref().map(|(_, sums)| sums), report);
        Ok(read.map(|(bytes, _)| bytes))
    }

    /// Step 13.6: the checkpoint over the registry's records.
    fn checkpoint(
        &mut self,
        registry: &Registry,
        keys: &[Trusted],
        report: &mut Report,
    ) -> Result<(), VerifyError> {
        let Some(bytes) = self.whole(packet::CHECKPOINT, MAX_NOTE as u64, report)? else {
            return Ok(());
        };
        let place = || Location::file(packet::CHECKPOINT);
        let text = String::from_utf8_lossy(&bytes);
        let note = Note::parse(&text);
        let checkpoint = note.as_ref().ok().and_then(|note| Checkpoint::parse(note.text).ok());
        let (Ok(note), Some(checkpoint)) = (note, checkpoint) else {
            let message = "this is no checkpoint";
            report.add_finding(Finding::new(Code::CheckpointInvalid, place(), message));
            return Ok(());
        };
        let origin = Checkpoint::origin(&self.manifest.client, &self.manifest.host);
        if checkpoint.origin != origin {
            let finding = Finding::new(Code::CheckpointInvalid, place(), "it is of another origin");
            report.add_finding(finding.values(origin, &checkpoint.origin));
        }
        if (checkpoint.size, checkpoint.root) != (registry.size, registry.root) {
            let message = "the registry in the packet is not the one that the checkpoint signs";
            let finding = Finding::new(Code::RegistryRoot, place(), message);
            report.add_finding(finding.values(checkpoint.root, registry.root));
        }
        provenance_core::verify::bundle::check_note(&note, &checkpoint, keys, place(), report);
        Ok(())
    }

    /// The public halves are those on record.
    fn keys(&mut self, registry: &Registry, report: &mut Report) -> Result<(), VerifyError> {
        for (key, _) in &registry.keys {
            let name = format!("keys/{}.pub", key.key.fingerprint());
            let wrong = match self.whole(&name, 16 << 10, report)? {
                Some(bytes) => bytes != key.key.to_pem().as_bytes(),
                None => true,
            };
            if wrong {
                let message = "it is not there, or not the key that the registry names";
                report.add_finding(Finding::new(Code::BundleKey, Location::file(name), message));
            }
        }
        Ok(())
    }

    /// Step 13.9: each inventory on record is there, as recorded, and valid.
    fn sboms(&mut self, facts: &Facts, report: &mut Report) -> Result<(), VerifyError> {
        for (name, (document, coverage)) in &facts.sboms {
            let Some(at) = self.archive.find(name) else {
                let message = "the registry names this document, and it is not in the packet";
                report.add_finding(Finding::new(
                    Code::PacketMissingFile,
                    Location::file(name),
                    message,
                ));
                continue;
            };
            if self.seen.get(at) == Some(&true) {
                continue;
            }
            if let Some(bytes) = self.whole(name, MAX_WHOLE, report)? {
                let got = provenance_core::encoding::digest::Digest::sha256(&bytes);
                if got != document.sha256 {
                    let message = "the document is not the one on record";
                    let finding = Finding::new(Code::SbomInvalid, Location::file(name), message);
                    report.add_finding(finding.values(document.sha256, got));
                }
                if sbom::check(&bytes, name, report) != *coverage {
                    let message = "what vouches for its packages is not what is on record";
                    report.add_finding(Finding::new(
                        Code::SbomInvalid,
                        Location::file(name),
                        message,
                    ));
                }
            }
        }
        Ok(())
    }

    /// Step 13.10: what follows from the rest is made again.
    fn papers(&mut self, registry: &Registry, report: &mut Report) -> Result<(), VerifyError> {
        let facts = &registry.facts;
        let population = packet::population(facts, &self.manifest.seed, self.manifest.sample);
        let expected = [
            (packet::POPULATION, population),
            (packet::REVIEWS, packet::reviews(facts)),
            (packet::CUSTODY, packet::custody(facts)),
            (packet::REPORT, registry.page.render(&self.manifest, facts)),
        ];
        for (name, expected) in expected {
            let Some(bytes) = self.whole(name, MAX_WHOLE, report)? else { continue };
            if bytes == expected {
                continue;
            }
            if name == packet::REPORT && !Page::is_of_this_form(&bytes) {
                let why = "it is of another version's form, and cannot be made again: do not \
                           rely on it, or use the provctl of that version";
                report.not_checked_decisive(name, why);
            } else {
                let message = "it does not follow from the registry and the chain in the packet";
                report.add_finding(Finding::new(
                    Code::PacketMalformed,
                    Location::file(name),
                    message,
                ));
            }
        }
        Ok(())
    }

    /// Files that nothing else reads have their digest, and their place.
    fn rest(&mut self, report: &mut Report) -> Result<(), VerifyError> {
        const KNOWN: [&str; 2] = [packet::CONTROLS, packet::VERIFY];
        for at in 0..self.archive.entries.len() {
            let Some(entry) = self.archive.entries.get(at) else { break };
            if self.seen.get(at) == Some(&true) || OWN.contains(&&*entry.name) {
                continue;
            }
            let known = KNOWN.contains(&&*entry.name);
            let folder = entry.name.split('/').next().unwrap_or_default();
            if !known && ["chain", "bundles", "keys", "sboms"].contains(&folder) {
                let message = "neither the registry nor a statement knows this file";
                let place = Location::file(&entry.name);
                report.add_finding(Finding::new(Code::PacketExtraFile, place, message));
            } else if !known && self.named(&entry.name).is_some() {
                let why =
                    "this version does not know what it is; its digest is in order or reported";
                report.not_checked(entry.name.clone(), why);
            }
            let sums = self.archive.content(entry).finish(Ok(()), report)?;
            self.hold(at, sums.as_ref(), report);
        }
        Ok(())
    }
}
