use alloc::{borrow::ToOwned, format, vec};

use proptest::prelude::*;

use super::*;
use crate::encoding::digest::Digest;

fn example() -> Statement {
    let link = |seq, text: &str| Link { seq, hash: Digest::sha256(text.as_bytes()) };
    let time = |text: &str| Timestamp::parse(text.as_bytes()).unwrap();
    let subject = |name: &str, text: &str| Subject {
        name: name.into(),
        sha256: Digest::sha256(text.as_bytes()),
    };
    Statement {
        subjects: vec![
            subject("artifacts/chain/2026/11/21.jsonl", "one line of a log"),
            subject("artifacts/report f\u{fc}r 2026.txt", "a report"),
        ],
        evidence: Evidence {
            bundle: "EB-20261121-0001".parse().unwrap(),
            client: "clinic-001".into(),
            host: "gate-1".into(),
            tier: "professional".into(),
            from: time("2026-11-21T00:00:00.000000000Z"),
            to: time("2026-11-21T04:20:00.000000000Z"),
            controls: vec!["164.312(b)".into(), "164.312(c)(1)".into()],
            reason: "scheduled".into(),
            chain: ChainRange {
                id: "00112233445566778899aabbccddeeff".into(),
                first: link(0, "first"),
                last: link(52, "last"),
            },
            clock: Value::object([
                ("verdict", "agreed".into()),
                ("offset_ns", Value::Int(-1200)),
                ("bound_ns", Value::Int(2_100_000)),
                ("sources", Value::Array(vec![])),
            ]),
            collector: Collector { name: "provenanced".into(), version: "0.1.0".into() },
            signed: true,
        },
    }
}

fn named(names: &[&str]) -> Statement {
    let subject = |name: &&str| Subject { name: (*name).into(), sha256: Digest::ZERO };
    Statement { subjects: names.iter().map(subject).collect(), ..example() }
}

#[test]
fn the_statement_made_by_jq_reads_and_ours_is_the_same() {
    assert_eq!(Statement::parse(vectors::statement()), Ok(example()));
    assert_eq!(example().encode().unwrap(), vectors::statement());
    assert_eq!(Value::parse(vectors::statement()).unwrap().encode(), vectors::statement());
}

#[test]
fn a_name_that_leads_out_of_the_bundle_or_deceives_is_refused() {
    let long = format!("artifacts/{}", "x".repeat(256));
    let deep = "artifacts/".to_owned() + &"x/".repeat(2048) + "x";
    for name in [
        "",
        "artifacts",
        "artifacts/",
        "statement.json",
        "/etc/passwd",
        "artifacts//etc/passwd",
        "artifacts/../statement.json",
        "artifacts/a/../../b",
        "artifacts/..",
        "artifacts/./a",
        "artifacts/a/",
        "./artifacts/a",
        "artifacts/a\0b",
        "artifacts/a\nb",
        "artifacts/a\u{1b}[2Jb",
        "artifacts/a\u{9b}b",
        "artifacts/a\\b",
        "Artifacts/a",
        &long,
        &deep,
    ] {
        assert!(!is_safe_name(name), "{name:?}");
        assert_eq!(named(&[name]).encode(), Err(StatementError::UnsafeName(0)), "{name:?}");
    }
    for name in ["artifacts/a", "artifacts/..a/b..", "artifacts/a b/-c", "artifacts/\u{e9}"] {
        assert!(named(&[name]).encode().is_ok(), "{name:?}");
    }
}

#[test]
fn subjects_are_sorted_once_each_and_at_least_one() {
    assert_eq!(named(&[]).encode(), Err(StatementError::NoSubject));
    let twice = named(&["artifacts/a", "artifacts/b", "artifacts/b"]);
    assert_eq!(twice.encode(), Err(StatementError::Order(2)));
    let mixed = named(&["artifacts/b", "artifacts/a"]);
    assert_eq!(mixed.encode(), Err(StatementError::Order(1)));
}

