//! What the authority writes, byte for byte.

use provenance_core::registry::Governance;
use provenance_x509::Crl;

use super::*;

fn signer(folder: &std::path::Path, name: &str) -> Signer {
    crate::ledger::signer::keygen(folder, name).unwrap();
    Signer::load(&folder.join(format!("{name}.key")).display().to_string()).unwrap()
}

fn said(subject: SubjectKind, name: &str) -> GovernanceExtension {
    let governance = Governance {
        approved_by: "anna".into(),
        approved_at: Timestamp::from_nanos(5),
        place: "Ulm".into(),
        policy_version: "1".into(),
    };
    let name = name.to_owned();
    GovernanceExtension {
        subject,
        name,
        version: None,
        artifact_sha256: None,
        renews: None,
        governance,
    }
}

#[test]
fn each_changed_byte_of_a_certificate_and_of_a_list_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let signer = signer(folder.path(), "a");
    let span = (Timestamp::from_nanos(0), Timestamp::from_nanos(1_900_000_000_000_000_000));
    let wanted = |said| CertificateTemplate {
        said,
        client: "clinic",
        not_before: span.0,
        not_after: span.1,
    };
    let own = said(SubjectKind::Authority, "clinic");
    let own = issue::authority(&signer, &wanted(&own)).unwrap();
    let key = SubjectKey::parse(&fs::read(folder.path().join("a.pub")).unwrap()).unwrap();
    let about = said(SubjectKind::Package, "agent");
    let issued = issue::certificate(&signer, &own, &key, &wanted(&about)).unwrap();
    for good in [&own.der, &issued.der] {
        for at in 0..good.len() {
            for flip in [1, 0x20, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                let held = ParsedCertificate::parse(&bad).and_then(|it| it.verify(signer.public()));
                assert!(held.is_err(), "byte {at} ^ {flip}");
            }
        }
    }
    let revoked = [(issued.id.clone(), span.0)];
    let pem = issue::crl(&signer, &own, "clinic", 3, span.0, span.1, &revoked).unwrap();
    let list = Crl::parse(pem.as_bytes(), signer.public()).unwrap();
    assert!(list.revoked.contains_key(&issued.id) && list.revoked.len() == 1);
    let (_, der) = pem::decode_vec(pem.as_bytes()).unwrap();
    for at in 0..der.len() {
        let mut bad = der.clone();
        bad[at] ^= 1;
        assert!(Crl::parse(&bad, signer.public()).is_err(), "byte {at}");
    }
}

#[test]
fn a_certificate_by_one_authority_is_none_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (signer(folder.path(), "a"), signer(folder.path(), "b"));
    let said = said(SubjectKind::Authority, "clinic");
    let (not_before, not_after) = (Timestamp::from_nanos(0), Timestamp::from_nanos(1));
    let wanted = CertificateTemplate { said: &said, client: "clinic", not_before, not_after };
    let own = issue::authority(&a, &wanted).unwrap();
    let certified = ParsedCertificate::parse(&own.der).unwrap();
    assert!(certified.verify(a.public()).is_ok() && certified.verify(b.public()).is_err());
}
