//! The log follower on real files: what it records of growth, rotation,
//! truncation, replacement and everything else that happens to logs.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    sync::mpsc,
    time::Duration,
};

use provenance_log_follower::inotify::Waker;

use super::harness::FollowerFixture;

#[test]
fn only_added_bytes_are_recorded_and_nothing_where_nothing_happened() {
    let mut fixture = FollowerFixture::new();
    fixture.append("a.log", b"one\n");
    fixture.append("sub/b.log", b"two\n");
    fixture.expect(&["a.log#0 appeared", "a.log#0 0-4", "sub/b.log#0 appeared", "sub/b.log#0 0-4"]);
    fixture.expect(&[]);
    fixture.append("a.log", b"three\n");
    fixture.expect(&["a.log#0 4-10"]);
    fixture.expect(&[]);
}

#[test]
fn the_first_range_ends_at_4096_and_later_ones_are_whole() {
    let mut fixture = FollowerFixture::new();
    fixture.append("a.log", &[b'x'; 10_000]);
    fixture.expect(&["a.log#0 appeared", "a.log#0 0-4096", "a.log#0 4096-10000"]);
    fixture.append("a.log", &[b'y'; 10_000]);
    fixture.expect(&["a.log#0 10000-20000"]);
}

#[test]
fn an_empty_file_appears_without_a_range() {
    let mut fixture = FollowerFixture::new();
    fixture.append("a.log", b"");
    fixture.expect(&["a.log#0 appeared"]);
    fixture.append("a.log", b"x");
    fixture.expect(&["a.log#0 0-1"]);
}

#[test]
fn a_rename_chain_keeps_every_generation_and_late_writes_to_it() {
    let mut fixture = FollowerFixture::new();
    fixture.append("log", b"zero\n");
    fixture.collect();
    fixture.rename("log", "log.1");
    fixture.append("log", b"one\n");
    fixture.append("log.1", b"late\n");
    fixture.expect(&["log#0 5-10", "log#0 rotated log.1", "log#1 appeared", "log#1 0-4"]);
    fixture.rename("log.1", "log.2");
    fixture.rename("log", "log.1");
    fixture.append("log", b"two\n");
    fixture.append("log.1", b"later\n");
    fixture.expect(&[
        "log#0 rotated log.2",
        "log#1 4-10",
        "log#1 rotated log.1",
        "log#2 appeared",
        "log#2 0-4",
    ]);
    fixture.remove("log.2");
    fixture.expect(&["log#0 vanished"]);
    fixture.expect(&[]);
}

#[test]
fn a_rename_without_a_new_file_is_a_rotation() {
    let mut fixture = FollowerFixture::new();
    fixture.append("log", b"zero\n");
    fixture.collect();
    fixture.rename("log", "log-20261121");
    fixture.expect(&["log#0 rotated log-20261121"]);
    fixture.append("log-20261121", b"more\n");
    fixture.expect(&["log#0 5-10"]);
    fixture.append("log", b"one\n");
    fixture.expect(&["log#1 appeared", "log#1 0-4"]);
}

#[test]
fn a_cut_file_is_truncated_and_begins_anew() {
    let mut fixture = FollowerFixture::new();
    fixture.append("log", b"a long line\n");
    fixture.collect();
    fixture.write("log", b"new\n");
    fixture.expect(&["log#0 truncated 12>4", "log#1 appeared", "log#1 0-4"]);
}

#[test]
fn a_file_cut_and_grown_past_its_old_size_is_truncated() {
    let mut fixture = FollowerFixture::new();
    fixture.append("log", b"short\n");
    fixture.collect();
    fixture.write("log", b"something else that is longer\n");
    fixture.expect(&["log#0 truncated 6>30", "log#1 appeared", "log#1 0-30"]);
}

#[test]
fn a_copy_before_the_cut_gives_the_tail_and_the_place() {
    let mut fixture = FollowerFixture::new();
    fixture.append("log", b"one\n");
    fixture.collect();
    fixture.append("log", b"two\n");
    fixture.copy("log", "log.1");
    fixture.write("log", b"three\n");
    fixture.expect(&[
        "log#0 4-8",
        "log#0 truncated 4>6",
        "log#0 rotated log.1",
        "log#1 appeared",
        "log#1 0-6",
    ]);
    fixture.expect(&[]);
}

