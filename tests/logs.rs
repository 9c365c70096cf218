//! The log follower on real files: what it records of growth, rotation,
//! truncation, replacement and everything else that happens to logs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where something is wrong"
)]

mod logs_world;

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    sync::mpsc,
    time::Duration,
};

use logs_world::World;
use msp_provenance::logs::wake::Waker;

#[test]
fn only_added_bytes_are_recorded_and_nothing_where_nothing_happened() {
    let mut world = World::new();
    world.append("a.log", b"one\n");
    world.append("sub/b.log", b"two\n");
    world.expect(&["a.log#0 appeared", "a.log#0 0-4", "sub/b.log#0 appeared", "sub/b.log#0 0-4"]);
    world.expect(&[]);
    world.append("a.log", b"three\n");
    world.expect(&["a.log#0 4-10"]);
    world.expect(&[]);
}

#[test]
fn the_first_range_ends_at_4096_and_later_ones_are_whole() {
    let mut world = World::new();
    world.append("a.log", &[b'x'; 10_000]);
    world.expect(&["a.log#0 appeared", "a.log#0 0-4096", "a.log#0 4096-10000"]);
    world.append("a.log", &[b'y'; 10_000]);
    world.expect(&["a.log#0 10000-20000"]);
}

#[test]
fn an_empty_file_appears_without_a_range() {
    let mut world = World::new();
    world.append("a.log", b"");
    world.expect(&["a.log#0 appeared"]);
    world.append("a.log", b"x");
    world.expect(&["a.log#0 0-1"]);
}

#[test]
fn a_rename_chain_keeps_every_generation_and_late_writes_to_it() {
    let mut world = World::new();
    world.append("log", b"zero\n");
    world.collect();
    world.rename("log", "log.1");
    world.append("log", b"one\n");
    world.append("log.1", b"late\n");
    world.expect(&["log#0 5-10", "log#0 rotated log.1", "log#1 appeared", "log#1 0-4"]);
    world.rename("log.1", "log.2");
    world.rename("log", "log.1");
    world.append("log", b"two\n");
    world.append("log.1", b"later\n");
    world.expect(&[
        "log#0 rotated log.2",
        "log#1 4-10",
        "log#1 rotated log.1",
        "log#2 appeared",
        "log#2 0-4",
    ]);
    world.remove("log.2");
    world.expect(&["log#0 vanished"]);
    world.expect(&[]);
}

#[test]
fn a_rename_without_a_new_file_is_a_rotation() {
    let mut world = World::new();
    world.append("log", b"zero\n");
    world.collect();
    world.rename("log", "log-20261121");
    world.expect(&["log#0 rotated log-20261121"]);
    world.append("log-20261121", b"more\n");
    world.expect(&["log#0 5-10"]);
    world.append("log", b"one\n");
    world.expect(&["log#1 appeared", "log#1 0-4"]);
}

#[test]
fn a_cut_file_is_truncated_and_begins_anew() {
    let mut world = World::new();
    world.append("log", b"a long line\n");
    world.collect();
    world.write("log", b"new\n");
    world.expect(&["log#0 truncated 12>4", "log#1 appeared", "log#1 0-4"]);
}

#[test]
fn a_file_cut_and_grown_past_its_old_size_is_truncated() {
    let mut world = World::new();
    world.append("log", b"short\n");
    world.collect();
    world.write("log", b"something else that is longer\n");
    world.expect(&["log#0 truncated 6>30", "log#1 appeared", "log#1 0-30"]);
}

#[test]
fn a_copy_before_the_cut_gives_the_tail_and_the_place() {
    let mut world = World::new();
    world.append("log", b"one\n");
    world.collect();
    world.append("log", b"two\n");
    world.copy("log", "log.1");
    world.write("log", b"three\n");
    world.expect(&[
        "log#0 4-8",
        "log#0 truncated 4>6",
        "log#0 rotated log.1",
        "log#1 appeared",
        "log#1 0-6",
    ]);
    world.expect(&[]);
}

#[test]
fn a_file_deleted_and_made_again_is_replaced_even_with_the_same_inode_and_beginning() {
    let mut world = World::new();
    world.append("log", b"# head\n");
    world.collect();
    world.remove("log");
    world.append("log", b"# head\nmore\n");
    world.expect(&["log#0 replaced", "log#1 appeared", "log#1 0-12"]);
}

#[test]
fn a_deleted_file_vanishes_and_its_numbers_are_never_used_again() {
    let mut world = World::new();
    world.append("log", b"x\n");
    world.collect();
    world.remove("log");
    world.expect(&["log#0 vanished"]);
    world.expect(&[]);
    world.append("log", b"y\n");
    world.expect(&["log#1 appeared", "log#1 0-2"]);
}

#[test]
fn names_that_are_not_utf8_are_followed() {
    let mut world = World::new();
    world.append_raw(b"\xff\xfe log", b"x\n");
    world.expect(&["%FF%FE%20log#0 appeared", "%FF%FE%20log#0 0-2"]);
}

#[test]
fn links_met_by_a_wildcard_are_not_followed_and_hard_links_have_one_owner() {
    let mut world = World::new();
    world.append("a.log", b"x\n");
    symlink(world.path("a.log"), world.path("link.log")).unwrap();
    symlink("/etc", world.path("etc")).unwrap();
    fs::hard_link(world.path("a.log"), world.path("b.log")).unwrap();
    world.expect(&["a.log#0 appeared", "a.log#0 0-2"]);
    world.remove("a.log");
    world.expect(&["a.log#0 rotated b.log"]);
}

