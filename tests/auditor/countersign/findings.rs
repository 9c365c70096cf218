//! Each code is found by the program where there is reason, and by itself.

use std::{collections::BTreeSet, fs, process::Command};

use super::{FILE, family, harness::CountersignFixture};
use crate::common::programs::{assert_refused, assert_success};

#[test]
fn each_code_has_a_signature_that_makes_it() {
    let fixture = CountersignFixture::new(&["bert", "carl"]);
    fixture.request("anna", "left-pad");
    assert_eq!(fixture.sign("bert", "left-pad"), "signed");
    let (mut seen, good) = (BTreeSet::new(), fs::read(fixture.path(FILE)).unwrap());
    let mut find = |more: &[&str], code: i32, expected: &[&str]| {
        let (got, codes, report) = fixture.verify("left-pad", more);
        assert_eq!(
            (got, codes.iter().map(String::as_str).collect::<Vec<_>>()),
            (code, expected.to_vec()),
            "{report}"
        );
        seen.extend(codes);
    };
    let one: &[&str] = &["--threshold", "1"];
    find(one, 0, &[]);
    find(&["--threshold", "2"], 1, &["countersign.few"]);
    find(
        &["--threshold", "1", "--version", "2.0.0"],
        1,
        &["countersign.version", "countersign.few"],
    );
    for (key, code) in [("bert.pub", "countersign.self"), ("carl.pub", "countersign.requester")] {
        let key = fixture.text(key);
        find(&["--threshold", "1", "--requester", &key], 1, &[code, "countersign.few"]);
    }

    // A bit of the signature: base64 of its first byte has another letter.
    let at = good.windows(7).position(|w| w == b"\"sig\":\"").unwrap() + 7;
    let mut bad = good.clone();
    bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
    fs::write(fixture.path(FILE), &bad).unwrap();
    find(one, 1, &["countersign.signature", "countersign.few"]);
    fs::write(fixture.path(FILE), [&good[..], b"{}\n"].concat()).unwrap();
    find(one, 1, &["countersign.malformed"]);
    fs::write(fixture.path(FILE), &good).unwrap();

    fs::write(fixture.path("left-pad/lib/index.js"), "module.exports = 2\n").unwrap();
    find(one, 1, &["countersign.altered", "countersign.few"]);
    fs::write(fixture.path("left-pad/lib/index.js"), "module.exports = 1\n").unwrap();
    find(one, 0, &[]);

    fixture.trust(&["carl"]);
    find(one, 1, &["countersign.untrusted", "countersign.few"]);
    fixture.trust(&["bert"]);
    // An old file: told, and worth nothing, here and where it is named.
    let old = r#"{"1.3.0": {"author": "anna", "key": "k", "sha1": "3416", "signatures":
        [{"author": "bert", "key": "k", "signature": "c2ln"}]}}"#;
    fs::write(fixture.path("pki.json"), old).unwrap();
    let pki = fixture.text("pki.json");
    let named = ["--threshold", "1", "--signatures", &pki];
    find(&named, 1, &["countersign.weak", "countersign.few"]);
    fs::write(fixture.path("pki.json"), "{\"a\":1}").unwrap();
    find(&named, 1, &["countersign.malformed", "countersign.few"]);
    assert!(family().iter().all(|code| seen.contains(*code)), "{seen:?} of {:?}", family());
}

