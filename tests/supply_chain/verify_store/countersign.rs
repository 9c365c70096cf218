//! A second person approves a build: what they sign has the digest of the
//! build's own attestation.

use std::{fs, process::Command};

use serde_json::Value;

use super::{harness::NixStoreFixture, peers};
use crate::common::programs::{PROVCTL, PROVENANCED};

#[test]
fn a_build_is_approved_by_the_digest_of_its_attestation() {
    let Some(fixture) = NixStoreFixture::new() else { return };
    let run = |program: &str, args: &[&str]| {
        let ran = Command::new(program).args(args).output().unwrap();
        assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        ran.stdout
    };
    fixture.keys();
    run(PROVENANCED, &["keygen", "--name", "anna", "--out", &fixture.text("")]);
    let config = fixture.text("p.toml");
    let tick = ["run", "--config", &config, "--ticks", "1", "--set", "chain.interval_s=1"];
    run(PROVENANCED, &[&tick[..], &["--set", "chain.journal=false"]].concat());
    let part = fixture.path("part-2.0");
    assert!(fixture.attest(&part, "a.json").status.success());
    let attested = fixture.statement("a.json")["subject"][0]["digest"]["sha256"].clone();

    // As `nix build` leaves it: a link to the path.
    let (link, key) = (fixture.text("result"), fixture.text("anna.pub"));
    std::os::unix::fs::symlink(fixture.real(&part), &link).unwrap();
    let (request, file) = (fixture.text("request.json"), fixture.text("result.jsonl"));
    let asked =
        ["countersign-request", &link, "--author", "anna", "--key", &key, "--out", &request];
    run(PROVCTL, &asked);
    let sign = ["countersign", "--config", &config, "--request", &request, "--for", &link];
    // The store is not written to, neither to a path nor within one.
    let within = fixture.real(&part).join("b").display().to_string();
    for path in [&link, &within] {
        run(PROVCTL, &[&asked[..1], &[path.as_str()], &asked[2..]].concat());
        let sign = [&sign[..6], &[path.as_str(), "--who", "bert"]].concat();
        let ran = Command::new(PROVENANCED).args(sign).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.code() == Some(64) && said.contains("--signatures"), "{said}");
    }
    run(PROVCTL, &asked);
    run(PROVENANCED, &[&sign[..], &["--signatures", &file, "--who", "bert"]].concat());
    assert!(
        fs::read_dir(fixture.real(&part))
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().contains("countersign") })
    );
    let policy = fixture.text("policy.toml");
    let verify = ["verify-countersign", &link, "--signatures", &file, "--threshold", "1"];
    let report = run(PROVCTL, &[&verify[..], &["--policy", &policy, "--json"]].concat());
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["signers"][0]["who"], "bert");
    let line = fs::read_to_string(&file).unwrap();
    fs::write(fixture.text("one.json"), line.trim_end()).unwrap();
    let statement = fixture.statement("one.json");
    assert_eq!(statement["subject"][0]["digest"]["sha256"], attested);
    assert_eq!(statement["predicate"]["tree"], "nar");

    let Some(cosign) = peers::find("cosign") else { return };
    let nar = fixture.dump(&part);
    let ran = Command::new(&cosign)
        .args(["verify-blob-attestation", "--insecure-ignore-tlog", "--type"])
        .args(["https://msp-provenance.dev/countersign/v1", "--key", &fixture.text("signing.pub")])
        .args(["--bundle", &fixture.text("one.json")])
        .arg(nar)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}
