//! The anchors of a state folder (docs/format.md §7), compared with what an
//! auditor knows of Bitcoin's blocks.

use provenance_core::{
    encoding::digest::Digest,
    merkle::{inclusion_proof::Proof, leaf_hash},
    report::{Code, Finding, Location, Report},
    verify::{anchor_proof, registry::FILE},
};
use provenance_verifier::{Trust, block_headers};

use super::registry_cursor::RegistryCursor;

/// The anchors on record in a state folder.
pub(super) fn check_registered_anchors(
    join: &RegistryCursor<'_>,
    trust: &Trust,
    report: &mut Report,
) {
    let newest = join.bundles.values().map(|(_, row)| *row).max();
    block_headers::check_registered_anchors((join.anchors(), FILE, newest), &trust.blocks, report);
}

/// A proof that the auditor holds from an earlier visit.
pub(super) fn held(
    proof: &Proof,
    join: Option<&RegistryCursor<'_>>,
    trust: &Trust,
    report: &mut Report,
) {
    let place = Location::file("the proof given");
    let Some(anchor) = &proof.anchor else { return };
    match (anchor.verify(leaf_hash(proof.body.as_bytes()), proof.index), join) {
        (Err(error), _) => {
            report.add_finding(Finding::new(error.code(), place, format!("its anchor: {error}")));
        }
        (Ok(_), None) => {
            report.not_checked_decisive(
                "the proof given",
                "there is no registry here that could continue it",
            );
        }
        (Ok(shown), Some(join)) => {
            let ask = |height| trust.blocks.lookup(height);
            anchor_proof::verify_registry_anchor(place.clone(), &shown, (&ask, true), report);
            continues(join, (anchor.size, shown.root), place, report);
        }
    }
}

/// What a bundle was anchored under is what the registry was then.
pub(super) fn continues(
    join: &RegistryCursor<'_>,
    (size, root): (u64, Digest),
    place: Location,
    report: &mut Report,
) {
    report.checked("anchored trees", 1);
    let message = "the registry does not continue what was anchored: it was written anew since";
    let finding = Finding::new(Code::ProofConsistency, place, message);
    match join.root_at(size) {
        Some(now) if now == root => {}
        Some(now) => report.add_finding(finding.values(root, now)),
        None => report.add_finding(finding.values(size, join.tree().size())),
    }
}
