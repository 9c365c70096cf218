//! The audit of logs: what is as it was recorded is never accused, and what
//! was changed is found, with its file, bytes and minute.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where something is wrong"
)]

mod audit_world;

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    time::Duration,
};

use audit_world::{World, lines, minute};
use provenance_core::report::{Code, Verdict};

/// `app.log` of three ticks: 4096 and 904 bytes, 3000, 2000.
fn recorded() -> World {
    let mut world = World::new();
    for (seed, size) in [(1, 5000), (2, 3000), (3, 2000)] {
        world.append("app.log", &lines(seed, size));
        world.tick();
    }
    world
}

/// The same, and then rotated by this command, and recorded so.
fn rotated(program: &str, arguments: &[&str]) -> World {
    let mut world = recorded();
    fs::rename(world.path("app.log"), world.path("app.log.1")).unwrap();
    world.append("app.log", &lines(4, 1000));
    world.tick();
    if !program.is_empty() {
        world.run(program, arguments);
        let _ = fs::remove_file(world.path("app.log.1"));
        world.tick();
    }
    world
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
    let world = recorded();
    world.append("app.log", b"later\n");
    let report = world.verify();
    assert_eq!(report.findings(), []);
    assert_eq!(report.gaps()[0].what, "6 bytes at the logs' ends");
    assert_eq!(report.verdict(), Verdict::Verified);
}

#[test]
fn every_single_byte_changed_is_found_in_its_range_and_minute() {
    let mut world = World::new();
    let mut ranges = Vec::new();
    for (index, size) in [40, 1, 7, 100, 33].into_iter().enumerate() {
        let from = ranges.last().map_or(0, |(_, to)| *to);
        ranges.push((from, from + size));
        world.append("a.log", &lines(index as u64, usize::try_from(size).unwrap()));
        world.tick();
    }
    for at in 0..181 {
        world.flip("a.log", at);
        let index = ranges.iter().position(|(from, to)| (*from..*to).contains(&at)).unwrap();
        // Before the first tick there is none: its own time stands for it.
        let tick = i64::try_from(index).unwrap() + 1;
        let minutes = ((tick - 1).max(1), tick);
        world.expect(&[(Code::LogModified, Some("a.log"), 0, ranges[index], minutes)]);
        world.flip("a.log", at);
    }
    world.expect_clean();
}

#[test]
fn a_changed_byte_is_found_in_rotated_and_compressed_files() {
    let world = rotated("", &[]);
    world.flip("app.log.1", 6000);
    let bytes = (5000, 8000);
    world.expect(&[(Code::LogModified, Some("app.log.1"), 0, bytes, (1, 2))]);
    world.flip("app.log.1", 6000);
    world.flip("app.log", 10);
    world.expect(&[(Code::LogModified, Some("app.log"), 1, (0, 1000), (3, 4))]);

    // Written anew with one byte changed: only the digests can tell.
    for (program, ending) in [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")] {
        let world = rotated(program, &["app.log.1"]);
        let file = format!("app.log.1.{ending}");
        world.run(program, &["-d", &file]);
        world.flip("app.log.1", 8001);
        world.run(program, &["-f", "app.log.1"]);
        let _ = fs::remove_file(world.path("app.log.1"));
        world.expect(&[(Code::LogModified, Some(&file), 0, (8000, 10_000), (2, 3))]);
    }
}

#[test]
fn any_byte_changed_in_a_compressed_file_is_found_unless_the_content_is_whole() {
    for (program, ending) in [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")] {
        let world = rotated(program, &["app.log.1"]);
        let file = format!("app.log.1.{ending}");
        let size = fs::metadata(world.path(&file)).unwrap().len();
        for at in (0..size).step_by(61) {
            world.flip(&file, at);
            let report = world.verify();
            let decoded = std::process::Command::new(program)
                .args(["-dc", &file])
                .current_dir(world.path(""))
                .output()
                .unwrap();
            let truth = [lines(1, 5000), lines(2, 3000), lines(3, 2000)].concat();
            let whole = decoded.stdout == truth;
            assert!(whole || report.verdict() != Verdict::Verified, "{file} {at}");
            world.flip(&file, at);
        }
        world.expect_clean();
    }
}