#[test]
fn a_file_made_again_is_replaced_even_with_the_same_inode_and_beginning() {
    let mut fixture = FollowerFixture::new();
    fixture.append("log", b"# head\n");
    fixture.collect();
    fixture.remove("log");
    fixture.append("log", b"# head\nmore\n");
    fixture.expect(&["log#0 replaced", "log#1 appeared", "log#1 0-12"]);
}

#[test]
fn a_deleted_file_vanishes_and_its_numbers_are_never_used_again() {
    let mut fixture = FollowerFixture::new();
    fixture.append("log", b"x\n");
    fixture.collect();
    fixture.remove("log");
    fixture.expect(&["log#0 vanished"]);
    fixture.expect(&[]);
    fixture.append("log", b"y\n");
    fixture.expect(&["log#1 appeared", "log#1 0-2"]);
}

#[test]
fn names_that_are_not_utf8_are_followed() {
    let mut fixture = FollowerFixture::new();
    fixture.append_raw(b"\xff\xfe log", b"x\n");
    fixture.expect(&["%FF%FE%20log#0 appeared", "%FF%FE%20log#0 0-2"]);
}

#[test]
fn links_met_by_a_wildcard_are_skipped_and_hard_links_have_one_owner() {
    let mut fixture = FollowerFixture::new();
    fixture.append("a.log", b"x\n");
    symlink(fixture.path("a.log"), fixture.path("link.log")).unwrap();
    symlink("/etc", fixture.path("etc")).unwrap();
    fs::hard_link(fixture.path("a.log"), fixture.path("b.log")).unwrap();
    fixture.expect(&["a.log#0 appeared", "a.log#0 0-2"]);
    fixture.remove("a.log");
    fixture.expect(&["a.log#0 rotated b.log"]);
}

#[test]
fn a_literal_path_may_be_a_link_and_may_be_missing() {
    let mut fixture = FollowerFixture::watching(&["current", "missing"]);
    fixture.append("real/today.log", b"x\n");
    symlink(fixture.path("real/today.log"), fixture.path("current")).unwrap();
    fixture.expect(&["current#0 appeared", "current#0 0-2"]);
    fixture.append("real/today.log", b"y\n");
    fixture.expect(&["current#0 2-4"]);
}

#[test]
fn the_state_folder_is_never_watched_not_even_through_a_link() {
    let mut fixture = FollowerFixture::watching(&["**", "alias/*", "linked"]);
    fixture.append("state/chain/today.jsonl", b"x\n");
    fixture.append("state/top", b"x\n");
    symlink(fixture.path("state"), fixture.path("alias")).unwrap();
    symlink(fixture.path("state/top"), fixture.path("linked")).unwrap();
    fixture.expect(&[]);
}

#[test]
fn excluded_files_and_folders_are_left_out() {
    let mut fixture = FollowerFixture::excluding(&["**/*.journal", "skip"]);
    fixture.append("a.journal", b"x\n");
    fixture.append("sub/b.journal", b"x\n");
    fixture.append("skip/c.log", b"x\n");
    fixture.append("d.log", b"x\n");
    fixture.expect(&["d.log#0 appeared", "d.log#0 0-2"]);
}

#[test]
fn a_folder_in_the_place_of_a_log_is_no_log() {
    let mut fixture = FollowerFixture::new();
    fixture.append("log", b"one\n");
    fixture.collect();
    fixture.rename("log", "aside");
    fs::create_dir(fixture.path("log")).unwrap();
    fixture.expect(&["log#0 rotated aside"]);
    fs::remove_dir(fixture.path("log")).unwrap();
    fixture.rename("aside", "log");
    fixture.append("log", b"two\n");
    fixture.expect(&["log#0 4-8", "log#0 rotated log"]);
}

