//! `provctl verify-package` over attestations as npm, PyPI, GitHub and others
//! published them (tests/vectors/packages), and over what somebody made of them.

mod batch;
mod conformance;
mod harness;
mod hostile;
mod others;
mod registry;

use crate::common::{docs_schema, peers};
use harness::{
    AttestationsFixture, NPM, NPM_PROVENANCE, NPM_RULE, SDIST, SDIST_RULE, provctl, published,
    verify,
};

/// Package, attestation, and a rule that expects who signed.
const GENUINE: [(&str, &str, &str); 10] = [
    (NPM, NPM_PROVENANCE, NPM_RULE),
    (SDIST, "pypi/pypi_attestations-0.0.19.tar.gz.provenance", SDIST_RULE),
    (SDIST, "pypi/pypi_attestations-0.0.19.tar.gz.publish.attestation", SDIST_RULE),
    (SDIST, "pypi/pypi_attestations-0.0.19.tar.gz.slsa.attestation", SDIST_RULE),
    (
        "pypi/gitlab_oidc_project-0.0.3.tar.gz",
        "pypi/gitlab_oidc_project-0.0.3.tar.gz.publish.attestation",
        "[[package]]\nname = \"pypi:gitlab-oidc-project\"\n\
         repository = \"https://gitlab.com/facutuesca/gitlab-oidc-project\"\n\
         workflow = \".gitlab-ci.yml\"\n",
    ),
    (
        "pypi/gcb_attestation_test-0.0.0.tar.gz",
        "pypi/gcb_attestation_test-0.0.0.tar.gz.provenance",
        "[[package]]\nname = \"pypi:gcb-*\"\n\
         identity = \"919436158236-compute@developer.gserviceaccount.com\"\n\
         issuer = \"https://accounts.google.com\"\n",
    ),
    (
        "sigstore/signed-package-2.1.0-hb0f4dca_0.conda",
        "sigstore/conda-attestation.sigstore.json",
        "[[package]]\nname = \"file:*.conda\"\nrepository = \"https://github.com/prefix-dev/sigstore-example\"\n",
    ),
    (
        "pypi/circleci_sign_publish_example-0.0.1.dev137-py3-none-any.whl",
        "pypi/circleci_sign_publish_example-0.0.1.dev137-py3-none-any.whl.provenance",
        "[[package]]\nname = \"pypi:circleci-*\"\nissuer = \"https://oidc.circleci.com\"\n\
         repository = \"github.com/CircleCI-Public/sign-and-publish-examples\"\n",
    ),
    (
        "pypi/rfc8785-0.1.2-py3-none-any.whl",
        "sigstore/bundle_v3_github.whl.sigstore",
        "[[package]]\nname = \"pypi:rfc8785\"\nref = \"refs/tags/v*\"\n\
         repository = \"https://github.com/trailofbits/rfc8785.py\"\n",
    ),
    (
        "sigstore/cosign-v3-blob.txt",
        "sigstore/cosign-v3-blob.sigstore.json",
        "[[package]]\nname = \"file:cosign-v3-blob.txt\"\n\
         identity = \"w.vollprecht@gmail.com\"\nissuer = \"https://github.com/login/oauth\"\n",
    ),
];

#[test]
fn genuine_attestations_verify_offline_against_the_expected_signer() {
    let fixture = AttestationsFixture::new();
    for (package, attestation, rule) in GENUINE {
        let args = ["--attestations", &published(attestation), "--expect", &fixture.spec(rule)];
        let said = verify(&[&args[..], &[&*fixture.copy(package)]].concat());
        said.assert_result(0, "verified", &[], attestation);
        let evidence = &said.json["packages"][0]["evidence"][0];
        assert!(evidence["signed_at"].is_string() && evidence["logged"] == true, "{evidence:#}");
        assert_eq!(said.json["trust"]["source"], "embedded");
        assert!(said.json["trust"]["date"].is_string());
    }
}

/// Of Sigstore's instance for trials, which nothing in the program trusts.
const STAGING: [(&str, &str, &str); 2] = [
    (
        "pypi/rfc8785-0.1.2-py3-none-any.whl",
        "pypi/rfc8785-0.1.2-py3-none-any.whl.publish.attestation",
        "[[package]]\nname = \"pypi:rfc8785\"\nidentity = \"william@yossarian.net\"\n\
         issuer = \"https://github.com/login/oauth\"\n",
    ),
    (
        "sigstore/signed-package-2.1.0-hb0f4dca_0.conda",
        "sigstore/conda-attestation-rekor2.sigstore.json",
        "[[package]]\nname = \"file:*.conda\"\nidentity = \"jku@goto.fi\"\n\
         issuer = \"https://github.com/login/oauth\"\n",
    ),
];

