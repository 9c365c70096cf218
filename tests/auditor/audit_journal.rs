//! The audit of the journal, on journal files made by systemd's own tool: what
//! was changed, removed or added is found, and what journald itself removed is
//! nobody's fault.

use std::{
    fs,
    ops::Range,
    path::PathBuf,
    time::{Duration, Instant},
};

use provenance_audit::logs::JournalSource;
use provenance_core::report::{Code, Finding, Report, Verdict};
use provenance_log_follower::journal::{JournalFollower, Limits, Origin};

use super::harness::{RecordedLogs, minute};
use crate::common::journal;

const ID: &str = "fedcba9876543210fedcba9876543210";

fn entry(number: u64) -> String {
    let (at, boot) = (number * 1_000_000, "0123456789abcdef0123456789abcdef");
    format!(
        "__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={at}\n_BOOT_ID={boot}\n\
         _MACHINE_ID={ID}\nMESSAGE=number {number} of them\n\n",
        1_700_000_000_000_000 + at
    )
}

fn entries(range: Range<u64>) -> Vec<String> {
    range.map(entry).collect()
}

/// A fixture with a journal.
struct Journal {
    fixture: RecordedLogs,
    dir: PathBuf,
}

impl Journal {
    /// 100 entries, recorded by twenties in the minutes 1 to 5.
    fn recorded() -> Self {
        let mut fixture = RecordedLogs::new();
        let dir = fixture.dir().join("journal");
        fs::create_dir(&dir).unwrap();
        let journal = Self { fixture: RecordedLogs::new(), dir: dir.clone() };
        journal.store(&entries(0..100));
        let mut follower = JournalFollower::open(&Origin::Directory(dir.clone()), ID).unwrap();
        for _ in 0..5 {
            let deadline = Instant::now() + Duration::from_secs(60);
            fixture.record(follower.collect(Limits { entries: 20, deadline }));
        }
        Self { fixture, dir }
    }

    fn file(&self) -> PathBuf {
        self.dir.join("system.journal")
    }

    fn store(&self, entries: &[String]) {
        journal::store(&self.file(), entries.concat().as_bytes());
    }

    /// The journal written again with other entries.
    fn rewrite(&self, entries: &[String]) {
        fs::remove_file(self.file()).unwrap();
        self.store(entries);
    }

    fn verify(&self) -> Report {
        let source = JournalSource::Directory(self.dir.clone());
        self.fixture.verify_with(|options| options.journal = Some(source))
    }

    /// One finding of modification, in this minute, with this text.
    #[track_caller]
    fn expect_modified(&self, tick: i64, text: &str) {
        let report = self.verify();
        let [finding] = report.findings() else { panic!("{:#?}", report) };
        assert_eq!(finding.code, Code::LogModified, "{finding:?}");
        assert!(finding.message.contains(text), "{finding:?}");
        assert_eq!(finding.place.time, Some((minute((tick - 1).max(1)), minute(tick))));
        assert_eq!(finding.place.src.as_deref(), Some(&*format!("journal:{ID}")));
        assert_eq!(report.verdict(), Verdict::Failed);
    }
}

fn codes(report: &Report) -> Vec<Code> {
    report.findings().iter().map(|finding: &Finding| finding.code).collect()
}

#[test]
fn an_untouched_journal_and_one_that_has_grown_are_as_recorded() {
    let journal = Journal::recorded();
    for _ in 0..2 {
        let report = journal.verify();
        assert_eq!((report.findings(), report.gaps()), (&[][..], &[][..]));
        assert_eq!(report.count_checked("journal entries"), 100);
        journal.store(&entries(100..130));
    }
}

#[test]
fn a_byte_changed_in_the_journal_file_is_found_in_its_minute() {
    let journal = Journal::recorded();
    let bytes = fs::read(journal.file()).unwrap();
    for number in [0, 1, 19, 20, 47, 80, 99] {
        let text = format!("number {number} of");
        let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
        let mut changed = bytes.clone();
        changed[at] = b'N';
        fs::write(journal.file(), changed).unwrap();
        journal.expect_modified(number / 20 + 1, "of 20 entries at least one was changed");
    }
}

