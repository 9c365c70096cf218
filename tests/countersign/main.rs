//! Counter-signatures: asked for by one person, given by others on their
//! appliances, counted by a third.
#![cfg(test)]

use std::{fs, process::Command, thread};

use provenance_core::{digest::Digest, report::Code};
use serde_json::Value;

mod findings;
mod interrupted;
#[path = "../peers/mod.rs"]
mod peers;
mod world;

use world::{SIGNING_FILE, World, done, refused, statements};

const FILE: &str = "left-pad/countersignatures.jsonl";

#[test]
fn two_people_sign_a_package_and_a_third_counts_them() {
    let world = World::new(&["bert", "carl"]);
    world.request("anna", "left-pad");
    assert_eq!(world.verify("left-pad", &["--threshold", "1"]).1, ["countersign.few"]);
    assert_eq!(world.sign("bert", "left-pad"), "signed");
    let (code, codes, _) = world.verify("left-pad", &["--threshold", "2"]);
    assert_eq!((code, codes), (1, vec!["countersign.few".to_owned()]));
    assert_eq!(world.sign("carl", "left-pad"), "signed");
    let requester = world.text("anna.pub");
    let asked = ["--threshold", "2", "--version", "1.3.0", "--requester", &requester];
    let (code, codes, report) = world.verify("left-pad", &asked);
    assert_eq!((code, codes), (0, vec![]), "{report}");
    let mut who: Vec<&str> =
        report["signers"].as_array().unwrap().iter().map(|s| s["who"].as_str().unwrap()).collect();
    who.sort_unstable();
    assert_eq!(who, ["bert", "carl"]);
    // Elsewhere, and with other times on the files, it is the same package.
    done(
        &Command::new("cp")
            .arg("-R")
            .args([world.path("left-pad"), world.path("copy")])
            .output()
            .unwrap(),
    );
    assert_eq!(world.verify("copy", &asked).0, 0);

    // Each of them has it on record, with the digest of what was signed.
    for (person, statement) in ["bert", "carl"].iter().zip(statements(&world.path(FILE))) {
        let [record] = &world.records(person)[..] else { panic!("not one record") };
        assert_eq!(record["statement_sha256"], *Digest::of(&statement).to_hex());
        assert_eq!(record["who"], **person);
        let key = fs::read_to_string(world.path("anna.pub")).unwrap();
        assert!(key.replace('\n', "").contains(record["requester"].as_str().unwrap()));
        world.chain_holds(person);
    }
    // In words, too.
    let policy = world.text("policy.toml");
    let said =
        world.provctl(&["verify-countersign", "left-pad", "--threshold", "2", "--policy", &policy]);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("bert (bert): no reason given") && said.contains("VERIFIED"), "{said}");
}

#[test]
fn what_was_signed_is_not_signed_again_and_a_lost_signature_comes_back_the_same() {
    let world = World::new(&["bert", "carl"]);
    world.request("anna", "left-pad");
    let before = world.text("before");
    let state = world.text("bert-state");
    let copy =
        |from: &str, to: &str| done(&Command::new("cp").args(["-R", from, to]).output().unwrap());
    copy(&state, &before);
    assert_eq!(world.sign("bert", "left-pad"), "signed");
    let first = fs::read(world.path(FILE)).unwrap();
    assert_eq!(world.sign("bert", "left-pad"), "nothing");
    // Asked again, later: it is the same that is asked.
    world.request("anna", "left-pad");
    assert_eq!(world.sign("bert", "left-pad"), "nothing");
    assert_eq!(fs::read(world.path(FILE)).unwrap(), first);
    // The file is lost; another signs meanwhile.
    fs::remove_file(world.path(FILE)).unwrap();
    assert_eq!(world.sign("carl", "left-pad"), "signed");
    assert_eq!(world.sign("bert", "left-pad"), "restored");
    let now = fs::read(world.path(FILE)).unwrap();
    assert!(now.ends_with(&first) && now.len() > first.len());
    assert_eq!(world.verify("left-pad", &["--threshold", "2"]).0, 0);
    assert_eq!(world.records("bert").len(), 1);
    // The record is lost: the state folder is an older copy.
    fs::remove_dir_all(&state).unwrap();
    copy(&before, &state);
    assert_eq!(world.sign("bert", "left-pad"), "recorded");
    assert_eq!(world.sign("bert", "left-pad"), "nothing");
    assert_eq!(world.records("bert").len(), 1);
    world.chain_holds("bert");
    // Another version is another thing.
    let out = world.text("request.json");
    done(&world.try_request("anna", "left-pad", &["--version", "1.3.1", "--out", &out]));
    assert_eq!(world.sign("bert", "left-pad"), "signed");
    assert_eq!(world.records("bert").len(), 2);
}

