//! Metrics, read as Prometheus reads them.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;

use crate::common::test_appliance::TestAppliance;

/// Prometheus' own parser; it prints a sample a line.
const PARSER: &str = "
import sys
from prometheus_client.parser import text_string_to_metric_families as parse
for family in parse(sys.stdin.read()):
    assert family.documentation and family.type in ('gauge', 'counter'), family
    for sample in family.samples:
        print(sample.name + ''.join(sorted(sample.labels.values())), float(sample.value))
";

fn parsed(text: &str) -> BTreeMap<String, f64> {
    let mut python = Command::new("python3")
        .args(["-c", PARSER])
        // Where Debian puts it, whichever python3 is the first.
        .env("PYTHONPATH", "/usr/lib/python3/dist-packages")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{text}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.lines().map(sample).collect()
}

fn ask(mut stream: impl std::io::Read + std::io::Write, request: &str) -> (String, String) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = format!("content-length: {}", body.len());
    assert!(head.lines().any(|line| line.eq_ignore_ascii_case(&length)), "{head}");
    (head.to_owned(), body.to_owned())
}

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: here\r\nAccept: */*\r\n\r\n";

fn listen(appliance: &TestAppliance, at: &str) {
    appliance.settings("enterprise", "log", &format!("[metrics]\nlisten = \"{at}\"\n"));
}

fn scraped(socket: &Path) -> BTreeMap<String, f64> {
    let (head, body) = ask(UnixStream::connect(socket).unwrap(), GET);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    parsed(&body)
}

/// A port that nobody listens at.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn metrics_say_what_the_chain_says() {
    let appliance = TestAppliance::new();
    let socket = appliance.path("m.sock");
    listen(&appliance, &format!("unix:{}", socket.display()));
    let running = appliance.start();
    running.until("three ticks", || appliance.of_kind("tick").len() >= 3);
    let before = appliance.records().len();
    let found = scraped(&socket);
    let after = appliance.records().len();
    let seq = found["provenance_head_seq"];
    assert!((before as f64 - 1.0..=after as f64 - 1.0).contains(&seq), "{before} {seq} {after}");
    let time = found["provenance_head_timestamp_seconds"];
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!((0.0..10.0).contains(&(now.as_secs_f64() - time)), "{time}");
    assert!(found["provenance_ticks_total"] >= 3.0);
    assert_eq!(found["provenance_log_sources"], 1.0);
    assert_eq!(found["provenance_record_write_failing"], 0.0);
    assert!(found["provenance_log_entries_total"] >= 2.0, "{found:?}");
    assert!((0.0..1.0).contains(&found["provenance_last_tick_duration_seconds"]), "{found:?}");
    assert_eq!(found[&format!("provenance_build_info{}", env!("CARGO_PKG_VERSION"))], 1.0);
    let ticks = appliance.of_kind("tick");
    let verdict = ticks[1]["data"]["clock"]["verdict"].as_str().unwrap();
    assert_eq!(found[&format!("provenance_clock_verdict{verdict}")], 1.0, "{found:?}");
    let verdicts = found.iter().filter(|(name, _)| name.contains("clock_verdict"));
    assert_eq!(verdicts.map(|(_, value)| value).sum::<f64>(), 1.0, "{found:?}");
    assert!(found.contains_key("provenance_time_source_agreeskernel"), "{found:?}");
    // Nothing vouches for the clock: that alert is open, and no other.
    let open = found.iter().filter(|(name, _)| name.contains("alerts_open"));
    assert_eq!(open.map(|(_, value)| value).sum::<f64>(), 1.0, "{found:?}");

    let stream = || UnixStream::connect(&socket).unwrap();
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\n\r\n", "404"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let head = ask(stream(), request).0;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {head}");
    }
    running.stop();
    appliance.verifies();
}

#[test]
fn who_asks_and_says_nothing_holds_nobody_up() {
    let appliance = TestAppliance::new();
    let port = free_port();
    listen(&appliance, &format!("127.0.0.1:{port}"));
    let running = appliance.start();
    running.until_it_says("metrics are told");
    let connect = || TcpStream::connect(("127.0.0.1", port)).unwrap();
    let silent: Vec<TcpStream> = (0..64).map(|_| connect()).collect();
    let mut endless = connect();
    endless.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    while endless.write_all(&[b'x'; 4096]).is_ok() {}
    let ticks = appliance.of_kind("tick").len();
    running.until("two more ticks", || appliance.of_kind("tick").len() >= ticks + 2);
    drop((silent, endless));
    let (head, _) = ask(connect(), GET);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    running.stop();
}

#[test]
fn a_taken_address_is_reported_retried_and_changed_by_a_signal() {
    let appliance = TestAppliance::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    listen(&appliance, &format!("127.0.0.1:{port}"));
    let running = appliance.start();
    running.until_it_says("metrics cannot be told");
    running.until("a tick", || !appliance.of_kind("tick").is_empty());
    drop(taken);
    running.until_it_says("metrics are told");
    let (head, _) = ask(TcpStream::connect(("127.0.0.1", port)).unwrap(), GET);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");

    let socket = appliance.path("m.sock");
    listen(&appliance, &format!("unix:{}", socket.display()));
    running.signal(Signal::HUP);
    running.until("it moves", || UnixStream::connect(&socket).is_ok());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the old address is left");
    running.stop();
    // What a daemon left behind is taken over.
    assert!(socket.exists());
    let running = appliance.start();
    running.until("it answers", || UnixStream::connect(&socket).is_ok());
    running.stop();
}

#[test]
fn only_a_socket_is_ever_taken_the_place_of() {
    let appliance = TestAppliance::new();
    let file = appliance.path("precious");
    fs::write(&file, "not a socket").unwrap();
    listen(&appliance, &format!("unix:{}", file.display()));
    let running = appliance.start();
    running.until_it_says("metrics cannot be told");
    running.until("a tick", || !appliance.of_kind("tick").is_empty());
    running.stop();
    assert_eq!(fs::read_to_string(&file).unwrap(), "not a socket");
}
