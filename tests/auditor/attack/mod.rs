//! The attack suite: whatever is changed in a state folder is found, with the
//! right code and place, and nothing is found where nothing was changed.

mod alarms;
mod appliance;
mod bundles;
mod bytes;
mod harness;
mod hostile;
mod program;
mod records;
mod registry;
mod rollback;

use provenance_core::report::Verdict;

#[test]
fn an_untouched_state_is_verified_wherever_it_is_read() {
    let fixture = harness::StateFixture::new();
    let report = fixture.verify(&fixture.state());
    assert_eq!(
        report.verdict(),
        Verdict::Verified,
        "{:#?} {:#?}",
        report.findings(),
        report.gaps()
    );
    assert_eq!(report.findings(), [], "no remark on a state without a flaw");
    assert_eq!(report.head, report.signed_to);
    assert_eq!(report.count_checked("closed files"), 1);
    assert_eq!(report.count_checked("bundles"), 2);
    let copy = fixture.copy();
    assert_eq!(fixture.verify(copy.path()).verdict(), Verdict::Verified);
}
