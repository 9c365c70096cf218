//! Records of the chain deleted, repeated, swapped, rewritten with every later
//! hash made new, cut off, or all of it written again under another key.

use std::{
    fs,
    path::{Path, PathBuf},
};

use provenance_audit::state::Options;
use provenance_core::{
    encoding::{digest::Digest, json::Value},
    record::{self, Record},
    report::Verdict,
};
use provenance_host::chain_files;

use super::harness::{self, StateFixture, errors, verify};

/// The chain's lines, each with its file.
fn lines(state: &Path) -> Vec<(PathBuf, String)> {
    let files = chain_files::list(&state.join("chain")).unwrap().files;
    let text = |path: &PathBuf| fs::read_to_string(path).unwrap();
    let of_file = |file: chain_files::ChainFile| {
        let lines: Vec<String> = text(&file.path).lines().map(str::to_owned).collect();
        lines.into_iter().map(move |line| (file.path.clone(), line))
    };
    files.into_iter().flat_map(of_file).collect()
}

fn write(lines: &[(PathBuf, String)], state: &Path) {
    for file in chain_files::list(&state.join("chain")).unwrap().files {
        let own = lines.iter().filter(|(path, _)| *path == file.path);
        let text: String = own.map(|(_, line)| format!("{line}\n")).collect();
        fs::write(&file.path, text).unwrap();
    }
}

/// Changes `lines` of a fresh copy and returns the codes found.
fn attacked(
    fixture: &StateFixture,
    change: impl Fn(&mut Vec<(PathBuf, String)>),
) -> Vec<&'static str> {
    let copy = fixture.copy();
    let mut all = lines(copy.path());
    change(&mut all);
    write(&all, copy.path());
    let report = fixture.verify(copy.path());
    assert_eq!(report.verdict(), Verdict::Failed, "{:#?}", report.gaps());
    errors(&report)
}

/// Numbers and chains the records again from `first` on, as root could.
fn rechain(lines: &mut [(PathBuf, String)], first: usize) {
    let mut prev = match first.checked_sub(1) {
        Some(before) => Digest::sha256(lines[before].1.as_bytes()),
        None => Digest::ZERO,
    };
    for (seq, (_, line)) in lines.iter_mut().enumerate().skip(first) {
        let old = Record::parse(line.as_bytes()).unwrap();
        let data = Value::parse(old.data).unwrap();
        let new = record::encode(old.kind, seq as u64, prev, old.time, &data);
        prev = Digest::sha256(&new);
        *line = String::from_utf8(new).unwrap();
    }
}

#[test]
fn each_deleted_repeated_or_swapped_record_is_found() {
    let fixture = StateFixture::new();
    let count = lines(&fixture.state()).len();
    assert!(count >= 8, "{count}");
    for at in 0..count {
        let deleted = attacked(&fixture, |lines| drop(lines.remove(at)));
        let expected = if at == 0 {
            "chain.genesis"
        } else if at + 1 == count {
            "chain.truncated"
        } else {
            "chain.seq"
        };
        assert!(deleted.contains(&expected), "deleted {at}: {deleted:?}");
        let repeated = attacked(&fixture, |lines| lines.insert(at, lines[at].clone()));
        assert!(repeated.contains(&"chain.seq"), "repeated {at}: {repeated:?}");
        if at + 1 < count {
            let swapped = attacked(&fixture, |lines| {
                let line = lines[at].1.clone();
                lines[at].1 = lines[at + 1].1.clone();
                lines[at + 1].1 = line;
            });
            assert!(swapped.contains(&"chain.broken"), "swapped {at}: {swapped:?}");
        }
    }
}

#[test]
fn a_changed_record_with_later_hashes_recomputed_forks_from_the_registry() {
    let fixture = StateFixture::new();
    let count = lines(&fixture.state()).len();
    for at in 0..count {
        let found = attacked(&fixture, |lines| {
            let (from, to) = match at {
                0 => ("\"machine\":\"m\"", "\"machine\":\"n\""),
                _ => ("\"boot\":\"boot\"", "\"boot\":\"bout\""),
            };
            let changed = lines[at].1.replacen(from, to, 1);
            // The checkpoint's record has no boot: leave its text be.
            let other = lines[at].1.replacen("\\n", "\\n+\\n", 1);
            let later = lines[at].1.replacen("00Z\",\"v\":1}", "01Z\",\"v\":1}", 1);
            let changes = [changed, other, later];
            lines[at].1 = changes.into_iter().find(|change| *change != lines[at].1).unwrap();
            rechain(lines, at + 1);
        });
        assert!(found.contains(&"chain.forked"), "{at}: {found:?}");
    }
}

