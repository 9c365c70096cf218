//! Lock files and folders, what is asked of each package, and what it was.

use std::fs;

use base64ct::{Base64, Encoding as _};
use serde_json::json;

use super::harness::{
    AttestationsFixture, NPM, NPM_PROVENANCE, NPM_RULE, SDIST, SDIST_RULE, provctl, published,
    vectors, verify,
};

fn sha256(name: &str) -> String {
    provenance_core::encoding::digest::Digest::sha256(&fs::read(published(name)).unwrap()).to_hex()
}

fn npm_lock(fixture: &AttestationsFixture) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha512::digest(fs::read(published(NPM)).unwrap());
    let integrity = format!("sha512-{}", Base64::encode_string(&digest));
    let other = integrity.replace("sha512-R", "sha512-S");
    let lock = json!({"name": "app", "lockfileVersion": 3, "packages": {
        "": {"name": "app"},
        "node_modules/sigstore": {"version": "2.0.0", "integrity": integrity},
        "node_modules/left-pad": {"version": "1.3.0", "integrity": other},
        "node_modules/local": {"resolved": "local", "link": true}}});
    fixture.write("package-lock.json", lock.to_string().as_bytes())
}

#[test]
fn a_lock_file_of_npm_is_verified_by_its_digests_alone() {
    let fixture = AttestationsFixture::new();
    let (lock, spec) = (npm_lock(&fixture), fixture.spec(NPM_RULE));
    let args = ["--lock", &lock, "--expect", &spec, "--attestations", &published(NPM_PROVENANCE)];
    let said = verify(&args);
    assert_eq!(said.exit, 2, "{:#}", said.json);
    let levels: Vec<_> = said.json["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["name"].as_str().unwrap(), it["level"].as_str().unwrap()))
        .collect();
    assert_eq!(levels, [("left-pad", "absent"), ("sigstore", "verified")]);
    let levels = &said.json["coverage"]["levels"];
    assert_eq!(levels["verified"], json!({"count": 1, "per_cent": 50}));
    assert_eq!(levels["absent"], json!({"count": 1, "per_cent": 50}));
    let spec = fixture.spec(&format!("minimum = \"absent\"\n{NPM_RULE}"));
    verify(&["--lock", &lock, "--expect", &spec, "--attestations", &published(NPM_PROVENANCE)])
        .assert_result(0, "absent", &[], "where less is enough");
}

#[test]
fn a_lock_files_other_contents_are_found() {
    let fixture = AttestationsFixture::new();
    let lock = npm_lock(&fixture);
    let text = fs::read_to_string(&lock).unwrap().replace("sha512-RtT", "sha512-RtU");
    fs::write(&lock, text).unwrap();
    let said = verify(&["--lock", &lock, "--attestations", &published(NPM_PROVENANCE)]);
    assert_eq!((said.exit, said.errors()), (1, vec!["package.digest"]), "{:#}", said.json);
}

#[test]
fn pythons_lock_files_are_verified_file_by_file() {
    let fixture = AttestationsFixture::new();
    let (sdist, wheel) = (sha256(SDIST), sha256("pypi/rfc8785-0.1.2-py3-none-any.whl"));
    let requirements = format!(
        "pypi_attestations==0.0.19 \\\n    --hash=sha256:{sdist}\n\
         rfc8785==0.1.2 --hash=sha256:{wheel} --hash=sha256:{}\nopen\n",
        sdist.replace(['a', 'b'], "c")
    );
    let requirements = fixture.write("requirements.txt", requirements.as_bytes());
    let spec =
        format!("{SDIST_RULE}[[package]]\nname = \"pypi:rfc8785\"\nminimum = \"detected\"\n");
    let spec = fixture.spec(&spec);
    let folder = vectors().join("pypi").display().to_string();
    let said = verify(&["--lock", &requirements, "--attestations", &folder, "--expect", &spec]);
    let packages = said.json["packages"].as_array().unwrap();
    assert_eq!(
        (&packages[0]["level"], &packages[0]["files_verified"]),
        (&json!("verified"), &json!(1))
    );
    // One of its two files has no attestation, and may be the one installed.
    assert_eq!(
        (&packages[1]["level"], packages[1]["files"].as_array().unwrap().len()),
        (&json!("absent"), 2)
    );
    assert!(said.codes(|_| true).contains(&"package.unpinned"), "{:#}", said.json);
    assert_eq!((said.exit, said.errors()), (1, vec!["package.level"]));
    let pylock = format!(
        "lock-version = \"1.0\"\ncreated-by = \"x\"\n[[packages]]\nname = \"pypi-attestations\"\n\
         version = \"0.0.19\"\n[packages.sdist]\nname = \"pypi_attestations-0.0.19.tar.gz\"\n\
         hashes = {{sha256 = \"{sdist}\"}}\n"
    );
    let pylock = fixture.write("pylock.toml", pylock.as_bytes());
    verify(&["--lock", &pylock, "--attestations", &folder, "--expect", &fixture.spec(SDIST_RULE)])
        .assert_result(0, "verified", &[], "pylock.toml");
}

#[test]
fn a_folder_is_verified_with_what_lies_in_it() {
    let spec = AttestationsFixture::new();
    let rules = format!(
        "mode = \"strict\"\nminimum = \"detected\"\n{SDIST_RULE}\
         [[package]]\nname = \"pypi:never-seen\"\n"
    );
    let folder = vectors().join("pypi").display().to_string();
    let said = verify(&["--folder", &folder, "--expect", &spec.spec(&rules)]);
    assert_eq!(said.exit, 0, "{:#}", said.json);
    assert_eq!(said.json["coverage"]["packages"], 5);
    assert_eq!(said.json["coverage"]["levels"]["verified"]["count"], 1);
    assert_eq!(said.json["coverage"]["levels"]["detected"]["per_cent"], 80);
    let idle = said.json["not_checked"].to_string();
    assert!(idle.contains("pypi:never-seen"), "{idle}");
    let text = provctl(&["--folder", &folder]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("5 (100 %)") && text.contains("coverage"), "{text}");
}

#[test]
fn a_tarball_of_npm_is_known_by_its_own_manifest_whatever_it_is_called() {
    let fixture = AttestationsFixture::new();
    for (n, name) in ["0.tgz", "sigstore.tgz", "left-pad-1.3.0.tgz"].iter().enumerate() {
        let folder = format!("renamed-{n}");
        let package =
            fixture.write(&format!("{folder}/{name}"), &fs::read(published(NPM)).unwrap());
        let beside = fs::read(published(NPM_PROVENANCE)).unwrap();
        fixture.write(&format!("{folder}/{name}.sigstore.json"), &beside);
        verify(&[&package, "--expect", &fixture.spec(NPM_RULE)]).assert_result(
            0,
            "verified",
            &[],
            name,
        );
    }
    let said = verify(&[&fixture.write("other.tgz", b"no archive")]);
    assert_eq!(said.json["packages"][0]["ecosystem"], "file", "{:#}", said.json);
}

#[test]
fn a_package_is_not_vouched_for_less_than_before() {
    let fixture = AttestationsFixture::new();
    let package = fixture.copy(SDIST);
    let spec = fixture.spec(SDIST_RULE);
    let attested = published("pypi/pypi_attestations-0.0.19.tar.gz.provenance");
    let args = [&*package, "--expect", &spec, "--attestations", &attested];
    let before = verify(&args);
    before.assert_result(0, "verified", &[], "before");
    let previous = fixture.write("before.json", before.json.to_string().as_bytes());
    let again = verify(&[&args[..], &["--previous", &previous]].concat());
    again.assert_result(0, "verified", &[], "as before");
    let allowed = fixture.spec("minimum = \"absent\"\n");
    let args = [&*package, "--expect", &allowed, "--previous", &previous];
    verify(&args).assert_result(1, "absent", &["package.downgraded"], "nothing any more");
    let said = verify(&[&args[..], &["--attestations", &attested]].concat());
    said.assert_result(1, "detected", &["package.downgraded"], "not verified any more");
}

#[test]
fn warning_mode_tells_and_lets_go_on() {
    let fixture = AttestationsFixture::new();
    let mut bytes = fs::read(published(SDIST)).unwrap();
    bytes[100] ^= 1;
    let altered = fixture.write("pypi_attestations-0.0.19.tar.gz", &bytes);
    let spec = fixture.spec(&format!("mode = \"warn\"\n{SDIST_RULE}"));
    let attested = published("pypi/pypi_attestations-0.0.19.tar.gz.provenance");
    let args = [&*altered, "--expect", &spec, "--attestations", &attested];
    let said = verify(&args);
    said.assert_result(0, "mismatch", &["package.digest"], "warned");
    assert_eq!((&said.json["verdict"], &said.json["mode"]), (&json!("failed"), &json!("warn")));
    let text = String::from_utf8(provctl(&args).stdout).unwrap();
    assert!(text.contains("the exit code is 0 though this is failed"), "{text}");
    assert_eq!(verify(&["nowhere", "--expect", &spec]).exit, 66, "what cannot be read still fails");
}