#[test]
fn attestations_of_another_sigstore_verify_by_its_root_only() {
    let fixture = AttestationsFixture::new();
    let root = sigstore_trust_root::SIGSTORE_STAGING_TRUSTED_ROOT;
    let root = fixture.write("root.json", root.as_bytes());
    for (package, attestation, rule) in STAGING {
        let package = fixture.copy(package);
        let args = [&*package, "--attestations", &published(attestation)];
        let said = verify(&args);
        said.assert_result(2, "detected", &[], attestation);
        assert_eq!(said.codes(|_| true), ["package.root"], "{attestation}");
        let spec = fixture.spec(rule);
        let args = [&args[..], &["--expect", &spec]].concat();
        verify(&args).assert_result(1, "detected", &["package.level"], attestation);
        let said = verify(&[&args[..], &["--trusted-root", &root]].concat());
        said.assert_result(0, "verified", &[], attestation);
    }
}

#[test]
fn without_an_expectation_an_attestation_is_detected_only() {
    let fixture = AttestationsFixture::new();
    for (package, attestation, _) in GENUINE {
        let said = verify(&[&fixture.copy(package), "--attestations", &published(attestation)]);
        said.assert_result(2, "detected", &[], attestation);
        assert_eq!(said.codes(|_| true), ["package.unidentified"], "{attestation}");
        assert!(said.json["packages"][0]["evidence"][0]["signer"]["issuer"].is_string());
    }
}

#[test]
fn without_an_attestation_a_package_is_absent() {
    let said = verify(&[&published(NPM)]);
    said.assert_result(2, "absent", &[], "no attestation");
    assert_eq!(said.codes(|_| true), ["package.absent"]);
    let fixture = AttestationsFixture::new();
    let said = verify(&[&published(NPM), "--expect", &fixture.spec(NPM_RULE)]);
    said.assert_result(1, "absent", &["package.level"], "a rule asks for more");
    let absent = "[[package]]\nname = \"npm:*\"\nminimum = \"absent\"\n";
    verify(&[&published(NPM), "--expect", &fixture.spec(absent)]).assert_result(
        0,
        "absent",
        &[],
        "allowed",
    );
}

