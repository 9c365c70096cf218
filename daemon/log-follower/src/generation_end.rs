//! The end of a generation whose file is gone, cut or replaced: its bytes are
//! looked for in files that are nobody's (compressed forms, copies), and what
//! became of it is recorded.

use std::time::Instant;

use provenance_core::record::log_entry::Event;
use provenance_host::decompress::Packing;

use crate::{
    collect::{Collect, Reason, Task},
    compressed_match::{Probe, Verdict},
    file_id::FileStat,
    generation::{Generation, GenerationPlace, Range},
    job::Job,
    range_reader::open,
};

/// For how many collects a generation waits for a compressed form that is
/// still being written.
const MAX_WAITS: u8 = 2;

/// How many bytes tell a copy of a file that is gone.
const MIN_COPY: u64 = 64;

/// What the search for a generation's bytes found.
enum Search {
    Found {
        place: Vec<u8>,
        stat: FileStat,
        tail: Option<Range>,
    },
    /// A file may be, or may become, the one.
    Undecided,
    Nothing,
}

impl Collect<'_> {
    /// Records how a generation ended, and where its bytes are, if anywhere.
    pub(super) fn end(&mut self, task: &Task) {
        let Some(mut one) = self.follower.state.take(&task.src, task.generation) else { return };
        if let Reason::Cut { size } = task.reason {
            let to = one.to;
            self.reader.event(&task.src, one.number, Event::Truncated { to, size });
            one.place = GenerationPlace::Lost;
        }
        match self.search(task, &mut one) {
            Search::Found { place, stat, tail } => {
                if let Some(tail) = tail {
                    self.reader.range(&task.src, &mut one, tail);
                }
                (one.packed, one.settled) = (Packing::of(&place) != Packing::Plain, true);
                (one.id, one.seen, one.waits) = (stat.id, Some(stat), 0);
                if one.path(&task.src) != Some(&place) {
                    self.rotated(&task.src, &mut one, place);
                }
                self.follower.state.put(&task.src, one);
            }
            Search::Undecided => {
                self.wait(task, &mut one);
                self.follower.state.put(&task.src, one);
            }
            Search::Nothing => self.close(task, &one),
        }
    }

    /// The name already belongs to another file: that is said at once, where
    /// the bytes are when it is known.
    fn wait(&mut self, task: &Task, one: &mut Generation) {
        match one.place {
            GenerationPlace::Name if self.survey.find(&task.src).is_some() => {
                self.reader.event(&task.src, one.number, Event::Rotated { location: None });
                one.place = GenerationPlace::Unknown;
            }
            GenerationPlace::Lost => one.place = GenerationPlace::Unknown,
            GenerationPlace::Name | GenerationPlace::At(_) | GenerationPlace::Unknown => {}
        }
    }

    fn close(&mut self, task: &Task, one: &Generation) {
        let taken = one.place == GenerationPlace::Name && self.survey.find(&task.src).is_some();
        let event = match task.reason {
            Reason::Cut { .. } => return,
            Reason::Foreign => Event::Replaced,
            Reason::Gone if taken => Event::Replaced,
            Reason::Gone => Event::Vanished,
        };
        self.reader.event(&task.src, one.number, event);
    }

    /// Looks for a generation's bytes among the files that are nobody's.
    fn search(&mut self, task: &Task, one: &mut Generation) -> Search {
        let mut undecided = false;
        let src = task.src.as_slice();
        for at in self.candidates(task, one) {
            let Some((place, stat, follow)) = self.file(at) else { continue };
            let Some(verdict) = self.probe(src, one, &place, &stat, follow) else { continue };
            match verdict {
                Verdict::Same(tail) => {
                    self.claim(at, true);
                    return Search::Found { place, stat, tail };
                }
                Verdict::Other => continue,
                Verdict::Short if one.waits >= MAX_WAITS => continue,
                Verdict::Short => undecided = true,
                Verdict::Unfinished => {
                    self.keep(at);
                    return Search::Undecided;
                }
            }
            self.keep(at);
        }
        if !undecided {
            return Search::Nothing;
        }
        one.waits += 1;
        Search::Undecided
    }

    /// Files that by name and size may hold the bytes, the place recorded
    /// last at first. Content decides: names only keep the search small. A
    /// plain copy is expected where a file was cut; where it is gone, a few
    /// bytes that many logs begin with are not enough to go by, unless the chain
    /// has named the file.
    fn candidates(&self, task: &Task, one: &Generation) -> Vec<usize> {
        let src = task.src.as_slice();
        let stem = stem(src);
        let copied = one.to >= MIN_COPY || matches!(task.reason, Reason::Cut { .. });
        let free = self.survey.found.iter().enumerate().filter(|(_, found)| !found.claimed);
        let likely = free.filter(|(at, found)| {
            let path = self.survey.path(*at);
            let packed = Packing::of(path) != Packing::Plain;
            let recorded = one.path(src) == Some(path);
            let possible = packed || (copied || recorded) && found.stat.size >= one.to;
            possible && path != src && (recorded || name(path).starts_with(stem))
        });
        let mut candidates: Vec<_> = likely.map(|(at, _)| at).collect();
        candidates.sort_by_key(|at| one.path(src) != Some(self.survey.path(*at)));
        candidates
    }

    fn probe(
        &mut self,
        src: &[u8],
        one: &Generation,
        place: &[u8],
        stat: &FileStat,
        follow: bool,
    ) -> Option<Verdict> {
        let jobs = &mut self.follower.jobs;
        let same =
            |job: &Job| job.src == src && job.generation == one.number && job.file == stat.id;
        let mut probe = match jobs.iter().position(same) {
            Some(at) => jobs.swap_remove(at).probe,
            None => {
                let (file, _) = open(place, stat, follow).ok().flatten()?;
                Probe::whole(file, Packing::of(place), one)?
            }
        };
        // Half of the time that is left, so that other files get theirs.
        let now = Instant::now();
        let deadline = now + self.reader.deadline.saturating_duration_since(now) / 2;
        let allowance = self.reader.allowance();
        let (verdict, read) = probe.run(&mut self.reader.buffer, allowance, deadline);
        self.reader.spend(read);
        if verdict == Verdict::Unfinished {
            let (src, generation) = (src.to_vec(), one.number);
            self.follower.jobs.push(Job { src, generation, file: stat.id, probe });
        }
        Some(verdict)
    }

    /// Leaves a candidate alone until it is decided.
    fn keep(&mut self, at: usize) {
        if let Some(found) = self.survey.found.get_mut(at) {
            found.held = true;
        }
    }
}

fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// What all names that rotation derives from `src` begin with: `mail.log`
/// may become `mail.log.1.gz`, `mail-20261121.log` or `mail.1.log`.
fn stem(src: &[u8]) -> &[u8] {
    let name = name(src);
    let end = name.iter().skip(1).position(|byte| matches!(byte, b'.' | b'-' | b'_'));
    end.and_then(|end| name.get(..end + 1)).unwrap_or(name)
}
