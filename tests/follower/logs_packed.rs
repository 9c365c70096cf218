//! The log follower where logs are compressed: a generation's bytes are found
//! again by content, its tail is read from the compressed form, and neither a
//! wrong file nor a bomb does harm.

use std::{fs, io::Write as _, sync::OnceLock};

use proptest::prelude::*;

use super::harness::FollowerFixture;

#[test]
fn a_compressed_successor_gives_the_tail_and_the_place() {
    for (tool, ending) in [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")] {
        let mut fixture = FollowerFixture::new();
        fixture.append("log", b"one\n");
        fixture.collect();
        fixture.append("log", b"tail\n");
        fixture.rename("log", "log.1");
        fixture.run(tool, &["-q", "log.1"]);
        fixture.remove_if("log.1");
        fixture.append("log", b"next\n");
        let rotated = format!("log#0 rotated log.1.{ending}");
        fixture.expect(&["log#0 4-9", &rotated, "log#1 appeared", "log#1 0-5"]);
        fixture.expect(&[]);
        let (from, to) = (format!("log.1.{ending}"), format!("log.2.{ending}"));
        fixture.rename(&from, &to);
        fixture.expect(&[&format!("log#0 rotated {to}")]);
        fixture.replayed();
        fixture.expect(&[]);
        fixture.restored();
        fixture.expect(&[]);
    }
}

#[test]
fn a_compressed_file_of_other_content_is_a_source_of_its_own() {
    let mut fixture = FollowerFixture::new();
    fixture.append("log", b"# head\nfirst\n");
    fixture.collect();
    fixture.append("log", b"second\n");
    fixture.collect();
    fixture.write("other", b"# head\nfirst\nSECOND\n");
    fixture.run("gzip", &["-q", "-c", "other", "--", "log.1.gz"]);
    fixture.remove("other");
    fixture.remove("log");
    let got = fixture.collect();
    assert!(got.contains(&"log#0 vanished".to_owned()), "{got:?}");
}

#[test]
fn an_unfinished_compressed_form_is_awaited_and_a_false_one_refused() {
    let mut fixture = FollowerFixture::new();
    fixture.append("log", &b"line\n".repeat(5000));
    fixture.collect();
    fixture.copy("log", "log.1");
    fixture.run("gzip", &["-q", "log.1"]);
    let whole = fs::read(fixture.path("log.1.gz")).unwrap();
    fixture.write("log.1.gz", &whole[..whole.len() / 2]);
    fixture.remove("log");
    fixture.append("log", b"next\n");
    fixture.expect(&["log#0 rotated", "log#1 appeared", "log#1 0-5"]);
    fixture.write("log.1.gz", &whole);
    fixture.expect(&["log#0 rotated log.1.gz"]);
    fixture.expect(&[]);
}

#[test]
fn a_generation_whose_compressed_form_never_comes_vanishes() {
    let mut fixture = FollowerFixture::new();
    fixture.append("log", &b"line\n".repeat(5000));
    fixture.collect();
    fixture.remove("log");
    fixture.append("log.1.gz", b"\x1f\x8b\x08 never finished");
    fixture.expect(&[]);
    fixture.expect(&[]);
    let got = fixture.collect();
    assert_eq!(got.first().map(String::as_str), Some("log#0 vanished"));
    assert_eq!(got.get(1).map(String::as_str), Some("log.1.gz#0 appeared"));
}

#[test]
fn a_small_budget_reads_on_in_the_next_collect() {
    let mut fixture = FollowerFixture::with_budget(1 << 20);
    fixture.append("log", &vec![b'x'; 700_000]);
    let first = fixture.collect();
    assert!(first.iter().any(|line| line == "log#0 late"), "{first:?}");
    for _ in 0..5 {
        fixture.collect();
    }
    fixture.expect(&[]);
    fixture.check();
}

#[test]
fn a_long_search_in_a_compressed_form_goes_on_in_the_next_collects() {
    let mut fixture = FollowerFixture::with_budget(4 << 20);
    let text: Vec<u8> = (0..600_000_u32).flat_map(|i| format!("{i}\n").into_bytes()).collect();
    fixture.append("log", &text);
    for _ in 0..6 {
        fixture.collect();
    }
    assert_eq!(fixture.covered("log", 0, &text), text.len() as u64);
    fixture.append("log", b"tail\n");
    fixture.rename("log", "log.1");
    fixture.run("gzip", &["-q", "log.1"]);
    fixture.append("log", b"next\n");
    fixture.expect(&["log#0 rotated", "log#1 appeared", "log#1 0-5"]);
    let mut got = Vec::new();
    for _ in 0..6 {
        got.extend(fixture.collect());
    }
    let end = text.len();
    assert_eq!(got, [format!("log#0 {end}-{}", end + 5), "log#0 rotated log.1.gz".to_owned()]);
}

#[test]
fn a_bomb_in_the_name_of_a_compressed_form_is_refused_within_the_budget() {
    let mut fixture = FollowerFixture::with_budget(4 << 20);
    fixture.append("log", b"first\n");
    fixture.collect();
    // 64 MiB of it, behind the right first bytes.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(b"first\n").unwrap();
    for _ in 0..64 {
        bomb.write_all(&vec![0; 1 << 20]).unwrap();
    }
    fixture.append("log.1.gz", &bomb.finish().unwrap());
    fixture.remove("log");
    // It is what it says it is, so its tail belongs to the log; but no collect
    // reads more than its budget.
    fixture.expect(&[]);
    let mut collects = 1;
    while fixture.collect().is_empty() {
        collects += 1;
    }
    assert!(collects >= 16, "{collects}");
    fixture.expect(&[]);
}

/// The same text, packed by each tool.
fn packed() -> &'static [(&'static str, Vec<u8>)] {
    static PACKED: OnceLock<Vec<(&'static str, Vec<u8>)>> = OnceLock::new();
    PACKED.get_or_init(|| {
        let fixture = FollowerFixture::new();
        fixture.append("log", &text());
        let tools = [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")];
        let pack = |(tool, ending): (&str, &'static str)| {
            fixture.run(tool, &["-q", "-c", "log", "--", "packed"]);
            (ending, fs::read(fixture.path("packed")).unwrap())
        };
        tools.map(pack).to_vec()
    })
}

fn text() -> Vec<u8> {
    (0..2000_u32).flat_map(|i| format!("line {} of it\n", i * i % 977).into_bytes()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn a_damaged_compressed_form_does_no_harm(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        which in 0..3_usize,
    ) {
        let (ending, whole) = &packed()[which];
        let mut bytes = whole.clone();
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let mut fixture = FollowerFixture::new();
        let text = text();
        fixture.append("log", &text[..text.len() / 2]);
        fixture.collect();
        fixture.remove("log");
        let name = format!("log.1.{ending}");
        fixture.append(&name, &bytes);
        for _ in 0..4 {
            fixture.collect();
        }
        // Either it was recognised, and its head and last range are right, or
        // it is a source of its own, byte for byte.
        if fixture.place("log", 0) != Some(fixture.path(&name)) {
            prop_assert_eq!(fixture.covered(&name, 0, &bytes), bytes.len() as u64);
        }
        fixture.expect(&[]);
    }
}
