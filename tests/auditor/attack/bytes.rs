//! Each byte of each file, flipped.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use provenance_audit::state::registry::{Filter, each};
use provenance_core::report::Verdict;
use provenance_registry::Reader;

use super::harness::{StateFixture, errors, files};

/// Of SQLite's file every so many bytes, unless `MSP_FULL=1` asks for all.
const STRIDE: usize = 11;

#[test]
fn each_flipped_byte_of_the_evidence_is_found_and_its_file_named() {
    let fixture = StateFixture::new();
    let evidence: Vec<PathBuf> =
        files(&fixture.state()).into_iter().filter(|f| !is_database(f)).collect();
    assert!(evidence.len() >= 13, "{evidence:?}");
    let missed = flip_all(&fixture, &evidence, 1, |fixture, state, file| {
        let report = fixture.verify(state);
        let name = file.display().to_string();
        // The bundle of a damaged artifact is named by its file or its folder.
        let named = report
            .findings()
            .iter()
            .any(|finding| finding.place.file.as_deref().is_some_and(|place| name.contains(place)));
        let failed = report.verdict() == Verdict::Failed;
        (!failed || !named).then(|| format!("{:?} {:?}", report.verdict(), errors(&report)))
    });
    assert!(missed.is_empty(), "{} missed:\n{}", missed.len(), missed.join("\n"));
}

#[test]
fn a_flipped_byte_of_the_database_is_found_or_changes_no_record() {
    let fixture = StateFixture::new();
    let before = export(&fixture.state()).unwrap();
    let stride = if std::env::var_os("MSP_FULL").is_some() { 1 } else { STRIDE };
    let harmless = AtomicUsize::new(0);
    let database = [PathBuf::from("registry.db")];
    let missed = flip_all(&fixture, &database, stride, |fixture, state, _| {
        let verdict = fixture.verify(state).verdict();
        if verdict == Verdict::Failed {
            return None;
        }
        harmless.fetch_add(1, Ordering::Relaxed);
        // A page's unused bytes and the file's counters hold nothing: every
        // record is as it was, and so is what guards them.
        let schema = Reader::open(&state.join("registry.db"))
            .and_then(|reader| reader.schema_differences())
            .is_ok_and(|differences| differences.is_empty());
        (export(state).as_ref() != Some(&before) || !schema).then(|| format!("{verdict:?}"))
    });
    println!("{} flips changed nothing of evidence", harmless.load(Ordering::Relaxed));
    assert!(missed.is_empty(), "{} missed:\n{}", missed.len(), missed.join("\n"));
}

fn is_database(file: &Path) -> bool {
    file.to_string_lossy().starts_with("registry.db")
}

fn export(state: &Path) -> Option<Vec<u8>> {
    let reader = Reader::open_for_audit(&state.join("registry.db")).ok()?;
    let mut out = vec![];
    each(&reader, &Filter::default(), |record| out.extend_from_slice(record.line)).ok()?;
    Some(out)
}

/// Flips a bit of each `stride`th byte of each file, in copies, on all cores,
/// and gathers what `judge` says is missed.
fn flip_all(
    fixture: &StateFixture,
    files: &[PathBuf],
    stride: usize,
    judge: impl Fn(&StateFixture, &Path, &Path) -> Option<String> + Sync,
) -> Vec<String> {
    let work: Vec<(&PathBuf, usize)> = files
        .iter()
        .flat_map(|file| {
            let length = fs::metadata(fixture.state().join(file)).unwrap().len() as usize;
            (0..length).step_by(stride).map(move |at| (file, at))
        })
        .collect();
    let (next, missed) = (AtomicUsize::new(0), Mutex::new(vec![]));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let copy = fixture.copy();
                while let Some((file, at)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let path = copy.path().join(file);
                    let good = fs::read(&path).unwrap();
                    let mut bad = good.clone();
                    // Another bit each time: letters, digits, structure, sign.
                    bad[*at] ^= 1 << (at % 8);
                    fs::write(&path, &bad).unwrap();
                    if let Some(what) = judge(fixture, copy.path(), file) {
                        let text = format!("{} byte {at}: {what}", file.display());
                        missed.lock().unwrap().push(text);
                    }
                    fs::write(&path, &good).unwrap();
                }
            });
        }
    });
    println!("{} flips", work.len());
    missed.into_inner().unwrap()
}
