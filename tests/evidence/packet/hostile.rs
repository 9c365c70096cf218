//! ZIP files that deceive their readers: each is refused with a code, in
//! bounded time and memory.

use std::io::Write as _;

use provenance_core::{
    packet::zip::{self, Entry, Method},
    report::Verdict,
};

use super::harness::{PacketFixture, assemble, codes, entry, pack};

fn file(name: &str, bytes: &[u8]) -> (String, Vec<u8>) {
    (name.into(), bytes.to_vec())
}

/// Headers and end record for entries whose offsets are already set.
fn central(mut body: Vec<u8>, entries: &[Entry], count: usize) -> Vec<u8> {
    let offset = body.len() as u32;
    let headers: Vec<u8> = entries.iter().flat_map(Entry::central).collect();
    body.extend(&headers);
    body.extend(zip::end(count, headers.len() as u32, offset));
    body
}

/// Puts `bytes` at `at` behind the last occurrence of `mark`.
fn patched(zip: &[u8], mark: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut out = zip.to_vec();
    let start = out.windows(mark.len()).rposition(|window| window == mark).unwrap() + at;
    out[start..start + bytes.len()].copy_from_slice(bytes);
    out
}

#[test]
fn every_lie_of_a_zip_file_is_refused_with_its_code() {
    let fixture = PacketFixture::new();
    let plain = pack(&[file("a", b"one"), file("b", b"two")]);
    let (a, b) = (entry("a", b"one"), entry("b", b"two"));
    let mut cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("no end", plain[..plain.len() - 1].to_vec()),
        ("bytes behind", [&plain[..], b"x"].concat()),
        ("bytes before", [b"x", &plain[..]].concat()),
        ("a comment", {
            let mut zip = patched(&plain, b"PK\x05\x06", 20, &[1, 0]);
            zip.push(b'x');
            zip
        }),
        ("another disk", patched(&plain, b"PK\x05\x06", 4, &[1, 0])),
        ("too many files", patched(&plain, b"PK\x05\x06", 8, &[3, 0, 3, 0])),
        ("zip64 by its marks", patched(&plain, b"PK\x05\x06", 8, &[0xff; 12])),
        ("a flag", patched(&plain, b"PK\x01\x02", 8, &[8, 0])),
        ("encrypted", patched(&plain, b"PK\x01\x02", 8, &[1, 0])),
        ("an extra field", patched(&plain, b"PK\x01\x02", 30, &[1, 0])),
        (
            "a symbolic link",
            patched(&plain, b"PK\x01\x02", 38, &(0o120_777u32 << 16).to_le_bytes()),
        ),
        ("a method", patched(&plain, b"PK\x01\x02", 10, &[12, 0])),
        ("a local name of its own", patched(&plain, b"PK\x03\x04", 30, b"c")),
        ("a local size of its own", patched(&plain, b"PK\x03\x04", 22, &[9])),
        ("a local method of its own", patched(&plain, b"PK\x03\x04", 8, &[8])),
        ("twice the same name", pack(&[file("a", b"1"), file("a", b"2")])),
        ("out of order", pack(&[file("b", b"1"), file("a", b"2")])),
        ("a stored size that lies", {
            assemble(vec![(Entry { bytes: 9, ..a.clone() }, b"one".to_vec())])
        }),
        ("a bomb by its header", {
            let bomb = Entry { method: Method::Deflated, bytes: u32::MAX, ..a.clone() };
            assemble(vec![(bomb, b"one".to_vec())])
        }),
        ("overlapping files", {
            let body = [a.local(), b"one".to_vec(), b.local(), b"two".to_vec()].concat();
            central(body, &[a.clone(), Entry { offset: 0, ..a.clone() }], 2)
        }),
        ("a hole between files", {
            let body = [a.local(), b"one".to_vec(), b"hole".to_vec()].concat();
            let second = Entry { offset: body.len() as u32, ..b.clone() };
            central([body, second.local(), b"two".to_vec()].concat(), &[a.clone(), second], 2)
        }),
        ("a file that is not listed", {
            let body = [a.local(), b"one".to_vec(), b.local(), b"two".to_vec()].concat();
            central(body, std::slice::from_ref(&a), 1)
        }),
        ("a file into the headers", {
            central([a.local(), b"o".to_vec()].concat(), std::slice::from_ref(&a), 1)
        }),
    ];
    for name in ["/a", "../a", "a/../../b", "a//b", "a/", "", ".", "a\\b", "a\0b", "a\nb"] {
        cases.push(("a name that leads away", pack(&[file(name, b"x")])));
    }
    for (what, bytes) in cases {
        let report = fixture.verify(&bytes);
        assert_eq!(report.verdict(), Verdict::Failed, "{what}");
        assert_eq!(codes(&report), ["packet.container"], "{what}");
        let placed = report.findings().iter().all(|finding| finding.place.bytes.is_some());
        assert!(placed, "{what}");
    }
    assert_eq!(codes(&fixture.verify(&plain)), ["packet.missing_file"], "the form is in order");
}

#[test]
fn a_bomb_within_a_packet_is_not_unpacked_beyond_what_it_claims() {
    let fixture = PacketFixture::new();
    let zeros = vec![0; 64 << 20];
    let mut encoder = flate2::write::DeflateEncoder::new(vec![], flate2::Compression::best());
    encoder.write_all(&zeros).unwrap();
    let packed = encoder.finish().unwrap();
    let honest = entry("a", b"one");
    let claims = |bytes: u32| Entry {
        method: Method::Deflated,
        packed: packed.len() as u32,
        bytes,
        ..honest.clone()
    };
    let manifest = pack(&[file("packet.json", b"{}")]);
    assert_eq!(codes(&fixture.verify(&manifest)), ["packet.malformed"]);
    // The manifest itself is a bomb: over its limit, so it is not unpacked.
    let bomb = Entry { name: "packet.json".into(), ..claims(zeros.len() as u32) };
    let report = fixture.verify(&assemble(vec![(bomb, packed.clone())]));
    assert_eq!(codes(&report), ["packet.malformed"]);
    // It claims less than it holds.
    let liar = Entry { name: "packet.json".into(), ..claims(1000) };
    let report = fixture.verify(&assemble(vec![(liar, packed.clone())]));
    assert_eq!(codes(&report), ["packet.digest"]);
}

#[test]
fn any_damage_to_a_zip_file_ends_in_a_verdict() {
    let fixture = PacketFixture::new();
    let good = std::fs::read(fixture.packet("a.zip")).unwrap();
    for length in (0..good.len()).step_by(good.len() / 200) {
        let report = fixture.verify(&good[..length]);
        assert_eq!(codes(&report), ["packet.container"], "cut at {length}");
    }
}
