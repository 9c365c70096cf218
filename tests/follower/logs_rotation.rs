//! The log follower against the real logrotate: in every mode, over several
//! cycles, each generation's ranges cover its bytes without a hole and the
//! digests are those of the bytes that were written.

use std::{fs, io::Read as _, path::Path, thread::scope};

use super::harness::FollowerFixture;
use crate::common::wait::next_second;

/// How a mode is written in logrotate.conf, and what becomes of the tail.
struct Mode {
    name: &'static str,
    config: &'static str,
    /// The writer makes the log again itself.
    nocreate: bool,
    /// Nothing that was rotated is ever renamed again.
    dated: bool,
}

const MODES: &[Mode] = &[
    Mode { name: "create", config: "create", nocreate: false, dated: false },
    Mode { name: "nocreate", config: "nocreate", nocreate: true, dated: false },
    Mode { name: "copytruncate", config: "copytruncate", nocreate: false, dated: false },
    Mode { name: "compress", config: "create\ncompress", nocreate: false, dated: false },
    Mode {
        name: "delaycompress",
        config: "create\ncompress\ndelaycompress",
        nocreate: false,
        dated: false,
    },
    Mode {
        name: "copytruncate and compress",
        config: "copytruncate\ncompress",
        nocreate: false,
        dated: false,
    },
    Mode {
        name: "copytruncate, delaycompress",
        config: "copytruncate\ncompress\ndelaycompress",
        nocreate: false,
        dated: false,
    },
    Mode {
        name: "xz",
        config: "create\ncompress\ncompresscmd /usr/bin/xz\ncompressext .xz",
        nocreate: false,
        dated: false,
    },
    Mode {
        name: "zstd",
        config: "create\ncompress\ncompresscmd /usr/bin/zstd\ncompressoptions -q\ncompressext .zst",
        nocreate: false,
        dated: false,
    },
    Mode {
        name: "dateext",
        config: "create\ndateext\ndateformat -%Y%m%d-%s",
        nocreate: false,
        dated: true,
    },
    Mode {
        name: "dateext and compress",
        config: "create\ncompress\ndateext\ndateformat -%Y%m%d.%s",
        nocreate: false,
        dated: true,
    },
    Mode {
        name: "dateext, extension, delaycompress",
        config: "create\ncompress\ndelaycompress\ndateext\ndateformat -%s\nextension .log",
        nocreate: false,
        dated: true,
    },
    Mode {
        name: "olddir",
        config: "create\nolddir old\ncompress\ndelaycompress",
        nocreate: false,
        dated: false,
    },
];

const LOG: &str = "app.log";

/// A fixture with a log, a logrotate.conf, and the truth.
struct Rotating {
    fixture: FollowerFixture,
    /// The bytes of each generation, as they were written.
    truth: Vec<Vec<u8>>,
    lines: u64,
    dated: bool,
}

impl Rotating {
    fn new(mode: &Mode, keep: u8) -> Self {
        let config = mode.config;
        let fixture = FollowerFixture::new();
        fs::create_dir(fixture.path("old")).unwrap();
        let root = fixture.path("");
        let config = config.replace("olddir old", &format!("olddir {}old", root.display()));
        let conf = format!(
            "{}{LOG} {{\nsu root root\nrotate {keep}\nsize 1\nmissingok\n{config}\n}}\n",
            root.display()
        );
        fs::write(fixture.path("state/logrotate.conf"), conf).unwrap();
        Self { fixture, truth: vec![Vec::new()], lines: 0, dated: mode.dated }
    }

    fn write(&mut self, lines: u64) {
        for _ in 0..lines {
            self.lines += 1;
            let line = format!("Nov 21 04:20:00 host app[1]: line {} of the log\n", self.lines);
            self.fixture.append(LOG, line.as_bytes());
            self.truth.last_mut().unwrap().extend_from_slice(line.as_bytes());
        }
    }

    fn rotate(&mut self) {
        if self.dated {
            // A name has the second in it.
            next_second();
        }
        let (state, conf) = ("state/logrotate.state", "state/logrotate.conf");
        self.fixture.run("logrotate", &["-f", "-s", state, conf]);
        self.truth.push(Vec::new());
    }

