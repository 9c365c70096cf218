//! Where the bytes of each generation are now. The chain may be older than
//! the last rotation: a file is told by its content, never by its name alone.
//!
//! 1. The file at the recorded place, if its head and witness are those of
//!    the chain; else
//! 2. any file beside it whose name rotation may have made, if they are; else
//! 3. where the chain says that the file is still there, the best of what is
//!    left and is nobody else's: it was changed, and how is found out when it
//!    is read.

use std::collections::{BTreeMap, BTreeSet};

use provenance_core::encoding::file_uri;
use provenance_host::decompress::Packing;
use rustix::io::Errno;

use super::{
    chain_index::{ChainIndex, Generation, SoughtRange},
    file_stream::{ReadBuffer, Stream},
    root_dir::{FileId, Opened, Refused, Root},
};

/// So few bytes tell no file that the chain does not name.
const MIN_EVIDENCE: u64 = 64;
/// So many first bytes tell a compressed file without its being decoded to
/// the witness.
const AMPLE_HEAD: u64 = 1024;

/// A generation that is to be read again, and where it is.
pub(super) struct Target<'s> {
    pub src: &'s str,
    pub generation: &'s Generation,
    pub wanted: SoughtRange,
    pub place: ResolvedLocation,
}

/// Where the bytes of a generation are.
#[derive(Clone, Debug)]
pub(super) enum ResolvedLocation {
    /// In this file.
    File(Found),
    /// Nowhere, as the chain says.
    Gone,
    /// Not where the chain says, and nowhere else; what stands there.
    Missing(Option<&'static str>),
    /// This file cannot be opened.
    Unreadable(Vec<u8>, Errno),
}

/// A file that holds a generation's bytes, or should.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub path: Vec<u8>,
    pub packing: Packing,
    pub id: FileId,
    /// The size on disk.
    pub size: u64,
}

/// How far a file's content is a generation's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Match {
    None,
    Part,
    Full,
}

/// Looks for every generation of which something is wanted.
pub(super) fn find<'s>(
    root: &Root,
    survey: &'s ChainIndex,
    desk: &mut ReadBuffer<'_>,
) -> Vec<Target<'s>> {
    let mut finder = Finder { root, desk, claimed: BTreeSet::new(), names: BTreeMap::new() };
    let mut searches: Vec<_> =
        survey.files.iter().flat_map(|(src, generations)| searches(src, generations)).collect();
    for search in &mut searches {
        finder.at_place(search);
    }
    for search in searches.iter_mut().filter(|search| !search.is_done()) {
        finder.around(search);
    }
    let settle = |search: Search<'s>| {
        let place = finder.settle(&search);
        let Search { src, generation, wanted, .. } = search;
        Target { src, generation, wanted, place }
    };
    searches.into_iter().map(settle).collect()
}

/// The search for one generation.
struct Search<'s> {
    src: &'s str,
    path: Vec<u8>,
    generation: &'s Generation,
    wanted: SoughtRange,
    /// The inodes that the source's files had.
    inodes: Vec<u64>,
    /// Directories in which the source's files were.
    dirs: BTreeSet<Vec<u8>>,
    /// The best so far.
    best: Option<(Match, Found)>,
    refused: Option<Refused>,
}

fn searches<'s>(src: &'s String, generations: &'s [Generation]) -> Vec<Search<'s>> {
    let Some(path) = file_uri::decode(src) else { return Vec::new() };
    let places = generations.iter().filter_map(|one| one.path(&path));
    let dirs: BTreeSet<_> =
        places.chain([path.as_slice()]).map(|path| split(path).0.to_vec()).collect();
    let inodes: Vec<_> = generations.iter().filter_map(|one| one.ino).collect();
    let wanted = generations.iter().filter_map(|one| Some((one, one.wanted?)));
    wanted
        .map(|(generation, wanted)| Search {
            src,
            path: path.clone(),
            generation,
            wanted,
            inodes: inodes.clone(),
            dirs: dirs.clone(),
            best: None,
            refused: None,
        })
        .collect()
}

