//! The bucket of a real Ceph RGW.

use std::time::{SystemTime, UNIX_EPOCH};

use provenance_core::encoding::time::Timestamp;

use super::harness::{Rgw, StoreFixture, run};
use crate::common::{
    programs::{PROVCTL, PROVENANCED, json, output_text},
    wait::{PATIENCE, holds, wait_for},
};

fn seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

#[test]
fn what_is_copied_stays_verifies_from_the_bucket_alone_and_is_rebuilt() {
    let Some(rgw) = Rgw::start() else { return };
    rgw.s3.make("evidence", true);
    let fixture = StoreFixture::new("");
    fixture.settings(&fixture.bucket(&rgw.endpoint(), "evidence"));
    let stored = fixture.store();
    assert_eq!(stored.status.code(), Some(0), "{}", output_text(&stored));
    let first = &json(&stored)["stores"][0]["runs"][0];
    assert_eq!((first["lock"].as_str(), first["unlocked"].as_u64()), (Some("compliance"), Some(0)));
    assert!(first["retain_until"].is_string(), "{first}");
    // A second call is no work, and no new version.
    let before = rgw.s3.versions("evidence");
    assert_eq!(json(&fixture.store())["stores"][0]["runs"].as_array().unwrap().len(), 0);
    assert_eq!(rgw.s3.versions("evidence"), before);

    // Another client, with all rights, cannot remove or shorten any of it.
    let s3 = &rgw.s3;
    for (key, version) in &before {
        let raw = key.contains("/artifacts/");
        let days = if raw { 3 } else { 7 };
        let path = format!("evidence/{key}");
        let at = ("versionId", &**version);
        let head = s3.ask("HEAD", &path, &[at], &[], None);
        assert_eq!(head.header("x-amz-object-lock-mode"), Some("COMPLIANCE"), "{}", head.status);
        let until = head.header("x-amz-object-lock-retain-until-date").unwrap();
        let until = Timestamp::read(until).unwrap().nanos() / 1_000_000_000;
        assert!((until - seconds() - days * 86_400).abs() < 300, "{key}: {until}");
        let removed = s3.ask("DELETE", &path, &[at], &[], None);
        assert_eq!(removed.status, 403, "{key}");
        let soon = Timestamp::from_nanos((seconds() + 60) * 1_000_000_000).to_string();
        let shorter = format!(
            "<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>{soon}</RetainUntilDate></Retention>"
        );
        let bypass = "x-amz-bypass-governance-retention: true";
        let query = [("retention", ""), at];
        let shorter = s3.ask("PUT", &path, &query, &[bypass], Some(shorter.as_bytes()));
        assert_eq!(shorter.status, 403, "{key}: {}", String::from_utf8_lossy(&shorter.body));
    }

    fixture.tick("four");
    assert_eq!(fixture.store().status.code(), Some(0));
    let access = fixture.access(&rgw.endpoint());
    let access: Vec<&str> = access.iter().map(String::as_str).collect();
    let (here, there) = (fixture.audit_state("state"), fixture.audit("s3://evidence/msp", &access));
    assert_eq!((here.code, there.code), (0, 0), "{here:?} {there:?}");
    assert_eq!((there.verdict.as_str(), &there.head), ("verified", &here.head));
    assert!(!there.codes.contains_key("store.unlocked"), "{there:?}");

    let (to, policy) = (fixture.text("rebuilt"), fixture.text("policy.toml"));
    let from = ["restore", "--from", "s3://evidence", "--to", &to, "--policy", &policy, "--json"];
    let rebuilt = run(PROVENANCED, &[&from, &access[..]].concat());
    assert_eq!(rebuilt.status.code(), Some(0), "{}", output_text(&rebuilt));
    assert_eq!(fixture.audit_state("rebuilt").head, here.head);
    let fleet = ["verify-fleet", "s3://evidence", "--policy", &policy, "--json"];
    let fleet = run(PROVCTL, &[&fleet, &access[..]].concat());
    assert_eq!((fleet.status.code(), &json(&fleet)["counts"]["verified"]), (Some(0), &1.into()));

    // Writing an object again, or marking it as deleted, hides nothing.
    let chain = before.iter().find(|(key, _)| key.contains("/chain/")).unwrap().0.clone();
    let proof = before.iter().find(|(key, _)| key.ends_with("proof.json")).unwrap().0.clone();
    s3.put("evidence", &chain, b"other");
    s3.remove("evidence", &proof);
    let shown = fixture.audit("s3://evidence/msp", &access);
    assert_eq!((shown.code, shown.errors()), (1, vec!["store.version".to_owned()]), "{shown:?}");
    assert_eq!((shown.codes["store.version"], &shown.head), (2, &here.head));
}