#[test]
fn entries_removed_or_added_are_found_and_the_rest_is_compared_on() {
    let journal = Journal::recorded();
    let without = |gone: &[u64]| {
        (0..100).filter(|number| !gone.contains(number)).map(entry).collect::<Vec<_>>()
    };
    for (gone, tick) in [(25, 2), (20, 2), (39, 2), (59, 3), (61, 4), (99, 5)] {
        journal.rewrite(&without(&[gone]));
        journal.expect_modified(tick, "19 entries are left of 20");
        assert_eq!(journal.verify().count_checked("journal entries"), 99);
    }
    journal.rewrite(&without(&(40..60).collect::<Vec<_>>()));
    journal.expect_modified(3, "0 entries are left of 20");
    let mut added = entries(0..100);
    let extra = entry(50).replace("50000000\n", "50500000\n").replace("number", "never said");
    added.insert(51, extra);
    journal.rewrite(&added);
    journal.expect_modified(3, "21 entries are there, not 20");
    journal.rewrite(&entries(0..80));
    journal.expect_modified(5, "the journal ends before these entries");
}

#[test]
fn what_journald_vacuumed_is_said_and_what_is_left_is_compared() {
    let journal = Journal::recorded();
    for (first, gone) in [(10, 20), (20, 20), (35, 40)] {
        journal.rewrite(&entries(first..100));
        let report = journal.verify();
        assert_eq!(codes(&report), [Code::LogUnverifiable], "{report:#?}");
        assert_eq!(report.count_checked("journal entries"), 100 - gone);
        let message = format!("{gone} entries are no longer in the journal");
        assert_eq!(report.findings()[0].message, message);
        assert_eq!(report.verdict(), Verdict::Verified);
    }
    let mut changed = entries(35..100);
    changed[30] = changed[30].replace("number", "Number");
    journal.rewrite(&changed);
    assert_eq!(codes(&journal.verify()), [Code::LogModified, Code::LogUnverifiable]);
}

#[test]
fn another_journal_accuses_nobody_and_an_empty_one_is_said() {
    let journal = Journal::recorded();
    let other = |number| entry(number).replace("of them", "of others");
    journal.rewrite(&(0..100).map(other).collect::<Vec<_>>());
    let report = journal.verify();
    assert_eq!((report.findings(), report.verdict()), (&[][..], Verdict::Inconclusive));
    assert!(report.gaps()[0].why.contains("another journal"), "{:?}", report.gaps());
    fs::remove_file(journal.file()).unwrap();
    let report = journal.verify();
    assert_eq!((report.findings(), report.verdict()), (&[][..], Verdict::Inconclusive));
    assert!(report.gaps()[0].why.contains("no journal files"), "{:?}", report.gaps());
}

#[test]
fn what_cannot_be_asked_is_said() {
    let journal = Journal::recorded();
    for (source, why) in [
        (JournalSource::System, "another machine's"),
        (JournalSource::Directory(journal.dir.join("none")), "journalctl failed"),
        (JournalSource::Root(journal.dir.clone()), "no journal files"),
    ] {
        let report = journal.fixture.verify_with(|options| options.journal = Some(source));
        assert_eq!((report.findings(), report.verdict()), (&[][..], Verdict::Inconclusive));
        assert!(report.gaps()[0].why.contains(why), "{:?}", report.gaps());
    }
    let report = journal.fixture.verify_with(|_| {});
    assert_eq!((report.gaps().len(), report.verdict()), (1, Verdict::Verified));
}

#[test]
fn a_span_begins_in_the_midst_of_the_journal() {
    let journal = Journal::recorded();
    let source = JournalSource::Directory(journal.dir.clone());
    let report = journal.fixture.verify_with(|options| {
        options.journal = Some(source);
        (options.from, options.to) = (Some(minute(3)), Some(minute(5)));
    });
    assert_eq!((report.findings(), report.gaps()), (&[][..], &[][..]));
    assert_eq!(report.count_checked("journal entries"), 40);
}