impl Search<'_> {
    fn is_done(&self) -> bool {
        matches!(self.best, Some((Match::Full, _)))
    }
}

struct Finder<'f, 'd> {
    root: &'f Root,
    desk: &'f mut ReadBuffer<'d>,
    /// Files that were told to be some generation's.
    claimed: BTreeSet<FileId>,
    names: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
}

impl Finder<'_, '_> {
    /// The file at the recorded place.
    fn at_place(&mut self, search: &mut Search<'_>) {
        let Some(path) = search.generation.path(&search.path) else { return };
        match self.root.file(path, &search.inodes) {
            Ok(opened) => {
                let (found, same) = self.compare(path, opened, (&search.path, search.generation));
                if same == Match::Full {
                    self.claimed.insert(found.id);
                }
                search.best = Some((same, found));
            }
            Err(refused) => search.refused = Some(refused),
        }
    }

    /// The files whose names rotation may have made.
    fn around(&mut self, search: &mut Search<'_>) {
        let one = search.generation;
        let place = one.path(&search.path);
        let evidence = [one.head, one.witness].into_iter().flatten();
        if place.is_none()
            && evidence.map(|piece| piece.to - piece.from).sum::<u64>() < MIN_EVIDENCE
        {
            return;
        }
        for candidate in self.candidates(search) {
            if place == Some(&candidate) {
                continue;
            }
            let Ok(opened) = self.root.file(&candidate, &search.inodes) else { continue };
            if self.claimed.contains(&opened.id) {
                continue;
            }
            let (found, same) = self.compare(&candidate, opened, (&search.path, one));
            let best = search.best.as_ref().map_or(Match::None, |(best, _)| *best);
            if same > best {
                search.best = Some((same, found.clone()));
            }
            if same == Match::Full {
                self.claimed.insert(found.id);
                return;
            }
        }
    }

    fn candidates(&mut self, search: &Search<'_>) -> Vec<Vec<u8>> {
        let place = search.generation.path(&search.path).map(|path| split(path).1);
        let mut candidates = Vec::new();
        for dir in &search.dirs {
            if !self.names.contains_key(dir) {
                self.names.insert(dir.clone(), self.root.names(dir));
            }
            let names = self.names.get(dir).into_iter().flatten();
            for name in names.filter(|name| {
                is_derived(name, stem(split(&search.path).1))
                    || place.is_some_and(|place| is_derived(name, place))
            }) {
                candidates.push([dir.as_slice(), b"/", name].concat());
            }
        }
        candidates
    }

    /// What is left where nothing matches wholly.
    fn settle(&self, search: &Search<'_>) -> ResolvedLocation {
        match &search.best {
            Some((Match::Full, found)) => return ResolvedLocation::File(found.clone()),
            _ if search.generation.path(&search.path).is_none() => return ResolvedLocation::Gone,
            Some((_, found)) if !self.claimed.contains(&found.id) => {
                return ResolvedLocation::File(found.clone());
            }
            _ => {}
        }
        match search.refused {
            Some(Refused::Failed(errno)) => {
                let place = search.generation.path(&search.path).unwrap_or_default();
                ResolvedLocation::Unreadable(place.to_vec(), errno)
            }
            Some(Refused::Other(what)) => ResolvedLocation::Missing(Some(what)),
            _ if search.best.is_some() => {
                ResolvedLocation::Missing(Some("the file of another time"))
            }
            Some(Refused::Absent) | None => ResolvedLocation::Missing(None),
        }
    }

