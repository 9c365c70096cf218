//! Counter-signatures: asked for by one person, given by others on their
//! appliances, counted by a third.

mod findings;
mod harness;
mod interrupted;

use std::{fs, process::Command, thread};

use provenance_core::{encoding::digest::Digest, report::Code};
use serde_json::Value;

use crate::common::{
    peers,
    programs::{assert_refused, assert_success},
};
use harness::{CountersignFixture, SIGNING_FILE, statements};

const FILE: &str = "left-pad/countersignatures.jsonl";

#[test]
fn two_people_sign_a_package_and_a_third_counts_them() {
    let fixture = CountersignFixture::new(&["bert", "carl"]);
    fixture.request("anna", "left-pad");
    assert_eq!(fixture.verify("left-pad", &["--threshold", "1"]).1, ["countersign.few"]);
    assert_eq!(fixture.sign("bert", "left-pad"), "signed");
    let (code, codes, _) = fixture.verify("left-pad", &["--threshold", "2"]);
    assert_eq!((code, codes), (1, vec!["countersign.few".to_owned()]));
    assert_eq!(fixture.sign("carl", "left-pad"), "signed");
    let requester = fixture.text("anna.pub");
    let asked = ["--threshold", "2", "--version", "1.3.0", "--requester", &requester];
    let (code, codes, report) = fixture.verify("left-pad", &asked);
    assert_eq!((code, codes), (0, vec![]), "{report}");
    let mut who: Vec<&str> =
        report["signers"].as_array().unwrap().iter().map(|s| s["who"].as_str().unwrap()).collect();
    who.sort_unstable();
    assert_eq!(who, ["bert", "carl"]);
    // Elsewhere, and with other times on the files, it is the same package.
    assert_success(
        &Command::new("cp")
            .arg("-R")
            .args([fixture.path("left-pad"), fixture.path("copy")])
            .output()
            .unwrap(),
    );
    assert_eq!(fixture.verify("copy", &asked).0, 0);

    // Each of them has it on record, with the digest of what was signed.
    for (person, statement) in ["bert", "carl"].iter().zip(statements(&fixture.path(FILE))) {
        let [record] = &fixture.records(person)[..] else { panic!("not one record") };
        assert_eq!(record["statement_sha256"], *Digest::sha256(&statement).to_hex());
        assert_eq!(record["who"], **person);
        let key = fs::read_to_string(fixture.path("anna.pub")).unwrap();
        assert!(key.replace('\n', "").contains(record["requester"].as_str().unwrap()));
        fixture.chain_holds(person);
    }
    // In words, too.
    let policy = fixture.text("policy.toml");
    let said = fixture.provctl(&[
        "verify-countersign",
        "left-pad",
        "--threshold",
        "2",
        "--policy",
        &policy,
    ]);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("bert (bert): no reason given") && said.contains("VERIFIED"), "{said}");
}

#[test]
fn nothing_is_signed_twice_and_a_lost_signature_comes_back_the_same() {
    let fixture = CountersignFixture::new(&["bert", "carl"]);
    fixture.request("anna", "left-pad");
    let before = fixture.text("before");
    let state = fixture.text("bert-state");
    let copy = |from: &str, to: &str| {
        assert_success(&Command::new("cp").args(["-R", from, to]).output().unwrap())
    };
    copy(&state, &before);
    assert_eq!(fixture.sign("bert", "left-pad"), "signed");
    let first = fs::read(fixture.path(FILE)).unwrap();
    assert_eq!(fixture.sign("bert", "left-pad"), "nothing");
    // Asked again, later: it is the same that is asked.
    fixture.request("anna", "left-pad");
    assert_eq!(fixture.sign("bert", "left-pad"), "nothing");
    assert_eq!(fs::read(fixture.path(FILE)).unwrap(), first);
    // The file is lost; another signs meanwhile.
    fs::remove_file(fixture.path(FILE)).unwrap();
    assert_eq!(fixture.sign("carl", "left-pad"), "signed");
    assert_eq!(fixture.sign("bert", "left-pad"), "restored");
    let now = fs::read(fixture.path(FILE)).unwrap();
    assert!(now.ends_with(&first) && now.len() > first.len());
    assert_eq!(fixture.verify("left-pad", &["--threshold", "2"]).0, 0);
    assert_eq!(fixture.records("bert").len(), 1);
    // The record is lost: the state folder is an older copy.
    fs::remove_dir_all(&state).unwrap();
    copy(&before, &state);
    assert_eq!(fixture.sign("bert", "left-pad"), "recorded");
    assert_eq!(fixture.sign("bert", "left-pad"), "nothing");
    assert_eq!(fixture.records("bert").len(), 1);
    fixture.chain_holds("bert");
    // Another version is another thing.
    let out = fixture.text("request.json");
    assert_success(&fixture.try_request(
        "anna",
        "left-pad",
        &["--version", "1.3.1", "--out", &out],
    ));
    assert_eq!(fixture.sign("bert", "left-pad"), "signed");
    assert_eq!(fixture.records("bert").len(), 2);
}

