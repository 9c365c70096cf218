//! What vouches for packages: bundles, npm's attestations and metadata, PyPI's
//! provenance. What is read is judged against the contents that it names, with
//! Sigstore's root, and the whole verdict can be written.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use provenance_attestations::{
    Artifact, Ecosystem, Keys, Level, Package,
    evaluate::{EvaluationInput, Judge},
    expectations::Spec,
    index::Pool,
    parse,
    trusted_root::Roots,
};
use provenance_core::report::Report;

static ROOTS: OnceLock<Roots> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let roots = ROOTS.get_or_init(|| Roots::embedded().expect("the program's own roots"));
    let pool: Pool = parse::read("fuzz", bytes).into_iter().flatten().collect();
    let (keys, spec) = (Keys::default(), Spec::default());
    let judge = Judge { roots, keys: &keys, spec: &spec, pool: &pool, previous: None };
    for subject in pool.evidence().iter().take(8).flat_map(|piece| piece.subjects.first()) {
        let file = Artifact { file: Some(subject.name.clone()), digests: subject.digests.clone() };
        let package = Package {
            ecosystem: Ecosystem::File,
            name: subject.name.clone(),
            version: None,
            files: vec![file],
            certain: false,
        };
        let mut report = Report::new();
        let given = [EvaluationInput { open: None, own: &[0], malformed: &[] }];
        let (outcome, _) = judge.package(&package, &given, &mut report);
        // Nobody is expected and no key was brought.
        assert!(outcome.level != Level::Verified, "{package}");
        let _ = (outcome.to_value().encode(), report.to_value().encode());
    }
});
