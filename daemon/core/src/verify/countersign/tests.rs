//! Whom a counter-signature counts for, and whom not.

use alloc::{vec, vec::Vec};

use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;

use super::*;
use crate::{
    report::Verdict,
    signing::sigstore_bundle,
    statement::{
        Subject,
        countersignature::{
            MAX_STATEMENT, Request,
            tests::{example, request, requester},
        },
    },
};

struct Person(SigningKey);

impl Person {
    fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }

    fn key(&self) -> PublicKey {
        PublicKey::from_bytes(&self.0.verifying_key().to_bytes()).unwrap()
    }

    fn trusted(&self, until: Option<u64>) -> Trusted {
        Trusted { name: "k".into(), key: self.key(), from: 0, until }
    }

    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let sign = |bytes: &[u8]| self.0.sign(bytes).to_bytes();
        let mut line = sigstore_bundle::sign(bytes, &self.key().fingerprint(), &sign);
        line.push(b'\n');
        line
    }

    fn vote(&self, signed: &Countersignature) -> Vec<u8> {
        self.sign(&signed.encode().unwrap())
    }
}

fn asked(threshold: usize) -> RequestedCountersignature<'static> {
    let Request { tree, subject, .. } = request();
    RequestedCountersignature {
        tree,
        sha256: subject.sha256,
        version: None,
        requester: None,
        threshold,
    }
}

fn verdict(
    file: &[u8],
    asked: &RequestedCountersignature<'_>,
    trusted: &[Trusted],
) -> (Verdict, Vec<Code>) {
    let mut report = Report::new();
    judge(file, "f", asked, trusted, &mut report);
    (report.verdict(), report.findings().iter().map(|finding| finding.code).collect())
}

fn with(change: impl FnOnce(&mut Countersignature)) -> Countersignature {
    let mut signed = example();
    change(&mut signed);
    signed
}

#[test]
fn different_trusted_keys_are_counted_and_each_once() {
    let (a, b) = (Person::new(1), Person::new(2));
    let trusted = [a.trusted(None), b.trusted(None)];
    let (one, both) = (a.vote(&example()), [a.vote(&example()), b.vote(&example())].concat());
    assert_eq!(verdict(&both, &asked(2), &trusted), (Verdict::Verified, vec![]));
    let few = (Verdict::Failed, vec![Code::CountersignFew]);
    assert_eq!(verdict(&one, &asked(2), &trusted), few);
    assert_eq!(verdict(b"", &asked(1), &trusted), few);
    // Twice by one key, and by a key that the policy has under two names.
    let again = a.vote(&with(|signed| signed.who = "carl".into()));
    let twice = [one.clone(), again].concat();
    assert_eq!(verdict(&twice, &asked(2), &trusted), few);
    let named_twice = [a.trusted(None), Trusted { name: "l".into(), ..a.trusted(None) }];
    assert_eq!(verdict(&twice, &asked(2), &named_twice), few);
    let mut report = Report::new();
    let votes = judge(&both, "f", &asked(2), &trusted, &mut report);
    assert_eq!(votes.len(), 2);
    assert!(votes[&a.key().fingerprint()].signed == example());
    assert_eq!(report.count_checked("keys that count"), 2);
}

#[test]
fn who_is_not_in_the_policy_counts_for_nothing_and_without_one_nothing_is_told() {
    let (a, b) = (Person::new(1), Person::new(2));
    let both = [a.vote(&example()), b.vote(&example())].concat();
    let trusted = [a.trusted(None)];
    let other = vec![Code::CountersignUntrusted];
    assert_eq!(verdict(&both, &asked(1), &trusted), (Verdict::Verified, other.clone()));
    let (failed, codes) = verdict(&both, &asked(2), &trusted);
    assert_eq!((failed, codes.len()), (Verdict::Failed, 2));
    assert_eq!(verdict(&b.vote(&example()), &asked(1), &[]), (Verdict::Inconclusive, other));
    assert_eq!(verdict(b"", &asked(1), &[]), (Verdict::Inconclusive, vec![]));
}

#[test]
fn whoever_asks_cannot_sign() {
    let (a, b) = (Person::new(1), Person::new(2));
    let trusted = [a.trusted(None), b.trusted(None)];
    let own = a.vote(&with(|signed| signed.request.key = a.key()));
    let codes = vec![Code::CountersignSelf, Code::CountersignFew];
    assert_eq!(verdict(&own, &asked(1), &trusted), (Verdict::Failed, codes.clone()));
    // Nor under a request in the name of another key, where the key is known.
    let key = a.key();
    let known = RequestedCountersignature { requester: Some(&key), ..asked(1) };
    assert_eq!(verdict(&a.vote(&example()), &known, &trusted), (Verdict::Failed, codes));
    let other = vec![Code::CountersignRequester, Code::CountersignFew];
    assert_eq!(verdict(&b.vote(&example()), &known, &trusted), (Verdict::Failed, other));
    let key = requester();
    let known = RequestedCountersignature { requester: Some(&key), ..asked(1) };
    assert_eq!(verdict(&b.vote(&example()), &known, &trusted), (Verdict::Verified, vec![]));
}

