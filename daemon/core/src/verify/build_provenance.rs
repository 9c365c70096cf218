//! The attestation of a build (docs/format.md §14, steps 14.4 to 14.6).

use alloc::{
    format,
    string::{String, ToString},
};

use super::{
    bundle::{Trusted, signer},
    nix_store::Contents,
};
use crate::{
    report::{Code, Finding, Location, Report},
    signing::sigstore_bundle::SigstoreBundle,
    statement::build_provenance::{Provenance, ProvenanceError},
};

/// Steps 14.4 and 14.5: a trusted key signed what it says; `name` is what
/// the file is called.
pub fn verify(
    bytes: &[u8],
    name: &str,
    trusted: &[Trusted],
    report: &mut Report,
) -> Option<Provenance> {
    let (envelope, trusted) = envelope(bytes, name, trusted, report)?;
    match Provenance::parse(envelope.payload()) {
        Ok(provenance) => {
            report.checked("attestations", 1);
            Some(provenance)
        }
        // Only a trusted signature makes an unknown type a later one.
        Err(ProvenanceError::UnknownType) if trusted => {
            let why = "its statement is of a type that this program does not know";
            report.not_checked_decisive("the attestation", why);
            None
        }
        Err(error) => {
            let place = Location::file(name);
            report.add_finding(Finding::new(Code::BundleMalformed, place, error.to_string()));
            None
        }
    }
}

/// An envelope that stands alone, as a trusted key signed it, or, which is then
/// found or undecided, as nobody did whom the policy names; whether one did.
pub fn envelope(
    bytes: &[u8],
    name: &str,
    trusted: &[Trusted],
    report: &mut Report,
) -> Option<(SigstoreBundle, bool)> {
    let place = || Location::file(name);
    let envelope = match SigstoreBundle::parse(bytes) {
        Ok(envelope) => envelope,
        Err(error) => {
            report.add_finding(Finding::new(Code::BundleMalformed, place(), error.to_string()));
            return None;
        }
    };
    let hint = envelope.key_hint();
    let signer = signer(hint, trusted, place(), report);
    if let Some(signer) = signer {
        report.checked("signatures", 1);
        if let Err(error) = envelope.verify(signer.key.verifying_key(), &hint) {
            report.add_finding(Finding::new(Code::BundleSignature, place(), error.to_string()));
            return None;
        }
        if let Some(until) = signer.until {
            let why = format!(
                "the key {} signs nothing beyond {until} registry records, and this file does not \
                 say when it was signed: verify the evidence bundle that it is in",
                signer.name
            );
            report.not_checked_decisive("whether the key was still in use", why);
        }
    }
    Some((envelope, signer.is_some()))
}

/// Step 14.6: holds what lies at the attested path against the attestation;
/// `found` is `None` where nothing does.
pub fn hold(provenance: &Provenance, found: Option<&Contents>, report: &mut Report) {
    let subject = &provenance.subject;
    let Some(found) = found else {
        let why = format!(
            "it is not on this machine; elsewhere `nix-store --dump {} | sha256sum` must print {}",
            plain(&subject.name),
            subject.sha256
        );
        report.not_checked_decisive("the contents of the attested path", why);
        return;
    };
    report.checked("contents", 1);
    if found.nar != subject.sha256 {
        let message = "its contents are not those that were attested";
        let finding = Finding::new(Code::NixAltered, Location::file(&*subject.name), message);
        report.add_finding(finding.values(subject.sha256, found.nar));
    }
}

/// As it can stand in a command: a store path has no other characters.
fn plain(path: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || "/+-._?=".contains(c);
    path.chars().filter(|c| fine(*c)).take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        encoding::digest::Digest,
        report::Verdict,
        signing::{public_key::PublicKey, sigstore_bundle},
        statement::{
            build_provenance::tests::example,
            evidence::vectors::{key, sign, spki_sha256},
        },
    };
    use alloc::{vec, vec::Vec};

    fn attestation() -> Vec<u8> {
        sigstore_bundle::sign(&example().encode().unwrap(), &spki_sha256(), &sign)
    }

    fn trusted(until: Option<u64>) -> Vec<Trusted> {
        let key = PublicKey::from_bytes(&key().to_bytes()).unwrap();
        vec![Trusted { name: "test".into(), key, from: 0, until }]
    }

    fn judge(bytes: &[u8], trusted: &[Trusted], nar: Option<Digest>) -> (Verdict, Vec<Code>) {
        let mut report = Report::new();
        if let Some(provenance) = verify(bytes, "x.json", trusted, &mut report) {
            let found = nar.map(|nar| Contents { nar, size: 1, flat: None });
            hold(&provenance, found.as_ref(), &mut report);
        }
        let codes = report.findings().iter().map(|finding| finding.code).collect();
        (report.verdict(), codes)
    }

    #[test]
    fn only_signed_provenance_of_the_contents_at_hand_is_verified() {
        let (bytes, nar) = (attestation(), Some(example().subject.sha256));
        assert_eq!(judge(&bytes, &trusted(None), nar), (Verdict::Verified, vec![]));
        let other = judge(&bytes, &trusted(None), Some(Digest::sha256(b"other")));
        assert_eq!(other, (Verdict::Failed, vec![Code::NixAltered]));
        assert_eq!(judge(&bytes, &trusted(None), None), (Verdict::Inconclusive, vec![]));
        assert_eq!(judge(&bytes, &trusted(Some(9)), nar), (Verdict::Inconclusive, vec![]));
        assert_eq!(judge(&bytes, &[], nar), (Verdict::Inconclusive, vec![Code::BundleKey]));
    }

    #[test]
    fn another_statement_by_the_same_key_is_not_taken_for_provenance() {
        let bytes = crate::statement::evidence::vectors::statement();
        let signed = sigstore_bundle::sign(bytes, &spki_sha256(), &sign);
        assert_eq!(judge(&signed, &trusted(None), None), (Verdict::Inconclusive, vec![]));
        let (verdict, codes) = judge(&signed, &[], None);
        assert_eq!(verdict, Verdict::Failed);
        assert!(codes.contains(&Code::BundleMalformed), "{codes:?}");
    }

    #[test]
    fn each_changed_byte_fails() {
        let (bytes, nar) = (attestation(), Some(example().subject.sha256));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(judge(&bad, &trusted(None), nar).0, Verdict::Failed, "byte {at}");
        }
    }
}
