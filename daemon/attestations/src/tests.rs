//! Published attestations, changed at random: nothing that was changed where it
//! counts is verified, and nothing does harm.

use proptest::prelude::*;
use provenance_core::report::Report;

use super::*;
use crate::{
    evaluate::{EvaluationInput, Judge},
    evidence::Evidence,
    expectations::Spec,
    index::Pool,
    parse,
    trusted_root::Roots,
};

const NPM: &[u8] =
    include_bytes!("../../../tests/vectors/packages/npm/sigstore-2.0.0.provenance.sigstore.json");
const PYPI: &[u8] = include_bytes!(
    "../../../tests/vectors/packages/pypi/pypi_attestations-0.0.19.tar.gz.provenance"
);
const BLOB: &[u8] =
    include_bytes!("../../../tests/vectors/packages/sigstore/cosign-v3-blob.sigstore.json");
const RULES: &str =
    "[[package]]\nname = \"*\"\nrepository = \"https://github.com/sigstore/sigstore-js\"\n";

/// The level of a package with the contents that the first evidence names.
fn level(bytes: &[u8], rules: &str) -> Option<(Level, Pool)> {
    let roots = Roots::embedded().unwrap();
    let pool: Pool = parse::read("x", bytes).into_iter().flatten().collect();
    let (keys, spec) = (Keys::default(), Spec::parse(rules).unwrap());
    let subject = pool.evidence().first()?.subjects.first()?.clone();
    let file = Artifact { file: None, digests: subject.digests };
    let package = Package {
        ecosystem: Ecosystem::File,
        name: "x".into(),
        version: None,
        files: vec![file],
        certain: false,
    };
    let judge = Judge { roots: &roots, keys: &keys, spec: &spec, pool: &pool, previous: None };
    let given = [EvaluationInput { open: None, own: &[0], malformed: &[] }];
    let outcome = judge.package(&package, &given, &mut Report::new()).0;
    let _ = outcome.to_value().encode();
    Some((outcome.level, pool))
}

#[test]
fn they_verify_unchanged() {
    assert_eq!(level(NPM, RULES).unwrap().0, Level::Verified);
    assert_eq!(level(PYPI, RULES).unwrap().0, Level::Mismatch, "another repository");
    assert_eq!(level(PYPI, "").unwrap().0, Level::Detected);
    assert_eq!(level(BLOB, "").unwrap().0, Level::Detected);
}

/// What was signed, and by whom.
fn essence(pool: &Pool) -> String {
    let content = |piece: &Evidence| match &piece.content {
        crate::evidence::Content::Bundle(signed) => {
            let bundle = &signed.bundle;
            format!("{:?} {:?}", bundle.content, bundle.signing_certificate())
        }
        crate::evidence::Content::Registry(signature) => format!("{signature:?}"),
    };
    pool.evidence().iter().map(content).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_changed_attestation_is_verified_only_where_what_counts_is_the_same(
        which in 0..2_usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
        spliced in proptest::option::weighted(0.2, any::<[prop::sample::Index; 3]>()),
    ) {
        let whole = [NPM, PYPI][which];
        let mut bytes = whole.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(at) = cut {
            bytes.truncate(at.index(bytes.len()));
        }
        if let Some([from, to, at]) = spliced.filter(|_| !bytes.is_empty()) {
            let mut ends = [from.index(bytes.len()), to.index(bytes.len())];
            ends.sort_unstable();
            let piece = bytes[ends[0]..ends[1]].to_vec();
            let at = at.index(bytes.len());
            bytes.splice(at..at, piece);
        }
        let rules = [RULES, "[[package]]\nname = \"*\"\nrepository = \"https://github.com/trailofbits/pypi-attestations\"\n"][which];
        if let Some((Level::Verified, pool)) = level(&bytes, rules) {
            let (_, unchanged) = level(whole, rules).unwrap();
            prop_assert_eq!(essence(&pool), essence(&unchanged));
        }
    }

    #[test]
    fn any_text_is_evidence_or_malformed(text in "\\PC{0,400}") {
        let _ = level(text.as_bytes(), "");
    }
}
