//! Clients that mean harm, or know no better.

use std::{
    io::{Read as _, Write as _},
    time::{Duration, Instant},
};

use super::harness::Calendar;

#[test]
fn each_wrong_question_has_the_answer_of_a_stock_calendar() {
    let calendar = Calendar::start(None, "", "");
    let post = |head: &str, body: &[u8]| {
        let head = format!("POST /digest HTTP/1.1\r\nHost: c\r\nConnection: close\r\n{head}\r\n");
        let answer = calendar.raw(&[head.as_bytes(), body].concat());
        (answer.status, answer.text())
    };
    let bad = |text: &str| (400, text.to_owned());
    assert_eq!(post("Content-Length: 65\r\n", &[1; 65]), bad("digest too long"));
    assert_eq!(post("Content-Length: 99999999999\r\n", &[1; 65]), bad("digest too long"));
    assert_eq!(post("Content-Length: 0\r\n", &[]), bad("no digest"));
    let chunked = "Transfer-Encoding: chunked\r\n";
    assert_eq!(post(chunked, b"1\r\na\r\n0\r\n\r\n"), bad("invalid Content-Length"));
    assert_eq!(post("Content-Length: -1\r\n", &[]).0, 400);
    assert_eq!(calendar.submit(&[7]).status, 200);
    assert_eq!(calendar.submit(&[7; 64]).status, 200);
    for (path, status, text) in [
        ("/timestamp/", 400, "commitment must be hex-encoded bytes"),
        ("/timestamp/xy", 400, "commitment must be hex-encoded bytes"),
        ("/timestamp/abc", 400, "commitment must be hex-encoded bytes"),
        ("/timestamp/..%2fetc", 400, "commitment must be hex-encoded bytes"),
        ("/timestamp/ab", 404, "Not found"),
        ("/nothing", 404, "not found"),
        ("/digest", 404, "not found"),
    ] {
        let answer = calendar.get(path);
        assert_eq!((answer.status, &*answer.text()), (status, text), "{path}");
    }
    for hex in ["00".repeat(40), "ff".repeat(40), "AB".repeat(40), "00".repeat(3_000)] {
        let answer = calendar.get(&format!("/timestamp/{hex}"));
        assert_eq!((answer.status, &*answer.text()), (404, "Not found"), "{hex}");
    }
    // Heads without end, bytes that are no HTTP.
    assert!(calendar.get(&"/x".repeat(50_000)).status >= 400);
    let many = "X: y\r\n".repeat(1_000);
    assert!(post(&many, &[]).0 >= 400);
    calendar.raw(&[0; 1_000]);
    calendar.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert_eq!(calendar.get("/").status, 200);
}

#[test]
fn who_is_slow_makes_room_for_others() {
    let calendar = Calendar::start(None, "", "max_connections = 4\n");
    let begin = Instant::now();
    // All places are taken: by silence, half a head, half a body, and idleness.
    let mut held: Vec<_> = (0..4).map(|_| calendar.connect()).collect();
    held[1].write_all(b"POST /digest HTTP/1.1\r\nHost").unwrap();
    held[2]
        .write_all(b"POST /digest HTTP/1.1\r\nHost: c\r\nContent-Length: 32\r\n\r\nabc")
        .unwrap();
    held[3].write_all(b"GET / HTTP/1.1\r\nHost: c\r\n\r\n").unwrap();
    assert_eq!(calendar.submit(&[1; 32]).status, 200);
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    let mut said = vec![];
    let _ = held[2].read_to_end(&mut said);
    let said = String::from_utf8_lossy(&said);
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
}

#[test]
fn two_at_once_are_refused() {
    let calendar = Calendar::start(None, "", "");
    let mut second = std::process::Command::new(env!("CARGO_BIN_EXE_provenanced"));
    let output =
        second.arg("aggregate").arg("--config").arg(calendar.path("p.toml")).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{message}");
    assert!(message.contains("aggregate.lock"), "{message}");
}
