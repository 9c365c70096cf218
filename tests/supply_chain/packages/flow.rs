//! A package's whole way: built, certified, published, stored, used; then
//! deprecated, revoked, taken back.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use super::harness::{AuthorityFixture, codes};
use crate::common::programs::PROVCTL;

const PACKAGE: &str = "@acme/agent";

/// Packs the sources, the same bytes each time.
fn build(sources: &Path, out: &Path) {
    let packed = Command::new("tar")
        .args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"])
        .args(["--use-compress-program=gzip -n", "-cf"])
        .arg(out)
        .arg("-C")
        .arg(sources)
        .arg(".")
        .status()
        .unwrap();
    assert!(packed.success());
}

fn event(fixture: &AuthorityFixture, name: &str, more: &[&str]) -> Value {
    let which = ["package", "event", "--package", PACKAGE, "--version", "1.2.3", "--event", name];
    fixture.json(&[&which[..], more].concat())
}

#[test]
fn a_package_goes_its_whole_way_and_the_consumers_check_turns() {
    let worm = tempfile::tempdir().unwrap();
    let folder = worm.path().join("worm").display().to_string();
    let fixture = AuthorityFixture::new(&format!("[store]\nlocal = \"{folder}\"\n"));
    let sources = fixture.path("sources");
    fs::create_dir(&sources).unwrap();
    let manifest = "{\n  \"name\": \"@acme/agent\",\n  \"version\": \"1.2.3\"\n}\n";
    fs::write(sources.join("package.json"), manifest).unwrap();
    fs::write(sources.join("index.js"), "module.exports = 1;\n").unwrap();

    let which = ["--package", PACKAGE, "--version", "1.2.3"];
    // Nothing can be said of what is not registered.
    let early = [&["package", "event", "--event", "package.build.start"], &which[..]].concat();
    assert_eq!(fixture.try_daemon(&early).0, 65);
    fixture.json(&[&["package", "register"], &which[..]].concat());
    event(&fixture, "package.build.start", &[]);
    let (first, second) = (fixture.path("first.tgz"), fixture.path("second.tgz"));
    build(&sources, &first);
    build(&sources, &second);
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    let archive = first.display().to_string();
    event(&fixture, "package.build.complete", &["--file", &archive, "--detail", "commit=0123abc"]);
    event(&fixture, "package.test.complete", &[]);

    let issued = fixture.issue(PACKAGE, &["--for-version", "1.2.3", "--file", &archive]);
    let id = issued["id"].as_str().unwrap();
    event(&fixture, "package.certificate.issued", &["--certificate", id]);
    let publish = ["package", "publish", "--certificate", id, "--file"];
    // Not another archive than the certified one.
    fs::write(&second, "another").unwrap();
    let other = second.display().to_string();
    let refused = fixture.try_daemon(&[&publish[..], &[&other], &which].concat());
    assert_eq!(refused.0, 65, "{}", refused.1);
    let published = fixture.json(&[&publish[..], &[&archive], &which].concat());
    assert_eq!(published["status"], "published");
    // A version is published once.
    assert_eq!(fixture.try_daemon(&[&publish[..], &[&archive], &which].concat()).0, 65);

    let into = fixture.path("package.json");
    fs::write(&into, manifest).unwrap();
    let told = fixture.try_daemon(
        &[&["package", "metadata", "--into", &into.display().to_string()], &which[..]].concat(),
    );
    assert_eq!(told.0, 0, "{}", told.1);
    let metadata: Value = serde_json::from_slice(&fs::read(&into).unwrap()).unwrap();
    assert_eq!(metadata["name"], PACKAGE);
    assert_eq!(metadata["mspProvenance"]["certificate"]["id"], issued["id"]);
    assert_eq!(metadata["mspProvenance"]["governance"]["approvedBy"], "Anna Müller");
    assert_eq!(metadata["mspProvenance"]["build"]["status"], "published");

    // The copies hold all of it.
    let (code, said) = fixture.try_daemon(&["store"]);
    assert_eq!(code, 0, "{said}");
    let copies = Command::new(PROVCTL)
        .args(["verify", &folder, "--policy", &fixture.text("policy.toml"), "--json"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&copies.stdout).unwrap();
    assert_eq!(copies.status.code(), Some(0), "{report}");
    let found = Command::new("find").arg(&folder).output().unwrap();
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    for name in ["packages/@acme/agent/1.2.3.tgz", "1.2.3.cert.pem", "publication.sigstore.json"] {
        assert!(found.contains(name), "{name}: {found}");
    }

    // The consumer, with nothing but files; then with the registry too.
    let below = |name: &str| fixture.text(&format!("state/packages/{PACKAGE}/1.2.3.{name}"));
    let (certificate, statement) = (below("cert.pem"), below("publication.sigstore.json"));
    let (ca, crl, state) = (fixture.ca(), fixture.crl(), fixture.text("state"));
    let offline = ["--ca", &ca, "--crl", &crl, "--for", &archive, "--publication", &statement];
    let online = [&offline[..], &["--state", &state]].concat();
    for asked in [&offline[..], &online] {
        let (code, report) = fixture.verify(&certificate, asked);
        assert_eq!((code, codes(&report)), (0, vec![]), "{report}");
    }
    // Who published it is not known without a policy; nothing is wrong either.
    let (code, report) = fixture.verify_without_policy(&certificate, &offline);
    assert_eq!((code, codes(&report)), (2, vec!["bundle.key".to_owned()]), "{report}");
    let (code, report) =
        fixture.verify(&certificate, &["--ca", &ca, "--crl", &crl, "--for", &other]);
    assert_eq!((code, codes(&report)), (1, vec!["certificate.subject".to_owned()]));

    turn(&fixture, &which, id, (&certificate, &online));
    worm_unlock(worm.path());
}

/// Deprecated, then revoked, then taken back.
fn turn(
    fixture: &AuthorityFixture,
    which: &[&str],
    id: &str,
    (certificate, online): (&str, &[&str]),
) {
    let status = |to: &str| {
        let set = ["package", "status", "--to", to, "--reason", "use 1.2.4"];
        fixture.json(&[&set[..], which].concat())
    };
    assert_eq!(status("deprecated")["status"], "deprecated");
    let (code, report) = fixture.verify(certificate, online);
    assert_eq!((code, codes(&report)), (0, vec!["package.deprecated".to_owned()]), "{report}");
    let before = report["checked"]["registry records"].as_u64().unwrap();
    let by = ["--by", "anna", "--reason", "key lost"];
    assert_eq!(fixture.try_daemon(&[&["cert", "revoke", id], &by[..]].concat()).0, 0);
    let (code, report) = fixture.verify(certificate, online);
    assert_eq!(code, 1);
    assert!(codes(&report).contains(&"certificate.revoked".to_owned()), "{report}");
    // By its place: what was decided before the revocation stays decided.
    let crl_less: Vec<&str> = {
        let at = online.iter().position(|arg| *arg == "--crl").unwrap();
        online
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != at && *i != at + 1)
            .map(|(_, a)| *a)
            .collect()
    };
    let before = before.to_string();
    let then = [&crl_less[..], &["--at-record", &before]].concat();
    let (code, report) = fixture.verify(certificate, &then);
    assert_eq!((code, codes(&report)), (0, vec!["package.deprecated".to_owned()]), "{report}");
    assert_eq!(status("unpublished")["status"], "unpublished");
    let (_, report) = fixture.verify(certificate, online);
    assert!(codes(&report).contains(&"package.unpublished".to_owned()), "{report}");
    assert_eq!(fixture.audit().1, Vec::<String>::new());
    // What is asked of more than there is, is not known.
    let beyond = [&crl_less[..], &["--at-record", "4000"]].concat();
    let (_, report) = fixture.verify(certificate, &beyond);
    assert!(report["not_checked"].to_string().contains("first 4000 records"), "{report}");
    published(fixture);
}

