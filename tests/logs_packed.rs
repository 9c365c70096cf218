//! The log follower where logs are compressed: a generation's bytes are found
//! again by content, its tail is read from the compressed form, and neither a
//! wrong file nor a bomb does harm.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where something is wrong"
)]

mod logs_world;

use std::{fs, io::Write as _, sync::OnceLock};

use logs_world::World;
use proptest::prelude::*;

#[test]
fn a_compressed_successor_gives_the_tail_and_the_place() {
    for (tool, ending) in [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")] {
        let mut world = World::new();
        world.append("log", b"one\n");
        world.collect();
        world.append("log", b"tail\n");
        world.rename("log", "log.1");
        world.run(tool, &["-q", "log.1"]);
        world.remove_if("log.1");
        world.append("log", b"next\n");
        let rotated = format!("log#0 rotated log.1.{ending}");
        world.expect(&["log#0 4-9", &rotated, "log#1 appeared", "log#1 0-5"]);
        world.expect(&[]);
        let (from, to) = (format!("log.1.{ending}"), format!("log.2.{ending}"));
        world.rename(&from, &to);
        world.expect(&[&format!("log#0 rotated {to}")]);
        world.replayed();
        world.expect(&[]);
        world.restored();
        world.expect(&[]);
    }
}

#[test]
fn a_compressed_file_of_other_content_is_a_source_of_its_own() {
    let mut world = World::new();
    world.append("log", b"# head\nfirst\n");
    world.collect();
    world.append("log", b"second\n");
    world.collect();
    world.write("other", b"# head\nfirst\nSECOND\n");
    world.run("gzip", &["-q", "-c", "other", "--", "log.1.gz"]);
    world.remove("other");
    world.remove("log");
    let got = world.collect();
    assert!(got.contains(&"log#0 vanished".to_owned()), "{got:?}");
}

#[test]
fn an_unfinished_compressed_form_is_waited_for_and_a_false_one_is_not_believed() {
    let mut world = World::new();
    world.append("log", &b"line\n".repeat(5000));
    world.collect();
    world.copy("log", "log.1");
    world.run("gzip", &["-q", "log.1"]);
    let whole = fs::read(world.path("log.1.gz")).unwrap();
    world.write("log.1.gz", &whole[..whole.len() / 2]);
    world.remove("log");
    world.append("log", b"next\n");
    world.expect(&["log#0 rotated", "log#1 appeared", "log#1 0-5"]);
    world.write("log.1.gz", &whole);
    world.expect(&["log#0 rotated log.1.gz"]);
    world.expect(&[]);
}

#[test]
fn a_generation_whose_compressed_form_never_comes_vanishes() {
    let mut world = World::new();
    world.append("log", &b"line\n".repeat(5000));
    world.collect();
    world.remove("log");
    world.append("log.1.gz", b"\x1f\x8b\x08 never finished");
    world.expect(&[]);
    world.expect(&[]);
    let got = world.collect();
    assert_eq!(got.first().map(String::as_str), Some("log#0 vanished"));
    assert_eq!(got.get(1).map(String::as_str), Some("log.1.gz#0 appeared"));
}

#[test]
fn a_small_budget_reads_on_in_the_next_collect() {
    let mut world = World::with_budget(1 << 20);
    world.append("log", &vec![b'x'; 700_000]);
    let first = world.collect();
    assert!(first.iter().any(|line| line == "log#0 late"), "{first:?}");
    for _ in 0..5 {
        world.collect();
    }
    world.expect(&[]);
    world.check();
}

#[test]
fn a_long_search_in_a_compressed_form_goes_on_in_the_next_collects() {
    let mut world = World::with_budget(4 << 20);
    let text: Vec<u8> = (0..600_000_u32).flat_map(|i| format!("{i}\n").into_bytes()).collect();
    world.append("log", &text);
    for _ in 0..6 {
        world.collect();
    }
    assert_eq!(world.covered("log", 0, &text), text.len() as u64);
    world.append("log", b"tail\n");
    world.rename("log", "log.1");
    world.run("gzip", &["-q", "log.1"]);
    world.append("log", b"next\n");
    world.expect(&["log#0 rotated", "log#1 appeared", "log#1 0-5"]);
    let mut got = Vec::new();
    for _ in 0..6 {
        got.extend(world.collect());
    }
    let end = text.len();
    assert_eq!(got, [format!("log#0 {end}-{}", end + 5), "log#0 rotated log.1.gz".to_owned()]);
}

#[test]
fn a_bomb_in_the_name_of_a_compressed_form_is_refused_within_the_budget() {
    let mut world = World::with_budget(4 << 20);
    world.append("log", b"first\n");
    world.collect();
    // 64 MiB of it, behind the right first bytes.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(b"first\n").unwrap();
    for _ in 0..64 {
        bomb.write_all(&vec![0; 1 << 20]).unwrap();
    }
    world.append("log.1.gz", &bomb.finish().unwrap());
    world.remove("log");
    // It is what it says it is, so its tail belongs to the log; but no collect
    // reads more than its budget.
    world.expect(&[]);
    let mut collects = 1;
    while world.collect().is_empty() {
        collects += 1;
    }
    assert!(collects >= 16, "{collects}");
    world.expect(&[]);
}

/// The same text, packed by each tool.
fn packed() -> &'static [(&'static str, Vec<u8>)] {
    static PACKED: OnceLock<Vec<(&'static str, Vec<u8>)>> = OnceLock::new();
    PACKED.get_or_init(|| {
        let world = World::new();
        world.append("log", &text());
        let tools = [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")];
        let pack = |(tool, ending): (&str, &'static str)| {
            world.run(tool, &["-q", "-c", "log", "--", "packed"]);
            (ending, fs::read(world.path("packed")).unwrap())
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
        let mut world = World::new();
        let text = text();
        world.append("log", &text[..text.len() / 2]);
        world.collect();
        world.remove("log");
        let name = format!("log.1.{ending}");
        world.append(&name, &bytes);
        for _ in 0..4 {
            world.collect();
        }
        // Either it was recognised, and its head and last range are right, or
        // it is a source of its own, byte for byte.
        if world.place("log", 0) != Some(world.path(&name)) {
            prop_assert_eq!(world.covered(&name, 0, &bytes), bytes.len() as u64);
        }
        world.expect(&[]);
    }
}
