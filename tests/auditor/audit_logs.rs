//! The audit of logs: what is as it was recorded is never accused, and what
//! was changed is found, with its file, bytes and minute.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
};

use provenance_core::report::{Code, Verdict};

use super::harness::{RecordedLogs, lines, minute};
use crate::common::wait::next_second;

/// `app.log` of three ticks: 4096 and 904 bytes, 3000, 2000.
fn recorded() -> RecordedLogs {
    let mut fixture = RecordedLogs::new();
    for (seed, size) in [(1, 5000), (2, 3000), (3, 2000)] {
        fixture.append("app.log", &lines(seed, size));
        fixture.tick();
    }
    fixture
}

/// The same, and then rotated by this command, and recorded so.
fn rotated(program: &str, arguments: &[&str]) -> RecordedLogs {
    let mut fixture = recorded();
    fs::rename(fixture.path("app.log"), fixture.path("app.log.1")).unwrap();
    fixture.append("app.log", &lines(4, 1000));
    fixture.tick();
    if !program.is_empty() {
        fixture.run(program, arguments);
        let _ = fs::remove_file(fixture.path("app.log.1"));
        fixture.tick();
    }
    fixture
}

#[test]
fn untouched_logs_are_never_accused() {
    let report = recorded().expect_clean();
    assert_eq!(report.verdict(), Verdict::Verified);
    assert_eq!(report.count_checked("log ranges"), 4);
    assert_eq!(report.count_checked("log bytes"), 10_000);
    for (program, arguments) in
        [("", &[][..]), ("gzip", &["app.log.1"]), ("xz", &["app.log.1"]), ("zstd", &["app.log.1"])]
    {
        let report = rotated(program, arguments).expect_clean();
        assert_eq!(report.count_checked("log bytes"), 11_000, "{program}");
    }
}

#[test]
fn what_was_written_after_the_last_tick_is_no_finding() {
    let fixture = recorded();
    fixture.append("app.log", b"later\n");
    let report = fixture.verify();
    assert_eq!(report.findings(), []);
    assert_eq!(report.gaps()[0].what, "6 bytes at the logs' ends");
    assert_eq!(report.verdict(), Verdict::Verified);
}

#[test]
fn every_single_byte_changed_is_found_in_its_range_and_minute() {
    let mut fixture = RecordedLogs::new();
    let mut ranges = Vec::new();
    for (index, size) in [40, 1, 7, 100, 33].into_iter().enumerate() {
        let from = ranges.last().map_or(0, |(_, to)| *to);
        ranges.push((from, from + size));
        fixture.append("a.log", &lines(index as u64, usize::try_from(size).unwrap()));
        fixture.tick();
    }
    for at in 0..181 {
        fixture.flip("a.log", at);
        let index = ranges.iter().position(|(from, to)| (*from..*to).contains(&at)).unwrap();
        // Before the first tick there is none: its own time stands for it.
        let tick = i64::try_from(index).unwrap() + 1;
        let minutes = ((tick - 1).max(1), tick);
        fixture.expect(&[(Code::LogModified, Some("a.log"), 0, ranges[index], minutes)]);
        fixture.flip("a.log", at);
    }
    fixture.expect_clean();
}

#[test]
fn a_changed_byte_is_found_in_rotated_and_compressed_files() {
    let fixture = rotated("", &[]);
    fixture.flip("app.log.1", 6000);
    let bytes = (5000, 8000);
    fixture.expect(&[(Code::LogModified, Some("app.log.1"), 0, bytes, (1, 2))]);
    fixture.flip("app.log.1", 6000);
    fixture.flip("app.log", 10);
    fixture.expect(&[(Code::LogModified, Some("app.log"), 1, (0, 1000), (3, 4))]);

    // Written again with one byte changed: only the digests can tell.
    for (program, ending) in [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")] {
        let fixture = rotated(program, &["app.log.1"]);
        let file = format!("app.log.1.{ending}");
        fixture.run(program, &["-d", &file]);
        fixture.flip("app.log.1", 8001);
        fixture.run(program, &["-f", "app.log.1"]);
        let _ = fs::remove_file(fixture.path("app.log.1"));
        fixture.expect(&[(Code::LogModified, Some(&file), 0, (8000, 10_000), (2, 3))]);
    }
}

