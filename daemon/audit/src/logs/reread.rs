//! The second pass: every recorded range is read again from where its bytes
//! are now. Plain files are read at any place; compressed ones only forward,
//! each from its first range to its last, so many at a time as memory allows.

use std::{collections::HashMap, io};

use provenance_core::{
    record::{chain::Tick, log_entry::What},
    report::Report,
};
use provenance_host::{chain_files::ChainFile, decompress::Packing};

use super::{
    Options,
    candidates::{Found, ResolvedLocation, Target},
    chain_index::{ChainIndex, RecordedRange, SoughtRange},
    directory_walk::{At, Line, Start, walk},
    file_stream::{ReadBuffer, ReadError, Stream},
    modified_ranges::{Difference, Differences, Kind},
    root_dir::{Refused, Root},
};

/// How many plain files are open at a time.
const MAX_OPEN: usize = 128;
/// What the decoders of one walk may weigh at a time, in units of 64 KiB.
const MAX_WEIGHT: u32 = 512;

/// One generation while it is read.
struct Reading<'s> {
    found: Found,
    wanted: SoughtRange,
    /// The source's inodes need not be known here: the file's own is.
    inode: [u64; 1],
    /// In which walk it is read.
    walk: usize,
    stream: Option<Stream>,
    /// When it was last read, to close what was not for long.
    used: u64,
    /// No later range can be read.
    lost: Option<Lost>,
    differences: Differences<'s>,
}

/// Why no later range of a file can be read.
enum Lost {
    Damaged(String),
    Unread(String),
}

/// Reads what was found, and reports what differs.
///
/// # Errors
/// As reading the chain.
pub(super) fn reread(
    files: &[ChainFile],
    root: &Root,
    survey: &ChainIndex,
    targets: &[Target<'_>],
    options: &Options<'_>,
    desk: &mut ReadBuffer<'_>,
    report: &mut Report,
) -> io::Result<()> {
    let mut readings: Vec<_> = targets.iter().filter_map(Reading::new).collect();
    let walks = plan(&mut readings);
    let numbered = readings.iter().enumerate();
    let index: HashMap<_, _> =
        numbered.map(|(at, reading)| (reading.differences.key(), (at, reading.walk))).collect();
    let mut pass = Pass { root, desk, report, readings: &mut readings, open: Vec::new(), clock: 0 };
    for (number, (start, end)) in walks.into_iter().enumerate() {
        let each = |at: At, tick: &Tick<'_>| {
            let wanted = options.wants(at.time);
            for entry in tick.logs.iter().filter(|_| wanted) {
                let What::Range { from, to, sha256 } = entry.what else { continue };
                let reading = index.get(&(entry.src.as_ref(), entry.generation));
                if let Some((reading, _)) = reading.filter(|(_, walk)| *walk == number) {
                    pass.range(*reading, at, RecordedRange { from, to, sha256 });
                }
            }
        };
        walk(files, start, Some(end.min(survey.end)), |_| {}, each)?;
    }
    for reading in &mut readings {
        reading.differences.flush(report);
    }
    Ok(())
}

impl<'s> Reading<'s> {
    fn new(target: &Target<'s>) -> Option<Self> {
        let ResolvedLocation::File(found) = &target.place else { return None };
        let vouched = target.generation.place != super::chain_index::RecordedLocation::Gone;
        Some(Self {
            found: found.clone(),
            wanted: target.wanted,
            inode: [found.id.ino],
            walk: 0,
            stream: None,
            used: 0,
            lost: None,
            differences: Differences::new(
                target.src,
                target.generation.number,
                &found.path,
                vouched,
            ),
        })
    }

    /// What an open decoder weighs, in 64 KiB.
    fn weight(&self) -> u32 {
        match self.found.packing {
            Packing::Plain => 0,
            Packing::Gzip => 2,
            Packing::Zstd => 64,
            Packing::Xz => 128,
        }
    }
}

/// A walk over a part of the chain.
struct Span {
    start: Start,
    end: Line,
    /// The decoders that are open: until which line, and their weights.
    open: Vec<(Line, u32)>,
}

