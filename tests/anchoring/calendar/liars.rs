//! Calendars that mean harm, and an appliance that believes them in nothing.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use provenance_core::{encoding::digest::from_hex, opentimestamps::ways};

use super::{appliance::Appliance, node::Node};

/// A server that answers as it likes.
fn server(answer: impl Fn(&mut TcpStream, &str) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = vec![0; 4096];
            let count = stream.read(&mut request).unwrap();
            answer(&mut stream, &String::from_utf8_lossy(&request[..count]));
        }
    });
    url
}

/// A calendar that answers as it likes: what it is sent, and the way there.
fn liar(answer: impl Fn(&str) -> (u16, Vec<u8>) + Send + 'static) -> String {
    server(move |stream, request| {
        let (status, body) = answer(request);
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let _ = stream.write_all(&[head.as_bytes(), &body].concat());
    })
}

/// The address by which a client came.
fn own(request: &str) -> String {
    let host = request.lines().find(|line| line.to_lowercase().starts_with("host:"));
    format!("http://{}", host.unwrap()["host:".len()..].trim())
}

fn pending(uri: &str) -> Vec<u8> {
    let tag = from_hex("0083dfe30d2ef90c8e").unwrap();
    [&tag[..], &[uri.len() as u8 + 1, uri.len() as u8], uri.as_bytes()].concat()
}

#[test]
fn what_calendars_say_is_believed_in_nothing() {
    let Some(node) = Node::start() else { return };
    // Refusals, no proofs, floods, and promises for others.
    let elsewhere = pending("https://elsewhere.example");
    assert_eq!(ways(&[0; 32], &elsewhere).unwrap().len(), 1);
    for (answer, said) in [
        ((500, b"\x1b[31mno".to_vec()), "500 __31mno"),
        ((200, b"<html>".to_vec()), "not an OpenTimestamps proof"),
        ((200, vec![8; 20_000]), "over 10000 bytes"),
        ((200, [vec![8; 300], elsewhere.clone()].concat()), "over 256 operations in a row"),
        ((200, [vec![0xf3; 9], elsewhere.clone()].concat()), "a message over 4096 bytes"),
        ((200, [vec![0xff; 400], elsewhere.clone()].concat()), "a fork behind a fork"),
        ((200, elsewhere[..elsewhere.len() - 1].to_vec()), "it ends early"),
        ((200, vec![]), "it ends early"),
        ((301, vec![]), "301"),
        ((200, elsewhere), "anchor.calendars does not name"),
    ] {
        let appliance = Appliance::new(None);
        let url = liar(move |_| answer.clone());
        appliance.settings(&[&url]);
        appliance.bundle();
        let output = appliance.command(&["anchor"]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(75), "{message}");
        assert!(message.contains(said) && !message.contains('\x1b'), "{said}: {message}");
    }
    // One that names a block that has another root: a node of one's own knows.
    let appliance = Appliance::new(Some(&node));
    let bitcoin = from_hex("000588960d73d719010105").unwrap();
    let url = liar(move |request| match request.starts_with("POST") {
        true => (200, [&[8][..], &pending(&own(request))].concat()),
        false => (200, [&[8][..], &bitcoin].concat()),
    });
    appliance.settings(&[&url]);
    let bundle = appliance.bundle();
    assert_eq!(appliance.anchor(&[]).0, ["intended", "promised"]);
    let output = appliance.command(&["anchor"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("the node has another block at height 5"), "{message}");
    assert!(!bundle.join("statement.json.ots").exists());
    // Without a node it goes on record, and the auditor finds it out.
    let mut appliance = appliance;
    appliance.node.clear();
    appliance.settings(&[&url]);
    assert_eq!(appliance.anchor(&[]).0, ["attested"]);
    let (rpc, cookie) = (node.url(), node.cookie().display().to_string());
    let path = bundle.display().to_string();
    let verify = ["verify", &path, "--bitcoin-rpc", &rpc, "--bitcoin-cookie", &cookie];
    let (code, report) = appliance.provctl(&verify);
    assert_eq!(code, Some(1), "{report:#}");
    assert!(appliance.has(&report, "anchor.untrusted_header"), "{report:#}");
}

#[test]
fn nobody_is_sent_elsewhere_or_kept_waiting_by_a_calendar() {
    // Redirected, nothing goes there.
    let reached = Arc::new(AtomicUsize::new(0));
    let count = reached.clone();
    let other = server(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let url = server(move |stream, _| {
        let head =
            format!("HTTP/1.1 307 X\r\nLocation: {other}/digest\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
    });
    let appliance = Appliance::new(None);
    appliance.settings(&[&url]);
    appliance.bundle();
    assert_eq!(appliance.command(&["anchor"]).status.code(), Some(75));
    assert_eq!(reached.load(Ordering::SeqCst), 0);
    // An answer without end.
    let url = server(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 X\r\n\r\n");
        while stream.write_all(&[8; 4096]).is_ok() {}
    });
    appliance.settings(&[&url]);
    let message = appliance.command(&["anchor"]).stderr;
    let message = String::from_utf8_lossy(&message);
    assert!(message.contains("over 10000 bytes"), "{message}");

    // One that promises well, and then drips: two promises of it wait, and it
    // is given its time once.
    let (dripping, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (drips, count) = (dripping.clone(), asked.clone());
    let url = server(move |stream, request| {
        if !drips.load(Ordering::SeqCst) {
            let body = [&[8][..], &pending(&own(request))].concat();
            let head = format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
            return;
        }
        count.fetch_add(1, Ordering::SeqCst);
        let _ = stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n");
        while stream.write_all(&[8]).is_ok() {
            thread::sleep(Duration::from_millis(200));
        }
    });
    let appliance = Appliance::new(None);
    appliance.settings(&[&url]);
    appliance.bundle();
    assert_eq!(appliance.anchor(&[]).0, ["intended", "promised"]);
    appliance.bundle();
    assert_eq!(appliance.anchor(&["--now"]).0, ["intended", "promised"]);
    dripping.store(true, Ordering::SeqCst);
    let begin = Instant::now();
    assert_eq!(appliance.anchor(&[]).0, Vec::<String>::new());
    assert!(begin.elapsed() < Duration::from_secs(35), "{:?}", begin.elapsed());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