#[test]
fn nobody_signs_what_was_not_asked_or_asks_of_themselves() {
    let world = World::new(&["bert"]);
    world.request("anna", "left-pad");
    let sign = |more: &[&str]| world.try_sign("bert", "left-pad", more);
    // Changed behind the request: content, name, mode, link.
    let index = world.path("left-pad/lib/index.js");
    let good = fs::read(&index).unwrap();
    fs::write(&index, "module.exports = 2\n").unwrap();
    refused(&sign(&[]), 65, "is not what was asked to be signed");
    fs::write(&index, &good).unwrap();
    fs::write(world.path("left-pad/lib/more.js"), "").unwrap();
    refused(&sign(&[]), 65, "is not what was asked to be signed");
    fs::remove_file(world.path("left-pad/lib/more.js")).unwrap();
    done(&Command::new("mkfifo").arg(world.path("left-pad/pipe")).output().unwrap());
    refused(&sign(&[]), 65, "neither a file, a folder nor a link");
    refused(&world.try_request("anna", "left-pad", &[]), 65, "neither a file, a folder nor a link");
    fs::remove_file(world.path("left-pad/pipe")).unwrap();
    // Into what is signed.
    let within = world.text("left-pad/lib/s.jsonl");
    refused(&sign(&["--signatures", &within]), 64, "is a part of what is signed");
    for within in [within, world.text(FILE)] {
        refused(&world.try_request("anna", "left-pad", &["--out", &within]), 64, "is a part of");
    }
    // A file of signatures that holds something else is left as it is.
    fs::write(world.path(FILE), "{}\n").unwrap();
    refused(&sign(&[]), 65, "line 1");
    assert_eq!(fs::read(world.path(FILE)).unwrap(), b"{}\n");
    fs::remove_file(world.path(FILE)).unwrap();
    let request = fs::read_to_string(world.path("request.json")).unwrap();
    for (bad, words) in [
        (request.replace("nar", "tar"), "expected nar or file"),
        (String::new(), "not in canonical form"),
        (" ".repeat(20_000), "over the limit"),
    ] {
        fs::write(world.path("request.json"), bad).unwrap();
        refused(&sign(&[]), 65, words);
    }
    fs::remove_file(world.path("request.json")).unwrap();
    refused(&sign(&[]), 66, "request.json");
    world.request("bert", "left-pad");
    refused(&sign(&[]), 64, "somebody else must sign it");
    world.request("anna", "left-pad");
    refused(&sign(&["--set", "signing_key=\"/none\""]), 78, "/none");
    refused(&sign(&["--who", "\u{7}"]), 64, "cannot be used multiple times");
    refused(&sign(&["--reason", "a\u{1b}[2J"]), 64, "control characters");
    assert!(world.records("bert").is_empty() && !world.path(FILE).exists());
    assert_eq!(world.sign("bert", "left-pad"), "signed");
}

#[test]
fn an_evidence_packet_is_approved_by_a_second_person_and_stock_cosign_verifies_it() {
    let world = World::new(&["bert", "carl"]);
    let (config, packet) = (world.text("bert.toml"), world.text("packet.zip"));
    done(&world.provenanced(&["bundle", "--config", &config]));
    let period = ["--from", "2020-01-01", "--to", "2090-01-01"];
    let args = ["packet", "--config", &config, "--out", &packet];
    done(&world.provenanced(&[&args[..], &period].concat()));
    world.request("bert", "packet.zip");
    assert_eq!(world.sign("carl", "packet.zip"), "signed");
    let beside = world.path("packet.zip.countersignatures.jsonl");
    assert!(beside.is_file());
    let bert = world.text("bert.pub");
    let asked = ["--threshold", "1", "--requester", &bert];
    assert_eq!(world.verify("packet.zip", &asked).0, 0);

    let statement: Value = serde_json::from_slice(&statements(&beside)[0]).unwrap();
    assert_eq!(statement["predicateType"], "https://msp-provenance.dev/countersign/v1");
    assert_eq!(statement["predicate"]["tree"], "file");
    if let Some(cosign) = peers::find("cosign") {
        let line = fs::read_to_string(&beside).unwrap();
        fs::write(world.path("one.sigstore.json"), line.trim_end()).unwrap();
        let verify = |key: &str| {
            Command::new(&cosign)
                .args(["verify-blob-attestation", "--insecure-ignore-tlog"])
                .args(["--type", "https://msp-provenance.dev/countersign/v1"])
                .args(["--key", &world.text(key), "--bundle", &world.text("one.sigstore.json")])
                .arg(&packet)
                .output()
                .unwrap()
        };
        done(&verify("carl.pub"));
        assert!(!verify("bert.pub").status.success());
        let mut bytes = fs::read(&packet).unwrap();
        bytes[100] ^= 1;
        fs::write(&packet, bytes).unwrap();
        assert!(!verify("carl.pub").status.success());
        let (code, codes, _) = world.verify("packet.zip", &asked);
        assert_eq!(
            (code, codes),
            (1, vec!["countersign.altered".into(), "countersign.few".into()])
        );
    }
}

#[test]
fn who_signs_at_the_same_moment_loses_nothing_of_the_others() {
    let people = ["bert", "carl", "dora"];
    let world = World::new(&people);
    world.request("anna", "left-pad");
    thread::scope(|scope| {
        for person in people {
            let world = &world;
            scope.spawn(move || {
                // Another one is at it: 75, and again.
                while world.try_sign(person, "left-pad", &[]).status.code() == Some(75) {}
            });
        }
    });
    assert_eq!(world.verify("left-pad", &["--threshold", "3"]).0, 0);
    assert_eq!(statements(&world.path(FILE)).len(), 3);
    let names: Vec<_> = fs::read_dir(world.path("left-pad")).unwrap().collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(world.path(FILE).ends_with(SIGNING_FILE));
}

/// The codes of this family.
fn family() -> Vec<&'static str> {
    let codes = Code::ALL.iter().map(|code| code.as_str());
    codes.filter(|code| code.starts_with("countersign.")).collect()
}
