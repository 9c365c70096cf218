//! An older state of the same appliance, genuine in each byte, put in the
//! place of the present one: whole, or only a part of it.

use std::{fs, path::Path};

use provenance_audit::{policy_file::Policy, state::Options};
use provenance_core::report::{Code, Report, Verdict};

use super::harness::{Appliance, copy_folder, errors, policy, verify};

/// The state at one moment, and the state of the same appliance later.
struct Rollback {
    folder: tempfile::TempDir,
    policy: Policy,
}

impl Rollback {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut appliance = Appliance::signed(folder.path(), "key");
        appliance.live();
        appliance.flush();
        copy_folder(appliance.state.root(), &folder.path().join("old"));
        fs::remove_file(folder.path().join("old/registry.db-shm")).unwrap();
        appliance.wait(60);
        appliance.start();
        appliance.tick();
        appliance.chain_checkpoint();
        appliance.bundle();
        appliance.tick();
        appliance.chain_checkpoint();
        appliance.stop();
        let policy = policy(&appliance.public);
        Self { folder, policy }
    }

    /// The later state with these of its parts taken from the older one.
    fn mixed(&self, parts: &[&str]) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&self.folder.path().join("state"), copy.path());
        for part in parts {
            let (from, to) = (self.folder.path().join("old").join(part), copy.path().join(part));
            if from.is_dir() {
                fs::remove_dir_all(&to).unwrap();
                copy_folder(&from, &to);
            } else {
                fs::copy(from, to).unwrap();
            }
        }
        copy
    }

    fn judge(&self, state: &Path, options: &Options) -> Report {
        verify(state, &self.policy, options)
    }
}

#[test]
fn each_part_put_back_alone_or_with_others_is_found() {
    let rollback = Rollback::new();
    let untouched = rollback.judge(rollback.mixed(&[]).path(), &Options::default());
    assert_eq!(untouched.verdict(), Verdict::Verified, "{:#?}", untouched.findings());
    for (parts, code) in [
        (&["chain"][..], "chain.truncated"),
        (&["chain", "checkpoint"], "chain.truncated"),
        (&["chain", "bundles"], "chain.truncated"),
        (&["registry.db"], "registry.root"),
        (&["registry.db", "checkpoint"], "registry.root"),
        (&["registry.db", "bundles"], "registry.root"),
        (&["registry.db", "checkpoint", "bundles"], "registry.root"),
        (&["chain", "registry.db"], "registry.root"),
        (&["chain", "registry.db", "checkpoint"], "bundle.unregistered"),
        (&["chain", "registry.db", "bundles"], "registry.root"),
        (&["bundles"], "registry.missing_bundle"),
    ] {
        let report = rollback.judge(rollback.mixed(parts).path(), &Options::default());
        assert_eq!(report.verdict(), Verdict::Failed, "{parts:?}");
        assert!(errors(&report).contains(&code), "{parts:?}: {:?}", errors(&report));
    }
    // An older checkpoint alone hides no record; it is seen by the chain's own.
    let report = rollback.judge(rollback.mixed(&["checkpoint"]).path(), &Options::default());
    assert!(report.findings().iter().any(|f| f.code == Code::CheckpointInvalid));
    assert_ne!(report.head, report.signed_to);
}

#[test]
fn everything_put_back_is_shown_by_what_the_auditor_holds_and_only_so() {
    let rollback = Rollback::new();
    let (old, new) = (rollback.folder.path().join("old"), rollback.folder.path().join("state"));
    let before = rollback.judge(&old, &Options::default());
    let after = rollback.judge(&new, &Options::default());
    // Nothing in it tells that it was longer once; the report says how far it
    // reaches, and no further.
    assert_eq!(before.verdict(), Verdict::Verified, "{:#?}", before.findings());
    assert!(before.head.unwrap().seq < after.head.unwrap().seq);
    assert_eq!(before.signed_to, before.head);
    let head = Options { expect_head: after.head.map(|h| h.hash), ..Options::default() };
    assert_eq!(errors(&rollback.judge(&old, &head)), ["chain.truncated"]);
    let checkpoint = Some(fs::read_to_string(new.join("checkpoint")).unwrap());
    let held = Options { checkpoint, ..Options::default() };
    assert_eq!(errors(&rollback.judge(&old, &held)), ["registry.root"]);
    let mut policy = rollback.policy.clone();
    let head = after.head.unwrap();
    let heads = format!("[[heads]]\nseq = {}\nhash = \"{}\"\n", head.seq, head.hash);
    policy.heads = Policy::parse(&heads).unwrap().heads;
    assert_eq!(errors(&verify(&old, &policy, &Options::default())), ["chain.truncated"]);
    // The same expectations hold in the untouched state.
    assert_eq!(verify(&new, &policy, &held).verdict(), Verdict::Verified);
    let older = Some(fs::read_to_string(old.join("checkpoint")).unwrap());
    let older = Options { checkpoint: older, ..Options::default() };
    assert_eq!(rollback.judge(&new, &older).verdict(), Verdict::Verified);
}

#[test]
fn a_checkpoint_that_the_auditor_holds_does_not_stand_in_for_the_newest() {
    let rollback = Rollback::new();
    let copy = rollback.mixed(&[]);
    fs::remove_file(copy.path().join("checkpoint")).unwrap();
    let older = fs::read_to_string(rollback.folder.path().join("old/checkpoint")).unwrap();
    let options = Options { checkpoint: Some(older), ..Options::default() };
    let report = rollback.judge(copy.path(), &options);
    assert_eq!(errors(&report), ["checkpoint.invalid"]);
}