    /// Every generation is covered to its end, its bytes are where the
    /// history says, and nothing but the log was ever a source.
    #[track_caller]
    fn verify(&mut self, mode: &str) {
        let sources: Vec<_> = self.fixture.sources().into_keys().collect();
        assert_eq!(sources, [LOG], "{mode}");
        for (generation, truth) in (0..).zip(&self.truth) {
            let covered = self.fixture.covered(LOG, generation, truth);
            assert_eq!(covered, truth.len() as u64, "{mode}: generation {generation}");
            if let Some(place) = self.fixture.place(LOG, generation) {
                assert_eq!(&content(&place), truth, "{mode}: place of {generation}");
            } else {
                panic!("{mode}: generation {generation} is nowhere");
            }
        }
    }
}

/// All modes at once: some have to wait for the clock.
fn for_modes(test: impl Fn(&Mode) + Sync) {
    scope(|scope| {
        for mode in MODES {
            scope.spawn(|| test(mode));
        }
    });
}

fn content(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let (tool, arguments) = match path.extension().and_then(|ending| ending.to_str()) {
        Some("gz") => ("gzip", "-dc"),
        Some("xz") => ("xz", "-dc"),
        Some("zst") => ("zstd", "-dcq"),
        _ => return bytes,
    };
    let mut child = std::process::Command::new(tool)
        .args([arguments, path.to_str().unwrap()])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    assert!(child.wait().unwrap().success());
    out
}

#[test]
fn every_mode_of_logrotate_comes_out_right_collected_at_each_step() {
    for_modes(|mode| {
        let mut log = Rotating::new(mode, 9);
        log.write(30);
        log.fixture.collect();
        for cycle in 0..4 {
            log.write(20 + cycle);
            log.fixture.collect();
            log.rotate();
            log.fixture.collect();
            log.write(10);
            log.fixture.collect();
        }
        log.verify(mode.name);
        log.fixture.expect(&[]);
    });
}

#[test]
fn the_tail_written_between_collect_and_rotation_is_not_lost() {
    for_modes(|mode| {
        let mut log = Rotating::new(mode, 9);
        log.write(100);
        log.fixture.collect();
        for cycle in 0..4 {
            log.write(150 + cycle);
            log.rotate();
            log.write(5);
            if mode.nocreate && cycle == 2 {
                log.fixture.collect();
            }
            log.fixture.collect();
        }
        log.verify(mode.name);
    });
}

#[test]
fn a_restart_between_rotations_changes_nothing() {
    for_modes(|mode| {
        let mut log = Rotating::new(mode, 9);
        log.write(100);
        log.fixture.collect();
        for cycle in 0..5 {
            if cycle % 2 == 0 {
                log.fixture.replayed();
            } else {
                log.fixture.restored();
            }
            log.write(50 + cycle);
            log.rotate();
            log.write(5);
            log.fixture.collect();
            log.fixture.replayed();
            log.fixture.expect(&[]);
        }
        log.verify(mode.name);
    });
}

#[test]
fn generations_that_logrotate_deletes_vanish_and_no_number_comes_twice() {
    for_modes(|mode| {
        if mode.dated {
            return;
        }
        let mut log = Rotating::new(mode, 2);
        log.write(10);
        log.fixture.collect();
        for _ in 0..6 {
            log.write(10);
            log.fixture.collect();
            log.rotate();
            log.write(3);
            log.fixture.collect();
        }
        let (_, generations) = log.fixture.followed();
        assert_eq!(generations, 3, "{}: the live one and two kept", mode.name);
        for (generation, truth) in (0..).zip(&log.truth) {
            let covered = log.fixture.covered(LOG, generation, truth);
            assert_eq!(covered, truth.len() as u64, "{}: {generation}", mode.name);
        }
    });
}

#[test]
fn several_rotations_between_two_collects_leave_no_byte_out() {
    for_modes(|mode| {
        let mut log = Rotating::new(mode, 9);
        log.write(100);
        log.fixture.collect();
        log.write(10);
        log.rotate();
        log.write(20);
        log.rotate();
        log.write(30);
        log.fixture.collect();
        log.fixture.collect();
        log.fixture.collect();
        // The middle one was never seen under the log's name: it is a source
        // of its own, plain or compressed.
        let first = log.truth[0].clone();
        let covered = log.fixture.covered(LOG, 0, &first);
        assert_eq!(covered, first.len() as u64, "{}", mode.name);
        let last = log.truth[2].clone();
        assert_eq!(log.fixture.covered(LOG, 1, &last), last.len() as u64, "{}", mode.name);
        assert_eq!(log.fixture.sources().len(), 2, "{}: {:?}", mode.name, log.fixture.sources());
        log.fixture.expect(&[]);
    });
}
