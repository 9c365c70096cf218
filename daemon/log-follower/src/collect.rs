//! One collect: every generation finds its file, files that changed are read,
//! generations whose file is gone are looked for elsewhere or closed, and
//! files that are nobody's begin new ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use provenance_core::{encoding::file_uri, record::log_entry::Event};
use provenance_host::decompress::Packing;

use crate::{
    Follower,
    compressed_match::{Probe, Verdict},
    file_id::{FileStat, is_below},
    generation::{Generation, GenerationPlace, write_id},
    range_reader::{Looked, Reader, open},
    scan::DirectorySurvey,
};

/// For how many collects a file is left alone that looks like a compressed
/// form in the making.
const MAX_HELD_COLLECTS: u8 = 60;

/// Something to be done about one generation.
pub(super) struct Task {
    pub src: Vec<u8>,
    pub generation: u64,
    /// Its file in the survey.
    at: Option<usize>,
    pub reason: Reason,
}

/// Why a generation ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reason {
    /// The file is not where it was.
    Gone,
    /// The file was cut, or written anew in place.
    Cut { size: u64 },
    /// The file holds other bytes, and nothing says that it is the same one.
    Foreign,
}

/// A collect under way.
pub(super) struct Collect<'c> {
    pub follower: &'c mut Follower,
    pub survey: &'c mut DirectorySurvey,
    pub reader: &'c mut Reader,
}

impl Collect<'_> {
    pub(super) fn run(&mut self) {
        self.follower.state.drop_lost();
        let (moved, mut ended) = self.locate();
        self.say_blind();
        for task in moved {
            self.attend(task, &mut ended);
        }
        self.hold();
        // Ends are told in order, the oldest generation first.
        ended.sort_by(|a, b| (&a.src, a.generation).cmp(&(&b.src, b.generation)));
        for task in ended {
            self.end(&task);
            self.follower.state.retire(&task.src);
        }
        self.begin();
    }

    /// Finds every generation's file. Gives those whose file has to be looked
    /// at, and those whose file is gone. A file that is renamed while the
    /// directory is read may be missed under both names: nothing is called
    /// gone that a second look still finds.
    fn locate(&mut self) -> (Vec<Task>, Vec<Task>) {
        self.survey.take(&self.follower.patterns);
        let (found, missing) = locate(self.follower, self.survey);
        if missing.is_empty() {
            return (found, missing);
        }
        self.survey.take(&self.follower.patterns);
        locate(self.follower, self.survey)
    }

    /// Says once of each directory that it cannot be read. The event stands
    /// at the directory's path, in generation 0, which it does not open.
    fn say_blind(&mut self) {
        let before = std::mem::take(&mut self.follower.blind);
        self.follower.blind = self.survey.blind.iter().cloned().collect();
        for (dir, errno) in &self.follower.blind {
            if before.get(dir) != Some(errno) {
                self.reader.event(dir, 0, Event::Unreadable { errno: *errno });
            }
        }
    }

    /// Looks at a generation's file; records what was added and where it is.
    fn attend(&mut self, mut task: Task, ended: &mut Vec<Task>) {
        let Some(at) = task.at else { return };
        let Some((place, stat, follow)) = self.file(at) else { return };
        let Some(mut one) = self.follower.state.take(&task.src, task.generation) else { return };
        let moved = one.path(&task.src) != Some(&place);
        let looked = if one.packed {
            self.look_packed(&mut one, (&place, &stat, follow))
        } else {
            self.reader.look(&task.src, &mut one, &place, &stat, follow)
        };
        match looked {
            Looked::Shrunk { .. } | Looked::Foreign { .. } => {
                task.reason = match looked {
                    _ if moved || one.packed || one.may_be_packed() => Reason::Gone,
                    Looked::Foreign { .. } if one.born().is_none() => Reason::Foreign,
                    Looked::Shrunk { size } | Looked::Foreign { size } => Reason::Cut { size },
                    _ => Reason::Gone,
                };
                self.claim(at, false);
                self.follower.state.put(&task.src, one);
                ended.push(task);
                return;
            }
            Looked::Same => {}
            Looked::Unreadable(errno) => self.say_unreadable(&task.src, &mut one, errno),
            Looked::Raced => one.settled = false,
        }
        if moved && looked != Looked::Raced {
            self.rotated(&task.src, &mut one, place);
        }
        self.follower.state.put(&task.src, one);
    }

    /// Whether a compressed form, known by its inode, still is one.
    fn look_packed(&mut self, one: &mut Generation, at: (&[u8], &FileStat, bool)) -> Looked {
        let (file, stat) = match open(at.0, at.1, at.2) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Looked::Raced,
            Err(errno) => return Looked::Unreadable(errno.raw_os_error().unsigned_abs()),
        };
        let Some(mut probe) = Probe::head(file, Packing::of(at.0), one) else {
            return Looked::Foreign { size: stat.size };
        };
        let (verdict, _) = probe.run(&mut self.reader.buffer, u64::MAX, self.reader.deadline);
        match verdict {
            Verdict::Same(_) => {
                (one.seen, one.id, one.settled) = (Some(stat), stat.id, true);
                Looked::Same
            }
            Verdict::Unfinished => Looked::Raced,
            Verdict::Short | Verdict::Other => Looked::Foreign { size: stat.size },
        }
    }

    /// Leaves files alone that a known file is being compressed into, so that
    /// they do not become sources of their own.
    fn hold(&mut self) {
        let mut held = BTreeMap::new();
        for at in 0..self.survey.found.len() {
            let path = self.survey.path(at);
            let ending = match Packing::of(path) {
                Packing::Plain => continue,
                Packing::Gzip | Packing::Xz => 3,
                Packing::Zstd => 4,
            };
            let plain = path.get(..path.len().saturating_sub(ending)).unwrap_or_default();
            let plain = self.survey.find(plain).and_then(|at| self.survey.found.get(at));
            let known = plain.is_some_and(|plain| plain.claimed);
            let Some(one) = self.survey.found.get_mut(at).filter(|one| known && !one.claimed)
            else {
                continue;
            };
            let (before, count) = match self.follower.held.get(&one.stat.id) {
                Some((stat, count)) => (Some(*stat), *count),
                None => (None, 0),
            };
            one.held = before != Some(one.stat) && count < MAX_HELD_COLLECTS;
            held.insert(one.stat.id, (one.stat, count.saturating_add(1)));
        }
        self.follower.held = held;
    }

    /// Files that are nobody's begin a generation each. Of several names of
    /// one file the first owns it.
    fn begin(&mut self) {
        if self.survey.found.iter().all(|one| one.claimed) {
            return;
        }
        let claimed = self.survey.found.iter().filter(|one| one.claimed || one.held);
        let mut owned: BTreeSet<_> = claimed.map(|one| one.stat.id).collect();
        for at in 0..self.survey.found.len() {
            let free = self.survey.found.get(at).filter(|one| owned.insert(one.stat.id));
            let Some((src, stat, follow)) = free.and_then(|_| self.file(at)) else { continue };
            let source = self.follower.state.source(&src);
            let mut one = Generation::new(source.next, stat.id);
            let blocked = source.has_live();
            let looked = match Instant::now() < self.reader.deadline {
                _ if blocked => Looked::Raced,
                true => self.reader.look(&src, &mut one, &src, &stat, follow),
                false => {
                    self.reader.late(&src, one.number);
                    Looked::Same
                }
            };
            if looked != Looked::Raced {
                let id = Some(write_id(stat.id).into());
                self.reader.event(&src, one.number, Event::Appeared { id });
                self.follower.state.source(&src).next = one.number + 1;
                if let Looked::Unreadable(errno) = looked {
                    self.say_unreadable(&src, &mut one, errno);
                }
                self.follower.state.put(&src, one);
            }
            self.follower.state.retire(&src);
        }
    }

    fn say_unreadable(&mut self, src: &[u8], one: &mut Generation, errno: u32) {
        if !one.unreadable {
            self.reader.event(src, one.number, Event::Unreadable { errno });
        }
        (one.unreadable, one.settled) = (true, false);
    }

    /// Records that a generation's bytes are at `place` now.
    pub(super) fn rotated(&mut self, src: &[u8], one: &mut Generation, place: Vec<u8>) {
        let location = Some(file_uri::encode(&place).into());
        self.reader.event(src, one.number, Event::Rotated { location });
        one.place = GenerationPlace::At(place);
    }

    /// Path, stat, and whether a link is followed, of a file in the survey.
    pub(super) fn file(&self, at: usize) -> Option<(Vec<u8>, FileStat, bool)> {
        let found = self.survey.found.get(at)?;
        Some((self.survey.path(at).to_vec(), found.stat, found.follow))
    }

    pub(super) fn claim(&mut self, at: usize, claimed: bool) {
        if let Some(found) = self.survey.found.get_mut(at) {
            found.claimed = claimed;
        }
    }
}

