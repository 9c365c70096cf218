//! No false alarm: what a crash, a copy, another clock or a daemon at work
//! leave behind is never `failed`.

use std::fs;

use provenance_audit::state::Options;
use provenance_core::{
    registry::Entry,
    report::{Code, Report, Verdict},
};
use provenance_host::state_dir::StateDir;

use super::harness::{Appliance, StateFixture, copy_folder, errors, policy, verify};

fn judged(appliance: &Appliance) -> Report {
    verify(appliance.state.root(), &policy(&appliance.public), &Options::default())
}

fn has(report: &Report, code: Code) -> bool {
    report.findings().iter().any(|finding| finding.code == code)
}

#[test]
fn the_state_of_a_killed_daemon_fails_neither_before_nor_after_a_restart() {
    for torn in [&b""[..], b"{", b"{\"data\":{}}", b"\0\0\0\0"] {
        let folder = tempfile::tempdir().unwrap();
        let mut appliance = Appliance::signed(folder.path(), "key");
        appliance.start();
        appliance.tick();
        appliance.crash(torn);
        let report = judged(&appliance);
        assert_eq!(report.verdict(), Verdict::Verified, "{:#?}", report.findings());
        assert_eq!(has(&report, Code::ChainTorn), !torn.is_empty());
        appliance.wait(60);
        appliance.start();
        let report = judged(&appliance);
        assert_eq!(report.verdict(), Verdict::Verified, "{:#?}", report.findings());
        assert_eq!(report.findings(), []);
        // Longer than two intervals without a stop is remarked, and no failure.
        appliance.crash(torn);
        appliance.wait(3_000);
        appliance.start();
        let report = judged(&appliance);
        assert_eq!(report.verdict(), Verdict::Verified, "{:#?}", report.findings());
        assert!(has(&report, Code::ChainGap));
    }
}

#[test]
fn a_tick_of_several_records_may_be_cut_by_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let mut appliance = Appliance::signed(folder.path(), "key");
    appliance.start();
    appliance.forge = |body| match body {
        provenance_core::record::chain::Body::Tick(mut tick) => {
            tick.more = true;
            provenance_core::record::chain::Body::Tick(tick)
        }
        other => other,
    };
    appliance.tick();
    appliance.forge = |body| body;
    let report = judged(&appliance);
    assert_eq!((report.verdict(), has(&report, Code::ChainTruncated)), (Verdict::Verified, true));
    appliance.crash(b"");
    appliance.start();
    let report = judged(&appliance);
    assert_eq!(report.verdict(), Verdict::Verified, "{:#?}", report.findings());
}

#[test]
fn a_bundle_whose_making_was_interrupted_is_undecided_and_then_settled() {
    let fixture = StateFixture::new();
    let newest = |state: &std::path::Path| {
        let mut folders: Vec<_> =
            fs::read_dir(state.join("bundles")).unwrap().map(|e| e.unwrap().path()).collect();
        folders.sort();
        folders.pop().unwrap()
    };
    // Killed between the record and the proof.
    let copy = fixture.copy();
    fs::remove_file(newest(copy.path()).join("proof.json")).unwrap();
    let report = fixture.verify(copy.path());
    assert_eq!(report.verdict(), Verdict::Inconclusive, "{:#?}", report.findings());
    assert!(has(&report, Code::BundleFile));
    // Killed between the publication and the record: of a fresh appliance's
    // first bundle, all but its rows.
    let folder = tempfile::tempdir().unwrap();
    let mut appliance = Appliance::signed(folder.path(), "key");
    appliance.start();
    appliance.tick();
    let before = tempfile::tempdir().unwrap();
    copy_folder(appliance.state.root(), before.path());
    appliance.bundle();
    let made = newest(appliance.state.root());
    let published = before.path().join("bundles").join(made.file_name().unwrap());
    copy_folder(&made, &published);
    let policy = policy(&appliance.public);
    let judge = || verify(before.path(), &policy, &Options::default());
    // With its proof it is no interrupted one: its record was cut off.
    assert_eq!(errors(&judge()), ["bundle.unregistered"]);
    fs::remove_file(published.join("proof.json")).unwrap();
    let report = judge();
    assert_eq!(report.verdict(), Verdict::Inconclusive, "{:#?}", report.findings());
    assert!(has(&report, Code::BundleUnregistered));
    fs::write(published.join("artifacts/more"), "x").unwrap();
    assert_eq!(errors(&judge()), ["bundle.unregistered"]);
}