#[test]
fn other_contents_and_other_versions_count_for_nothing() {
    let a = Person::new(1);
    let trusted = [a.trusted(None)];
    let old = Subject { name: "left-pad".into(), sha256: Digest::sha256(b"old") };
    let stale = a.vote(&with(|signed| signed.request.subject = old));
    let altered = vec![Code::CountersignAltered, Code::CountersignFew];
    assert_eq!(verdict(&stale, &asked(1), &trusted), (Verdict::Failed, altered));
    // The same digest, but of another kind of thing.
    let file = RequestedCountersignature { tree: Tree::File, ..asked(1) };
    assert_eq!(verdict(&a.vote(&example()), &file, &trusted).0, Verdict::Failed);
    // One of before does not spoil one of now.
    let both = [stale, a.vote(&example())].concat();
    let told = vec![Code::CountersignAltered];
    assert_eq!(verdict(&both, &asked(1), &trusted), (Verdict::Verified, told));
    let version = |version| RequestedCountersignature { version: Some(version), ..asked(1) };
    let one = a.vote(&example());
    assert_eq!(verdict(&one, &version("1.3.0"), &trusted), (Verdict::Verified, vec![]));
    let other = vec![Code::CountersignVersion, Code::CountersignFew];
    assert_eq!(verdict(&one, &version("1.3.1"), &trusted), (Verdict::Failed, other.clone()));
    let none = a.vote(&with(|signed| signed.request.version = None));
    assert_eq!(verdict(&none, &version("1.3.0"), &trusted), (Verdict::Failed, other));
}

#[test]
fn a_key_whose_span_has_an_end_is_undecided_where_the_answer_rests_on_it() {
    let (a, b) = (Person::new(1), Person::new(2));
    let both = [a.vote(&example()), b.vote(&example())].concat();
    let trusted = [a.trusted(None), b.trusted(Some(9))];
    assert_eq!(verdict(&both, &asked(2), &trusted), (Verdict::Inconclusive, vec![]));
    assert_eq!(verdict(&both, &asked(1), &trusted), (Verdict::Verified, vec![]));
    assert_eq!(verdict(&both, &asked(3), &trusted), (Verdict::Failed, vec![Code::CountersignFew]));
    // A later span of the same key has no end.
    let spans = [a.trusted(None), b.trusted(Some(9)), b.trusted(None)];
    assert_eq!(verdict(&both, &asked(2), &spans), (Verdict::Verified, vec![]));
}

#[test]
fn a_later_statement_by_a_trusted_key_is_undecided_and_anything_else_is_malformed() {
    let (a, b) = (Person::new(1), Person::new(2));
    let trusted = [a.trusted(None)];
    let bytes = alloc::string::String::from_utf8(example().encode().unwrap()).unwrap();
    let later = bytes.replacen("countersign/v1", "countersign/v2", 1);
    let line = a.sign(later.as_bytes());
    assert_eq!(verdict(&line, &asked(1), &trusted), (Verdict::Inconclusive, vec![]));
    let with_one = [line, a.vote(&example())].concat();
    assert_eq!(verdict(&with_one, &asked(1), &trusted), (Verdict::Verified, vec![]));
    let untrusted = b.sign(later.as_bytes());
    assert_eq!(verdict(&untrusted, &asked(1), &trusted).0, Verdict::Failed);
    let wrong = bytes.replacen("1.3.0", "1.3.1", 1);
    let malformed = vec![Code::CountersignMalformed];
    let good = a.vote(&example());
    for bad in [
        a.sign(wrong.as_bytes()),
        a.sign(&vec![b' '; MAX_STATEMENT + 1]),
        b"\n".to_vec(),
        b"{}\n".to_vec(),
        good[..good.len() - 1].to_vec(),
    ] {
        let file = [&good[..], &bad].concat();
        assert_eq!(verdict(&file, &asked(1), &trusted), (Verdict::Failed, malformed.clone()));
    }
}

#[test]
fn each_changed_byte_of_a_counter_signature_fails() {
    let a = Person::new(1);
    let (line, trusted) = (a.vote(&example()), [a.trusted(None)]);
    let mut codes = Vec::new();
    for at in 0..line.len() {
        let mut bad = line.clone();
        bad[at] ^= 1;
        let (failed, found) = verdict(&bad, &asked(1), &trusted);
        assert_eq!(failed, Verdict::Failed, "byte {at}");
        codes.extend(found);
    }
    assert!(codes.contains(&Code::CountersignSignature), "{codes:?}");
}

proptest! {
    #[test]
    fn no_bytes_behind_a_good_line_count_or_make_it_panic(bytes: Vec<u8>) {
        let a = Person::new(1);
        let trusted = [a.trusted(None), Person::new(2).trusted(None)];
        let file = [a.vote(&example()), bytes].concat();
        let mut report = Report::new();
        prop_assert_eq!(judge(&file, "f", &asked(2), &trusted, &mut report).len(), 1);
        prop_assert_eq!(report.verdict(), Verdict::Failed);
    }
}
