//! A run's manifest in WORM storage (docs/format.md §15, steps 15.2 and 15.3).

use alloc::{format, string::ToString};

use super::bundle::Trusted;
use crate::{
    encoding::digest::Digest,
    report::{Code, Finding, Location, Report, Severity},
    signing::dsse,
    statement::replication_manifest::{Manifest, ManifestError},
};

/// Step 15.2: reads the manifest of a run.
pub fn read(bytes: &[u8], run: u64, place: Location, report: &mut Report) -> Option<Manifest> {
    report.checked("manifests", 1);
    match Manifest::parse(bytes) {
        Ok(manifest) if manifest.run == run => return Some(manifest),
        Ok(manifest) => {
            let finding = Finding::new(Code::StoreManifest, place, "it is of another run");
            report.add_finding(finding.values(run, manifest.run));
        }
        Err(error @ ManifestError::Version(_)) => {
            report.not_checked_decisive(format!("run {run} of the copies"), error.to_string());
        }
        Err(error) => {
            report.add_finding(Finding::new(Code::StoreManifest, place, error.to_string()))
        }
    }
    None
}

/// Step 15.2: the manifest goes on where the one before it ended, and is of the
/// same appliance.
pub fn follows(
    manifest: &Manifest,
    before: Option<(&Manifest, Digest)>,
    place: Location,
    report: &mut Report,
) {
    let mut differ = |what: &str, expected: alloc::string::String, got: alloc::string::String| {
        if expected != got {
            let message = format!("the run's {what} does not follow from the run before it");
            let finding = Finding::new(Code::StoreManifest, place.clone(), message);
            report.add_finding(finding.values(expected, got));
        }
    };
    let text = |follows: Option<(u64, Digest)>| match follows {
        Some((run, sha256)) => format!("run {run}, {sha256}"),
        None => "no run".into(),
    };
    let expected = before.map(|(before, sha256)| (before.run, sha256));
    differ("predecessor", text(expected), text(manifest.follows));
    if let Some((before, _)) = before {
        differ("appliance", before.base(), manifest.base());
        differ("first registry record", before.to.to_string(), manifest.from.to_string());
    }
}

/// Step 15.3: a key of the policy signed the manifest, within its span.
pub fn signature(
    bytes: &[u8],
    signature: Option<&[u8]>,
    manifest: &Manifest,
    trusted: &[Trusted],
    allow_unsigned: bool,
    place: Location,
    report: &mut Report,
) {
    let mut find =
        |code, message: &str| report.add_finding(Finding::new(code, place.clone(), message));
    let signature = match (signature, manifest.signed) {
        (Some(signature), true) => signature,
        (None, true) => {
            let message = "the manifest says that it is signed, and its signature is missing";
            return find(Code::StoreMissing, message);
        }
        (Some(_), false) => {
            let message = "the manifest says that it is not signed, and there is a signature";
            return find(Code::StoreExtra, message);
        }
        (None, false) if allow_unsigned => {
            let finding = "nobody signed; the policy accepts that";
            let finding = Finding::new(Code::BundleUnsigned, place, finding);
            return report.add_finding(finding.severity(Severity::Info));
        }
        (None, false) => {
            let message = "nobody signed this manifest (a policy may accept that: allow_unsigned)";
            return find(Code::BundleUnsigned, message);
        }
    };
    if trusted.is_empty() {
        return;
    }
    let by = |trusted: &&Trusted| {
        dsse::verify_detached(bytes, signature, trusted.key.verifying_key()).is_ok()
    };
    match trusted.iter().find(by) {
        Some(key) if key.covers(manifest.to) => report.checked("signatures", 1),
        Some(key) => {
            let message = format!(
                "the key {} may not sign for a registry of {} records: it is revoked, or outside \
                 its span",
                key.name, manifest.to
            );
            find(Code::BundleKey, &message);
        }
        None => find(Code::BundleSignature, "no key of the policy signed this manifest"),
    }
}
