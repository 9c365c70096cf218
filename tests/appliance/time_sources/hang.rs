//! Sources that take connections and never answer, or drip: no tick waits for
//! them.

use std::{
    io::Write,
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use super::*;
use crate::common::stalls::Stalls;

/// Takes every connection and does `each` with it.
fn server(each: impl Fn(std::net::TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let each = each.clone();
            thread::spawn(move || each(stream));
        }
    });
    address
}

#[test]
fn a_source_that_hangs_or_drips_costs_no_tick() {
    let hung = server(|stream| {
        thread::sleep(Duration::from_secs(120));
        drop(stream);
    });
    let drip = server(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_secs(1));
        }
    });
    for (gps, node) in [(hung, drip), (drip, hung)] {
        let site = Site::new(&format!(
            "[time.gps]\ngpsd = \"{gps}\"\n[bitcoin]\nrpc = \"http://{node}\"\n"
        ));
        let stalls = Stalls::measure();
        let ticks = site.run(5);
        // The first comes a second after the start, and each a second later.
        let time = |tick: &serde_json::Value| tick["data"]["up_ms"].as_u64().unwrap();
        let took = time(&ticks[4]) - time(&ticks[0]);
        let stalled = stalls.worst_ms();
        assert!(took < 6_500 + stalled, "5 ticks took {took} ms, stalled for {stalled} ms");
        let clock = &ticks[4]["data"]["clock"];
        for name in ["gps:gpsd", "btc:node"] {
            let source = source(clock, name);
            assert!(is(&source, "absent"), "{source}");
        }
        assert!(reason(&source(clock, "btc:node")).contains("no answer"), "{clock}");
    }
}

#[test]
fn an_endless_line_or_answer_is_cut_off() {
    let endless = server(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'1'; 65_536]).is_ok() {}
    });
    let site = Site::new(&format!(
        "[time.gps]\ngpsd = \"{endless}\"\n[bitcoin]\nrpc = \"http://{endless}\"\n"
    ));
    let (_, answer) = site.check_time();
    for (name, expected) in [("gps:gpsd", "a line of over"), ("btc:node", "")] {
        let source = source(&answer, name);
        assert!(!is(&source, "ok") && reason(&source).contains(expected), "{source}");
    }
}
