use super::*;

#[test]
fn the_verdict_follows_from_findings_and_gaps() {
    let mut report = Report::new();
    assert_eq!(report.verdict(), Verdict::Verified);
    report.add_finding(Finding::new(Code::ChainGap, Location::seq(3), "gap"));
    report.not_checked("logs", "not asked for");
    assert_eq!(report.verdict(), Verdict::Verified);
    report.not_checked_decisive("signatures", "no policy");
    assert_eq!(report.verdict(), Verdict::Inconclusive);
    report.add_finding(Finding::new(Code::ChainBroken, Location::seq(4), "broken"));
    assert_eq!(report.verdict(), Verdict::Failed);
}

#[test]
fn a_run_of_like_findings_is_one_and_all_are_counted() {
    let mut report = Report::new();
    for seq in 0..1000 {
        report.add_finding(Finding::new(
            Code::ClockUnsynchronised,
            Location::seq(seq),
            "no source",
        ));
    }
    assert_eq!(report.findings().len(), 1);
    assert_eq!(report.findings()[0].place.to_seq, Some(999));
    for seq in 0..1000 {
        report.add_finding(Finding::new(Code::ChainSeq, Location::seq(seq * 2), "seq"));
    }
    assert_eq!(report.findings().len(), 1 + MAX_PER_CODE);
    assert_eq!(
        report.counts().find(|(code, _)| *code == Code::ChainSeq),
        Some((Code::ChainSeq, 1000))
    );
}

#[test]
fn absorbing_an_error_whose_finding_was_not_kept_still_fails() {
    let mut report = Report::new();
    for seq in 0..MAX_PER_CODE as u64 {
        report.add_finding(
            Finding::new(Code::ChainSeq, Location::seq(seq * 2), "x").severity(Severity::Info),
        );
    }
    let mut other = Report::new();
    other.add_finding(Finding::new(Code::ChainSeq, Location::seq(1), "x"));
    report.absorb(other);
    assert_eq!(report.verdict(), Verdict::Failed);
}
