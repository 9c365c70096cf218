//! What the receiver does, and what then happens.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{
    SECRET, alerts, http, ids, peers,
    receiver::{Answer, OK, Received, Receiver, address, verify},
    shrink, tls, webhook,
};
use crate::common::{
    stalls::Stalls,
    test_appliance::{Running, TestAppliance},
    wait::{PATIENCE, wait_for},
};

fn kill(running: Running) {
    running.signal(Signal::KILL);
    drop(running);
}

fn waiting(appliance: &TestAppliance) -> usize {
    let files = fs::read_dir(appliance.state("outbox")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|ext| ext == "json")).count()
}

#[test]
fn a_receiver_that_was_down_gets_every_alert_once_by_id_in_order() {
    let appliance = TestAppliance::new();
    let address = address();
    webhook(&appliance, &http(address), "");
    // Nobody listens, over two kills and an orderly end.
    let running = appliance.start();
    shrink(&appliance, &running, "b.log");
    running.until_it_says("alert not delivered");
    kill(running);
    let running = appliance.start();
    shrink(&appliance, &running, "c.log");
    kill(running);
    let running = appliance.start();
    shrink(&appliance, &running, "d.log");
    running.until("all are over", || {
        let states: Vec<_> = alerts(&appliance);
        let shrunk = states.iter().filter(|alert| alert["code"] == "log.shrunk");
        shrunk.filter(|alert| alert["state"] == "resolved").count() == 3
    });
    running.stop();
    assert_eq!(waiting(&appliance), alerts(&appliance).len(), "each waits in the outbox");
    assert!(alerts(&appliance).len() >= 7);
    // It is back, and not well at first.
    let running = appliance.start();
    let receiver = Receiver::start(address, Answer::Says("HTTP/1.1 500 Oh\r\n\r\n"));
    receiver.until("an attempt", |received| !received.is_empty());
    receiver.answers(OK);
    receiver.until("every alert", |_| receiver.ids().len() >= alerts(&appliance).len());
    running.until("an empty outbox", || waiting(&appliance) == 0);
    running.stop();
    assert_eq!(receiver.ids(), ids(&alerts(&appliance)));
    let received = receiver.received();
    let refused = received.iter().filter(|message| !message.taken).count();
    assert_eq!(received.len() - refused, receiver.ids().len(), "none came twice");
    if let Some(verdicts) = verify(SECRET, &received) {
        assert_eq!(verdicts, vec![true; received.len()]);
        let other = "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";
        assert_eq!(verify(other, &received).unwrap(), vec![false; received.len()]);
    }
    for message in &received {
        is_as_documented(message);
    }
    appliance.verifies();
}

fn is_as_documented(message: &Received) {
    assert!(message.head.starts_with("POST /hooks/provenance HTTP/1.1"), "{}", message.head);
    assert_eq!(message.header("content-type"), "application/json");
    let sent: u64 = message.header("webhook-timestamp").parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(now.as_secs().abs_diff(sent) < 100, "the time of the attempt");
    let body = message.json();
    assert_eq!(body["id"], message.header("webhook-id"));
    let data = &body["data"];
    let kind = format!("provenance.alert.{}", data["state"].as_str().unwrap());
    assert_eq!(body["type"], kind);
    assert_eq!((&data["client"], &data["host"]), (&"c".into(), &"h".into()));
    for member in ["alert", "code", "subject", "severity", "message", "since", "hash"] {
        assert!(data[member].is_string(), "{member}: {body}");
    }
    assert!(data["seq"].is_u64() && data["registry_seq"].is_u64(), "{body}");
}

#[test]
fn a_kill_at_any_moment_of_delivery_loses_and_reorders_nothing() {
    let appliance = TestAppliance::new();
    let address = address();
    webhook(&appliance, &http(address), "");
    let receiver = Receiver::start(address, OK);
    let begin = Instant::now();
    let mut round = 0_u64;
    // A busy machine takes longer to come to a few alerts.
    while begin.elapsed() < Duration::from_secs(25) || alerts(&appliance).len() <= 4 {
        let seen = alerts(&appliance);
        assert!(begin.elapsed() < Duration::from_secs(120), "after {round} rounds only: {seen:#?}");
        let running = appliance.start();
        let name = format!("log/k{}.log", round % 3);
        // Sometimes recorded, sometimes not: whatever the moment finds.
        appliance.append(&name, "a line\n");
        thread::sleep(Duration::from_millis(900 + round * 531 % 1_700));
        fs::write(appliance.path(&name), "").unwrap();
        thread::sleep(Duration::from_millis(round * 377 % 1_900));
        kill(running);
        round += 1;
    }
    let ticks = appliance.of_kind("tick").len();
    let running = appliance.start();
    running.until("a tick", || appliance.of_kind("tick").len() > ticks);
    running.stop();
    let alerts = alerts(&appliance);
    receiver.until("every alert", |_| receiver.ids().len() >= alerts.len());
    assert_eq!(receiver.ids(), ids(&alerts), "{round} rounds");
    appliance.verifies();
}

