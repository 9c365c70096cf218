//! Certificates, with openssl as the other reader.

use std::{fs, process::Command};

use serde_json::Value;

use super::{
    harness::{AuthorityFixture, codes},
    peers,
};

/// openssl's verdict.
fn openssl(args: &[&str]) -> Option<(bool, String)> {
    let ran = Command::new(peers::find("openssl")?).args(args).output().unwrap();
    let text = [ran.stdout, ran.stderr].concat();
    Some((ran.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

fn id(issued: &Value) -> &str {
    issued["id"].as_str().unwrap()
}

#[test]
fn openssl_verifies_what_is_issued_and_refuses_what_is_revoked() {
    let fixture = AuthorityFixture::new("");
    let issued = fixture.issue("@acme/agent", &[]);
    let (ca, crl, file) = (fixture.ca(), fixture.crl(), fixture.certificate(id(&issued)));
    let check = ["verify", "-CAfile", &ca, "-crl_check", "-CRLfile", &crl, &file];
    let Some((good, said)) = openssl(&check) else { return };
    assert!(good, "{said}");
    let (_, text) = openssl(&["x509", "-in", &file, "-noout", "-text"]).unwrap();
    for part in ["Anna M\\u00fcller", "Ulm, ticket 42", "package/@acme/agent", "Code Signing"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let ours = ["--ca", &ca, "--crl", &crl];
    let (code, report) = fixture.verify(&file, &ours);
    assert_eq!((code, codes(&report)), (0, vec![]), "{report}");

    let by = ["--by", "anna", "--reason", "key lost"];
    let revoked = fixture.try_daemon(&[&["cert", "revoke", id(&issued)], &by[..]].concat());
    assert_eq!(revoked.0, 0, "{}", revoked.1);
    let (good, said) = openssl(&check).unwrap();
    assert!(!good && said.contains("certificate revoked"), "{said}");
    let (code, report) = fixture.verify(&file, &ours);
    assert_eq!((code, codes(&report)), (1, vec!["certificate.revoked".to_owned()]));
    // Once, and then no more; nor is it renewed.
    let again = fixture.try_daemon(&[&["cert", "revoke", id(&issued)], &by[..]].concat());
    assert_eq!(again.0, 64, "{}", again.1);
    let renewed =
        fixture.try_daemon(&["cert", "renew", id(&issued), "--approved-by", "a", "--place", "b"]);
    assert_eq!(renewed.0, 64, "{}", renewed.1);
    assert_eq!(fixture.audit().1, Vec::<String>::new());
}

#[test]
fn each_kind_is_issued_renewed_listed_and_shown() {
    let fixture = AuthorityFixture::new("");
    let key = fixture.text("agent.pub");
    let p256 = fixture.text("p256.pub");
    let Some((made, said)) = openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        &fixture.text("p256.key"),
    ]) else {
        return;
    };
    assert!(made, "{said}");
    openssl(&["pkey", "-in", &fixture.text("p256.key"), "-pubout", "-out", &p256]).unwrap();
    let by = ["--approved-by", "anna", "--place", "Ulm", "--days", "30"];
    for (kind, name, key) in [
        ("service", "api.clinic.example", &p256),
        ("appliance", "clinic-001/appliance-7", &key),
        ("package", "agent", &p256),
    ] {
        let flag = format!("--{kind}");
        let asked = [&["cert", "issue", &flag, name, "--key", key][..], &by].concat();
        let issued = fixture.json(&asked);
        assert_eq!((&issued["subject"], &issued["name"]), (&kind.into(), &name.into()));
        assert_eq!(issued["policy_version"], "7");
        let renewed = fixture.json(&[&["cert", "renew", id(&issued)][..], &by].concat());
        assert_eq!((&renewed["renews"], &renewed["key"]), (&issued["id"], &issued["key"]));
        let (ca, crl) = (fixture.ca(), fixture.crl());
        for id in [id(&issued), id(&renewed)] {
            let file = fixture.certificate(id);
            let (code, report) = fixture.verify(&file, &["--ca", &ca, "--crl", &crl]);
            assert_eq!(code, 0, "{report}");
            let (good, said) = openssl(&["verify", "-CAfile", &ca, &file]).unwrap();
            assert!(good, "{said}");
            let (code, shown) = fixture.try_daemon(&["cert", "show", id]);
            assert_eq!((code, shown), (0, fs::read_to_string(&file).unwrap()));
        }
    }
    let listed = fixture.json(&["cert", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 7, "{listed}");
    for bad in [
        &["--service", "UPPER.example"][..],
        &["--package", "../etc"],
        &["--appliance", "one"],
        &["--package", "a", "--for-version", "../1"],
    ] {
        let asked = [&["cert", "issue", "--key", &key][..], bad, &by].concat();
        let (code, said) = fixture.try_daemon(&asked);
        assert_eq!(code, 64, "{bad:?}: {said}");
    }
    assert_eq!(fixture.json(&["cert", "list"]).as_array().unwrap().len(), 7);
    assert_eq!(fixture.audit().1, Vec::<String>::new());
}

#[test]
fn each_changed_byte_another_authority_and_another_time_are_found() {
    let fixture = AuthorityFixture::new("");
    let issued = fixture.issue("@acme/agent", &[]);
    let file = fixture.certificate(id(&issued));
    let (ca, crl) = (fixture.ca(), fixture.crl());
    let der = fixture.path("c.der");
    let Some(_) =
        openssl(&["x509", "-in", &file, "-outform", "DER", "-out", &der.display().to_string()])
    else {
        return;
    };
    let good = fs::read(&der).unwrap();
    let name = der.display().to_string();
    assert_eq!(fixture.verify(&name, &["--ca", &ca, "--crl", &crl]).0, 0);
    // The whole of it in the library's own test; a few by the program.
    for at in (0..good.len()).step_by(37) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&der, bad).unwrap();
        let (code, report) = fixture.verify(&name, &["--ca", &ca, "--crl", &crl]);
        assert_eq!((code, codes(&report)), (1, vec!["certificate.invalid".to_owned()]), "{at}");
    }
    let other = AuthorityFixture::new("");
    other.issue("@acme/agent", &[]);
    let (code, report) = fixture.verify(&file, &["--ca", &other.ca(), "--crl", &crl]);
    assert_eq!(code, 1);
    assert!(codes(&report).contains(&"certificate.invalid".to_owned()), "{report}");
    let (code, report) = fixture.verify(&file, &["--ca", &ca, "--crl", &other.crl()]);
    assert_eq!((code, codes(&report)), (1, vec!["certificate.invalid".to_owned()]));
    // Nothing tells of revocation; the list is too old; the certificate too.
    assert_eq!(fixture.verify(&file, &["--ca", &ca]).0, 2);
    let later = ["--ca", &ca, "--crl", &crl, "--time"];
    let in_days = |days: i64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let nanos = i64::try_from(now.as_nanos()).unwrap() + days * 86_400_000_000_000;
        provenance_core::encoding::time::Timestamp::from_nanos(nanos).to_string()
    };
    assert_eq!(fixture.verify(&file, &[&later[..], &[&in_days(40)]].concat()).0, 2);
    for time in [in_days(400), in_days(-1)] {
        let (code, report) = fixture.verify(&file, &[&later[..], &[&time]].concat());
        assert_eq!(code, 1, "{report}");
        assert!(codes(&report).contains(&"certificate.expired".to_owned()), "{report}");
    }
}

#[test]
fn a_lost_file_is_made_anew_and_a_missing_authority_is_said() {
    let fixture = AuthorityFixture::new("");
    let issued = fixture.issue("agent", &[]);
    let file = fixture.certificate(id(&issued));
    let before = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(fixture.try_daemon(&["cert", "crl"]).0, 0);
    assert_eq!(fs::read(&file).unwrap(), before);
    let text = fs::read_to_string(fixture.path("p.toml")).unwrap();
    let without = text.split("[certificates]").next().unwrap().to_owned();
    fs::write(fixture.path("p.toml"), without).unwrap();
    let (code, said) = fixture.try_daemon(&["cert", "crl"]);
    assert_eq!(code, 64);
    assert!(said.contains("certificates.authority_key"), "{said}");
    // What is on record can be read without the authority.
    assert_eq!(fixture.json(&["cert", "list"]).as_array().unwrap().len(), 2);
}