#[test]
fn another_type_or_a_later_predicate_is_said_to_be_unknown() {
    let text = core::str::from_utf8(vectors::statement()).unwrap();
    for bad in [
        text.replace("Statement/v1", "Statement/v2"),
        text.replace("evidence/v1", "evidence/v2"),
        text.replace("evidence/v1", "evidence/v2").replace("\"reason\"", "\"reasons\""),
    ] {
        assert_eq!(Statement::parse(bad.as_bytes()), Err(StatementError::UnknownType), "{bad}");
    }
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let text = core::str::from_utf8(vectors::statement()).unwrap();
    for (good, bad) in [
        ("EB-20261121-0001", "EB-20261121-0000"),
        ("\"seq\":52", "\"seq\":-1"),
        ("\"seq\":0", "\"seq\":53"),
        ("\"seq\":52", "\"seq\":0"),
        ("00112233445566778899aabbccddeeff", "00112233445566778899AABBCCDDEEFF"),
        ("00112233445566778899aabbccddeeff", "00"),
        ("2026-11-21T04:20:00.000000000Z", "2026-11-20T04:20:00.000000000Z"),
        ("\"signed\":true", "\"signed\":1"),
        ("\"signed\":true", "\"signed\":true,\"the\":1"),
        ("{\"sha256\"", "{\"sha512\":\"\",\"sha256\""),
        ("\"predicate\":", "\"predicate\": "),
        ("\"sources\":[]", "\"sources\":[1.5]"),
    ] {
        let changed = text.replacen(good, bad, 1);
        assert_ne!(changed, text);
        let read = Statement::parse(changed.as_bytes());
        assert!(matches!(read, Err(StatementError::Malformed(_))), "{bad}: {read:?}");
    }
    let mut bare = example();
    bare.evidence.clock = Value::Null;
    assert!(matches!(bare.encode(), Err(StatementError::Malformed(_))));
    let long = Statement::parse(&vec![b' '; MAX_STATEMENT + 1]);
    assert_eq!(long, Err(StatementError::TooLong(MAX_STATEMENT + 1)));
}

fn statements() -> impl Strategy<Value = Statement> {
    let names = prop::collection::btree_set("artifacts/[^\\pC/\\\\.]{1,12}(/[a-z]{1,5})?", 1..5);
    let texts = (any::<[String; 5]>(), prop::collection::vec(any::<String>(), 0..4));
    let places = (0..1_u64 << 40, 1..1_u64 << 40, 0..i64::MAX / 2, 0..i64::MAX / 2);
    (names, texts, places, any::<bool>()).prop_map(|(names, (texts, controls), places, signed)| {
        let [client, host, tier, reason, version] = texts;
        let (first, more, from, length) = places;
        let mut statement = example();
        let hash = |text: &String| Digest::sha256(text.as_bytes());
        statement.subjects =
            names.into_iter().map(|name| Subject { sha256: hash(&name), name }).collect();
        let evidence = &mut statement.evidence;
        evidence.chain.first.seq = first;
        evidence.chain.last.seq = first + more;
        evidence.from = Timestamp::from_nanos(from);
        evidence.to = evidence.from.plus_nanos(length);
        evidence.collector.version = version;
        *evidence = Evidence { client, host, tier, reason, controls, signed, ..evidence.clone() };
        statement
    })
}

proptest! {
    #[test]
    fn every_statement_survives_its_bytes(statement in statements()) {
        let bytes = statement.encode().unwrap();
        prop_assert_eq!(&Value::parse(&bytes).unwrap().encode(), &bytes);
        prop_assert_eq!(Statement::parse(&bytes), Ok(statement));
    }

    #[test]
    fn whatever_is_read_is_written_alike(statement in statements(), at: prop::sample::Index,
                                         byte: u8) {
        let mut bytes = statement.encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = Statement::parse(&bytes) {
            prop_assert_eq!(read.encode(), Ok(bytes));
        }
    }
}
