//! A signing that is killed, or meets a full disk, at any call that makes
//! something durable: the next one finishes it, and there is one record and
//! one signature, of the same statement.

use std::{collections::BTreeMap, fs, process::Command};

use provenance_core::encoding::digest::Digest;

use super::{
    FILE,
    harness::{CountersignFixture, statements},
    peers,
};
use crate::common::programs::PROVENANCED;

/// What makes something durable, or takes it away.
const CALLS: [&str; 7] =
    ["write", "pwrite64", "fsync", "fdatasync", "rename", "ftruncate", "unlink"];

/// Runs it under strace with this expression; how often each call was made.
fn traced(fixture: &CountersignFixture, expression: &str) -> BTreeMap<String, usize> {
    let trace = fixture.path("trace");
    let ran = Command::new("strace")
        .args(["-f", "-qq", "-e", &format!("trace={}", CALLS.join(","))])
        .args(["-e", expression, "-o"])
        .arg(&trace)
        .arg(PROVENANCED)
        .args(fixture.signing("bert", "left-pad"))
        .env_remove("CREDENTIALS_DIRECTORY")
        .output();
    assert!(ran.is_ok(), "{ran:?}");
    let text = fs::read_to_string(trace).unwrap();
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        let call = line.split_whitespace().nth(1).and_then(|call| call.split_once('('));
        if let Some((call, _)) = call {
            *counts.entry(call.to_owned()).or_default() += 1;
        }
    }
    counts
}

#[test]
fn wherever_a_signing_ends_the_next_one_finishes_it() {
    if peers::find("strace").is_none() {
        return;
    }
    let fixture = CountersignFixture::new(&["bert"]);
    fixture.request("anna", "left-pad");
    let (state, before) = (fixture.path("bert-state"), fixture.path("before"));
    let copy = |from, to| {
        assert!(Command::new("cp").arg("-R").args([from, to]).status().unwrap().success());
    };
    copy(&state, &before);
    let counts = traced(&fixture, "signal=none");
    assert!(counts["rename"] >= 2 && counts.values().sum::<usize>() > 20, "{counts:?}");
    let full = std::env::var_os("MSP_FULL").is_some();
    let (mut unrecorded, mut unsigned, mut whole) = (0, 0, 0);
    let each = counts.iter().flat_map(|(call, count)| (1..=*count).map(move |nth| (call, nth)));
    for (at, (call, nth)) in each.enumerate() {
        for (way, fault) in ["signal=KILL", "error=ENOSPC"].iter().enumerate() {
            // Each place once, by one way or the other.
            if !full && at % 2 != way {
                continue;
            }
            fs::remove_dir_all(&state).unwrap();
            copy(&before, &state);
            let _ = fs::remove_file(fixture.path(FILE));
            traced(&fixture, &format!("inject={call}:{fault}:when={nth}"));
            match (fixture.records("bert").len(), fixture.path(FILE).exists()) {
                (0, false) => unrecorded += 1,
                (1, false) => unsigned += 1,
                (1, true) => whole += 1,
                other => panic!("{call} {nth} {fault}: {other:?}, a signature without a record"),
            }
            fixture.sign("bert", "left-pad");
            let [record] = &fixture.records("bert")[..] else { panic!("{call} {nth} {fault}") };
            let [statement] = &statements(&fixture.path(FILE))[..] else { panic!("{call} {nth}") };
            assert_eq!(record["statement_sha256"], *Digest::sha256(statement).to_hex());
            let (code, codes, report) = fixture.verify("left-pad", &["--threshold", "1"]);
            assert_eq!((code, codes), (0, vec![]), "{call} {nth} {fault}: {report}");
            fixture.chain_holds("bert");
        }
    }
    assert!(unrecorded > 0 && unsigned > 0 && whole > 0, "{unrecorded} {unsigned} {whole}");
}