#[test]
fn a_log_that_was_compressed_when_it_was_first_seen_is_compared_as_it_is() {
    for (program, ending) in [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")] {
        let mut world = World::new();
        let file = format!("old.log.3.{ending}");
        world.append("old.log.3", &lines(1, 20_000));
        world.run(program, &["old.log.3"]);
        let _ = fs::remove_file(world.path("old.log.3"));
        let size = fs::metadata(world.path(&file)).unwrap().len();
        world.tick();
        assert_eq!(world.expect_clean().count_checked("log bytes"), size);
        // Renamed, with and without the chain's knowing.
        let file = format!("old.log.4.{ending}");
        world.run("mv", &[&format!("old.log.3.{ending}"), &file]);
        world.expect_clean();
        world.tick();
        world.expect_clean();
        world.flip(&file, 10);
        world.expect(&[(Code::LogModified, Some(&file), 0, (0, 4096), (1, 1))]);
    }
}

#[test]
fn inserted_and_removed_bytes_are_found_from_their_range_on() {
    let world = recorded();
    let bytes = fs::read(world.path("app.log")).unwrap();
    fs::write(world.path("app.log"), [&bytes[..6000], b"x", &bytes[6000..]].concat()).unwrap();
    world.expect(&[(Code::LogModified, Some("app.log"), 0, (5000, 10_000), (1, 3))]);
    fs::write(world.path("app.log"), [&bytes[..6000], &bytes[6500..]].concat()).unwrap();
    world.expect(&[
        (Code::LogModified, Some("app.log"), 0, (5000, 8000), (1, 2)),
        (Code::LogModified, Some("app.log"), 0, (9500, 10_000), (2, 3)),
    ]);
}

#[test]
fn a_cut_tail_is_one_finding_with_the_missing_bytes() {
    let world = recorded();
    let bytes = fs::read(world.path("app.log")).unwrap();
    for (size, since) in [(9999, 2), (6000, 1), (4096, 1), (0, 1)] {
        fs::write(world.path("app.log"), &bytes[..size]).unwrap();
        let size = size as u64;
        world.expect(&[(Code::LogModified, Some("app.log"), 0, (size, 10_000), (since, 3))]);
    }
}

#[test]
fn a_deleted_file_is_missing_and_one_that_was_recorded_as_gone_is_not() {
    let mut world = recorded();
    fs::remove_file(world.path("app.log")).unwrap();
    let report = world.expect(&[(Code::LogMissing, Some("app.log"), 0, (0, 10_000), (1, 3))]);
    assert_eq!(report.verdict(), Verdict::Failed);
    world.tick();
    let report = world.expect(&[(Code::LogUnverifiable, None, 0, (0, 10_000), (1, 3))]);
    assert_eq!(report.verdict(), Verdict::Verified);
    assert_eq!(report.gaps()[0].what, "10000 bytes of logs");
}

#[test]
fn nothing_but_a_regular_file_is_read_in_a_logs_place() {
    let world = recorded();
    fs::rename(world.path("app.log"), world.dir().join("elsewhere")).unwrap();
    let missing = [(Code::LogMissing, Some("app.log"), 0, (0, 10_000), (1, 3))];
    let stands = |what: &str| {
        let report = world.expect(&missing);
        assert!(report.findings()[0].message.contains(what), "{:?}", report.findings());
        fs::remove_file(world.path("app.log")).or_else(|_| fs::remove_dir(world.path("app.log")))
    };
    symlink("/dev/zero", world.path("app.log")).unwrap();
    stands("a symbolic link").unwrap();
    fs::copy(world.dir().join("elsewhere"), world.dir().join("copy")).unwrap();
    symlink(world.dir().join("copy"), world.path("app.log")).unwrap();
    stands("a symbolic link").unwrap();
    world.run("mkfifo", &["app.log"]);
    stands("a FIFO").unwrap();
    fs::create_dir(world.path("app.log")).unwrap();
    stands("a directory").unwrap();
    // The very file that was recorded, where the source's path is a link.
    symlink(world.dir().join("elsewhere"), world.path("app.log")).unwrap();
    world.expect_clean();
}

