//! What the receiver does, and what then happens.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    SECRET, alerts, http, ids, peers,
    receiver::{Answer, OK, Received, Receiver, address, verify},
    shrink, tls, webhook,
    world::{Running, World},
};

fn kill(running: Running) {
    running.signal(Signal::KILL);
    drop(running);
}

fn waiting(world: &World) -> usize {
    let files = fs::read_dir(world.state("outbox")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|ext| ext == "json")).count()
}

#[test]
fn a_receiver_that_was_down_for_long_gets_every_alert_once_by_id_in_order() {
    let world = World::new();
    let address = address();
    webhook(&world, &http(address), "");
    // Nobody listens, over two kills and an orderly end.
    let running = world.start();
    shrink(&world, &running, "b.log");
    running.until_it_says("alert not delivered");
    kill(running);
    let running = world.start();
    shrink(&world, &running, "c.log");
    kill(running);
    let running = world.start();
    shrink(&world, &running, "d.log");
    running.until("all are over", || {
        let states: Vec<_> = alerts(&world);
        let shrunk = states.iter().filter(|alert| alert["code"] == "log.shrunk");
        shrunk.filter(|alert| alert["state"] == "resolved").count() == 3
    });
    running.stop();
    assert_eq!(waiting(&world), alerts(&world).len(), "each waits in the outbox");
    assert!(alerts(&world).len() >= 7);
    // It is back, and not well at first.
    let running = world.start();
    let receiver = Receiver::start(address, Answer::Says("HTTP/1.1 500 Oh\r\n\r\n"));
    receiver.until("an attempt", |received| !received.is_empty());
    receiver.answers(OK);
    receiver.until("every alert", |_| receiver.ids().len() >= alerts(&world).len());
    running.until("an empty outbox", || waiting(&world) == 0);
    running.stop();
    assert_eq!(receiver.ids(), ids(&alerts(&world)));
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
    world.verifies();
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
fn killed_at_any_moment_while_it_delivers_nothing_is_lost_or_out_of_order() {
    let world = World::new();
    let address = address();
    webhook(&world, &http(address), "");
    let receiver = Receiver::start(address, OK);
    let begin = Instant::now();
    let mut round = 0_u64;
    while begin.elapsed() < Duration::from_secs(25) {
        let running = world.start();
        let name = format!("log/k{}.log", round % 3);
        // Sometimes recorded, sometimes not: whatever the moment finds.
        world.append(&name, "a line\n");
        thread::sleep(Duration::from_millis(900 + round * 531 % 1_700));
        fs::write(world.path(&name), "").unwrap();
        thread::sleep(Duration::from_millis(round * 377 % 1_900));
        kill(running);
        round += 1;
    }
    let ticks = world.of_kind("tick").len();
    let running = world.start();
    running.until("a tick", || world.of_kind("tick").len() > ticks);
    running.stop();
    let alerts = alerts(&world);
    assert!(alerts.len() > 4, "{alerts:?}");
    receiver.until("every alert", |_| receiver.ids().len() >= alerts.len());
    assert_eq!(receiver.ids(), ids(&alerts), "{round} rounds");
    world.verifies();
}

#[test]
fn a_receiver_that_hangs_or_drips_costs_no_tick_and_not_the_end() {
    for answer in [Answer::Hangs, Answer::Drips] {
        let world = World::new();
        let address = address();
        webhook(&world, &http(address), "");
        let receiver = Receiver::start(address, answer.clone());
        let running = world.start();
        receiver.until("an attempt", |received| !received.is_empty());
        running.until("ten ticks", || world.of_kind("tick").len() >= 10);
        let ticks = world.of_kind("tick");
        let up: Vec<u64> = ticks.iter().map(|t| t["data"]["up_ms"].as_u64().unwrap()).collect();
        let longest = up.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(longest < 1_600, "{answer:?}: {up:?}");
        let begin = Instant::now();
        let said = running.stop();
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        assert!(!said.contains("chain.gap"), "{said}");
        // It comes to its senses: nothing was lost.
        receiver.answers(OK);
        let running = world.start();
        receiver.until("every alert", |_| receiver.ids().len() >= alerts(&world).len());
        running.stop();
        assert_eq!(receiver.ids(), ids(&alerts(&world)));
        world.verifies();
    }
}

#[test]
fn what_a_receiver_refuses_for_good_is_put_aside_and_the_others_follow() {
    let world = World::new();
    let address = address();
    webhook(&world, &http(address), "");
    let receiver = Receiver::start(address, Answer::Says("HTTP/1.1 422 No\r\n\r\n"));
    let running = world.start();
    receiver.until("five attempts", |received| received.len() >= 5);
    receiver.answers(OK);
    running.until_it_says("put aside into outbox/refused");
    shrink(&world, &running, "b.log");
    receiver.until("a later one", |_| !receiver.ids().is_empty());
    let attempts = receiver.received();
    let first = attempts[0].header("webhook-id");
    assert!(attempts[..5].iter().all(|attempt| attempt.header("webhook-id") == first));
    assert!(!receiver.ids().contains(&first.to_owned()));
    running.stop();
    let [refused] = &fs::read_dir(world.state("outbox/refused")).unwrap().collect::<Vec<_>>()[..]
    else {
        panic!("one is put aside")
    };
    let kept = fs::read_to_string(refused.as_ref().unwrap().path()).unwrap();
    assert_eq!(kept, attempts[0].body);
    assert!(ids(&alerts(&world)).contains(&first.to_owned()), "the registry has it");
    world.verifies();
}

#[test]
fn after_gone_nothing_more_is_sent_before_the_next_start() {
    let world = World::new();
    let address = address();
    webhook(&world, &http(address), "");
    let receiver = Receiver::start(address, Answer::Says("HTTP/1.1 410 Gone\r\n\r\n"));
    let running = world.start();
    running.until_it_says("410 Gone");
    shrink(&world, &running, "b.log");
    running.until("it is recorded", || alerts(&world).len() >= 2);
    running.stop();
    assert_eq!(receiver.received().len(), 1);
    receiver.answers(OK);
    let running = world.start();
    receiver.until("every alert", |_| receiver.ids().len() >= alerts(&world).len());
    running.stop();
    assert_eq!(receiver.ids(), ids(&alerts(&world)));
}

#[test]
fn redirections_are_not_followed_and_closed_connections_are_tried_again() {
    let world = World::new();
    let (address, elsewhere) = (address(), address());
    webhook(&world, &http(address), "");
    let other = Receiver::start(elsewhere, OK);
    let answer = format!("HTTP/1.1 307 Over\r\nlocation: http://{elsewhere}/\r\n\r\n").leak();
    let receiver = Receiver::start(address, Answer::Says(answer));
    let running = world.start();
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
    let world = World::new();
    let [cert, key, port, out] =
        ["cert.pem", "key.pem", "port", "got"].map(|name| world.path(name));
    tls::certificates(&openssl, &world.path(""));
    let mut server = Command::new(python)
        .args(["-c", SERVER])
        .args([&cert, &key, &port, &out])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    let port = loop {
        match fs::read_to_string(&port) {
            Ok(port) if !port.is_empty() => break port,
            _ => assert!(begin.elapsed() < Duration::from_secs(20), "no server"),
        }
        thread::sleep(Duration::from_millis(20));
    };
    webhook(&world, &format!("https://localhost:{port}/x"), "");
    let running = world.start();
    running.until_it_says("alert not delivered");
    let said = running.stop();
    assert!(said.contains("certificate"), "{said}");
    assert!(!out.exists());
    let mut command = world.command("run", &[]);
    command.env("SSL_CERT_FILE", world.path("ca.pem"));
    let running = world.spawn(command);
    running.until("it is delivered", || out.exists());
    running.stop();
    let _ = server.kill();
    let _ = server.wait();
    let got = fs::read_to_string(out).unwrap();
    let got: Vec<&str> = got.lines().collect();
    assert_eq!(got, ids(&alerts(&world)), "{got:?}");
}