#[test]
fn nobody_signs_what_was_not_asked_or_asks_of_themselves() {
    let fixture = CountersignFixture::new(&["bert"]);
    fixture.request("anna", "left-pad");
    let sign = |more: &[&str]| fixture.try_sign("bert", "left-pad", more);
    // Changed behind the request: content, name, mode, link.
    let index = fixture.path("left-pad/lib/index.js");
    let good = fs::read(&index).unwrap();
    fs::write(&index, "module.exports = 2\n").unwrap();
    assert_refused(&sign(&[]), 65, "is not what was asked to be signed");
    fs::write(&index, &good).unwrap();
    fs::write(fixture.path("left-pad/lib/more.js"), "").unwrap();
    assert_refused(&sign(&[]), 65, "is not what was asked to be signed");
    fs::remove_file(fixture.path("left-pad/lib/more.js")).unwrap();
    assert_success(&Command::new("mkfifo").arg(fixture.path("left-pad/pipe")).output().unwrap());
    assert_refused(&sign(&[]), 65, "neither a file, a folder nor a link");
    assert_refused(
        &fixture.try_request("anna", "left-pad", &[]),
        65,
        "neither a file, a folder nor a link",
    );
    fs::remove_file(fixture.path("left-pad/pipe")).unwrap();
    // Into what is signed.
    let within = fixture.text("left-pad/lib/s.jsonl");
    assert_refused(&sign(&["--signatures", &within]), 64, "is a part of what is signed");
    for within in [within, fixture.text(FILE)] {
        assert_refused(
            &fixture.try_request("anna", "left-pad", &["--out", &within]),
            64,
            "is a part of",
        );
    }
    // A file of signatures that holds something else is left as it is.
    fs::write(fixture.path(FILE), "{}\n").unwrap();
    assert_refused(&sign(&[]), 65, "line 1");
    assert_eq!(fs::read(fixture.path(FILE)).unwrap(), b"{}\n");
    fs::remove_file(fixture.path(FILE)).unwrap();
    let request = fs::read_to_string(fixture.path("request.json")).unwrap();
    for (bad, words) in [
        (request.replace("nar", "tar"), "expected nar or file"),
        (String::new(), "not in canonical form"),
        (" ".repeat(20_000), "over the limit"),
    ] {
        fs::write(fixture.path("request.json"), bad).unwrap();
        assert_refused(&sign(&[]), 65, words);
    }
    fs::remove_file(fixture.path("request.json")).unwrap();
    assert_refused(&sign(&[]), 66, "request.json");
    fixture.request("bert", "left-pad");
    assert_refused(&sign(&[]), 64, "somebody else must sign it");
    fixture.request("anna", "left-pad");
    assert_refused(&sign(&["--set", "signing_key=\"/none\""]), 78, "/none");
    assert_refused(&sign(&["--who", "\u{7}"]), 64, "cannot be used multiple times");
    assert_refused(&sign(&["--reason", "a\u{1b}[2J"]), 64, "control characters");
    assert!(fixture.records("bert").is_empty() && !fixture.path(FILE).exists());
    assert_eq!(fixture.sign("bert", "left-pad"), "signed");
}

#[test]
fn a_second_person_approves_a_packet_and_stock_cosign_verifies_it() {
    let fixture = CountersignFixture::new(&["bert", "carl"]);
    let (config, packet) = (fixture.text("bert.toml"), fixture.text("packet.zip"));
    assert_success(&fixture.provenanced(&["bundle", "--config", &config]));
    let period = ["--from", "2020-01-01", "--to", "2090-01-01"];
    let args = ["packet", "--config", &config, "--out", &packet];
    assert_success(&fixture.provenanced(&[&args[..], &period].concat()));
    fixture.request("bert", "packet.zip");
    assert_eq!(fixture.sign("carl", "packet.zip"), "signed");
    let beside = fixture.path("packet.zip.countersignatures.jsonl");
    assert!(beside.is_file());
    let bert = fixture.text("bert.pub");
    let asked = ["--threshold", "1", "--requester", &bert];
    assert_eq!(fixture.verify("packet.zip", &asked).0, 0);

    let statement: Value = serde_json::from_slice(&statements(&beside)[0]).unwrap();
    assert_eq!(statement["predicateType"], "https://msp-provenance.dev/countersign/v1");
    assert_eq!(statement["predicate"]["tree"], "file");
    if let Some(cosign) = peers::find("cosign") {
        let line = fs::read_to_string(&beside).unwrap();
        fs::write(fixture.path("one.sigstore.json"), line.trim_end()).unwrap();
        let verify = |key: &str| {
            Command::new(&cosign)
                .args(["verify-blob-attestation", "--insecure-ignore-tlog"])
                .args(["--type", "https://msp-provenance.dev/countersign/v1"])
                .args(["--key", &fixture.text(key), "--bundle", &fixture.text("one.sigstore.json")])
                .arg(&packet)
                .output()
                .unwrap()
        };
        assert_success(&verify("carl.pub"));
        assert!(!verify("bert.pub").status.success());
        let mut bytes = fs::read(&packet).unwrap();
        bytes[100] ^= 1;
        fs::write(&packet, bytes).unwrap();
        assert!(!verify("carl.pub").status.success());
        let (code, codes, _) = fixture.verify("packet.zip", &asked);
        assert_eq!(
            (code, codes),
            (1, vec!["countersign.altered".into(), "countersign.few".into()])
        );
    }
}

#[test]
fn who_signs_at_the_same_moment_loses_nothing_of_the_others() {
    let people = ["bert", "carl", "dora"];
    let fixture = CountersignFixture::new(&people);
    fixture.request("anna", "left-pad");
    thread::scope(|scope| {
        for person in people {
            let fixture = &fixture;
            scope.spawn(move || {
                // Another one is at it: 75, and again.
                while fixture.try_sign(person, "left-pad", &[]).status.code() == Some(75) {}
            });
        }
    });
    assert_eq!(fixture.verify("left-pad", &["--threshold", "3"]).0, 0);
    assert_eq!(statements(&fixture.path(FILE)).len(), 3);
    let names: Vec<_> = fs::read_dir(fixture.path("left-pad")).unwrap().collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(fixture.path(FILE).ends_with(SIGNING_FILE));
}

/// The codes of this family.
fn family() -> Vec<&'static str> {
    let codes = Code::ALL.iter().map(|code| code.as_str());
    codes.filter(|code| code.starts_with("countersign.")).collect()
}
