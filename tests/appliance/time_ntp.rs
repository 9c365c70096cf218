//! NTP as a time source, by a real chronyd and real servers: what it claims,
//! and that nothing that answers wrongly, late or never gets past its limits.

use std::{
    fs,
    net::UdpSocket,
    os::unix::net::UnixDatagram,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use provenance_core::{
    encoding::json::Value,
    record::time_attestation::{Source, State},
};
use provenance_time_sources::chrony;

use super::chrony_fixture::{ChronyFixture, ask, detail, interval, now, number, probe, script};
use crate::common::stalls::Stalls;

const MS: i64 = 1_000_000;

/// Near the system clock, and sure of it. (At first chronyd is not: it does
/// not know yet how fast the clock runs.)
fn is_narrow(source: &Source<'_>) -> bool {
    interval(source).is_some_and(|(_, bound)| bound < 50 * MS)
}

#[test]
fn honest_servers_give_a_narrow_claim() {
    let Some(mut fixture) = ChronyFixture::new(3) else { return };
    fixture.start_client();
    let source = fixture
        .until(|source| is_narrow(source) && detail(source, "holdover") == Some(false.into()));
    let (offset, bound) = interval(&source).unwrap();
    assert!(bound > 0 && offset.abs() < 200 * MS, "{source:?}");
    assert_eq!((number(&source, "sources"), number(&source, "stratum")), (3, 3));
    assert_eq!(number(&source, "system_offset_ns"), offset);
    assert!(number(&source, "selectable") >= 1);
    assert_eq!(detail(&source, "nts"), Some(false.into()));
    assert_eq!(detail(&source, "falsetickers"), None);
    assert!((0..5_000).contains(&number(&source, "update_age_ms")), "{source:?}");

    // Our end of the socket is gone.
    let sockets = ["client.sock", "server0.sock", "server1.sock", "server2.sock"];
    assert_eq!(fixture.sockets(), sockets);

    // Over UDP the same is told, but whether it is authenticated.
    let source = ask(&fixture.probe_inside(), "udp:127.0.0.1:323");
    assert!(interval(&source).is_some() && detail(&source, "nts").is_none(), "{source:?}");

    // A server that is its own reference is sure of itself, and nothing more.
    let source = ask(&probe(), &fixture.socket("server0"));
    let State::Rejected(reason) = &source.state else { panic!("{source:?}") };
    assert!(reason.contains("its own reference"), "{reason}");

    fixture.kill_client();
    let source = fixture.ask();
    let State::Absent(reason) = &source.state else { panic!("{source:?}") };
    assert!(reason.contains("Connection refused"), "{reason}");
}

#[test]
fn a_server_that_lies_is_named_and_does_not_move_the_claim() {
    let Some(mut fixture) = ChronyFixture::new(3) else { return };
    fixture.lie(2, 5);
    fixture.start_client();
    let liar = Value::from(vec![ChronyFixture::address(2).into()]);
    let source = fixture.until(|source| {
        is_narrow(source) && detail(source, "falsetickers").as_ref() == Some(&liar)
    });
    assert_eq!(detail(&source, "holdover"), Some(false.into()), "{source:?}");
}

/// What a step of the client's clock looks like from there: all servers are
/// suddenly elsewhere.
#[test]
fn a_clock_that_is_suddenly_behind_gets_a_positive_offset() {
    let Some(mut fixture) = ChronyFixture::new(1) else { return };
    fixture.start_client();
    fixture.until(is_narrow);
    fixture.lie(0, 5);
    // At first chronyd doubts its own measurement; then it is certain.
    let source = fixture.until(|source| {
        interval(source).is_some_and(|(offset, bound)| offset.abs() > 3_000 * MS && bound < offset)
    });
    let (offset, _) = interval(&source).unwrap();
    assert!((3_000 * MS..7_000 * MS).contains(&offset), "{source:?}");
}

#[test]
fn where_no_majority_is_left_nothing_is_claimed() {
    let Some(mut fixture) = ChronyFixture::new(2) else { return };
    fixture.start_client();
    fixture.until(|source| interval(source).is_some());
    fixture.lie(1, 5);
    let source = fixture.until(|source| matches!(source.state, State::Rejected(_)));
    let State::Rejected(reason) = &source.state else { panic!() };
    assert!(reason.contains("not synchronised"), "{reason}");
    assert_eq!(detail(&source, "holdover"), Some(true.into()));
}

#[test]
fn without_any_server_the_claim_holds_over_and_widens() {
    let Some(mut fixture) = ChronyFixture::new(3) else { return };
    fixture.start_client();
    fixture.until(|source| detail(source, "holdover") == Some(false.into()));
    fixture.cut_all();
    let cut = fixture.until(|source| detail(source, "holdover") == Some(true.into()));
    let none = Some(0_u64.into());
    let later = fixture.until(|source| detail(source, "selectable") == none);
    let dispersion = |source: &Source<'_>| number(source, "root_dispersion_ns");
    let latest = fixture.until(|source| dispersion(source) > dispersion(&later));
    assert!(dispersion(&later) >= dispersion(&cut));
    let (_, bound) = interval(&latest).unwrap();
    assert!(bound >= dispersion(&latest), "{latest:?}");
    assert!(number(&latest, "update_age_ms") > 1_000);
}

#[test]
fn a_chronyd_that_is_not_there_is_absent() {
    let dir = tempfile::tempdir().unwrap();
    for address in [
        format!("unix:{}/chronyd.sock", dir.path().display()),
        format!("unix:{}/no/chronyd.sock", dir.path().display()),
    ] {
        let source = ask(&probe(), &address);
        let State::Absent(reason) = &source.state else { panic!("{source:?}") };
        assert!(reason.contains("No such file"), "{reason}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_peer_that_accepts_and_never_answers_is_absent_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chronyd.sock");
    let _unix = UnixDatagram::bind(&path).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let probe = probe();
    for address in
        [format!("unix:{}", path.display()), format!("udp:{}", udp.local_addr().unwrap())]
    {
        // Also when our questions fill its queue.
        for _ in 0..6 {
            let (stalls, start) = (Stalls::measure(), Instant::now());
            let source = chrony::ask(&probe, &address, Duration::from_millis(800), now);
            let took = start.elapsed();
            let State::Absent(reason) = &source.state else { panic!("{source:?}") };
            assert!(reason.contains("in time"), "{reason}");
            let stalled = stalls.worst_ms();
            let limit = Duration::from_millis(1_500 + stalled);
            assert!(took < limit, "{took:?}, stalled for {stalled} ms");
        }
    }
    // It ended by itself and took its end of the socket away.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_peer_that_answers_something_else_is_rejected_or_absent() {
    let probe = probe();
    // A reply of nothing known, and one to another question.
    let mut other = [0_u8; 104];
    other[..8].copy_from_slice(&[6, 2, 0, 0, 0, 33, 0, 5]);
    for (answer, expected) in [(&b"hello"[..], "not an answer"), (&other, "in time")] {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = format!("udp:{}", peer.local_addr().unwrap());
        peer.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        let answer = answer.to_vec();
        let answering = thread::spawn(move || {
            let mut asked = [0; 1500];
            while let Ok((_, from)) = peer.recv_from(&mut asked) {
                for _ in 0..1000 {
                    let _ = peer.send_to(&answer, from);
                }
            }
        });
        let start = Instant::now();
        let source = chrony::ask(&probe, &address, Duration::from_secs(2), now);
        assert!(start.elapsed() < Duration::from_secs(4));
        let (State::Absent(reason) | State::Rejected(reason)) = &source.state else {
            panic!("{source:?}");
        };
        assert!(reason.contains(expected), "{reason}");
        answering.join().unwrap();
    }
}

#[test]
fn a_probe_that_prints_something_else_is_within_its_limits() {
    let dir = tempfile::tempdir().unwrap();
    let ask = |text: &str| {
        let probe = script(dir.path(), text);
        let start = Instant::now();
        let source = chrony::ask(&probe, "unix:/x", Duration::from_secs(1), now);
        assert!(start.elapsed() < Duration::from_secs(5), "{text}");
        match source.state {
            State::Absent(reason) => format!("absent: {reason}"),
            State::Rejected(reason) => format!("rejected: {reason}"),
            other => panic!("{other:?}"),
        }
    };
    assert!(ask("echo garbage").starts_with("rejected: chrony-probe's report: expected an object"));
    assert!(ask("exit 0").contains("no line feed"));
    assert!(ask("yes").contains("rejected: chrony-probe: it writes more than"));
    assert!(ask("sleep 1000").contains("absent: chrony-probe: it did not end in time"));
    assert!(ask("while echo x; do sleep 0.1; done").contains("did not end in time"));
    assert!(ask("echo no >&2; exit 3").ends_with("absent: no"));
    assert!(ask("kill -9 $$").contains("signal: 9"));
    let nowhere = chrony::ask(Path::new("/no/probe"), "unix:/x", Duration::from_secs(1), now);
    assert!(matches!(nowhere.state, State::Absent(_)), "{nowhere:?}");
}

#[test]
fn the_probe_refuses_other_arguments_and_sweeps_what_was_left() {
    let probe = probe();
    let code = |arguments: &[&str]| {
        let output = Command::new(&probe).args(arguments).output().unwrap();
        assert_eq!(output.stdout, b"");
        assert!(output.stderr.starts_with(b"chrony-probe: "));
        output.status.code().unwrap()
    };
    for arguments in [
        &[][..],
        &["unix:relative"],
        &["udp:localhost:323"],
        &["udp:127.0.0.1"],
        &["--timeout-ms", "0", "unix:/x"],
        &["--timeout-ms", "99999999999999999999", "unix:/x"],
        &["--timeout-ms"],
        &["--other", "unix:/x"],
        &["unix:/x", "unix:/y"],
    ] {
        assert_eq!(code(arguments), 64, "{arguments:?}");
    }
    let long = format!("unix:/{}", "x".repeat(200));
    assert_eq!(code(&[&long]), 69);

    let dir = tempfile::tempdir().unwrap();
    let bind = |name: &str| UnixDatagram::bind(dir.path().join(name)).unwrap();
    let old = |name: &str| {
        let touch = ["-d", "2 minutes ago"];
        let path = dir.path().join(name);
        assert!(Command::new("touch").args(touch).arg(path).status().unwrap().success());
    };
    let used = bind("chrony-probe.1.used.sock");
    for left in ["chrony-probe.1.old.sock", "chrony-probe.1.new.sock", "other.sock"] {
        drop(bind(left));
    }
    for name in ["chrony-probe.1.used.sock", "chrony-probe.1.old.sock", "other.sock"] {
        old(name);
    }
    let at = format!("unix:{}/chronyd.sock", dir.path().display());
    assert_eq!(code(&[&at]), 69);
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["chrony-probe.1.new.sock", "chrony-probe.1.used.sock", "other.sock"]);
    drop(used);
}