#[test]
fn a_log_of_another_content_is_modified_not_missing() {
    let world = recorded();
    fs::write(world.path("app.log"), lines(9, 20_000)).unwrap();
    world.expect(&[(Code::LogModified, Some("app.log"), 0, (0, 10_000), (1, 3))]);
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
        let mut world = recorded();
        let conf = format!(
            "{}app.log {{\nsu root root\nrotate 9\nsize 1\n{mode}\n}}\n",
            world.path("").display()
        );
        fs::write(world.dir().join("conf"), conf).unwrap();
        let (conf, state) = (world.dir().join("conf"), world.dir().join("rotated"));
        let arguments = ["-f", "-s", state.to_str().unwrap(), conf.to_str().unwrap()];
        let rotate = |world: &World| {
            world.run("/usr/sbin/logrotate", &arguments);
            if mode.contains("%s") {
                std::thread::sleep(Duration::from_millis(1100));
            }
        };
        // The chain sees the first rotation, and not the later ones.
        rotate(&world);
        world.append("app.log", &lines(7, 500));
        world.tick();
        let all = world.expect_clean().count_checked("log bytes");
        assert!(all == 10_500 || mode.contains("copytruncate\ncompress"), "{mode}: {all}");
        for round in 0..3 {
            rotate(&world);
            let report = world.verify();
            assert_eq!(report.findings(), [], "{mode}, round {round}");
            assert_eq!(report.count_checked("log bytes"), all, "{mode}, round {round}");
            assert_eq!(report.verdict(), Verdict::Verified);
            world.append("app.log", &lines(20 + round, 700));
        }
    }
}

#[test]
fn a_change_behind_a_rotation_that_the_chain_has_not_seen_is_found() {
    let world = recorded();
    fs::rename(world.path("app.log"), world.path("app.log.1")).unwrap();
    world.append("app.log", &lines(8, 30_000));
    world.expect_clean();
    // In the head, in the middle, in the last range.
    for (at, bytes, minutes) in
        [(5, (0, 4096), (1, 1)), (6000, (5000, 8000), (1, 2)), (9000, (8000, 10_000), (2, 3))]
    {
        world.flip("app.log.1", at);
        world.expect(&[(Code::LogModified, Some("app.log.1"), 0, bytes, minutes)]);
        world.flip("app.log.1", at);
    }
    world.run("gzip", &["app.log.1"]);
    fs::rename(world.path("app.log.1.gz"), world.path("app.log.7.gz")).unwrap();
    world.expect_clean();
}

#[test]
fn logs_that_begin_alike_are_told_apart() {
    let mut world = World::new();
    let header = b"# fields: date time\n";
    for generation in 0..4_u64 {
        world.append("w.log", header);
        world.tick();
        world.append("w.log", &lines(generation, 500));
        world.tick();
        for old in (1..=generation).rev() {
            let from = world.path(&format!("w.log.{old}"));
            fs::rename(from, world.path(&format!("w.log.{}", old + 1))).unwrap();
        }
        fs::rename(world.path("w.log"), world.path("w.log.1")).unwrap();
    }
    world.append("w.log", header);
    let report = world.verify();
    assert_eq!(report.findings(), []);
    assert_eq!(report.count_checked("log bytes"), 4 * 520);
}

#[test]
fn a_name_that_is_not_utf_8_is_named_as_the_chain_names_it() {
    let mut world = World::new();
    let name = b"odd \xff\n.log";
    world.append_raw(name, &lines(1, 100));
    world.tick();
    world.expect_clean();
    let path = world.dir().join("logs").join(OsStr::from_bytes(name));
    fs::write(path, lines(2, 100)).unwrap();
    world.expect(&[(Code::LogModified, Some("odd%20%FF%0A.log"), 0, (0, 100), (1, 1))]);
}

