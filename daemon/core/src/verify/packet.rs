//! The manifest of a compliance packet (docs/format.md §13, steps 13.2 and 13.3).

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::bundle::{Trusted, signer};
use crate::{
    packet::{MANIFEST, Manifest, ManifestError, SIGNATURE, SIGSTORE},
    report::{Code, Finding, Location, Report, Severity},
    signing::{dsse, sigstore_bundle::SigstoreBundle},
};

/// The manifest and its signatures, as bytes; an absent one is `None`.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// `packet.json`
    pub manifest: Vec<u8>,
    /// `packet.json.sig`
    pub signature: Option<Vec<u8>>,
    /// `packet.sigstore.json`
    pub sigstore: Option<Vec<u8>>,
}

/// Step 13.2: reads the manifest.
pub fn read(bytes: &[u8], report: &mut Report) -> Option<Manifest> {
    match Manifest::parse(bytes) {
        Ok(manifest) => Some(manifest),
        Err(ManifestError::UnknownType) => {
            report.not_checked_decisive(
                "the packet",
                "its manifest is of a later type; use a newer provctl",
            );
            None
        }
        Err(error) => {
            let place = Location::file(MANIFEST);
            report.add_finding(Finding::new(Code::PacketMalformed, place, error.to_string()));
            None
        }
    }
}

/// Step 13.3: both signatures, by one key of the policy.
pub fn signatures(
    files: &Files,
    manifest: &Manifest,
    trusted: &[Trusted],
    allow_unsigned: bool,
    report: &mut Report,
) {
    let find = |code, name: &str, message: String, report: &mut Report| {
        report.add_finding(Finding::new(code, Location::file(name), message));
    };
    let (signature, sigstore) = match (&files.signature, &files.sigstore, manifest.signed) {
        (Some(signature), Some(sigstore), true) => (signature, sigstore),
        (None, None, false) => return unsigned(allow_unsigned, report),
        (None, _, true) => {
            let message = "the manifest says that it is signed, and a signature is missing".into();
            return find(Code::PacketMissingFile, SIGNATURE, message, report);
        }
        (_, None, true) => {
            let message = "the manifest says that it is signed, and a signature is missing".into();
            return find(Code::PacketMissingFile, SIGSTORE, message, report);
        }
        (_, _, false) => {
            let message = "the manifest says that it is not signed, and there are signatures";
            return find(Code::PacketExtraFile, SIGNATURE, message.into(), report);
        }
    };
    let envelope = match SigstoreBundle::parse(sigstore) {
        Ok(envelope) => envelope,
        Err(error) => return find(Code::BundleSignature, SIGSTORE, error.to_string(), report),
    };
    let hint = envelope.key_hint();
    let Some(trusted) = signer(hint, trusted, Location::file(SIGSTORE), report) else { return };
    if !trusted.covers(manifest.size) {
        let message = format!(
            "the key {} may not sign for a registry of {} records: it is revoked, or outside its \
             span",
            trusted.name, manifest.size
        );
        find(Code::BundleKey, SIGSTORE, message, report);
    }
    report.checked("signatures", 2);
    let key = trusted.key.verifying_key();
    match envelope.verify(key, &hint) {
        Ok(payload) if payload == files.manifest => {}
        Ok(_) => {
            let message = "the signed payload is not packet.json".into();
            find(Code::BundleSignature, SIGSTORE, message, report);
        }
        Err(error) => find(Code::BundleSignature, SIGSTORE, error.to_string(), report),
    }
    if let Err(error) = dsse::verify_detached(&files.manifest, signature, key) {
        find(Code::BundleSignature, SIGNATURE, error.to_string(), report);
    }
}

fn unsigned(allowed: bool, report: &mut Report) {
    let place = Location::file(SIGNATURE);
    if allowed {
        let finding =
            Finding::new(Code::BundleUnsigned, place, "nobody signed; the policy accepts that");
        report.add_finding(finding.severity(Severity::Info));
        report.not_checked_decisive(
            "who made the packet",
            "it is unsigned: anybody could have made it",
        );
    } else {
        let message = "nobody signed this packet (a policy may accept that: allow_unsigned)";
        report.add_finding(Finding::new(Code::BundleUnsigned, place, message));
    }
}
