use alloc::vec;

use proptest::prelude::*;

use super::*;

fn manifest() -> Manifest {
    let file = |name: &str, from| File {
        name: name.into(),
        bytes: 7,
        sha256: Digest::sha256(name.as_bytes()),
        from,
        days: 90,
    };
    Manifest {
        chain: "0123456789abcdef0123456789abcdef".into(),
        client: "clinic-001".into(),
        host: "appliance-7".into(),
        run: 12,
        time: Timestamp::from_nanos(5),
        follows: Some((10, Digest::sha256(b"manifest"))),
        head: Link { seq: 99, hash: Digest::sha256(b"head") },
        head_file: "chain/2026/11/21.jsonl".into(),
        head_end: 519,
        from: 4,
        to: 9,
        root: Digest::sha256(b"root"),
        signed: true,
        files: vec![
            file("chain/2026/11/21.jsonl", 512),
            file("bundles/EB-20261121-0001/artifacts/a b", 0),
            file(REGISTRY, 0),
            file(CHECKPOINT, 0),
        ],
    }
}

#[test]
fn a_manifest_survives_its_bytes_and_no_other_spelling_passes() {
    for manifest in [manifest(), Manifest { follows: None, from: 0, ..manifest() }] {
        let bytes = manifest.encode().unwrap();
        assert_eq!(Manifest::parse(&bytes), Ok(manifest));
        let mut more = String::from_utf8(bytes).unwrap();
        more.insert_str(1, "\"a\":1,");
        assert!(Manifest::parse(more.as_bytes()).is_err());
    }
}

#[test]
fn names_that_lead_elsewhere_and_runs_out_of_order_are_refused() {
    for name in ["../x", "chain/../../x", "/etc/x", "registry.db", "chain/", "cache/x", "", "x"] {
        let mut bad = manifest();
        bad.files[0].name = name.into();
        assert_eq!(bad.encode(), Err(ManifestError::Name(0)), "{name}");
    }
    let mut twice = manifest();
    twice.files[1].name = twice.files[0].name.clone();
    assert_eq!(twice.encode(), Err(ManifestError::Name(1)));
    let follows = |run| Some((run, Digest::ZERO));
    for bad in [
        Manifest { follows: follows(12), ..manifest() },
        Manifest { from: 9, ..manifest() },
        Manifest { follows: None, ..manifest() },
        Manifest { follows: None, from: 0, to: 0, ..manifest() },
    ] {
        assert_eq!(bad.encode(), Err(ManifestError::Order));
    }
}

#[test]
fn folders_are_sorted_by_their_run_and_nothing_else_is_one() {
    assert_eq!(folder(7), "0000000007");
    assert_eq!(run_of("0000000007"), Some(7));
    for bad in ["7", "000000000x", "00000000007", "+000000007"] {
        assert_eq!(run_of(bad), None, "{bad}");
    }
    assert!(is_raw("bundles/EB-20261121-0001/artifacts/x"));
    assert!(!is_raw("bundles/EB-20261121-0001/statement.json") && !is_raw("chain/artifacts/x"));
}

proptest! {
    #[test]
    fn what_is_read_is_written_alike(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..800, byte: u8) {
        prop_assert!(Manifest::parse(&bytes).is_err());
        let mut changed = manifest().encode().unwrap();
        let at = at % changed.len();
        changed[at] = byte;
        if let Ok(read) = Manifest::parse(&changed) {
            prop_assert_eq!(read.encode().unwrap(), changed);
        }
    }
}