#[test]
fn a_byte_changed_in_a_compressed_file_is_found_unless_content_is_whole() {
    for (program, ending) in [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")] {
        let fixture = rotated(program, &["app.log.1"]);
        let file = format!("app.log.1.{ending}");
        let size = fs::metadata(fixture.path(&file)).unwrap().len();
        for at in (0..size).step_by(61) {
            fixture.flip(&file, at);
            let report = fixture.verify();
            let decoded = std::process::Command::new(program)
                .args(["-dc", &file])
                .current_dir(fixture.path(""))
                .output()
                .unwrap();
            let truth = [lines(1, 5000), lines(2, 3000), lines(3, 2000)].concat();
            let whole = decoded.stdout == truth;
            assert!(whole || report.verdict() != Verdict::Verified, "{file} {at}");
            fixture.flip(&file, at);
        }
        fixture.expect_clean();
    }
}

#[test]
fn a_log_that_was_compressed_when_it_was_first_seen_is_compared_as_it_is() {
    for (program, ending) in [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")] {
        let mut fixture = RecordedLogs::new();
        let file = format!("old.log.3.{ending}");
        fixture.append("old.log.3", &lines(1, 20_000));
        fixture.run(program, &["old.log.3"]);
        let _ = fs::remove_file(fixture.path("old.log.3"));
        let size = fs::metadata(fixture.path(&file)).unwrap().len();
        fixture.tick();
        assert_eq!(fixture.expect_clean().count_checked("log bytes"), size);
        // Renamed, with and without the chain's knowing.
        let file = format!("old.log.4.{ending}");
        fixture.run("mv", &[&format!("old.log.3.{ending}"), &file]);
        fixture.expect_clean();
        fixture.tick();
        fixture.expect_clean();
        fixture.flip(&file, 10);
        fixture.expect(&[(Code::LogModified, Some(&file), 0, (0, 4096), (1, 1))]);
    }
}

#[test]
fn inserted_and_removed_bytes_are_found_from_their_range_on() {
    let fixture = recorded();
    let bytes = fs::read(fixture.path("app.log")).unwrap();
    fs::write(fixture.path("app.log"), [&bytes[..6000], b"x", &bytes[6000..]].concat()).unwrap();
    fixture.expect(&[(Code::LogModified, Some("app.log"), 0, (5000, 10_000), (1, 3))]);
    fs::write(fixture.path("app.log"), [&bytes[..6000], &bytes[6500..]].concat()).unwrap();
    fixture.expect(&[
        (Code::LogModified, Some("app.log"), 0, (5000, 8000), (1, 2)),
        (Code::LogModified, Some("app.log"), 0, (9500, 10_000), (2, 3)),
    ]);
}

#[test]
fn a_cut_tail_is_one_finding_with_the_missing_bytes() {
    let fixture = recorded();
    let bytes = fs::read(fixture.path("app.log")).unwrap();
    for (size, since) in [(9999, 2), (6000, 1), (4096, 1), (0, 1)] {
        fs::write(fixture.path("app.log"), &bytes[..size]).unwrap();
        let size = size as u64;
        fixture.expect(&[(Code::LogModified, Some("app.log"), 0, (size, 10_000), (since, 3))]);
    }
}

#[test]
fn a_deleted_file_is_missing_and_one_that_was_recorded_as_gone_is_not() {
    let mut fixture = recorded();
    fs::remove_file(fixture.path("app.log")).unwrap();
    let report = fixture.expect(&[(Code::LogMissing, Some("app.log"), 0, (0, 10_000), (1, 3))]);
    assert_eq!(report.verdict(), Verdict::Failed);
    fixture.tick();
    let report = fixture.expect(&[(Code::LogUnverifiable, None, 0, (0, 10_000), (1, 3))]);
    assert_eq!(report.verdict(), Verdict::Verified);
    assert_eq!(report.gaps()[0].what, "10000 bytes of logs");
}

#[test]
fn nothing_but_a_regular_file_is_read_in_a_logs_place() {
    let fixture = recorded();
    fs::rename(fixture.path("app.log"), fixture.dir().join("elsewhere")).unwrap();
    let missing = [(Code::LogMissing, Some("app.log"), 0, (0, 10_000), (1, 3))];
    let stands = |what: &str| {
        let report = fixture.expect(&missing);
        assert!(report.findings()[0].message.contains(what), "{:?}", report.findings());
        fs::remove_file(fixture.path("app.log"))
            .or_else(|_| fs::remove_dir(fixture.path("app.log")))
    };
    symlink("/dev/zero", fixture.path("app.log")).unwrap();
    stands("a symbolic link").unwrap();
    fs::copy(fixture.dir().join("elsewhere"), fixture.dir().join("copy")).unwrap();
    symlink(fixture.dir().join("copy"), fixture.path("app.log")).unwrap();
    stands("a symbolic link").unwrap();
    fixture.run("mkfifo", &["app.log"]);
    stands("a FIFO").unwrap();
    fs::create_dir(fixture.path("app.log")).unwrap();
    stands("a directory").unwrap();
    // The very file that was recorded, where the source's path is a link.
    symlink(fixture.dir().join("elsewhere"), fixture.path("app.log")).unwrap();
    fixture.expect_clean();
}

