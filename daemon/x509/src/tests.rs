//! A certificate and a list that openssl was shown, and what becomes of them
//! with any byte changed.

use proptest::prelude::*;
use provenance_core::{encoding::time::Timestamp, registry::Governance};

use super::*;
use crate::governance::GovernanceExtension;

fn said() -> GovernanceExtension {
    GovernanceExtension {
        subject: SubjectKind::Package,
        name: "@acme/agent".into(),
        version: Some("1.2.3".into()),
        artifact_sha256: Some(Digest::sha256(b"x")),
        renews: Some("0123456789abcdef0123456789abcdef".into()),
        governance: Governance {
            approved_by: "Anna Müller \u{1f512}".into(),
            approved_at: Timestamp::from_nanos(5),
            place: "Ulm \"x\"\\".into(),
            policy_version: "3".into(),
        },
    }
}

#[test]
fn what_is_said_survives_its_text_and_no_other_text_passes() {
    let text = governance::write(&said());
    assert!(text.is_ascii(), "{text}");
    assert_eq!(governance::read(&text), Ok(said()));
    for at in 0..text.len() {
        let mut bad = text.clone().into_bytes();
        bad[at] ^= 1;
        let bad = String::from_utf8_lossy(&bad).into_owned();
        assert_ne!(governance::read(&bad), Ok(said()), "byte {at}");
    }
    assert!(governance::read(&text.replacen(',', ", ", 1)).is_err());
    assert!(governance::read(&" ".repeat(9_000)).is_err());
}

#[test]
fn what_cannot_be_said_is_refused() {
    use SubjectKind::{Appliance, Authority, Package, Service};
    let named = |subject, name: &str| GovernanceExtension {
        subject,
        name: name.into(),
        version: None,
        ..said()
    };
    for (kind, good) in [
        (Package, "agent"),
        (Service, "a.example"),
        (Appliance, "clinic-001/appliance-7"),
        (Authority, "clinic-001"),
    ] {
        assert_eq!(governance::judge(&named(kind, good)), Ok(()), "{good}");
    }
    for (kind, bad) in [
        (Package, "../x"),
        (Service, "A.example"),
        (Service, "-a"),
        (Service, "a..b"),
        (Service, ""),
        (Appliance, "a"),
        (Appliance, "a/b/c"),
        (Appliance, "ä/b"),
        (Authority, "a/b"),
    ] {
        assert!(governance::judge(&named(kind, bad)).is_err(), "{bad}");
    }
    let version = GovernanceExtension { subject: Service, name: "a.example".into(), ..said() };
    assert!(governance::judge(&version).is_err());
    let place = Governance { place: "a\nb".into(), ..said().governance };
    assert!(governance::judge(&GovernanceExtension { governance: place, ..said() }).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let key = PublicKey::from_spki(&[
            0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00, 0x19, 0xbf,
            0x44, 0x09, 0x69, 0x84, 0xcd, 0xfe, 0x85, 0x41, 0xba, 0xc1, 0x67, 0xdc, 0x3b, 0x96,
            0xc8, 0x50, 0x86, 0xaa, 0x30, 0xb6, 0xb6, 0xcb, 0x0c, 0x5c, 0x38, 0xad, 0x70, 0x31,
            0x66, 0xe1,
        ]).unwrap();
        let _ = ParsedCertificate::parse(&bytes);
        let _ = Crl::parse(&bytes, &key);
        let _ = governance::read(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn every_text_is_said_and_read_alike(by in "\\PC{1,60}", place in "\\PC{1,60}") {
        let governance = Governance { approved_by: by, place, ..said().governance };
        let said = GovernanceExtension { governance, ..said() };
        if governance::judge(&said).is_ok() {
            prop_assert_eq!(governance::read(&governance::write(&said)), Ok(said));
        }
    }
}
