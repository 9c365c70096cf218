use std::path::Path;

use provenance_core::{report::Report, verify::chain::ChainVerifier};
use provenance_host::chain_files;
use provenance_verifier::line_reader;

use super::*;

fn time(seconds: i64) -> Timestamp {
    Timestamp::parse(b"2026-11-21T23:59:58.000000000Z").unwrap().plus_nanos(seconds * 1_000_000_000)
}

fn note(text: &str) -> Body<'static> {
    Body::Checkpoint { note: text.to_owned().into() }
}

fn state() -> (tempfile::TempDir, StateDir) {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path().join("state"));
    (dir, state)
}

/// The codes of what links the records, over the whole folder.
fn codes(state: &StateDir) -> Vec<&'static str> {
    let mut report = Report::new();
    let mut verifier = ChainVerifier::new(false, false);
    for file in chain_files::list(&state.chain()).unwrap().files {
        verifier.begin_file(&file.name, file.day);
        line_reader::for_each_line::<io::Error>(File::open(&file.path).unwrap(), |line| {
            verifier.line(line, &mut report);
            Ok(())
        })
        .unwrap();
    }
    report.counts().map(|(code, _)| code.as_str()).filter(|code| *code != "chain.genesis").collect()
}

fn day_file(state: &StateDir) -> PathBuf {
    state.root().join("chain/2026/11/21.jsonl")
}

#[test]
fn records_follow_each_other_over_midnight_restarts_and_a_clock_set_back() {
    let (_dir, state) = state();
    let mut last = None;
    for (i, seconds) in [0, 1, 3, 1, -90_000, 90_000].into_iter().enumerate() {
        let mut writer = ChainWriter::open(&state).unwrap();
        assert_eq!(writer.head(), last);
        last = Some(writer.append(time(seconds), &note("n")).unwrap());
        assert_eq!(last.unwrap().seq, i as u64);
    }
    let files = chain_files::list(&state.chain()).unwrap().files;
    let names: Vec<_> = files.iter().map(|file| &*file.name).collect();
    assert_eq!(
        names,
        ["chain/2026/11/21.jsonl", "chain/2026/11/22.jsonl", "chain/2026/11/23.jsonl"]
    );
    assert_eq!(codes(&state), ["chain.time_backwards"]);
}

#[test]
fn a_second_writer_is_refused() {
    let (_dir, state) = state();
    let _first = ChainWriter::open(&state).unwrap();
    assert!(matches!(ChainWriter::open(&state), Err(ChainError::Locked(_))));
}

#[test]
fn wherever_an_append_was_cut_the_rest_is_set_aside_and_the_chain_goes_on() {
    let (_dir, state) = state();
    let mut writer = ChainWriter::open(&state).unwrap();
    writer.append(time(0), &note("a")).unwrap();
    let head = writer.append(time(1), &note("b")).unwrap();
    drop(writer);
    let good = fs::read(day_file(&state)).unwrap();
    let next = record::encode("checkpoint", 2, head.hash, time(1), &note("c").to_value());
    let whole = [&next[..], b"\n"].concat();
    let garbage = [vec![0; 40], b"\n".to_vec()].concat();
    for torn in (1..whole.len()).map(|n| whole[..n].to_vec()).chain([garbage, vec![0; 9000]]) {
        fs::write(day_file(&state), [&good[..], &torn].concat()).unwrap();
        let _ = fs::remove_dir_all(state.recovered());
        let writer = ChainWriter::open(&state).unwrap();
        assert_eq!(writer.head(), Some(head));
        assert_eq!(fs::read(day_file(&state)).unwrap(), good);
        let found = writer.unrecorded(2, |_| false).unwrap();
        assert_eq!((found.len(), found[0].bytes), (1, torn.len() as u64));
        assert_eq!(found[0].sha256, Some(Digest::sha256(&torn)));
        let name = found[0].file.clone().unwrap();
        assert_eq!(fs::read(state.recovered().join(&*name)).unwrap(), torn);
        assert!(writer.unrecorded(2, |known| known == name).unwrap().is_empty());
        drop(writer);
        // Opening once more finds nothing new.
        assert_eq!(ChainWriter::open(&state).unwrap().unrecorded(2, |_| false).unwrap().len(), 1);
    }
    // A whole record that nobody acknowledged is as good as one that was.
    fs::write(day_file(&state), [&good[..], &whole].concat()).unwrap();
    assert_eq!(ChainWriter::open(&state).unwrap().head().unwrap().seq, 2);
}

#[test]
fn damage_before_the_last_line_is_not_guessed_at() {
    let (_dir, state) = state();
    let mut writer = ChainWriter::open(&state).unwrap();
    for i in 0..4 {
        writer.append(time(i / 9), &note("a")).unwrap();
    }
    drop(writer);
    let text = fs::read_to_string(day_file(&state)).unwrap();
    fs::write(day_file(&state), text.replacen("\"a\"", "\"x\"", 2)).unwrap();
    let error = ChainWriter::open(&state).unwrap_err();
    assert!(matches!(error, ChainError::Broken { .. }), "{error}");
    assert!(fs::read_to_string(day_file(&state)).unwrap().contains("\"x\""));
}

#[test]
fn a_full_disk_loses_nothing_and_the_append_can_be_repeated() {
    let Some((_mount, state)) = small_disk() else { return };
    let mut writer = ChainWriter::open(&state).unwrap();
    writer.append(time(0), &note("first")).unwrap();
    let ballast = state.root().join("ballast");
    let big = note(&"x".repeat(300_000));
    let _ = fs::write(&ballast, vec![0; 2 << 20]);
    let error = writer.append(time(1), &big).unwrap_err();
    assert!(
        matches!(&error, ChainError::Io(e) if e.raw_os_error() == Some(libc::ENOSPC)),
        "{error}"
    );
    fs::remove_file(&ballast).unwrap();
    assert_eq!(writer.append(time(2), &big).unwrap().seq, 1);
    drop(writer);
    assert_eq!(ChainWriter::open(&state).unwrap().head().unwrap().seq, 1);
    assert_eq!(codes(&state), Vec::<&str>::new());
}

struct Mount(tempfile::TempDir);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

/// A real file system of 1 MiB; needs root.
fn small_disk() -> Option<(Mount, StateDir)> {
    let dir = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(dir.path())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "CI must be able to mount a tmpfs");
        eprintln!("SKIP: no right to mount a tmpfs; the full disk was not tested");
        return None;
    }
    let state = StateDir::new(Path::new(dir.path()).join("state"));
    Some((Mount(dir), state))
}