#[test]
fn a_file_that_cannot_be_read_is_said_once_and_goes_on_after() {
    without_override(|| {
        let mut fixture = FollowerFixture::new();
        fixture.append("log", b"one\n");
        fixture.collect();
        fixture.append("log", b"two\n");
        fixture.append("new", b"x\n");
        set_mode(&fixture, "log", 0o000);
        set_mode(&fixture, "new", 0o000);
        fixture.expect(&["log#0 unreadable 13", "new#0 appeared", "new#0 unreadable 13"]);
        fixture.expect(&[]);
        set_mode(&fixture, "log", 0o644);
        set_mode(&fixture, "new", 0o644);
        fixture.expect(&["log#0 4-8", "new#0 0-2"]);
        fixture.append("log", b"three\n");
        set_mode(&fixture, "log", 0o000);
        fixture.expect(&["log#0 unreadable 13"]);
    });
}

#[test]
fn nothing_below_a_folder_that_cannot_be_read_is_called_gone() {
    without_override(|| {
        let mut fixture = FollowerFixture::new();
        fixture.append("sub/log", b"one\n");
        fixture.collect();
        for mode in [0o000, 0o600] {
            set_mode(&fixture, "sub", mode);
            assert_eq!(fixture.collect().len(), 1, "the folder, or the file in it, is said");
            fixture.expect(&[]);
            set_mode(&fixture, "sub", 0o755);
            fixture.expect(&[]);
        }
        fixture.append("sub/log", b"two\n");
        fixture.expect(&["sub/log#0 4-8"]);
    });
}

/// Runs a test on a thread that obeys file modes, also as root.
fn without_override(test: impl FnOnce() + Send) {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let limited = || {
        let mut sets = capabilities(None).unwrap();
        let over = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        sets.effective.remove(over);
        set_capabilities(None, sets).unwrap();
        test();
    };
    std::thread::scope(|scope| scope.spawn(limited).join().unwrap());
}

fn set_mode(fixture: &FollowerFixture, name: &str, mode: u32) {
    fs::set_permissions(fixture.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_moves_files_wakes_and_what_writes_to_them_does_not() {
    let fixture = FollowerFixture::new();
    fixture.append("log", b"one\n");
    let (sender, receiver) = mpsc::channel();
    let wake = move || sender.send(()).unwrap();
    let waker = Waker::new(fixture.follower(), wake).unwrap();
    assert!(waker.unwatched().is_empty());
    fixture.append("log", b"two\n");
    fixture.append("state/own", b"x\n");
    assert!(receiver.recv_timeout(Duration::from_millis(400)).is_err());
    fixture.rename("log", "log.1");
    receiver.recv_timeout(Duration::from_secs(10)).unwrap();
    fixture.append("log", b"one\n");
    receiver.recv_timeout(Duration::from_secs(10)).unwrap();
    fixture.remove("log.1");
    receiver.recv_timeout(Duration::from_secs(10)).unwrap();
}

#[test]
fn thousands_of_files_are_surveyed_and_only_changed_ones_are_opened() {
    let mut fixture = FollowerFixture::new();
    for i in 0..5000 {
        fixture.append(&format!("d{}/{i}.log", i % 50), b"x\n");
    }
    assert_eq!(fixture.collect().len(), 10_000);
    fixture.expect(&[]);
    fixture.append("d7/7.log", b"y\n");
    fixture.expect(&["d7/7.log#0 2-4"]);
    fixture.restored();
    fixture.expect(&[]);
}

#[test]
fn a_replay_of_the_chain_and_a_snapshot_both_go_on_where_it_was() {
    let mut fixture = FollowerFixture::new();
    fixture.append("log", b"one\n");
    fixture.append("gone", b"x\n");
    fixture.collect();
    fixture.rename("log", "log.1");
    fixture.append("log", b"two\n");
    fixture.remove("gone");
    fixture.collect();
    fixture.replayed();
    fixture.expect(&[]);
    fixture.restored();
    fixture.expect(&[]);
    fixture.replayed();
    fixture.append("log", b"more\n");
    fixture.append("gone", b"again\n");
    fixture.rename("log.1", "log.2");
    fixture.expect(&["gone#1 appeared", "gone#1 0-6", "log#0 rotated log.2", "log#1 4-9"]);
}
