//! Every kind's form.

use super::*;

fn key() -> PublicKey {
    PublicKey::parse("MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=").unwrap()
}

#[test]
fn every_kind_survives_its_bytes_and_no_other_member_is_taken() {
    let (d, t) = (Digest::sha256(b"x"), Timestamp::from_nanos(5));
    let text = String::from("text");
    for entry in [
        Entry::Genesis {
            chain: text.clone(),
            client: text.clone(),
            host: text.clone(),
            machine: text.clone(),
            software: text.clone(),
        },
        Entry::Key(KeyEntry {
            action: KeyAction::Succeed,
            key: key(),
            name: text.clone(),
            reason: Some(text.clone()),
            succeeds: Some(d),
        }),
        Entry::Head { seq: 4, hash: d },
        Entry::Segment(Segment {
            name: text.clone(),
            bytes: 1,
            sha256: d,
            first: d,
            first_seq: 0,
            last: d,
            count: 2,
        }),
        Entry::Bundle(BundleEntry {
            id: "EB-20261121-0001".into(),
            statement_sha256: d,
            first_seq: 0,
            first_hash: d,
            last_seq: 9,
            last_hash: d,
            from: t,
            to: t,
            signed: true,
            artifacts: 1,
            reason: text.clone(),
        }),
        Entry::Expire { bundle: text.clone(), retention_days: 30 },
        Entry::Review { what: text.clone(), who: text.clone(), outcome: text.clone() },
        Entry::Alert(Alert {
            id: "0123456789abcdef0123456789abcdef".into(),
            code: "log.shrunk".into(),
            subject: text.clone(),
            severity: crate::report::Severity::Warning,
            message: text.clone(),
            since: t,
            until: Some(t),
            seq: 4,
            hash: d,
        }),
    ] {
        let value = entry.to_value();
        assert_eq!(Entry::read(entry.kind(), &value.encode()), Ok(entry.clone()));
        let more = value.with("zz", true).encode();
        assert!(Entry::read(entry.kind(), &more).is_err());
        assert!(Entry::read(entry.kind(), b"{}").is_err());
        assert!(KINDS.contains(&entry.kind()));
    }
    assert_eq!(Entry::read("export", b"{\"a\":1}"), Ok(Entry::Other));
    assert!(Entry::read("export", b"{\"a\" :1}").is_err());
}