#[test]
fn a_log_of_another_content_is_modified_not_missing() {
    let fixture = recorded();
    fs::write(fixture.path("app.log"), lines(9, 20_000)).unwrap();
    fixture.expect(&[(Code::LogModified, Some("app.log"), 0, (0, 10_000), (1, 3))]);
}

#[test]
fn real_logrotate_after_the_chain_ended_changes_no_verdict() {
    for mode in [
        "create",
        "copytruncate",
        "create\ncompress",
        "create\ncompress\ndelaycompress",
        "copytruncate\ncompress",
        "create\ndateext\ndateformat -%Y%m%d-%s",
        "create\ncompress\ndateext\ndateformat -%s\nextension .log",
        "create\ncompress\ncompresscmd /usr/bin/xz\ncompressext .xz",
        "create\ncompress\ncompresscmd /usr/bin/zstd\ncompressoptions -q --rm\ncompressext .zst",
    ] {
        let mut fixture = recorded();
        let conf = format!(
            "{}app.log {{\nsu root root\nrotate 9\nsize 1\n{mode}\n}}\n",
            fixture.path("").display()
        );
        fs::write(fixture.dir().join("conf"), conf).unwrap();
        let (conf, state) = (fixture.dir().join("conf"), fixture.dir().join("rotated"));
        let arguments = ["-f", "-s", state.to_str().unwrap(), conf.to_str().unwrap()];
        let rotate = |fixture: &RecordedLogs| {
            fixture.run("/usr/sbin/logrotate", &arguments);
            if mode.contains("%s") {
                next_second();
            }
        };
        // The chain sees the first rotation, and not the later ones.
        rotate(&fixture);
        fixture.append("app.log", &lines(7, 500));
        fixture.tick();
        let all = fixture.expect_clean().count_checked("log bytes");
        assert!(all == 10_500 || mode.contains("copytruncate\ncompress"), "{mode}: {all}");
        for round in 0..3 {
            rotate(&fixture);
            let report = fixture.verify();
            assert_eq!(report.findings(), [], "{mode}, round {round}");
            assert_eq!(report.count_checked("log bytes"), all, "{mode}, round {round}");
            assert_eq!(report.verdict(), Verdict::Verified);
            fixture.append("app.log", &lines(20 + round, 700));
        }
    }
}

#[test]
fn a_change_behind_a_rotation_that_the_chain_has_not_seen_is_found() {
    let fixture = recorded();
    fs::rename(fixture.path("app.log"), fixture.path("app.log.1")).unwrap();
    fixture.append("app.log", &lines(8, 30_000));
    fixture.expect_clean();
    // In the head, in the middle, in the last range.
    for (at, bytes, minutes) in
        [(5, (0, 4096), (1, 1)), (6000, (5000, 8000), (1, 2)), (9000, (8000, 10_000), (2, 3))]
    {
        fixture.flip("app.log.1", at);
        fixture.expect(&[(Code::LogModified, Some("app.log.1"), 0, bytes, minutes)]);
        fixture.flip("app.log.1", at);
    }
    fixture.run("gzip", &["app.log.1"]);
    fs::rename(fixture.path("app.log.1.gz"), fixture.path("app.log.7.gz")).unwrap();
    fixture.expect_clean();
}

#[test]
fn logs_that_begin_alike_are_told_apart() {
    let mut fixture = RecordedLogs::new();
    let header = b"# fields: date time\n";
    for generation in 0..4_u64 {
        fixture.append("w.log", header);
        fixture.tick();
        fixture.append("w.log", &lines(generation, 500));
        fixture.tick();
        for old in (1..=generation).rev() {
            let from = fixture.path(&format!("w.log.{old}"));
            fs::rename(from, fixture.path(&format!("w.log.{}", old + 1))).unwrap();
        }
        fs::rename(fixture.path("w.log"), fixture.path("w.log.1")).unwrap();
    }
    fixture.append("w.log", header);
    let report = fixture.verify();
    assert_eq!(report.findings(), []);
    assert_eq!(report.count_checked("log bytes"), 4 * 520);
}