#[test]
fn what_is_proved_of_the_build_is_told() {
    let fixture = AttestationsFixture::new();
    let said = verify(&[
        &published(NPM),
        "--attestations",
        &published(NPM_PROVENANCE),
        "--expect",
        &fixture.spec(NPM_RULE),
    ]);
    let package = &said.json["packages"][0];
    assert_eq!((&package["name"], &package["version"]), (&"sigstore".into(), &"2.0.0".into()));
    let evidence = &package["evidence"][0];
    assert_eq!(evidence["kind"], "provenance");
    assert_eq!(evidence["signed_at"], "2023-08-18T16:05:35.000000000Z");
    let signer = &evidence["signer"];
    assert_eq!(signer["issuer"], "https://token.actions.githubusercontent.com");
    assert_eq!(signer["repository"], "https://github.com/sigstore/sigstore-js");
    assert_eq!(signer["ref"], "refs/heads/main");
    assert_eq!(signer["workflow"], ".github/workflows/release.yml");
    assert_eq!(signer["runner"], "github-hosted");
    let coverage = &said.json["coverage"];
    assert_eq!(coverage["kinds"]["provenance"]["verified"]["per_cent"], 100);
    let text = provctl(&[&published(NPM), "--attestations", &published(NPM_PROVENANCE)]);
    let text = String::from_utf8(text.stdout).unwrap();
    for part in [
        "INCONCLUSIVE",
        "detected only  npm:sigstore@2.0.0",
        "trusted root: in the program, as of 20",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn githubs_own_instance_is_known_and_a_digest_is_enough() {
    let fixture = AttestationsFixture::new();
    let hash = "76f1fe8593bf227cca2c089e3c16dc95014a8d3e89c5dd220530469ca043c428";
    let lock = fixture.write("requirements.txt", format!("x==1 --hash=sha256:{hash}\n").as_bytes());
    let rule = "[[package]]\nname = \"pypi:x\"\nissuer = \"none\"\n\
        identity = \"https://dotcom.releases.github.com\"\n";
    let bundle = published("sigstore/github-private-attestation.sigstore.json");
    let args = ["--lock", &lock, "--expect", &fixture.spec(rule), "--attestations", &bundle];
    let said = verify(&args);
    assert_eq!(said.json["packages"][0]["evidence"][0]["logged"], false, "{:#}", said.json);
    said.assert_result(0, "verified", &[], "GitHub's release");
}

#[test]
fn many_attestations_in_one_file_are_told_apart() {
    let fixture = AttestationsFixture::new();
    let package = fixture.copy(SDIST);
    let read = |name: &str| harness::json(&format!("{SDIST}.{name}"));
    let (publish, slsa) = (read("publish.attestation"), read("slsa.attestation"));
    let npm = harness::json(NPM_PROVENANCE);
    let lines = format!("{publish}\n{npm}\n\n{slsa}\n");
    let api =
        serde_json::json!({"attestations": [{"predicateType": "x", "bundle": npm}, publish, slsa]});
    let list = serde_json::json!([publish, npm, slsa]);
    for (name, text, numbers) in [
        ("a.sigstore.jsonl", lines, [1, 4]),
        ("b.json", api.to_string(), [2, 3]),
        ("c.json", list.to_string(), [1, 3]),
    ] {
        let file = fixture.write(name, text.as_bytes());
        let said =
            verify(&[&package, "--attestations", &file, "--expect", &fixture.spec(SDIST_RULE)]);
        said.assert_result(0, "verified", &[], name);
        let evidence = said.json["packages"][0]["evidence"].as_array().unwrap();
        let found: Vec<_> = evidence.iter().map(|it| it["number"].as_u64().unwrap()).collect();
        assert_eq!(found, numbers, "{name}");
        assert!(said.json["not_checked"].to_string().contains("1 attestations"), "{name}");
    }
}

#[test]
fn attestations_are_found_beside_the_files() {
    let fixture = AttestationsFixture::new();
    let package = fixture.copy(SDIST);
    fixture.copy("pypi/pypi_attestations-0.0.19.tar.gz.provenance");
    fixture.copy("pypi/pypi_attestations-0.0.19.tar.gz.slsa.attestation");
    let said = verify(&[&package, "--expect", &fixture.spec(SDIST_RULE)]);
    said.assert_result(0, "verified", &[], "beside it");
    assert_eq!(said.json["packages"][0]["evidence"].as_array().unwrap().len(), 2);
    let kinds = &said.json["coverage"]["kinds"];
    assert_eq!(kinds["publish"]["verified"]["count"], 1);
    assert_eq!(kinds["provenance"]["verified"]["count"], 1);
}

#[test]
fn only_the_kinds_that_a_rule_names_count() {
    let fixture = AttestationsFixture::new();
    let publish = published("pypi/pypi_attestations-0.0.19.tar.gz.publish.attestation");
    let rule = format!("{SDIST_RULE}kinds = [\"provenance\"]\n");
    let package = fixture.copy(SDIST);
    let args = [&*package, "--expect", &fixture.spec(&rule), "--attestations"];
    let said = verify(&[&args[..], &[&publish]].concat());
    said.assert_result(1, "detected", &["package.level"], "a publication is no provenance");
    let slsa = published("pypi/pypi_attestations-0.0.19.tar.gz.slsa.attestation");
    verify(&[&args[..], &[&publish, &slsa]].concat()).assert_result(
        0,
        "verified",
        &[],
        "with provenance",
    );
}

#[test]
fn what_cannot_be_read_is_said_with_its_exit_code() {
    let fixture = AttestationsFixture::new();
    let bad = fixture.write("bad", b"{");
    for (exit, args) in [
        (64, vec![]),
        (66, vec!["nowhere.whl"]),
        (66, vec![&*published(NPM), "--attestations", "nowhere.json"]),
        (65, vec![&*published(NPM), "--expect", &bad]),
        (65, vec![&*published(NPM), "--trusted-root", &bad]),
        (65, vec![&*published(NPM), "--keys", &bad]),
        (65, vec![&*published(NPM), "--previous", &bad]),
        (65, vec!["--lock", &bad]),
    ] {
        let said = verify(&args);
        assert_eq!(said.exit, exit, "{args:?}: {}", said.stderr);
        assert!(!said.stderr.is_empty());
    }
}