/// Shares the readings out among walks over the chain, so that no walk has
/// too many decoders open at a time; gives each walk's span. One is enough
/// unless many compressed files overlap in time.
fn plan(readings: &mut [Reading<'_>]) -> Vec<(Start, Line)> {
    let mut order: Vec<_> = readings.iter_mut().collect();
    order.sort_by_key(|reading| reading.wanted.start.line);
    let mut spans: Vec<Span> = Vec::new();
    for reading in order {
        let SoughtRange { start, end, .. } = reading.wanted;
        let weight = reading.weight();
        let fits = spans.iter_mut().position(|span| {
            span.open.retain(|(end, _)| *end >= start.line);
            let sum: u32 = span.open.iter().map(|(_, weight)| weight).sum();
            sum == 0 || weight == 0 || sum + weight <= MAX_WEIGHT
        });
        reading.walk = fits.unwrap_or(spans.len());
        if fits.is_none() {
            spans.push(Span { start, end, open: Vec::new() });
        }
        if let Some(span) = spans.get_mut(reading.walk) {
            span.end = span.end.max(end);
            span.open.extend((weight > 0).then_some((end, weight)));
        }
    }
    spans.into_iter().map(|span| (span.start, span.end)).collect()
}

struct Pass<'p, 'd, 's> {
    root: &'p Root,
    desk: &'p mut ReadBuffer<'d>,
    report: &'p mut Report,
    readings: &'p mut [Reading<'s>],
    /// The plain files that are open.
    open: Vec<usize>,
    clock: u64,
}

impl Pass<'_, '_, '_> {
    fn range(&mut self, index: usize, at: At, piece: RecordedRange) {
        let Some(reading) = self.readings.get_mut(index) else { return };
        let was_open = reading.stream.is_some();
        self.clock += 1;
        reading.used = self.clock;
        let kind = reading.check(self.root, piece, self.desk);
        if !matches!(kind, Some((Kind::Unread(_), _))) {
            self.report.checked("log ranges", 1);
        }
        if matches!(kind, None | Some((Kind::Changed(_), _))) {
            self.report.checked("log bytes", piece.to - piece.from);
        }
        let difference = kind.map(|(kind, from)| Difference::new(kind, from, at, piece));
        reading.differences.add(difference, self.report);
        if at.line >= reading.wanted.end {
            reading.stream = None;
            self.open.retain(|open| *open != index);
        } else if !was_open && reading.found.packing == Packing::Plain {
            self.opened(index);
        }
    }

    /// Closes the file that was not read for longest where too many are open.
    fn opened(&mut self, index: usize) {
        self.open.push(index);
        if self.open.len() <= MAX_OPEN {
            return;
        }
        let used = |at: &usize| self.readings.get(*at).map(|reading| reading.used);
        let oldest = (0..self.open.len()).min_by_key(|at| self.open.get(*at).and_then(used));
        let oldest = oldest.map(|at| self.open.swap_remove(at));
        if let Some(reading) = oldest.and_then(|at| self.readings.get_mut(at)) {
            reading.stream = None;
        }
    }
}

impl Reading<'_> {
    /// What is wrong with a range, and from which byte on.
    fn check(
        &mut self,
        root: &Root,
        piece: RecordedRange,
        desk: &mut ReadBuffer<'_>,
    ) -> Option<(Kind, u64)> {
        match &self.lost {
            Some(Lost::Damaged(why)) => return Some((Kind::Damaged(why.clone()), piece.from)),
            Some(Lost::Unread(why)) => return Some((Kind::Unread(why.clone()), piece.from)),
            None => {}
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => match open(root, &self.found, &self.inode) {
                Ok(stream) => self.stream.insert(stream),
                Err(why) => return Some((self.lose(why), piece.from)),
            },
        };
        match stream.digest(piece, desk) {
            Ok(sha256) if sha256 == piece.sha256 => None,
            Ok(sha256) => Some((Kind::Changed(sha256), piece.from)),
            Err(ReadError::Short(size)) => {
                Some((Kind::Cut(size), size.clamp(piece.from, piece.to)))
            }
            Err(ReadError::Damaged(at, error)) => {
                let why = format!("behind byte {at}: {error}");
                self.lost = Some(Lost::Damaged(why.clone()));
                Some((Kind::Damaged(why), piece.from))
            }
            Err(ReadError::Unread(error)) => Some((self.lose(error.to_string()), piece.from)),
        }
    }

    fn lose(&mut self, why: String) -> Kind {
        self.lost = Some(Lost::Unread(why.clone()));
        Kind::Unread(why)
    }
}

fn open(root: &Root, found: &Found, inode: &[u64]) -> Result<Stream, String> {
    match root.file(&found.path, inode) {
        Ok(opened) if opened.id == found.id => Ok(Stream::new(opened.file, found.packing)),
        Ok(_) | Err(Refused::Absent | Refused::Other(_)) => {
            Err("it was rotated or replaced while this ran; run it again".into())
        }
        Err(Refused::Failed(errno)) => Err(io::Error::from(errno).to_string()),
    }
}