#[test]
fn a_name_that_is_not_utf_8_is_named_as_the_chain_names_it() {
    let mut fixture = RecordedLogs::new();
    let name = b"odd \xff\n.log";
    fixture.append_raw(name, &lines(1, 100));
    fixture.tick();
    fixture.expect_clean();
    let path = fixture.dir().join("logs").join(OsStr::from_bytes(name));
    fs::write(path, lines(2, 100)).unwrap();
    fixture.expect(&[(Code::LogModified, Some("odd%20%FF%0A.log"), 0, (0, 100), (1, 1))]);
}

#[test]
fn thousands_of_ticks_over_many_files_and_rotations_are_all_read_again() {
    let mut fixture = RecordedLogs::new();
    let mut bytes = 0;
    for tick in 0..3000_u64 {
        let name = format!("log{}", tick % 7);
        if tick % 500 == 499 {
            let old = format!("{name}.{tick}");
            fs::rename(fixture.path(&name), fixture.path(&old)).unwrap();
            fixture.tick();
            fixture.run("gzip", &[&old]);
            fixture.tick();
        }
        fixture.append(&name, &lines(tick, 50));
        bytes += 50;
        fixture.tick();
    }
    let report = fixture.expect_clean();
    assert_eq!(report.count_checked("log bytes"), bytes);
    assert!(report.count_checked("log ranges") >= 3000);
    fixture.flip("log6", 1000);
    assert_eq!(fixture.verify().findings().len(), 1);
}

#[test]
fn more_files_than_may_be_open_are_all_read() {
    let mut fixture = RecordedLogs::new();
    for tick in 0..3 {
        for file in 0..300 {
            fixture.append(&format!("f{file}"), &lines(file * 10 + tick, 100));
        }
        fixture.tick();
    }
    assert_eq!(fixture.expect_clean().count_checked("log bytes"), 90_000);
    fixture.flip("f299", 150);
    fixture.expect(&[(Code::LogModified, Some("f299"), 0, (100, 200), (1, 2))]);
    for file in 0..300 {
        fixture.run("xz", &["-0", &format!("f{file}")]);
    }
    fixture.expect(&[(Code::LogModified, Some("f299.xz"), 0, (100, 200), (1, 2))]);
}

#[test]
fn a_span_reads_only_its_own_ranges() {
    let fixture = recorded();
    fixture.flip("app.log", 10);
    fixture.flip("app.log", 9000);
    let (from, to) = (Some(minute(2)), Some(minute(3)));
    let report = fixture.verify_with(|options| (options.from, options.to) = (from, to));
    assert_eq!(report.findings(), []);
    assert_eq!(report.count_checked("log bytes"), 3000);
    let report = fixture.verify_with(|options| options.from = from);
    assert_eq!(report.findings().len(), 1);
}

#[test]
fn a_copy_is_read_below_its_root_and_nothing_outside() {
    let fixture = recorded();
    let copy = tempfile::tempdir().unwrap();
    let inside = copy.path().join(fixture.path("").strip_prefix("/").unwrap());
    fs::create_dir_all(&inside).unwrap();
    let root = |options: &mut provenance_audit::logs::Options<'_>| {
        options.root = copy.path().to_owned();
    };
    let report = fixture.verify_with(root);
    assert_eq!((report.findings(), report.verdict()), (&[][..], Verdict::Inconclusive));
    // A link that leads out of the copy leads to nothing.
    symlink(fixture.path("app.log"), inside.join("app.log")).unwrap();
    let report = fixture.verify_with(root);
    assert_eq!((report.findings(), report.verdict()), (&[][..], Verdict::Inconclusive));
    assert_eq!(report.count_checked("log ranges"), 0);
    fs::remove_file(inside.join("app.log")).unwrap();
    fs::copy(fixture.path("app.log"), inside.join("app.log")).unwrap();
    let report = fixture.verify_with(root);
    assert_eq!((report.findings(), report.verdict()), (&[][..], Verdict::Verified));
    fixture.flip("app.log", 10);
    assert_eq!(fixture.verify_with(root).findings(), []);
    assert_eq!(fixture.verify().findings().len(), 1);
}

#[test]
fn another_machines_chain_is_not_held_against_this_ones_logs() {
    let mut fixture = RecordedLogs::of_machine("0123456789abcdef0123456789abcdef");
    fixture.append("app.log", &lines(1, 100));
    fixture.tick();
    fs::write(fixture.path("app.log"), lines(2, 100)).unwrap();
    let report = fixture.verify();
    assert_eq!((report.findings(), report.verdict()), (&[][..], Verdict::Inconclusive));
    assert!(report.gaps()[0].why.contains("the machine 0123456789abcdef"));
}