#[test]
fn in_a_bucket_without_a_lock_altered_missing_and_added_are_found() {
    let Some(rgw) = Rgw::start() else { return };
    rgw.s3.make("evidence", true);
    let fixture = StoreFixture::new("");
    fixture.settings(&fixture.bucket(&rgw.endpoint(), "evidence"));
    assert_eq!(fixture.store().status.code(), Some(0));
    rgw.s3.mirror("evidence", "mirror");
    let access = fixture.access(&rgw.endpoint());
    let access: Vec<&str> = access.iter().map(String::as_str).collect();
    let audit = || fixture.audit("s3://mirror/msp", &access);
    // That nothing is kept there is said of each object, and is no damage.
    let kept = audit();
    assert_eq!((kept.code, kept.codes["store.unlocked"] > 5), (0, true), "{kept:?}");

    let names = rgw.s3.versions("mirror");
    let find = |end: &str| names.iter().find(|(key, _)| key.contains(end)).unwrap().0.clone();
    for (key, code) in [
        (find("/registry.jsonl"), "store.digest"),
        (find("/chain/2"), "store.digest"),
        (find("/statement.json"), "store.digest"),
    ] {
        let bytes = rgw.s3.get("mirror", &key);
        let mut bad = bytes.clone();
        let at = bad.len() / 2;
        bad[at] ^= 1;
        rgw.s3.put("mirror", &key, &bad);
        let altered = audit();
        assert_eq!(altered.code, 1, "{altered:?}");
        assert!(altered.errors().contains(&code.to_owned()), "{key}: {altered:?}");
        rgw.s3.remove("mirror", &key);
        let missing = audit();
        assert_eq!(missing.code, 1);
        assert!(missing.errors().contains(&"store.missing".to_owned()), "{key}: {missing:?}");
        rgw.s3.put("mirror", &key, &bytes);
    }
    let base = find("/registry.jsonl").replace("registry.jsonl", "chain/2026/01/01.jsonl");
    rgw.s3.put("mirror", &base, b"x");
    assert_eq!(audit().errors(), ["store.extra"]);
}

#[test]
fn a_bucket_that_cannot_be_used_is_told_from_one_that_does_not_answer() {
    let Some(rgw) = Rgw::start() else { return };
    rgw.s3.make("evidence", true);
    rgw.s3.make("nolock", false);
    let fixture = StoreFixture::new("");
    let at = |endpoint: &str, bucket: &str| {
        fixture.settings(&fixture.bucket(endpoint, bucket));
        let ran = fixture.store();
        (ran.status.code().unwrap(), output_text(&ran))
    };
    let wrong = |file: &str, text: &str| {
        std::fs::write(fixture.path(file), text).unwrap();
        super::harness::set_mode(&fixture.path(file), 0o600);
    };
    let endpoint = rgw.endpoint();
    for (endpoint, bucket, code, text) in [
        (&*endpoint, "nolock", 78, "has no Object Lock"),
        (&*endpoint, "nosuch", 78, "there is no such bucket"),
        ("http://127.0.0.1:1", "evidence", 75, "no answer"),
    ] {
        let (got, said) = at(endpoint, bucket);
        assert!(got == code && said.contains(text), "{bucket}: {got} {said}");
    }
    for key in [
        "aws_access_key_id = test\naws_secret_access_key = wrong\n",
        "aws_access_key_id = nobody\naws_secret_access_key = testtest\n",
    ] {
        wrong("access", key);
        let (got, said) = at(&endpoint, "evidence");
        assert!(got == 78 && said.contains("access was refused"), "{got} {said}");
        assert!(!said.contains("testtest") && !said.contains("wrong"), "{said}");
    }
    wrong("access", "nothing of the kind");
    assert_eq!(at(&endpoint, "evidence").0, 78);
    // What failed is no reason not to go on once it is right.
    wrong("access", "aws_access_key_id = test\naws_secret_access_key = testtest\n");
    assert_eq!(at(&endpoint, "evidence").0, 0);
}