#[test]
fn a_bundle_whose_artifacts_expired_is_in_order_also_half_way() {
    let folder = tempfile::tempdir().unwrap();
    let mut appliance = Appliance::signed(folder.path(), "key");
    appliance.live();
    let (state, now) = (appliance.state.clone(), appliance.now.time);
    let mut ids: Vec<_> = fs::read_dir(state.bundles()).unwrap().map(|e| e.unwrap()).collect();
    ids.sort_by_key(fs::DirEntry::file_name);
    let first = ids[0].path();
    let id = ids[0].file_name().into_string().unwrap();
    let entry = Entry::Expire { bundle: id, retention_days: 30 };
    fs::remove_file(first.join("artifacts/report.txt")).unwrap();
    assert!(errors(&judged(&appliance)).contains(&"bundle.file"), "no record, no expiry");
    appliance.evidence.record(now, &[entry]).unwrap();
    for _ in 0..2 {
        let report = judged(&appliance);
        assert_eq!(report.verdict(), Verdict::Verified, "{:#?}", report.findings());
        assert!(has(&report, Code::BundleExpired));
        let _ = fs::remove_dir_all(first.join("artifacts"));
    }
    // What stays must still be what it was.
    fs::create_dir(first.join("artifacts")).unwrap();
    fs::write(first.join("artifacts/report.txt"), "another report\n").unwrap();
    assert_eq!(errors(&judged(&appliance)), ["bundle.digest"]);
}

#[test]
fn a_clock_set_back_over_midnight_is_remarked_and_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let mut appliance = Appliance::signed(folder.path(), "key");
    appliance.start();
    for _ in 0..3 {
        appliance.tick();
    }
    appliance.now.time = appliance.now.time.plus_nanos(-600_000_000_000);
    for _ in 0..3 {
        appliance.tick();
    }
    let report = judged(&appliance);
    assert_eq!(report.verdict(), Verdict::Verified, "{:#?}", report.findings());
    assert!(has(&report, Code::ChainTimeBackwards) && has(&report, Code::ClockStepped));
    appliance.stop();
    appliance.wait(86_400);
    appliance.start();
    appliance.tick();
    appliance.stop();
    let report = judged(&appliance);
    assert_eq!(report.verdict(), Verdict::Verified, "{:#?}", report.findings());
    assert!(!has(&report, Code::ChainGap), "a stop explains the day without records");
}

#[test]
fn a_part_of_the_chain_is_judged_as_a_part() {
    let fixture = StateFixture::new();
    let whole = fixture.verify(&fixture.state());
    let head = whole.head.unwrap();
    let mut policy = fixture.policy.clone();
    let expected = format!("[[heads]]\nseq = {}\nhash = \"{}\"\n", head.seq, head.hash);
    policy.heads = provenance_audit::policy_file::Policy::parse(&expected).unwrap().heads;
    assert_eq!(verify(&fixture.state(), &policy, &Options::default()).verdict(), Verdict::Verified);
    let chain = StateDir::new(fixture.state()).chain();
    let first_day = chain.join("2026/11/20.jsonl");
    let time = |text: &str| provenance_core::encoding::time::Timestamp::parse(text.as_bytes());
    let midnight = time("2026-11-21T00:00:00.000000000Z");
    for (path, options) in [
        (&first_day, Options::default()),
        (&chain, Options::default()),
        (&fixture.state(), Options { to: midnight, ..Options::default() }),
        (&fixture.state(), Options { from: midnight, ..Options::default() }),
    ] {
        let report = verify(path, &policy, &options);
        assert_ne!(report.verdict(), Verdict::Failed, "{path:?}: {:#?}", report.findings());
        assert!(!report.gaps().is_empty());
    }
}

#[test]
fn a_copy_in_a_read_only_folder_gives_the_same_report() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = StateFixture::new();
    let copy = fixture.copy();
    for folder in [copy.path().to_owned(), copy.path().join("chain"), copy.path().join("keys")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();
    }
    let list = |folder: &std::path::Path| super::harness::files(folder);
    let before = list(copy.path());
    assert_eq!(fixture.verify(copy.path()).to_value(), fixture.verify(&fixture.state()).to_value());
    assert_eq!(list(copy.path()), before, "an audit leaves nothing behind");
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755)).unwrap();
}