#[test]
fn a_literal_path_may_be_a_link_and_may_be_missing() {
    let mut world = World::watching(&["current", "missing"]);
    world.append("real/today.log", b"x\n");
    symlink(world.path("real/today.log"), world.path("current")).unwrap();
    world.expect(&["current#0 appeared", "current#0 0-2"]);
    world.append("real/today.log", b"y\n");
    world.expect(&["current#0 2-4"]);
}

#[test]
fn the_state_folder_is_never_watched_not_even_through_a_link() {
    let mut world = World::watching(&["**", "alias/*", "linked"]);
    world.append("state/chain/today.jsonl", b"x\n");
    world.append("state/top", b"x\n");
    symlink(world.path("state"), world.path("alias")).unwrap();
    symlink(world.path("state/top"), world.path("linked")).unwrap();
    world.expect(&[]);
}

#[test]
fn excluded_files_and_folders_are_left_out() {
    let mut world = World::excluding(&["**/*.journal", "skip"]);
    world.append("a.journal", b"x\n");
    world.append("sub/b.journal", b"x\n");
    world.append("skip/c.log", b"x\n");
    world.append("d.log", b"x\n");
    world.expect(&["d.log#0 appeared", "d.log#0 0-2"]);
}

#[test]
fn a_folder_in_the_place_of_a_log_is_no_log() {
    let mut world = World::new();
    world.append("log", b"one\n");
    world.collect();
    world.rename("log", "aside");
    fs::create_dir(world.path("log")).unwrap();
    world.expect(&["log#0 rotated aside"]);
    fs::remove_dir(world.path("log")).unwrap();
    world.rename("aside", "log");
    world.append("log", b"two\n");
    world.expect(&["log#0 4-8", "log#0 rotated log"]);
}

#[test]
fn a_file_that_cannot_be_read_is_said_once_and_goes_on_after() {
    without_override(|| {
        let mut world = World::new();
        world.append("log", b"one\n");
        world.collect();
        world.append("log", b"two\n");
        world.append("new", b"x\n");
        set_mode(&world, "log", 0o000);
        set_mode(&world, "new", 0o000);
        world.expect(&["log#0 unreadable 13", "new#0 appeared", "new#0 unreadable 13"]);
        world.expect(&[]);
        set_mode(&world, "log", 0o644);
        set_mode(&world, "new", 0o644);
        world.expect(&["log#0 4-8", "new#0 0-2"]);
        world.append("log", b"three\n");
        set_mode(&world, "log", 0o000);
        world.expect(&["log#0 unreadable 13"]);
    });
}

#[test]
fn nothing_below_a_folder_that_cannot_be_read_is_called_gone() {
    without_override(|| {
        let mut world = World::new();
        world.append("sub/log", b"one\n");
        world.collect();
        for mode in [0o000, 0o600] {
            set_mode(&world, "sub", mode);
            assert_eq!(world.collect().len(), 1, "the folder, or the file in it, is said");
            world.expect(&[]);
            set_mode(&world, "sub", 0o755);
            world.expect(&[]);
        }
        world.append("sub/log", b"two\n");
        world.expect(&["sub/log#0 4-8"]);
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

fn set_mode(world: &World, name: &str, mode: u32) {
    fs::set_permissions(world.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_moves_files_wakes_and_what_writes_to_them_does_not() {
    let world = World::new();
    world.append("log", b"one\n");
    let (sender, receiver) = mpsc::channel();
    let wake = move || sender.send(()).unwrap();
    let waker = Waker::new(world.follower(), wake).unwrap();
    assert!(waker.unwatched().is_empty());
    world.append("log", b"two\n");
    world.append("state/own", b"x\n");
    assert!(receiver.recv_timeout(Duration::from_millis(400)).is_err());
    world.rename("log", "log.1");
    receiver.recv_timeout(Duration::from_secs(10)).unwrap();
    world.append("log", b"one\n");
    receiver.recv_timeout(Duration::from_secs(10)).unwrap();
    world.remove("log.1");
    receiver.recv_timeout(Duration::from_secs(10)).unwrap();
}

#[test]
fn thousands_of_files_are_surveyed_and_only_changed_ones_are_opened() {
    let mut world = World::new();
    for i in 0..5000 {
        world.append(&format!("d{}/{i}.log", i % 50), b"x\n");
    }
    assert_eq!(world.collect().len(), 10_000);
    world.expect(&[]);
    world.append("d7/7.log", b"y\n");
    world.expect(&["d7/7.log#0 2-4"]);
    world.restored();
    world.expect(&[]);
}

#[test]
fn a_replay_of_the_chain_and_a_snapshot_both_go_on_where_it_was() {
    let mut world = World::new();
    world.append("log", b"one\n");
    world.append("gone", b"x\n");
    world.collect();
    world.rename("log", "log.1");
    world.append("log", b"two\n");
    world.remove("gone");
    world.collect();
    world.replayed();
    world.expect(&[]);
    world.restored();
    world.expect(&[]);
    world.replayed();
    world.append("log", b"more\n");
    world.append("gone", b"again\n");
    world.rename("log.1", "log.2");
    world.expect(&["gone#1 appeared", "gone#1 0-6", "log#0 rotated log.2", "log#1 4-9"]);
}
