//! Anything that can happen to log files, in any order: the history stays
//! whole, and in the end every byte on the disk is covered by ranges whose
//! digests are its own.

use std::fs;

use proptest::prelude::*;
use provenance_core::record::log_entry::{Event, What};

use super::harness::FollowerFixture;

#[derive(Clone, Debug)]
enum Step {
    Append {
        file: usize,
        lines: u8,
    },
    /// A large piece, so that heads and buffers are passed.
    AppendLarge {
        file: usize,
    },
    /// log.1 → log.2, log → log.1, and a new log.
    RotateCreate {
        file: usize,
    },
    /// The same without a new log.
    RotateNoCreate {
        file: usize,
    },
    CopyTruncate {
        file: usize,
    },
    /// log.1 or log.2 → .gz.
    Compress {
        file: usize,
        older: bool,
    },
    Delete {
        file: usize,
        rotated: bool,
    },
    /// A new file is renamed over the log.
    Replace {
        file: usize,
    },
    /// Deleted and made again, often with the same inode.
    Recreate {
        file: usize,
    },
    Truncate {
        file: usize,
    },
    Collect,
    Replay,
    Restore,
}

const NAMES: [&str; 3] = ["app.log", "sub/db.log", "plain"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let file = 0..NAMES.len();
    let step = prop_oneof![
        6 => (file.clone(), 1..6_u8).prop_map(|(file, lines)| Step::Append { file, lines }),
        1 => file.clone().prop_map(|file| Step::AppendLarge { file }),
        3 => file.clone().prop_map(|file| Step::RotateCreate { file }),
        1 => file.clone().prop_map(|file| Step::RotateNoCreate { file }),
        2 => file.clone().prop_map(|file| Step::CopyTruncate { file }),
        2 => (file.clone(), any::<bool>()).prop_map(|(file, older)| Step::Compress { file, older }),
        1 => (file.clone(), any::<bool>())
            .prop_map(|(file, rotated)| Step::Delete { file, rotated }),
        1 => file.clone().prop_map(|file| Step::Replace { file }),
        1 => file.clone().prop_map(|file| Step::Recreate { file }),
        1 => file.prop_map(|file| Step::Truncate { file }),
        8 => Just(Step::Collect),
        1 => Just(Step::Replay),
        1 => Just(Step::Restore),
    ];
    prop::collection::vec(step, 1..60)
}

struct Model {
    fixture: FollowerFixture,
    lines: u64,
}

impl Model {
    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Append { file, lines } => {
                for _ in 0..lines {
                    self.line(NAMES[file]);
                }
            }
            Step::AppendLarge { file } => {
                let text = format!("{} ", self.lines).repeat(3000);
                self.fixture.append(NAMES[file], text.as_bytes());
                self.line(NAMES[file]);
            }
            Step::RotateCreate { file } => {
                self.shift(NAMES[file]);
                self.line(NAMES[file]);
            }
            Step::RotateNoCreate { file } => self.shift(NAMES[file]),
            Step::CopyTruncate { file } => self.copy_truncate(NAMES[file]),
            Step::Compress { file, older } => {
                let name = format!("{}.{}", NAMES[file], if older { 2 } else { 1 });
                if self.exists(&name) {
                    self.fixture.run("gzip", &["-qf", &name]);
                }
            }
            Step::Delete { file, rotated } => {
                let name = NAMES[file].to_owned() + if rotated { ".1" } else { "" };
                self.fixture.remove_if(&name);
            }
            Step::Replace { file } => {
                self.line("state/new");
                fs::create_dir_all(self.fixture.path(NAMES[file]).parent().unwrap()).unwrap();
                self.fixture.rename("state/new", NAMES[file]);
            }
            Step::Recreate { file } => {
                self.fixture.remove_if(NAMES[file]);
                self.line(NAMES[file]);
            }
            Step::Truncate { file } if self.exists(NAMES[file]) => {
                self.fixture.write(NAMES[file], b"");
            }
            Step::Truncate { .. } => {}
            Step::Collect => {
                self.fixture.collect();
            }
            Step::Replay => self.fixture.replayed(),
            Step::Restore => self.fixture.restored(),
        }
    }

    /// Every file begins with the same line: identity has to come from more.
    fn line(&mut self, name: &str) {
        if !self.exists(name) {
            self.fixture.append(name, b"# log\n");
        }
        self.lines += 1;
        self.fixture.append(name, format!("line {}\n", self.lines).as_bytes());
    }

    fn shift(&mut self, name: &str) {
        for ending in ["", ".gz"] {
            let (one, two) = (format!("{name}.1{ending}"), format!("{name}.2{ending}"));
            if self.exists(&one) {
                self.fixture.rename(&one, &two);
            }
        }
        if self.exists(name) {
            self.fixture.rename(name, &format!("{name}.1"));
        }
    }

    fn copy_truncate(&mut self, name: &str) {
        if self.exists(name) {
            let one = format!("{name}.1");
            self.fixture.remove_if(&one);
            self.fixture.copy(name, &one);
            self.fixture.write(name, b"");
        }
    }

    fn exists(&self, name: &str) -> bool {
        self.fixture.path(name).exists()
    }

    /// Every file on the disk is some generation's place, wholly covered, as
    /// it is or unpacked.
    fn verify(&mut self) {
        let mut names = Vec::new();
        for name in NAMES {
            for ending in ["", ".1", ".2", ".1.gz", ".2.gz"] {
                names.extend(Some(format!("{name}{ending}")).filter(|name| self.exists(name)));
            }
        }
        let generations = self.fixture.generations();
        for name in names {
            let path = self.fixture.path(&name);
            let raw = fs::read(&path).unwrap();
            let mut plain = Vec::new();
            if name.ends_with(".gz") {
                let mut decoder = flate2::read::MultiGzDecoder::new(&raw[..]);
                std::io::Read::read_to_end(&mut decoder, &mut plain).unwrap();
            }
            let covers = |src: &str, generation, truth: &[u8]| {
                self.fixture.place(src, generation).as_ref() == Some(&path)
                    && self.fixture.try_covered(src, generation, truth) == Some(truth.len() as u64)
            };
            let covered = generations.iter().any(|(src, generation)| {
                covers(src, *generation, &raw) || covers(src, *generation, &plain)
            });
            assert!(covered, "{name} is not covered: {:#?}", self.fixture.history);
        }
    }
}

/// A compressed form that got the inode of the log it was made of is not
/// taken for the log itself, cut, when only the chain is known.
#[test]
fn an_inode_that_went_from_a_log_to_its_compressed_form_is_no_truncation() {
    let file = 1;
    check(&[
        Step::RotateCreate { file },
        Step::Collect,
        Step::AppendLarge { file },
        Step::CopyTruncate { file },
        Step::Delete { file, rotated: false },
        Step::Compress { file, older: false },
    ]);
}

fn check(steps: &[Step]) {
    let mut model = Model { fixture: FollowerFixture::new(), lines: 0 };
    for step in steps {
        model.apply(step);
    }
    for _ in 0..4 {
        model.fixture.collect();
    }
    model.verify();
    model.fixture.expect(&[]);
    model.fixture.replayed();
    model.fixture.expect(&[]);
    model.fixture.restored();
    model.fixture.expect(&[]);
    let trouble = |what: &What<'_>| {
        matches!(what, What::Event(Event::Late { .. } | Event::Unreadable { .. }))
    };
    assert!(!model.fixture.history.iter().any(|entry| trouble(&entry.what)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_byte_is_covered_and_quiet_is_quiet(steps in steps()) {
        check(&steps);
    }
}