#[test]
fn a_receiver_that_hangs_or_drips_costs_no_tick_and_not_the_end() {
    for answer in [Answer::Hangs, Answer::Drips] {
        let appliance = TestAppliance::new();
        let address = address();
        webhook(&appliance, &http(address), "");
        let receiver = Receiver::start(address, answer.clone());
        let stalls = Stalls::measure();
        let running = appliance.start();
        receiver.until("an attempt", |received| !received.is_empty());
        running.until("ten ticks", || appliance.of_kind("tick").len() >= 10);
        let ticks = appliance.of_kind("tick");
        let up: Vec<u64> = ticks.iter().map(|t| t["data"]["up_ms"].as_u64().unwrap()).collect();
        let longest = up.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        let stalled = stalls.worst_ms();
        assert!(longest < 1_600 + stalled, "{answer:?}: {up:?}, stalled for {stalled} ms");
        let begin = Instant::now();
        let said = running.stop();
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        assert!(!said.contains("chain.gap"), "{said}");
        // It comes to its senses: nothing was lost.
        receiver.answers(OK);
        let running = appliance.start();
        receiver.until("every alert", |_| receiver.ids().len() >= alerts(&appliance).len());
        running.stop();
        assert_eq!(receiver.ids(), ids(&alerts(&appliance)));
        appliance.verifies();
    }
}

#[test]
fn what_a_receiver_refuses_for_good_is_put_aside_and_the_others_follow() {
    let appliance = TestAppliance::new();
    let address = address();
    webhook(&appliance, &http(address), "");
    let receiver = Receiver::start(address, Answer::Says("HTTP/1.1 422 No\r\n\r\n"));
    let running = appliance.start();
    receiver.until("five attempts", |received| received.len() >= 5);
    receiver.answers(OK);
    running.until_it_says("put aside into outbox/refused");
    shrink(&appliance, &running, "b.log");
    receiver.until("a later one", |_| !receiver.ids().is_empty());
    let attempts = receiver.received();
    let first = attempts[0].header("webhook-id");
    assert!(attempts[..5].iter().all(|attempt| attempt.header("webhook-id") == first));
    assert!(!receiver.ids().contains(&first.to_owned()));
    running.stop();
    let [refused] =
        &fs::read_dir(appliance.state("outbox/refused")).unwrap().collect::<Vec<_>>()[..]
    else {
        panic!("one is put aside")
    };
    let kept = fs::read_to_string(refused.as_ref().unwrap().path()).unwrap();
    assert_eq!(kept, attempts[0].body);
    assert!(ids(&alerts(&appliance)).contains(&first.to_owned()), "the registry has it");
    appliance.verifies();
}

#[test]
fn after_gone_nothing_more_is_sent_before_the_next_start() {
    let appliance = TestAppliance::new();
    let address = address();
    webhook(&appliance, &http(address), "");
    let receiver = Receiver::start(address, Answer::Says("HTTP/1.1 410 Gone\r\n\r\n"));
    let running = appliance.start();
    running.until_it_says("410 Gone");
    shrink(&appliance, &running, "b.log");
    running.until("it is recorded", || alerts(&appliance).len() >= 2);
    running.stop();
    assert_eq!(receiver.received().len(), 1);
    receiver.answers(OK);
    let running = appliance.start();
    receiver.until("every alert", |_| receiver.ids().len() >= alerts(&appliance).len());
    running.stop();
    assert_eq!(receiver.ids(), ids(&alerts(&appliance)));
}

#[test]
fn redirections_are_not_followed_and_closed_connections_are_tried_again() {
    let appliance = TestAppliance::new();
    let (address, elsewhere) = (address(), address());
    webhook(&appliance, &http(address), "");
    let other = Receiver::start(elsewhere, OK);
    let answer = format!("HTTP/1.1 307 Over\r\nlocation: http://{elsewhere}/\r\n\r\n").leak();
    let receiver = Receiver::start(address, Answer::Says(answer));
    let running = appliance.start();
    running.until_it_says("redirections are not followed");
    receiver.answers(Answer::Closes);
    running.until("it is tried again", || running.stderr().contains("failures=2"));
    receiver.answers(OK);
    receiver.until("it", |_| !receiver.ids().is_empty());
    let said = running.stop();
    assert!(other.received().is_empty(), "{said}");
    // Where the receiver is, is in the settings; its path may be nobody's business.
    assert!(!said.contains("/hooks/"), "{said}");
}

/// A real TLS server with a certificate of its own.
const SERVER: &str = r#"
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with open(sys.argv[4], "ab") as out:
            out.write(self.headers["webhook-id"].encode() + b"\n")
        self.send_response(200)
        self.end_headers()
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
with open(sys.argv[3], "w") as out:
    out.write(str(server.server_address[1]))
server.serve_forever()
"#;

#[test]
fn over_tls_only_a_receiver_with_a_trusted_certificate_gets_anything() {
    let (Some(python), Some(openssl)) = (peers::find("python3"), peers::find("openssl")) else {
        return;
    };
    let appliance = TestAppliance::new();
    let [cert, key, port, out] =
        ["cert.pem", "key.pem", "port", "got"].map(|name| appliance.path(name));
    tls::certificates(&openssl, &appliance.path(""));
    let mut server = Command::new(python)
        .args(["-c", SERVER])
        .args([&cert, &key, &port, &out])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let port = wait_for("the server's port", PATIENCE, || {
        let text = fs::read_to_string(&port).map_err(|error| error.to_string())?;
        if text.is_empty() { Err(text) } else { Ok(text) }
    });
    webhook(&appliance, &format!("https://localhost:{port}/x"), "");
    let running = appliance.start();
    running.until_it_says("alert not delivered");
    let said = running.stop();
    assert!(said.contains("certificate"), "{said}");
    assert!(!out.exists());
    let mut command = appliance.command("run", &[]);
    command.env("SSL_CERT_FILE", appliance.path("ca.pem"));
    let running = appliance.spawn(command);
    running.until("it is delivered", || out.exists());
    running.stop();
    let _ = server.kill();
    let _ = server.wait();
    let got = fs::read_to_string(out).unwrap();
    let got: Vec<&str> = got.lines().collect();
    assert_eq!(got, ids(&alerts(&appliance)), "{got:?}");
}
