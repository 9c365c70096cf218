//! The HTTP API: by a plain client over its doors, and by schemathesis from its
//! own description.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use super::{harness::AuthorityFixture, peers, tls};
use crate::common::programs::{PROVCTL, PROVENANCED};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Begins to answer; tells where.
    fn start(fixture: &AuthorityFixture) -> Self {
        let mut child = Command::new(PROVENANCED)
            .args(["api", "--config", &fixture.text("p.toml")])
            .env("PROVENANCED_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = lines.find_map(|line| {
            let line = line.unwrap();
            line.split_once("answers at ").map(|(_, address)| address.trim().to_owned())
        });
        // The pipe must not fill up.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: said.expect("it never said where it answers") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// curl's answer: the status and the JSON.
fn curl(args: &[&str]) -> (u16, Value) {
    let ran = Command::new(peers::find("curl").unwrap())
        .args(["-sS", "-m", "20", "-w", "\n%{http_code}"])
        .args(args)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or_default();
    let body = serde_json::from_str(body).unwrap_or(Value::Null);
    (status.parse().unwrap_or(0), body)
}

fn fixture(more: &str) -> AuthorityFixture {
    let fixture = AuthorityFixture::new(&format!("[api]\n{more}\n"));
    fs::write(fixture.path("token"), format!("{TOKEN}\n")).unwrap();
    Command::new("chmod").args(["600", &fixture.text("token")]).status().unwrap();
    fixture
}

fn records(fixture: &AuthorityFixture) -> usize {
    let listed = Command::new(PROVCTL)
        .args(["registry", "list", "--state", &fixture.text("state")])
        .output()
        .unwrap();
    String::from_utf8_lossy(&listed.stdout).lines().count()
}

