//! Requests and counter-signatures: one form each, and no other passes.

use alloc::{format, vec};

use proptest::prelude::*;

use super::*;
use crate::{
    signing::sigstore_bundle::{self, SigstoreBundle},
    statement::evidence::vectors,
};

/// The key of the example in RFC 8410 §10.1.
pub(crate) fn requester() -> PublicKey {
    PublicKey::parse("MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=").unwrap()
}

pub(crate) fn request() -> Request {
    Request {
        author: "anna <anna@example.com>".into(),
        key: requester(),
        subject: Subject { name: "left-pad".into(), sha256: Digest::sha256(b"tree") },
        time: Timestamp::parse(b"2026-11-21T04:20:00.000000000Z").unwrap(),
        tree: Tree::Nar,
        version: Some("1.3.0".into()),
    }
}

pub(crate) fn example() -> Countersignature {
    Countersignature {
        request: request(),
        reason: Some("read every line".into()),
        client: "clinic-001".into(),
        host: "gate-1".into(),
        who: "bert".into(),
        time: Timestamp::parse(b"2026-11-21T05:00:00.000000000Z").unwrap(),
    }
}

#[test]
fn what_openssl_and_jq_made_is_read_and_ours_is_the_same() {
    let vector = include_bytes!("../../../../../tests/vectors/countersign/request.json");
    assert_eq!(Request::parse(vector), Ok(request()));
    assert_eq!(request().encode().as_deref(), Ok(&vector[..]));
    let file = include_bytes!("../../../../../tests/vectors/countersign/countersignatures.jsonl");
    let [(1, Some(line))] = lines(file).collect::<Vec<_>>()[..] else { panic!("one line") };
    let statement = example().encode().unwrap();
    assert_eq!(sigstore_bundle::sign(&statement, &vectors::spki_sha256(), &vectors::sign), line);
}

#[test]
fn a_request_survives_its_bytes_and_no_other_form_of_it_is_read() {
    let bytes = request().encode().unwrap();
    assert_eq!(Request::parse(&bytes), Ok(request()));
    let none = Request { version: None, tree: Tree::File, ..request() };
    assert_eq!(Request::parse(&none.encode().unwrap()), Ok(none));
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad.remove(at);
        let read = Request::parse(&bad);
        assert!(read.is_err() || read.unwrap().encode() == Ok(bad), "without byte {at}");
    }
    let text = String::from_utf8(bytes).unwrap();
    for (from, to) in [
        ("request/v1", "request/v2"),
        ("\"nar\"", "\"zip\""),
        ("\"key\":\"MCow", "\"key\":\"\\nMCow"),
        ("\"version\":\"1.3.0\"", "\"version\":\"\""),
        ("left-pad", "left\\u001bpad"),
        ("}", "},\"z\":1"),
    ] {
        let bad = text.replacen(from, to, 1);
        assert_ne!(bad, text);
        assert!(Request::parse(bad.as_bytes()).is_err(), "{to}");
    }
    let long = Request { author: "a".repeat(MAX_REQUEST), ..request() };
    assert!(matches!(long.encode(), Err(CountersignError::TooLong(..))));
    let long = Request { author: "a".repeat(MAX_NAME + 1), ..request() };
    assert_eq!(long.encode(), Err(CountersignError::Text("the author")));
}

#[test]
fn a_countersignature_survives_its_bytes_and_no_other_form_of_it_is_read() {
    let bytes = example().encode().unwrap();
    assert_eq!(Countersignature::parse(&bytes), Ok(example()));
    let none = Countersignature { reason: None, ..example() };
    assert_eq!(Countersignature::parse(&none.encode().unwrap()), Ok(none));
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad.remove(at);
        let read = Countersignature::parse(&bad);
        assert!(read.is_err() || read.unwrap().encode() == Ok(bad), "without byte {at}");
    }
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(
        Countersignature::parse(text.replacen("countersign/v1", "countersign/v2", 1).as_bytes()),
        Err(CountersignError::UnknownType)
    );
    // What the request said cannot be told otherwise than it was asked.
    for (from, to) in
        [("1.3.0", "1.3.1"), ("anna <", "eve <"), ("\"nar\"", "\"file\""), ("left-pad", "left")]
    {
        let bad = text.replacen(from, to, 1);
        let read = Countersignature::parse(bad.as_bytes());
        assert_eq!(read, Err(CountersignError::Request), "{to}");
    }
}

#[test]
fn only_one_thing_is_signed_at_a_time() {
    for count in [0, 2] {
        let subjects = vec![("left-pad", Digest::sha256(b"tree")); count];
        let bytes = statement::encode(PREDICATE_TYPE, example().predicate(), subjects.into_iter());
        assert_eq!(Countersignature::parse(&bytes), Err(CountersignError::Subjects(count)));
    }
}

#[test]
fn no_byte_of_what_was_signed_can_be_changed() {
    let statement = example().encode().unwrap();
    let signed = sigstore_bundle::sign(&statement, &vectors::spki_sha256(), &vectors::sign);
    let holds = |bytes: &[u8]| {
        SigstoreBundle::parse(bytes)
            .is_ok_and(|b| b.verify(&vectors::key(), &vectors::spki_sha256()).is_ok())
    };
    assert!(holds(&signed));
    for at in 0..signed.len() {
        for flip in [1, 0x20, 0x80] {
            let mut bad = signed.clone();
            bad[at] ^= flip;
            assert!(!holds(&bad), "byte {at} ^ {flip}");
        }
    }
}

#[test]
fn whoever_asks_again_asks_for_the_same_and_other_contents_are_another_thing() {
    assert!(request().same(&Request { time: Timestamp::from_nanos(9), ..request() }));
    let renamed = Subject { name: "b".into(), ..request().subject };
    assert!(request().same(&Request { subject: renamed, ..request() }));
    let other = Subject { sha256: Digest::sha256(b"b"), ..request().subject };
    for other in [
        Request { subject: other, ..request() },
        Request { version: None, ..request() },
        Request { tree: Tree::File, ..request() },
        Request { author: "eve".into(), ..request() },
    ] {
        assert!(!request().same(&other), "{other:?}");
    }
}

#[test]
fn lines_are_counted_and_a_torn_one_is_told() {
    let read: Vec<_> = lines(b"a\n\nb").collect();
    assert_eq!(read, [(1, Some(&b"a"[..])), (2, Some(b"")), (3, None)]);
    assert_eq!(lines(b"").count(), 0);
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(bytes: Vec<u8>) {
        let _ = (Request::parse(&bytes), Countersignature::parse(&bytes), lines(&bytes).count());
    }

    #[test]
    fn any_texts_that_are_written_are_read_alike(
        author: String, version: Option<String>, reason: Option<String>, who: String, name: String,
        nanos in 0_i64..4_000_000_000_000_000_000,
    ) {
        let subject = Subject { name, sha256: Digest::sha256(author.as_bytes()) };
        let time = Timestamp::from_nanos(nanos);
        let request = Request { author, version, subject, time, ..request() };
        let whole = Countersignature { request: request.clone(), reason, who, ..example() };
        if let Ok(bytes) = request.encode() {
            prop_assert_eq!(Request::parse(&bytes), Ok(request));
        }
        if let Ok(bytes) = whole.encode() {
            prop_assert_eq!(Countersignature::parse(&bytes), Ok(whole), "{}", format!("{:?}", bytes));
        }
    }
}