/// What was published is compared with its record, each byte of each file.
fn published(fixture: &AuthorityFixture) {
    let altered = (1, vec!["package.altered".to_owned()]);
    let missing = (1, vec!["package.missing".to_owned()]);
    for ending in ["tgz", "cert.pem", "publication.sigstore.json"] {
        let path = fixture.path(&format!("state/packages/{PACKAGE}/1.2.3.{ending}"));
        let good = fs::read(&path).unwrap();
        fs::write(&path, "another").unwrap();
        assert_eq!(fixture.audit(), altered, "{ending}");
        for at in (0..good.len()).step_by(1 + good.len() / 12) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert_eq!(fixture.audit(), altered, "{ending}, byte {at}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(fixture.audit(), missing, "{ending}");
        fs::create_dir(&path).unwrap();
        assert_eq!(fixture.audit(), missing, "{ending} is a folder");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, good).unwrap();
    }
    assert_eq!(fixture.audit(), (0, vec![]));
    let folder = fixture.path("state/certificates");
    let issued = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let issued: Vec<_> = issued.filter(|path| !path.ends_with("crl.pem")).collect();
    assert!(issued.len() >= 2, "{issued:?}");
    for path in issued {
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        fs::write(&path, bad).unwrap();
        assert_eq!(fixture.audit(), (1, vec!["certificate.invalid".to_owned()]), "{path:?}");
        fs::write(&path, good).unwrap();
    }
    // What nobody published is said, and proves nothing.
    let stranger = fixture.path(&format!("state/packages/{PACKAGE}/9.9.9.tgz"));
    fs::write(&stranger, "x").unwrap();
    let told = fixture.audit_text();
    assert!(told.contains("9.9.9.tgz") && told.contains("VERIFIED"), "{told}");
    fs::remove_file(stranger).unwrap();
}

#[test]
fn the_same_report_twice_is_one_event_and_a_contradiction_is_none() {
    let fixture = AuthorityFixture::new("");
    let which = ["--package", PACKAGE, "--version", "1.2.3"];
    fixture.json(&[&["package", "register"], &which[..]].concat());
    let id = "0123456789abcdef0123456789abcdef";
    let first = event(&fixture, "package.build.start", &["--id", id]);
    let again = event(&fixture, "package.build.start", &["--id", id]);
    assert_eq!(first["registry_record"], again["registry_record"]);
    assert_eq!((&first["known_before"], &again["known_before"]), (&json!(false), &json!(true)));
    let other = ["package", "event", "--event", "package.build.failed", "--id", id];
    assert_eq!(fixture.try_daemon(&[&other[..], &which].concat()).0, 65);
    let listed = fixture.try_daemon(&["package", "list"]);
    assert!(listed.1.contains("@acme/agent  1.2.3  registered"), "{}", listed.1);
}

fn worm_unlock(root: &Path) {
    let _ = Command::new("chattr").args(["-R", "-i"]).arg(root).status();
}