#[test]
fn over_a_unix_socket_who_has_the_token_writes_and_everybody_reads() {
    let fixture = fixture("listen = \"unix:@/api.sock\"\ntoken_file = \"@/token\"");
    let server = Server::start(&fixture);
    assert!(server.address.starts_with("unix:"));
    let socket = fixture.text("api.sock");
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let ask = |method: &str, path: &str, body: &Value, headers: &[&str]| {
        let (url, text) = (format!("http://localhost{path}"), body.to_string());
        let mut args = vec!["--unix-socket", &socket, "-X", method, &url];
        for header in headers {
            args.extend(["-H", header]);
        }
        if !body.is_null() {
            args.extend(["-d", &text]);
        }
        curl(&args)
    };
    let read = |path: &str| ask("GET", path, &Value::Null, &[]);
    let write = |method: &str, path: &str, body: Value| ask(method, path, &body, &[&bearer]);

    let version = json!({"package": "@acme/agent", "version": "1.0.0", "who": "ci"});
    let before = records(&fixture);
    for wrong in [vec![], vec!["Authorization: Bearer x"], vec!["Authorization: Basic x"]] {
        let (status, _) = ask("POST", "/registry/api/packages/register", &version, &wrong);
        assert_eq!(status, 401);
    }
    assert_eq!(records(&fixture), before);
    let (status, body) = write("POST", "/registry/api/packages/register", version.clone());
    assert_eq!((status, &body["status"]), (201, &json!("registered")), "{body}");
    assert_eq!(write("POST", "/registry/api/packages/register", version).0, 409);
    let event = json!({
        "id": "00000000000000000000000000000001", "event": "package.build.complete",
        "package": "@acme/agent", "version": "1.0.0", "who": "ci",
        "details": {"commit": "abc"}, "sha256": "0".repeat(64),
    });
    let (status, recorded) = write("POST", "/chronicle/events", event.clone());
    assert_eq!(status, 201, "{recorded}");
    assert_eq!(write("POST", "/chronicle/events", event).0, 200);
    let (status, shown) = read("/chronicle/events/00000000000000000000000000000001");
    assert_eq!((status, &shown["registry_record"]), (200, &recorded["registry_record"]));
    // Names as they are, and encoded.
    for path in ["@acme/agent", "%40acme%2Fagent"] {
        let (status, events) = read(&format!("/chronicle/packages/{path}/events"));
        assert_eq!((status, events["events"].as_array().unwrap().len()), (200, 2), "{events}");
        let (status, page) = read(&format!("/chronicle/packages/{path}/events?limit=1"));
        assert_eq!(status, 200);
        let after = page["next_after"].as_u64().unwrap();
        let (_, rest) = read(&format!("/chronicle/packages/{path}/events?after={after}"));
        assert_eq!(rest["events"].as_array().unwrap().len(), 1, "{rest}");
        assert_eq!(read(&format!("/registry/packages/{path}/1.0.0")).1["status"], "registered");
        assert_eq!(read(&format!("/registry/packages/{path}")).0, 200);
    }
    assert_eq!(read("/registry/packages").1["packages"][0]["package"], "@acme/agent");

    let key = fs::read_to_string(fixture.path("agent.pub")).unwrap();
    let wanted = json!({
        "subject": "package", "name": "@acme/agent", "public_key": key,
        "approved_by": "anna", "place": "Ulm",
    });
    let (status, issued) = write("POST", "/v1/certificates/issue", wanted);
    assert_eq!(status, 201, "{issued}");
    let id = issued["id"].as_str().unwrap();
    assert_eq!(read(&format!("/v1/certificates/{id}")).1["pem"], issued["pem"]);
    assert_eq!(read(&format!("/v1/certificates/verify/{id}")).1["state"], "valid");
    let (_, of) = read("/v1/certificates/package/@acme/agent");
    assert_eq!(of["certificates"].as_array().unwrap().len(), 1);
    let reason = json!({"by": "anna", "reason": "lost"});
    let path = format!("/v1/certificates/{id}/revoke");
    assert_eq!(write("POST", &path, reason.clone()).1["revoked"]["reason"], "lost");
    assert_eq!(write("POST", &path, reason).0, 400);
    assert_eq!(read(&format!("/v1/certificates/verify/{id}")).1["state"], "revoked");
    // Only what was published can be deprecated; publishing signs, elsewhere.
    let status_path = "/registry/packages/@acme/agent/1.0.0/status";
    for status in ["deprecated", "published"] {
        let body = json!({"status": status, "who": "ci", "reason": "x"});
        let answered = write("PUT", status_path, body);
        assert_eq!(answered.0, 409, "{answered:?}");
    }
    for (path, expected) in [
        ("/nowhere", 404),
        ("/v1/certificates/x", 404),
        ("/chronicle/events/..", 404),
        ("/registry/packages?limit=0", 400),
        ("/registry/packages?x=1", 400),
        ("/registry/packages?limit=1&limit=2", 400),
    ] {
        assert_eq!(read(path).0, expected, "{path}");
    }
    let long = json!({"package": "x".repeat(70_000), "version": "1", "who": "ci"});
    assert_eq!(write("POST", "/registry/api/packages/register", long).0, 400);
    // Neither a list of the values, nor a name that steers a terminal.
    let before = records(&fixture);
    for body in [json!(["@acme/agent", "2.0.0", "ci"]), json!("x"), json!(7)] {
        let answered = write("POST", "/registry/api/packages/register", body);
        assert_eq!(answered.0, 400, "{answered:?}");
    }
    assert_eq!(write("POST", &path, json!(["anna", "lost"])).0, 400);
    let steering = json!({"package": "@acme/agent", "version": "2.0.0", "who": "a\u{1b}[31m"});
    assert_eq!(write("POST", "/registry/api/packages/register", steering).0, 400);
    assert_eq!(records(&fixture), before);
    // What others put on record meanwhile is in the next answer.
    let which = ["--package", "@acme/other", "--version", "1", "--who", "bert"];
    fixture.json(&[&["package", "register"], &which[..]].concat());
    assert_eq!(read("/registry/packages/@acme/other/1").1["status"], "registered");
    assert_eq!(read("/registry/packages?limit=1").1["next_after"], "@acme/agent");
    let (_, rest) = read("/registry/packages?after=@acme/agent");
    assert_eq!(rest["packages"].as_array().unwrap().len(), 1, "{rest}");
    drop(server);
    assert_eq!(fixture.audit().1, Vec::<String>::new());
}