#[test]
fn a_clock_that_is_off_by_an_hour_is_told_as_that() {
    let Some(rgw) = Rgw::start() else { return };
    let Some(faketime) = super::peers::find("faketime") else { return };
    rgw.s3.make("evidence", true);
    let fixture = StoreFixture::new("");
    fixture.settings(&fixture.bucket(&rgw.endpoint(), "evidence"));
    let settings = fixture.text("p.toml");
    let args = ["-f", "+1h", PROVENANCED, "store", "--config", &settings];
    let ran = run(faketime.to_str().unwrap(), &args);
    let text = output_text(&ran);
    assert_eq!(ran.status.code(), Some(75), "{text}");
    assert!(text.contains("clock and this machine's differ"), "{text}");
}

#[test]
fn a_server_that_dies_is_reported_and_the_next_call_finishes_the_run() {
    let Some(rgw) = Rgw::start() else { return };
    rgw.s3.make("evidence", true);
    let fixture = StoreFixture::new("");
    fixture.settings(&format!(
        "[store]\nmax_kib_s = 20\n{}",
        fixture.bucket(&rgw.endpoint(), "evidence")
    ));
    std::fs::write(fixture.path("large"), vec![7; 300 << 10]).unwrap();
    fixture.tick("four");
    fixture.with("bundle", &["--artifact", &fixture.text("large")]);
    let store = fixture.start_store();
    wait_for("objects come", PATIENCE, || {
        let there = rgw.s3.versions("evidence").len();
        holds(there > 6, there)
    });
    rgw.kill_gateway();
    let ended = store.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(75), "{}", output_text(&ended));
    assert!(output_text(&ended).contains("no answer"), "{}", output_text(&ended));

    rgw.start_gateway();
    fixture.settings(&fixture.bucket(&rgw.endpoint(), "evidence"));
    let put = rgw.s3.versions("evidence").len();
    let next = fixture.store();
    assert_eq!(next.status.code(), Some(0), "{}", output_text(&next));
    assert_eq!(json(&next)["stores"][0]["runs"][0]["run"], 0, "the run goes on");
    assert!(rgw.s3.versions("evidence").len() > put);
    let access = fixture.access(&rgw.endpoint());
    let access: Vec<&str> = access.iter().map(String::as_str).collect();
    let there = fixture.audit("s3://evidence/msp", &access);
    assert_eq!((there.code, &there.head), (0, &fixture.audit_state("state").head), "{there:?}");
}

#[test]
fn killed_in_the_middle_the_next_call_goes_on_and_puts_nothing_twice() {
    let Some(rgw) = Rgw::start() else { return };
    rgw.s3.make("evidence", true);
    let fixture = StoreFixture::new("");
    fixture.settings(&fixture.bucket(&rgw.endpoint(), "evidence"));
    for enough in [3, 9] {
        let mut store = fixture.start_store();
        wait_for("objects come", PATIENCE, || {
            let there = rgw.s3.versions("evidence").len();
            holds(there >= enough || store.try_wait().unwrap().is_some(), there)
        });
        let _ = store.kill();
        store.wait().unwrap();
    }
    let next = fixture.store();
    assert_eq!(next.status.code(), Some(0), "{}", output_text(&next));
    let versions = rgw.s3.versions("evidence");
    let mut names: Vec<_> = versions.iter().map(|(key, _)| key).collect();
    names.dedup();
    // One whose answer was on its way when the process died may be there twice.
    assert!(versions.len() <= names.len() + 2, "{versions:?}");
    let access = fixture.access(&rgw.endpoint());
    let access: Vec<&str> = access.iter().map(String::as_str).collect();
    let there = fixture.audit("s3://evidence/msp", &access);
    assert_eq!((there.code, &there.head), (0, &fixture.audit_state("state").head), "{there:?}");
}