/// Finds each generation's file: at its place, or by inode anywhere. What is
/// unchanged needs nothing more.
fn locate(follower: &Follower, survey: &mut DirectorySurvey) -> (Vec<Task>, Vec<Task>) {
    let (mut changed, mut elsewhere) = (Vec::new(), Vec::new());
    let restored = follower.restored;
    for (src, source) in &follower.state.sources {
        for one in &source.generations {
            let at = one.path(src).and_then(|path| survey.find(path));
            let task =
                |at| Task { src: src.clone(), generation: one.number, at, reason: Reason::Gone };
            let found = at.and_then(|at| survey.found.get_mut(at));
            match found.filter(|found| !found.claimed && one.may_be(&found.stat, restored)) {
                Some(found) => {
                    found.claimed = true;
                    if !one.settled || one.seen != Some(found.stat) {
                        changed.push(task(at));
                    }
                }
                None => elsewhere.push((one, task(None))),
            }
        }
    }
    let mut missing = Vec::new();
    let inodes = if elsewhere.is_empty() { BTreeMap::new() } else { by_inode(survey) };
    // The newest first: of two generations that one file held (it was cut
    // between them) the later has it.
    for (one, mut task) in elsewhere.into_iter().rev() {
        let mut same = inodes.get(&one.id.ino).into_iter().flatten().filter(|at| {
            let found = survey.found.get(**at);
            found.is_some_and(|found| !found.claimed && one.may_be(&found.stat, restored))
        });
        task.at = same.next().copied();
        if let Some(found) = task.at.and_then(|at| survey.found.get_mut(at)) {
            found.claimed = true;
            changed.push(task);
        } else if !is_unknown(survey, one, &task.src) {
            missing.push(task);
        }
    }
    (changed, missing)
}

fn by_inode(survey: &DirectorySurvey) -> BTreeMap<u64, Vec<usize>> {
    let mut inodes: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, one) in survey.found.iter().enumerate().filter(|(_, one)| !one.claimed) {
        inodes.entry(one.stat.id.ino).or_default().push(index);
    }
    inodes
}

/// What lay in a directory that cannot be read is not called gone.
fn is_unknown(survey: &DirectorySurvey, one: &Generation, src: &[u8]) -> bool {
    let place = one.path(src).unwrap_or(src);
    survey.full || survey.blind.iter().any(|(dir, _)| is_below(place, dir))
}