#[test]
fn in_plain_text_nobody_writes_and_over_tls_who_has_the_token() {
    let refused = fixture("listen = \"127.0.0.1:0\"\ntoken_file = \"@/token\"");
    let (code, said) = refused.try_daemon(&["check-config"]);
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("over TLS or a Unix socket"), "{said}");

    let plain = fixture("listen = \"127.0.0.1:0\"");
    let server = Server::start(&plain);
    let url = format!("http://{}/registry/packages", server.address);
    assert_eq!(curl(&[&url]).0, 200);
    let register = format!("http://{}/registry/api/packages/register", server.address);
    let body = json!({"package": "a", "version": "1", "who": "x"}).to_string();
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let before = records(&plain);
    assert_eq!(curl(&[&register, "-H", &bearer, "-d", &body]).0, 403);
    assert_eq!(records(&plain), before);

    let Some(openssl) = peers::find("openssl") else { return };
    let secret = fixture(
        "listen = \"127.0.0.1:0\"\ntoken_file = \"@/token\"\n\
         tls_certificate = \"@/cert.pem\"\ntls_key = \"@/key.pem\"",
    );
    tls::certificates(&openssl, Path::new(&secret.text("")));
    Command::new("chmod").args(["600", &secret.text("key.pem")]).status().unwrap();
    let server = Server::start(&secret);
    let port = server.address.rsplit(':').next().unwrap();
    let register = format!("https://localhost:{port}/registry/api/packages/register");
    let ca = secret.text("ca.pem");
    let (status, answer) = curl(&[&register, "--cacert", &ca, "-H", &bearer, "-d", &body]);
    assert_eq!(status, 201, "{answer}");
    assert_eq!(curl(&[&register, "--cacert", &ca, "-d", &body]).0, 401);
    // In plain text it says nothing at all.
    assert_eq!(curl(&[&register.replace("https", "http"), "-d", &body]).0, 0);
}

#[test]
fn schemathesis_finds_no_answer_that_its_description_does_not_have() {
    let Some(schemathesis) = peers::find("schemathesis") else { return };
    let Some(openssl) = peers::find("openssl") else { return };
    let fixture = fixture(
        "listen = \"127.0.0.1:0\"\ntoken_file = \"@/token\"\n\
         tls_certificate = \"@/cert.pem\"\ntls_key = \"@/key.pem\"",
    );
    tls::certificates(&openssl, Path::new(&fixture.text("")));
    Command::new("chmod").args(["600", &fixture.text("key.pem")]).status().unwrap();
    let server = Server::start(&fixture);
    let port = server.address.rsplit(':').next().unwrap();
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let examples = if std::env::var_os("MSP_FULL").is_some() { "300" } else { "25" };
    let before = records(&fixture);
    let ran = Command::new(schemathesis)
        .args(["run", &format!("https://localhost:{port}/openapi.json"), "-H", &bearer])
        .args(["--tls-verify", &fixture.text("ca.pem"), "--max-examples", examples])
        // Its library stumbles over its own shrinking now and then.
        .args(["--generation-deterministic", "--no-shrink", "--no-color"])
        .args(["--exclude-checks", "ignored_auth,unsupported_method,positive_data_acceptance"])
        .current_dir(fixture.text(""))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    drop(server);
    // It got through: some of what it sent is on record, and all of it holds.
    assert!(records(&fixture) > before, "{said}");
    assert_eq!(fixture.audit().1, Vec::<String>::new());
}
