//! The attack suite: whatever is changed in a state folder is found, with the
//! right code and place, and nothing is found where nothing was changed.
#![cfg(test)]

mod alarms;
mod appliance;
mod bundles;
mod bytes;
mod hostile;
mod program;
mod records;
mod registry;
mod rollback;
mod world;

use provenance_core::report::Verdict;

#[test]
fn an_untouched_state_is_verified_wherever_it_is_read() {
    let world = world::World::new();
    let report = world.verify(&world.state());
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
    let copy = world.copy();
    assert_eq!(world.verify(copy.path()).verdict(), Verdict::Verified);
}