/// 10,000 with MSP_FULL=1, which takes minutes.
#[test]
fn days_of_outage_are_caught_up_in_one_call() {
    let Some(rgw) = Rgw::start() else { return };
    rgw.s3.make("evidence", true);
    let fixture = StoreFixture::new("");
    fixture.settings(&fixture.bucket(&rgw.endpoint(), "evidence"));
    let objects = if std::env::var_os("MSP_FULL").is_some() { 10_000 } else { 300 };
    for n in 0..objects {
        std::fs::write(fixture.path(&format!("a{n}")), n.to_string()).unwrap();
    }
    for some in (0..objects).collect::<Vec<_>>().chunks(500) {
        let paths: Vec<String> = some.iter().map(|n| fixture.text(&format!("a{n}"))).collect();
        let args: Vec<&str> = paths.iter().flat_map(|path| ["--artifact", path.as_str()]).collect();
        fixture.with(
            "bundle",
            &["--from", "2026-01-01"].iter().chain(&args).copied().collect::<Vec<_>>(),
        );
    }
    let begin = std::time::Instant::now();
    let stored = fixture.store();
    assert_eq!(stored.status.code(), Some(0), "{}", output_text(&stored));
    let put = json(&stored)["stores"][0]["runs"][0]["objects"].as_u64().unwrap();
    assert!(put > objects, "{put}");
    println!("{put} objects in {:?}", begin.elapsed());
    let access = fixture.access(&rgw.endpoint());
    let access: Vec<&str> = access.iter().map(String::as_str).collect();
    let there = fixture.audit("s3://evidence/msp", &access);
    assert_eq!((there.code, &there.head), (0, &fixture.audit_state("state").head), "{there:?}");
}

#[test]
fn a_server_is_believed_by_the_named_certificates_and_by_no_others() {
    let Some(rgw) = Rgw::start() else { return };
    rgw.s3.make("evidence", true);
    let fixture = StoreFixture::new("");
    let (endpoint, ca) = rgw.tls();
    fixture.settings(&fixture.bucket(&endpoint, "evidence"));
    let refused = fixture.store();
    assert_eq!(refused.status.code(), Some(75), "{}", output_text(&refused));
    assert!(output_text(&refused).contains("certificate"), "{}", output_text(&refused));
    fixture.settings(&format!("{}ca_file = \"{ca}\"\n", fixture.bucket(&endpoint, "evidence")));
    let stored = fixture.store();
    assert_eq!(stored.status.code(), Some(0), "{}", output_text(&stored));
    let access = fixture.access(&endpoint);
    let access: Vec<&str> = access.iter().map(String::as_str).collect();
    let there = fixture.audit("s3://evidence", &[&access[..], &["--ca-file", &ca]].concat());
    assert_eq!(there.code, 0, "{there:?}");
}

#[test]
fn without_a_file_the_key_is_that_of_the_machines_role() {
    let Some(rgw) = Rgw::start() else { return };
    rgw.s3.make("evidence", true);
    let fixture = StoreFixture::new("");
    let settings = fixture.bucket(&rgw.endpoint(), "evidence");
    let settings: String = settings
        .lines()
        .filter(|line| !line.starts_with("credentials_file"))
        .fold(String::new(), |text, line| text + line + "\n");
    fixture.settings(&settings);
    let (service, asked) = metadata_service();
    let store = |service: &str| {
        let mut command = std::process::Command::new(PROVENANCED);
        command.args(["store", "--config", &fixture.text("p.toml")]);
        super::harness::clean(&mut command).env("AWS_EC2_METADATA_SERVICE_ENDPOINT", service);
        command.output().unwrap()
    };
    let stored = store(&service);
    assert_eq!(stored.status.code(), Some(0), "{}", output_text(&stored));
    let asked = asked.lock().unwrap().clone();
    assert!(asked[0].starts_with("PUT /latest/api/token"), "{asked:?}");
    assert!(asked.iter().skip(1).all(|ask| ask.contains("x-aws-ec2-metadata-token: t0ken")));
    let nobody = store("http://127.0.0.1:1");
    assert_eq!(nobody.status.code(), Some(78), "{}", output_text(&nobody));
    assert!(output_text(&nobody).contains("metadata service"), "{}", output_text(&nobody));
}

type Asked = std::sync::Arc<std::sync::Mutex<Vec<String>>>;

/// What a machine in a cloud asks for its key; what it was asked, in lower case
/// but for the first line.
fn metadata_service() -> (String, Asked) {
    use std::io::{BufRead as _, BufReader, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let noted = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines =
                BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            let headers: Vec<_> =
                lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
            let body = match first.split(' ').nth(1).unwrap_or_default() {
                "/latest/api/token" => "t0ken",
                "/latest/meta-data/iam/security-credentials/" => "appliance",
                "/latest/meta-data/iam/security-credentials/appliance" => {
                    r#"{"AccessKeyId":"test","SecretAccessKey":"testtest","Expiration":"2126-01-01T00:00:00Z"}"#
                }
                _ => "",
            };
            noted.lock().unwrap().push(format!("{first}\n{}", headers.join("\n")));
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + body).as_bytes());
        }
    });
    (address, asked)
}