#[test]
fn a_deleted_record_with_the_rest_renumbered_and_rehashed_is_found() {
    let fixture = StateFixture::new();
    let count = lines(&fixture.state()).len();
    for at in 1..count {
        let found = attacked(&fixture, |lines| {
            lines.remove(at);
            rechain(lines, at);
        });
        let expected = ["chain.forked", "chain.truncated"];
        assert!(found.iter().any(|code| expected.contains(code)), "{at}: {found:?}");
    }
}

#[test]
fn each_length_of_a_cut_tail_is_found() {
    let fixture = StateFixture::new();
    for keep in 0..lines(&fixture.state()).len() {
        let found = attacked(&fixture, |lines| lines.truncate(keep));
        assert!(found.contains(&"chain.truncated"), "{keep}: {found:?}");
    }
}

#[test]
fn a_state_written_anew_and_signed_by_another_key_is_refused() {
    let (good, other) = (StateFixture::new(), StateFixture::new());
    let report = verify(&other.state(), &good.policy, &Options::default());
    assert_eq!(report.verdict(), Verdict::Failed);
    for code in ["checkpoint.signature", "bundle.key"] {
        assert!(errors(&report).contains(&code), "{:?}", errors(&report));
    }
    // The forged state with the genuine checkpoint laid over it.
    let mixed = other.copy();
    fs::copy(good.state().join("checkpoint"), mixed.path().join("checkpoint")).unwrap();
    let found = errors(&verify(mixed.path(), &good.policy, &Options::default()));
    assert!(found.contains(&"registry.root"), "{found:?}");
}

#[test]
fn a_rollback_of_everything_shows_only_by_what_the_auditor_holds() {
    let fixture = StateFixture::new();
    let whole = fixture.verify(&fixture.state());
    let held = fs::read_to_string(fixture.state().join("checkpoint")).unwrap();
    // An older state of the same appliance, consistent in itself: what stood
    // there before the last bundle was made, with the checkpoint of then.
    let folder = tempfile::tempdir().unwrap();
    let public = harness::make(folder.path(), "key");
    let (policy, old) = (harness::policy(&public), folder.path().join("state"));
    assert_eq!(verify(&old, &policy, &Options::default()).verdict(), Verdict::Verified);
    let expect = Options { expect_head: whole.head.map(|head| head.hash), ..Options::default() };
    let found = errors(&verify(&old, &policy, &expect));
    assert_eq!(found, ["chain.truncated"]);
    let with = Options { checkpoint: Some(held), ..Options::default() };
    let found = errors(&verify(&old, &policy, &with));
    assert!(
        found.contains(&"registry.root") || found.contains(&"checkpoint.signature"),
        "{found:?}"
    );
}

#[test]
fn what_the_policy_does_not_accept_is_a_finding() {
    let fixture = StateFixture::new();
    let check = |change: &dyn Fn(&mut provenance_audit::policy_file::Policy)| {
        let mut policy = fixture.policy.clone();
        change(&mut policy);
        let report = verify(&fixture.state(), &policy, &Options::default());
        (report.verdict(), errors(&report))
    };
    let failed = |codes: &[&'static str]| (Verdict::Failed, codes.to_vec());
    assert_eq!(check(&|policy| policy.client = Some("other".into())), failed(&["policy.client"]));
    assert_eq!(check(&|policy| policy.host = Some("other".into())), failed(&["policy.client"]));
    let (verdict, codes) = check(&|policy| policy.keys[0].until = Some(3));
    assert!(verdict == Verdict::Failed && codes.contains(&"bundle.key"), "{codes:?}");
    let (verdict, codes) = check(&|policy| policy.keys[0].from = 1000);
    assert!(verdict == Verdict::Failed && codes.contains(&"bundle.key"), "{codes:?}");
    let (verdict, codes) = check(&|policy| policy.max_gap_s = Some(30));
    assert!(verdict == Verdict::Failed && codes.contains(&"policy.cadence"), "{codes:?}");
    assert_eq!(check(&|policy| policy.keys.clear()).0, Verdict::Inconclusive);
    assert_eq!(check(&|policy| policy.max_gap_s = Some(60)).0, Verdict::Verified);
}