#[test]
fn a_package_of_the_old_tool_is_weak_and_never_verified() {
    let fixture = CountersignFixture::new(&["bert"]);
    let old = r#"{"1.3.0": {"sha1": "3416", "signatures": [{"author": "bert", "signature": "c2ln"},
        {"author": "\u001b[2J", "signature": "c2ln"}]}}"#;
    fs::write(fixture.path("left-pad/pki.json"), old).unwrap();
    let (code, codes, report) = fixture.verify("left-pad", &["--threshold", "1"]);
    assert_eq!((code, codes.len(), &*codes[2]), (1, 3, "countersign.few"), "{report}");
    let message = report["findings"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("weak: RSA with SHA-1") && message.ends_with("counts for nothing"));
    let args = ["verify-countersign", "left-pad", "--threshold", "1"];
    let said = fixture.provctl(&args).stdout;
    assert!(!said.contains(&0x1b), "{said:?}");
    // It is a part of the package, and its signers sign again.
    fixture.request("anna", "left-pad");
    fixture.sign("bert", "left-pad");
    let (code, codes, _) = fixture.verify("left-pad", &["--threshold", "1"]);
    assert_eq!((code, codes.len()), (0, 2));
    // Another thing that happens to have the name is none of this.
    fs::write(fixture.path("left-pad/pki.json"), "{\"ca\": \"x\"}").unwrap();
    fixture.request("anna", "left-pad");
    fixture.sign("bert", "left-pad");
    let (code, codes, report) = fixture.verify("left-pad", &["--threshold", "1"]);
    assert_eq!((code, codes), (0, vec!["countersign.altered".to_owned()]), "{report}");
}

#[test]
fn a_key_with_an_end_and_a_missing_policy_are_inconclusive() {
    let fixture = CountersignFixture::new(&["bert", "carl"]);
    fixture.request("anna", "left-pad");
    fixture.sign("bert", "left-pad");
    fixture.sign("carl", "left-pad");
    fixture.policy(&[("bert", ""), ("carl", "until = 9")]);
    let (code, codes, report) = fixture.verify("left-pad", &["--threshold", "2"]);
    assert_eq!((code, codes), (2, vec![]), "{report}");
    assert_eq!(fixture.verify("left-pad", &["--threshold", "1"]).0, 0);
    let counts: Vec<_> =
        report["signers"].as_array().unwrap().iter().map(|s| s["counts"].as_bool()).collect();
    assert!(counts.contains(&Some(true)) && counts.contains(&Some(false)));
    fixture.policy(&[]);
    assert_eq!(fixture.verify("left-pad", &["--threshold", "1"]).0, 2);
}

#[test]
fn a_threshold_that_means_nothing_is_refused() {
    let fixture = CountersignFixture::new(&["bert"]);
    let policy = fixture.text("policy.toml");
    for threshold in ["0", "2", "-1", "all"] {
        let args =
            ["verify-countersign", "left-pad", "--policy", &policy, "--threshold", threshold];
        assert_eq!(fixture.provctl(&args).status.code(), Some(64), "{threshold}");
    }
    let args = ["verify-countersign", "left-pad", "--policy", &policy];
    assert_refused(&fixture.provctl(&args), 64, "--threshold");
    let missing = ["verify-countersign", "none", "--policy", &policy, "--threshold", "1"];
    assert_refused(&fixture.provctl(&missing), 66, "no such file or folder");
    let named = [&missing[..1], &["left-pad", "--signatures", "none"], &missing[2..]].concat();
    assert_refused(&fixture.provctl(&named), 66, "none");
}

#[test]
fn signatures_may_lie_elsewhere_and_nothing_hides_there() {
    let fixture = CountersignFixture::new(&["bert"]);
    fixture.request("anna", "left-pad");
    let elsewhere = fixture.text("s.jsonl");
    assert_success(&fixture.try_sign("bert", "left-pad", &["--signatures", &elsewhere]));
    assert!(!fixture.path(FILE).exists());
    let there = ["--threshold", "1", "--signatures", &elsewhere];
    let (code, _, report) = fixture.verify("left-pad", &there);
    assert_eq!(code, 0, "{report}");
    let note =
        |report: &serde_json::Value| report["not_checked"].to_string().contains("in no digest");
    assert!(!note(&report));
    fs::write(fixture.path(FILE), "anything").unwrap();
    let (code, _, report) = fixture.verify("left-pad", &there);
    assert!(code == 0 && note(&report), "{report}");
    fs::remove_file(fixture.path(FILE)).unwrap();
    assert_success(
        &Command::new("ln").args(["-s", "lib/index.js"]).arg(fixture.path(FILE)).output().unwrap(),
    );
    let policy = fixture.text("policy.toml");
    let args = ["verify-countersign", "left-pad", "--policy", &policy, "--threshold", "1"];
    assert_refused(&fixture.provctl(&args), 65, "signing file's name, and no file");
}
