//! A whole packet: its bytes as they come, and bytes as the content of its
//! files in a container and under a manifest that fit them. It is judged, and
//! never found verified: no policy trusts anybody.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    packet::{
        MANIFEST, Manifest,
        zip::{Entry, Method, end},
    },
    report::Verdict,
    statement::evidence::{ChainRange, Collector, Link},
};
use provenance_verifier::{
    Source, Trust,
    packet::{Packet, verify},
};

/// In the order of their names.
const NAMES: [&str; 13] = [
    "VERIFY.md",
    "bundles/EB-20261121-0001/artifacts/chain/2026-11-21.jsonl",
    "bundles/EB-20261121-0001/proof.json",
    "bundles/EB-20261121-0001/statement.json",
    "bundles/EB-20261121-0001/statement.json.ots",
    "chain/2026/11/21.jsonl",
    "checkpoint",
    "controls.csv",
    "custody.json",
    "population.json",
    "registry.jsonl",
    "report.html",
    "reviews.json",
];

fuzz_target!(|bytes: &[u8]| {
    judge(bytes);
    judge(&packed(bytes));
});

fn judge(bytes: &[u8]) {
    let source: &dyn Source = &bytes;
    let packet = Packet { source, proof_name: "p.zip.proof.json", proof: Some(bytes) };
    let given = Trust::default();
    let report = verify(&packet, &given, &mut |_| {}).expect("memory can be read");
    assert_ne!(report.verdict(), Verdict::Verified);
    provenance_core::encoding::json::Value::parse(&report.to_value().encode())
        .expect("a report is JSON");
}

/// A packet with the parts of `bytes`, which zeros end, as its files.
fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut parts = bytes.split(|byte| *byte == 0);
    let mut files: Vec<(&str, Vec<u8>)> =
        NAMES.iter().map(|name| (*name, parts.next().unwrap_or_default().to_vec())).collect();
    let digest = |bytes: &[u8]| (Digest::sha256(bytes), Digest::sha256(bytes));
    let time = |text: &str| Timestamp::parse(text.as_bytes()).expect("a time");
    let lines = files.iter().find(|(name, _)| name.ends_with("21.jsonl"));
    let first = lines.and_then(|(_, lines)| lines.split(|byte| *byte == b'\n').next());
    let link = Link { seq: 0, hash: Digest::sha256(first.unwrap_or_default()) };
    let manifest = Manifest {
        files: files
            .iter()
            .map(|(name, bytes)| ((*name).into(), digest(bytes).0, digest(bytes).1))
            .collect(),
        chain: ChainRange {
            id: "0123456789abcdef0123456789abcdef".into(),
            first: link,
            last: link,
        },
        client: "c".into(),
        collector: Collector { name: "fuzz".into(), version: "0".into() },
        host: "h".into(),
        from: time("2026-11-21T00:00:00.000000000Z"),
        to: time("2026-11-22T00:00:00.000000000Z"),
        root: Digest::ZERO,
        size: 1,
        seed: "seed".into(),
        sample: 3,
        signed: false,
        tier: "essential".into(),
    };
    if let Ok(manifest) = manifest.encode() {
        files.push((MANIFEST, manifest));
    }
    let (mut out, mut headers) = (vec![], vec![]);
    for (name, bytes) in &files {
        let length = bytes.len() as u32;
        let entry = Entry {
            name: (*name).into(),
            method: Method::Stored,
            crc: crc(bytes),
            packed: length,
            bytes: length,
            offset: out.len() as u32,
        };
        out.extend(entry.local());
        out.extend(bytes);
        headers.extend(entry.central());
    }
    let offset = out.len() as u32;
    out.extend(&headers);
    out.extend(end(files.len(), headers.len() as u32, offset));
    out
}

/// CRC-32 as ZIP has it.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