#[test]
fn thousands_of_ticks_over_many_files_and_rotations_are_all_read_again() {
    let mut world = World::new();
    let mut bytes = 0;
    for tick in 0..3000_u64 {
        let name = format!("log{}", tick % 7);
        if tick % 500 == 499 {
            let old = format!("{name}.{tick}");
            fs::rename(world.path(&name), world.path(&old)).unwrap();
            world.tick();
            world.run("gzip", &[&old]);
            world.tick();
        }
        world.append(&name, &lines(tick, 50));
        bytes += 50;
        world.tick();
    }
    let report = world.expect_clean();
    assert_eq!(report.count_checked("log bytes"), bytes);
    assert!(report.count_checked("log ranges") >= 3000);
    world.flip("log6", 1000);
    assert_eq!(world.verify().findings().len(), 1);
}

#[test]
fn more_files_than_may_be_open_are_all_read() {
    let mut world = World::new();
    for tick in 0..3 {
        for file in 0..300 {
            world.append(&format!("f{file}"), &lines(file * 10 + tick, 100));
        }
        world.tick();
    }
    assert_eq!(world.expect_clean().count_checked("log bytes"), 90_000);
    world.flip("f299", 150);
    world.expect(&[(Code::LogModified, Some("f299"), 0, (100, 200), (1, 2))]);
    for file in 0..300 {
        world.run("xz", &["-0", &format!("f{file}")]);
    }
    world.expect(&[(Code::LogModified, Some("f299.xz"), 0, (100, 200), (1, 2))]);
}

#[test]
fn a_span_reads_only_its_own_ranges() {
    let world = recorded();
    world.flip("app.log", 10);
    world.flip("app.log", 9000);
    let (from, to) = (Some(minute(2)), Some(minute(3)));
    let report = world.verify_with(|options| (options.from, options.to) = (from, to));
    assert_eq!(report.findings(), []);
    assert_eq!(report.count_checked("log bytes"), 3000);
    let report = world.verify_with(|options| options.from = from);
    assert_eq!(report.findings().len(), 1);
}

#[test]
fn a_copy_is_read_below_its_root_and_nothing_outside() {
    let world = recorded();
    let copy = tempfile::tempdir().unwrap();
    let inside = copy.path().join(world.path("").strip_prefix("/").unwrap());
    fs::create_dir_all(&inside).unwrap();
    let root = |options: &mut msp_provenance::audit::logs::Options<'_>| {
        options.root = copy.path().to_owned();
    };
    let report = world.verify_with(root);
    assert_eq!((report.findings(), report.verdict()), (&[][..], Verdict::Inconclusive));
    // A link that leads out of the copy leads to nothing.
    symlink(world.path("app.log"), inside.join("app.log")).unwrap();
    let report = world.verify_with(root);
    assert_eq!((report.findings(), report.verdict()), (&[][..], Verdict::Inconclusive));
    assert_eq!(report.count_checked("log ranges"), 0);
    fs::remove_file(inside.join("app.log")).unwrap();
    fs::copy(world.path("app.log"), inside.join("app.log")).unwrap();
    let report = world.verify_with(root);
    assert_eq!((report.findings(), report.verdict()), (&[][..], Verdict::Verified));
    world.flip("app.log", 10);
    assert_eq!(world.verify_with(root).findings(), []);
    assert_eq!(world.verify().findings().len(), 1);
}

#[test]
fn another_machines_chain_is_not_held_against_this_ones_logs() {
    let mut world = World::of_machine("0123456789abcdef0123456789abcdef");
    world.append("app.log", &lines(1, 100));
    world.tick();
    fs::write(world.path("app.log"), lines(2, 100)).unwrap();
    let report = world.verify();
    assert_eq!((report.findings(), report.verdict()), (&[][..], Verdict::Inconclusive));
    assert!(report.gaps()[0].why.contains("the machine 0123456789abcdef"));
}
