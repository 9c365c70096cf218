//! Finding a generation's bytes again in another file: a compressed form
//! (gzip, xz, zstd) or a copy. A file is the generation's if its content
//! begins with the generation's head and holds the last recorded range at its
//! place; what follows is the tail that was never read under the old name.

use std::{
    fs::File,
    io::{Seek, SeekFrom},
    time::Instant,
};

use provenance_core::encoding::digest::{Digest, Hasher};
use provenance_host::decompress::{Content, Limits, Packing};

use crate::generation::{Generation, Range};

/// What a probe found out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The generation's bytes; the range is the tail, if there is any.
    Same(Option<Range>),
    /// Cut short or not decodable so far: it may still be being written.
    Short,
    Other,
    /// Time or budget is used up: to be continued.
    Unfinished,
}

/// A comparison of a file's content with what was recorded of a generation.
/// It can be put down and taken up again between collects.
pub(super) struct Probe {
    content: Content,
    at: u64,
    to: u64,
    /// Each recorded range that is compared, and what is hashed of it so far.
    checks: Vec<(Range, Hasher)>,
    tail: Hasher,
    /// Whether the rest behind the checks is wanted.
    whole: bool,
}

impl Probe {
    /// Over a file's whole content; `None` for a generation without bytes,
    /// which nothing could be told by.
    pub(super) fn whole(file: File, packing: Packing, of: &Generation) -> Option<Self> {
        let (head, last) = (of.head?, of.last?);
        let mut checks = vec![(head, Hasher::new())];
        if last != head {
            checks.push((last, Hasher::new()));
        }
        let content = Content::new(file, packing, Limits::DAEMON);
        Some(Self { content, at: 0, to: of.to, checks, tail: Hasher::new(), whole: true })
    }

    /// Over the head alone.
    pub(super) fn head(file: File, packing: Packing, of: &Generation) -> Option<Self> {
        let head = of.head?;
        let content = Content::new(file, packing, Limits::DAEMON);
        let checks = vec![(head, Hasher::new())];
        Some(Self { content, at: 0, to: head.to, checks, tail: Hasher::new(), whole: false })
    }

    /// Reads on until there is a verdict, or `allowance` bytes or the time are
    /// used up. Gives back how many bytes were read.
    pub(super) fn run(
        &mut self,
        buffer: &mut [u8],
        allowance: u64,
        deadline: Instant,
    ) -> (Verdict, u64) {
        let start = self.at;
        loop {
            let verdict = self.step(buffer);
            let read = self.at - start;
            match verdict {
                Some(verdict) => return (verdict, read),
                None if read >= allowance || Instant::now() >= deadline => {
                    return (Verdict::Unfinished, read);
                }
                None => {}
            }
        }
    }

    fn step(&mut self, buffer: &mut [u8]) -> Option<Verdict> {
        let want = self.next_stop().saturating_sub(self.at).min(buffer.len() as u64);
        let window = buffer.get_mut(..usize::try_from(want).unwrap_or(usize::MAX))?;
        let count = match self.content.read(window) {
            Ok(count) => count,
            Err(_) => return Some(Verdict::Short),
        };
        if count == 0 {
            return Some(self.at_end());
        }
        let bytes = window.get(..count).unwrap_or_default();
        for (range, hasher) in &mut self.checks {
            if (range.from..range.to).contains(&self.at) {
                hasher.update(bytes);
            }
        }
        if self.at >= self.to {
            self.tail.update(bytes);
        }
        self.at += count as u64;
        self.judge()
    }

    /// Reads end where a range begins or ends, so that a piece belongs to a
    /// range wholly or not at all. A plain file is not read where nothing is
    /// compared.
    fn next_stop(&mut self) -> u64 {
        let at = self.at;
        let edges = self.checks.iter().flat_map(|(range, _)| [range.from, range.to]);
        let stop = edges.chain([self.to]).filter(|edge| *edge > at).min().unwrap_or(u64::MAX);
        let compared = self.checks.iter().any(|(range, _)| (range.from..range.to).contains(&at));
        match &mut self.content {
            Content::Plain(file) if !compared && stop < u64::MAX => {
                // Behind the end, the next read says that the file is short.
                if file.seek(SeekFrom::Start(stop)).is_ok() {
                    self.at = stop;
                    return self.next_stop();
                }
                stop
            }
            _ => stop,
        }
    }

    fn judge(&mut self) -> Option<Verdict> {
        let at = self.at;
        let due = self.checks.iter().filter(|(range, _)| range.to == at);
        let mut due = due.map(|(range, hasher)| hasher.clone().finish() == range.sha256);
        if due.any(|same| !same) {
            return Some(Verdict::Other);
        }
        (at == self.to && !self.whole).then_some(Verdict::Same(None))
    }

    fn at_end(&mut self) -> Verdict {
        if self.at < self.to {
            return Verdict::Short;
        }
        let sha256: Digest = std::mem::take(&mut self.tail).finish();
        let tail = Range { from: self.to, to: self.at, sha256 };
        Verdict::Same((tail.to > tail.from).then_some(tail))
    }
}