    /// A file's content, as it is and, where the name says that it is
    /// compressed, decoded too: a log may be watched that was compressed all
    /// along.
    fn compare(
        &mut self,
        path: &[u8],
        opened: Opened,
        (src, one): (&[u8], &Generation),
    ) -> (Found, Match) {
        let Opened { file, id, size } = opened;
        let found = |packing| Found { path: path.to_vec(), packing, id, size };
        let named = Packing::of(path);
        let mut plain = Stream::Plain(file);
        let as_is = self.rate(&mut plain, one, false);
        if as_is == Match::Full || named == Packing::Plain {
            return (found(Packing::Plain), as_is);
        }
        let Stream::Plain(file) = plain else { return (found(named), as_is) };
        let ample = one.head.is_some_and(|head| head.from == 0 && head.to >= AMPLE_HEAD);
        let decoded = self.rate(&mut Stream::new(file, named), one, ample);
        // Where neither is it, rotation has compressed what was no such file.
        match as_is > decoded || decoded == Match::None && Packing::of(src) == named {
            true => (found(Packing::Plain), as_is),
            false => (found(named), decoded),
        }
    }

    /// How far a stream is the generation's; where the head is ample, only by
    /// that.
    fn rate(&mut self, stream: &mut Stream, one: &Generation, ample: bool) -> Match {
        let Some(head) = one.head else { return Match::None };
        let mut holds = |piece| stream.digest(piece, self.desk).ok() == Some(piece.sha256);
        let begins = holds(head);
        let ends = match one.witness {
            Some(_) if begins && ample => true,
            Some(witness) => holds(witness),
            None => begins,
        };
        match (begins, ends) {
            (true, true) => Match::Full,
            (false, false) => Match::None,
            _ => Match::Part,
        }
    }
}

/// Directory and name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

/// What a name and all that rotation makes of it begin with: the name without
/// its extension, and without the numbers, dates and endings that rotation
/// itself has put there before.
fn stem(name: &[u8]) -> &[u8] {
    let packed = [&b".gz"[..], b".xz", b".zst"];
    let name = packed.iter().find_map(|ending| name.strip_suffix(*ending)).unwrap_or(name);
    let name = without_number(name);
    let dot = name.iter().skip(1).rposition(|byte| *byte == b'.');
    without_number(dot.and_then(|at| name.get(..at + 1)).unwrap_or(name))
}

/// `app.log.1` and `app.log-20261121` without what stands behind `log`.
fn without_number(name: &[u8]) -> &[u8] {
    let is_name = |byte: &u8| !byte.is_ascii_digit() && !matches!(byte, b'.' | b'-' | b'_');
    match (name.last(), name.iter().rposition(is_name)) {
        (Some(last), Some(end)) if last.is_ascii_digit() => {
            let rest = name.get(end + 1..).unwrap_or_default();
            let separated = rest.first().is_some_and(|first| !first.is_ascii_digit());
            if separated { name.get(..end + 1).unwrap_or(name) } else { name }
        }
        _ => name,
    }
}

/// Whether rotation may have made `name` from a name that begins with `stem`.
fn is_derived(name: &[u8], stem: &[u8]) -> bool {
    let rest = name.strip_prefix(stem);
    rest.is_some_and(|rest| rest.first().is_none_or(|next| !next.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_rotation_makes_are_candidates() {
        for (src, name, derived) in [
            ("app.log", "app.log", true),
            ("app.log", "app.log.1", true),
            ("app.log", "app.log-20261121.gz", true),
            ("app.log", "app-20261121.log", true),
            ("app.log", "app.1.log.xz", true),
            ("app.log", "application.log", false),
            ("syslog", "syslog.2.zst", true),
            (".hidden", ".hidden.1", true),
            ("app.log", "other.log", false),
            ("syslog.2.gz", "syslog.3.gz", true),
            ("dpkg.log.1", "dpkg.log.2.gz", true),
            ("app-20261121.log", "app-20261121.log.xz", true),
            ("node1", "node2", false),
            ("node-1.log", "node-1.log.1", true),
        ] {
            assert_eq!(is_derived(name.as_bytes(), stem(src.as_bytes())), derived, "{src} {name}");
        }
        assert_eq!(split(b"/var/log/a"), (&b"/var/log"[..], &b"a"[..]));
        assert_eq!(split(b"/a"), (&b""[..], &b"a"[..]));
    }
}
