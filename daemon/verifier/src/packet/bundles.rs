//! The bundles in a packet: section 6 over each of them, and the registry's
//! word for which there are.

use std::io;

use provenance_core::{
    encoding::digest::Digest,
    merkle::inclusion_proof::{MAX_PROOF, Proof},
    opentimestamps::MAX_OTS,
    record::chain::Body,
    registry::BundleEntry,
    report::{Code, Finding, Location, Report},
    signing::{
        checkpoint::{Checkpoint, Note},
        sigstore_bundle::MAX_BUNDLE,
    },
    statement::evidence::{MAX_STATEMENT, Statement},
    verify::{
        bundle::{self, Files, Trusted},
        chain::ChainVerifier,
    },
};

use super::{
    VerifyError,
    chain::same_root,
    registry::{Registry, Then},
    walk::Walk,
};
use crate::{block_headers, line_reader::for_each_line};

impl Walk<'_> {
    /// Step 13.8.
    pub(super) fn bundles(
        &mut self,
        registry: &Registry,
        keys: &[Trusted],
        report: &mut Report,
    ) -> Result<(), VerifyError> {
        for (id, (entry, expired)) in &registry.facts.bundles {
            let folder = format!("bundles/{id}");
            if id.parse::<provenance_core::record::bundle_id::BundleId>().is_err()
                || self.archive.find(&format!("{folder}/statement.json")).is_none()
            {
                let message = "the registry names this bundle, and it is not in the packet";
                let place = Location::file(folder).bundle(id);
                report.add_finding(Finding::new(Code::RegistryMissingBundle, place, message));
                continue;
            }
            let mut own = Report::new();
            self.bundle((&folder, registry), (entry, *expired), keys, &mut own, report)?;
            report.checked("bundles", 1);
            report.absorb(own.without_remarks_on_records().within(&folder, id));
        }
        Ok(())
    }

    fn bundle(
        &mut self,
        (folder, registry): (&str, &Registry),
        (entry, expired): (&BundleEntry, bool),
        keys: &[Trusted],
        own: &mut Report,
        report: &mut Report,
    ) -> Result<(), VerifyError> {
        let mut read = |name: &str, limit: usize| {
            self.whole(&format!("{folder}/{name}"), limit as u64, report)
        };
        let files = Files {
            statement: read("statement.json", MAX_STATEMENT)?.unwrap_or_default(),
            signature: read("statement.json.sig", 4096)?,
            sigstore: read("statement.sigstore.json", MAX_BUNDLE)?,
            proof: read("proof.json", MAX_PROOF)?,
            ots: read("statement.json.ots", MAX_OTS)?,
            unproved: false,
        };
        let allowed = self.trust.allows_unsigned();
        let Some(statement) = bundle::verify(&files, keys, allowed, own) else { return Ok(()) };
        let bytes = (&*files.statement, files.proof.as_deref(), files.ots.as_deref());
        let anchored = block_headers::of_bundle(bytes, &self.trust.blocks, false, own);
        of_registry(files.proof.as_deref(), anchored, registry, own);
        if !bundle::matches(entry, &statement, &files.statement) {
            let message = "the statement is not the one on record";
            let finding =
                Finding::new(Code::BundleDigest, Location::file("statement.json"), message);
            own.add_finding(
                finding.values(entry.statement_sha256, Digest::sha256(&files.statement)),
            );
        }
        self.artifacts(folder, &statement, expired, own, report)
    }

    /// Steps 6.4 and 6.7.
    fn artifacts(
        &mut self,
        folder: &str,
        statement: &Statement,
        expired: bool,
        own: &mut Report,
        report: &mut Report,
    ) -> Result<(), VerifyError> {
        let mut verifier = ChainVerifier::new(true, false);
        let (mut first, mut clock) = (None, None);
        for subject in &statement.subjects {
            let Some(at) = self.archive.find(&format!("{folder}/{}", subject.name)) else {
                if !expired {
                    let message = "the statement names this artifact, and it is not in the packet";
                    own.add_finding(Finding::new(
                        Code::BundleFile,
                        Location::file(&subject.name),
                        message,
                    ));
                }
                continue;
            };
            let Some(entry) = self.archive.entries.get(at) else { continue };
            let mut content = self.archive.content(entry);
            let mut read = Ok((0, vec![]));
            if subject.name.starts_with("artifacts/chain/") {
                verifier.begin_file(&subject.name, None);
                read = for_each_line::<io::Error>(&mut content, |line| {
                    if let Some(seen) = verifier.line(line, own) {
                        first.get_or_insert(seen.head);
                        if let Body::Tick(tick) = seen.body {
                            clock = Some(tick.clock.to_value());
                        }
                    }
                    Ok(())
                });
            }
            if let Ok((torn, _)) = &read
                && *torn > 0
            {
                verifier.torn(*torn, own);
            }
            let sums = content.finish(read.map(|_| ()), report)?;
            if let Some(sums) = &sums
                && sums.sha256 != subject.sha256
            {
                let message = "the artifact is not the one that the statement names";
                let finding =
                    Finding::new(Code::BundleDigest, Location::file(&subject.name), message);
                own.add_finding(finding.values(subject.sha256, sums.sha256));
            }
            own.checked("artifacts", 1);
            self.hold(at, sums.as_ref(), report);
            (self.progress)(self.records);
        }
        if expired {
            let message = "the artifacts were removed when their retention ended, as recorded";
            own.add_finding(Finding::new(
                Code::BundleExpired,
                Location::file("artifacts"),
                message,
            ));
            return Ok(());
        }
        bundle::check_range(statement, first, verifier.head(), own);
        if clock.is_some_and(|clock| clock != statement.evidence.clock) {
            let message = "the statement's time attestation is not that of the range's last tick";
            let place = Location::file("statement.json");
            own.add_finding(Finding::new(Code::ClockVerdict, place, message));
        }
        Ok(())
    }
}

/// The trees that the bundle was proved and anchored in are the registry's:
/// else whoever signs could keep two registries, and show one to each.
fn of_registry(
    proof: Option<&[u8]>,
    anchored: Option<(u64, Digest)>,
    registry: &Registry,
    own: &mut Report,
) {
    let place = || Location::file("proof.json");
    let proof = proof.and_then(|bytes| Proof::parse(bytes).ok());
    let note = proof.as_ref().and_then(|proof| Note::parse(&proof.checkpoint).ok());
    if let Some(checkpoint) = note.and_then(|note| Checkpoint::parse(note.text).ok()) {
        same_root(&checkpoint, registry, place(), own);
    }
    let Some((size, root)) = anchored else { return };
    own.checked("anchored trees", 1);
    let message = "the registry in the packet does not continue what was anchored: it is another";
    let finding = Finding::new(Code::ProofConsistency, place(), message);
    match registry.then(size) {
        Then::Root(then) if then == root => {}
        Then::Root(then) => own.add_finding(finding.values(root, then)),
        Then::Beyond => own.add_finding(finding.values(size, registry.size)),
        Then::Forgotten => {
            own.not_checked_decisive("an anchored tree", "the registry is too long for it")
        }
    }
}
