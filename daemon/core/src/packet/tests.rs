use alloc::{string::ToString, vec, vec::Vec};

use proptest::prelude::*;

use super::{zip::*, *};
use crate::{
    encoding::digest::Digest,
    registry::{BundleEntry, Entry as Record},
    statement::evidence::{ChainRange, Collector, Link},
};

fn at(text: &str) -> Timestamp {
    Timestamp::parse(format!("{text}.000000000Z").as_bytes()).unwrap()
}

fn manifest() -> Manifest {
    let d = |text: &str| Digest::sha256(text.as_bytes());
    let link = |seq| Link { seq, hash: d("x") };
    Manifest {
        files: vec![("a".into(), d("a"), d("A")), ("b/c".into(), d("c"), d("C"))],
        chain: ChainRange { id: "ab".repeat(16), first: link(3), last: link(9) },
        client: "c".into(),
        collector: Collector { name: "provenanced".into(), version: "0".into() },
        host: "h".into(),
        from: at("2026-11-21T00:00:00"),
        to: at("2026-11-22T00:00:00"),
        root: d("root"),
        size: 7,
        seed: "s".into(),
        sample: 2,
        signed: true,
        tier: "enterprise".into(),
    }
}

#[test]
fn a_manifest_survives_its_bytes_and_a_bad_name_is_refused() {
    let bytes = manifest().encode().unwrap();
    assert_eq!(Manifest::parse(&bytes), Ok(manifest()));
    for bad in ["", ".", "..", "b/../d", "/b", "b\\c", "b//c", "packet.json", "a", "0", "b\nc"] {
        let mut changed = manifest();
        changed.files[1].0 = bad.into();
        assert_eq!(changed.encode(), Err(ManifestError::Name(1)), "{bad}");
    }
    let text = String::from_utf8(bytes).unwrap();
    let packed = format!("\"packed\":[\"{}\",", Digest::sha256(b"A"));
    assert_eq!(
        Manifest::parse(text.replace(&packed, "\"packed\":[").as_bytes()),
        Err(ManifestError::Packed)
    );
}

#[test]
fn a_packet_is_named_by_its_period() {
    let day = file_name("c", at("2026-11-21T00:00:00"), at("2026-11-22T00:00:00"));
    assert_eq!(day, "MSP-c-2026-11-21-2026-11-22.zip");
    let odd = file_name("c", at("2026-11-21T04:05:06"), Timestamp::from_nanos(1));
    assert_eq!(odd, "MSP-c-2026-11-21T040506Z-1970-01-01T000000.000000001Z.zip");
    let of = |from: &str, to: &str| days(at(from), at(to)).map(|day| day.to_string()).collect();
    let found: Vec<String> = of("2026-12-31T23:00:00", "2027-01-01T00:00:01");
    assert_eq!(found, ["2026-12-31", "2027-01-01"]);
}

#[test]
fn the_population_tells_what_no_bundle_holds_and_draws_alike_by_one_seed() {
    let (from, to) = (at("2026-11-20T00:00:00"), at("2026-11-22T00:00:00"));
    let mut facts = Facts::new(from, to);
    for (n, first_seq, last_seq) in [(1, 12, 13), (2, 15, 16), (3, 16, 16)] {
        let bundle = BundleEntry {
            id: format!("EB-20261121-000{n}"),
            statement_sha256: Digest::ZERO,
            first_seq,
            first_hash: Digest::ZERO,
            last_seq,
            last_hash: Digest::ZERO,
            from,
            to: at("2026-11-21T00:00:00"),
            signed: true,
            artifacts: 1,
            reason: "r".into(),
        };
        facts.entry(n, to, &Record::Bundle(bundle));
    }
    facts.entry(4, to, &Record::Expire { bundle: "EB-20261121-0002".into(), retention_days: 1 });
    for seq in 10..=17 {
        facts.record(seq, at("2026-11-21T04:00:00"), seq % 2 == 0);
    }
    let text = String::from_utf8(population(&facts, "s", 2)).unwrap();
    let expected = "\"uncovered\":[{\"first_seq\":10,\"last_seq\":11},{\"first_seq\":14,\
                    \"last_seq\":14},{\"first_seq\":17,\"last_seq\":17}]";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("{\"day\":\"2026-11-20\",\"records\":0,\"ticks\":0}"), "{text}");
    assert!(text.contains("{\"day\":\"2026-11-21\",\"records\":8,\"ticks\":4}"), "{text}");
    assert!(text.contains("\"expired\":true"), "{text}");
    // printf 's\n%s' ITEM | sha256sum, sorted.
    assert_eq!(population(&facts, "s", 2), text.as_bytes());
    assert_ne!(population(&facts, "t", 2), text.as_bytes());
}

#[test]
fn controls_say_supports_and_never_complies() {
    let rows = controls().lines().skip(1);
    assert!(rows.clone().count() > 15 && rows.clone().all(|row| row.ends_with(",supports")));
    for signed in [true, false] {
        let text =
            verify_md("c", "h", at("2026-11-20T00:00:00"), at("2026-11-21T00:00:00"), signed);
        assert!(!text.contains('@') && !text.contains("<!--"), "{text}");
        assert_eq!(text.contains("\"$KEY\""), signed);
    }
}

proptest! {
    #[test]
    fn each_changed_byte_of_a_header_makes_it_another_or_none(
        name in "[a-z\u{e9}/]{1,20}", crc: u32, packed: u32, bytes: u32, offset: u32,
        deflated: bool, at: prop::sample::Index, bit in 0u8..8,
    ) {
        let method = if deflated { Method::Deflated } else { Method::Stored };
        let entry = Entry { name, method, crc, packed, bytes, offset };
        let good = entry.central();
        let (read, rest) = Entry::read_central(&good).unwrap();
        prop_assert!(read == entry && rest.is_empty());
        let mut bad = good.clone();
        bad[at.index(good.len())] ^= 1 << bit;
        prop_assert!(Entry::read_central(&bad).is_none_or(|(read, _)| read != entry));
        let _ = Entry::read_central(&bad[..at.index(good.len())]);
    }

    #[test]
    fn an_end_record_is_read_only_as_it_is_written(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Some((count, central, offset)) = read_end(&bytes) {
            prop_assert_eq!(end(count, central, offset), bytes);
        }
    }
}
