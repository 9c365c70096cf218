//! Counter-signatures: a request or a statement that is read is written alike; a file of
//! signatures never counts for a key that signed nothing; an old pki.json is only read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_audit::legacy_pki;
use provenance_core::{
    encoding::digest::Digest,
    report::{Report, Verdict},
    signing::public_key::PublicKey,
    statement::countersignature::{Countersignature, Request, Tree},
    verify::{
        bundle::Trusted,
        countersign::{RequestedCountersignature, judge},
    },
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = Request::parse(bytes) {
        assert_eq!(request.encode().as_deref(), Ok(bytes));
    }
    if let Ok(signed) = Countersignature::parse(bytes) {
        assert_eq!(signed.encode().as_deref(), Ok(bytes));
    }
    let _ = legacy_pki::read(bytes);
    // The example of RFC 8410 §10.1.
    let spki = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    let Ok(key) = PublicKey::parse(spki) else { return };
    let trusted = [Trusted { name: "k".into(), key, from: 0, until: None }];
    let sha256 = Digest::sha256(b"tree");
    let asked = RequestedCountersignature {
        tree: Tree::Nar,
        sha256,
        version: None,
        requester: None,
        threshold: 1,
    };
    let mut report = Report::new();
    assert!(judge(bytes, "f", &asked, &trusted, &mut report).is_empty());
    assert_eq!(report.verdict(), Verdict::Failed);
});
