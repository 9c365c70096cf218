//! The ZIP file as anybody may have made it, held against the one form that
//! packets have (docs/format.md §13.1). Nothing of it is trusted: each header
//! is made again from what it says and compared byte for byte.

use std::io::{self, Read};

use flate2::{Crc, read::DeflateDecoder};
use provenance_core::{
    encoding::digest::{Digest, Hasher},
    packet::{
        self,
        zip::{self, Entry, Method},
    },
    report::{Code, Finding, Location, Report},
};

use crate::{Source, VerifyError, read_exact_at};

/// All files together are at most so long.
const MAX_CONTENT: u64 = 64 << 30;
/// The headers of all files are at most so long.
const MAX_HEADERS: u32 = 64 << 20;
/// RFC 1951 makes at most so many bytes of one.
const MAX_RATIO: u64 = 1032;

/// What comes behind all other files.
pub(super) const OWN: [&str; 3] = [packet::MANIFEST, packet::SIGNATURE, packet::SIGSTORE];

/// A packet whose headers are in order.
pub(super) struct Archive<'a> {
    file: &'a dyn Source,
    /// By name.
    pub(super) entries: Vec<Entry>,
}

/// What a file's bytes turned out to be.
pub(super) struct Sums {
    pub(super) sha256: Digest,
    pub(super) packed: Digest,
}

impl<'s> Archive<'s> {
    /// Opens the packet; `None` where it is none, which is a finding.
    pub(super) fn open(
        file: &'s dyn Source,
        report: &mut Report,
    ) -> Result<Option<Self>, VerifyError> {
        let length = file.length()?;
        match Self::read(file, length) {
            Ok(archive) => Ok(Some(archive)),
            Err(Defect::Io(error)) => Err(error.into()),
            Err(Defect::Found(findings)) => {
                findings.into_iter().for_each(|finding| report.add_finding(finding));
                Ok(None)
            }
        }
    }

    fn read(file: &'s dyn Source, length: u64) -> Result<Self, Defect> {
        let found = |what: &str, from: u64, to: u64| Err(Defect::at("", what, (from, to)));
        if length >= zip::MAX_BYTES || length < zip::END as u64 {
            return found("its length is that of no packet", 0, length);
        }
        let last = length - zip::END as u64;
        let mut end = [0; zip::END];
        read_exact_at(file, &mut end, last)?;
        let Some((count, headers, offset)) = zip::read_end(&end) else {
            return found("it does not end as a packet does", last, length);
        };
        if u64::from(offset) + u64::from(headers) != last || headers > MAX_HEADERS {
            return found("the headers are not where its end says", last, length);
        }
        let mut bytes = vec![0; headers as usize];
        read_exact_at(file, &mut bytes, offset.into())?;
        let (mut entries, mut rest, mut due) = (Vec::<Entry>::new(), &bytes[..], 0u64);
        let mut content = 0;
        while !rest.is_empty() {
            let at = last - rest.len() as u64;
            let Some((entry, behind)) = Entry::read_central(rest) else {
                return found("a header is not of a packet's form", at, last);
            };
            let span = (at, last - behind.len() as u64);
            let fail = |what: &str| Err(Defect::at(&entry.name, what, span));
            if !packet::is_safe_name(&entry.name) {
                return Err(Defect::at("", "a file's name is no plain path", span));
            }
            if u64::from(entry.offset) != due {
                return fail("the file does not begin where the one before it ends");
            }
            let (packed, size) = (u64::from(entry.packed), u64::from(entry.bytes));
            let possible = match entry.method {
                Method::Stored => size == packed,
                Method::Deflated => size <= packed.saturating_mul(MAX_RATIO),
            };
            content += size;
            if !possible || content > MAX_CONTENT {
                return fail("the file claims more bytes than can be in it");
            }
            due = entry.end();
            if due > offset.into() {
                return fail("the file reaches into the headers");
            }
            let local = entry.local();
            let mut header = vec![0; local.len()];
            read_exact_at(file, &mut header, entry.offset.into())?;
            if header != local {
                // One of the two was changed; nothing tells which.
                let from = u64::from(entry.offset);
                let before = (from, from + local.len() as u64);
                return Err(Defect::Found(
                    [before, span]
                        .into_iter()
                        .flat_map(|span| Defect::at(&entry.name, TWO_HEADERS, span).findings())
                        .collect(),
                ));
            }
            entries.push(entry);
            rest = behind;
        }
        if due != u64::from(offset) || entries.len() != count {
            return found(
                "there are bytes between the files and their headers, or more files",
                due,
                last,
            );
        }
        ordered(&entries, offset.into())?;
        Ok(Self { file, entries })
    }

    /// The place of the file of this name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        if OWN.contains(&name) {
            return self.entries.iter().rposition(|entry| entry.name == name);
        }
        let others = self.entries.partition_point(|entry| !OWN.contains(&&*entry.name));
        let others = self.entries.get(..others)?;
        others.binary_search_by(|entry| entry.name.as_str().cmp(name)).ok()
    }

    /// A reader of the file's content.
    pub(super) fn content<'a>(&'a self, entry: &'a Entry) -> Content<'a> {
        let (at, end) = (entry.start(), entry.end());
        let packed = Packed { file: self.file, at, end, hasher: Hasher::new() };
        let body = match entry.method {
            Method::Stored => Body::Stored(packed),
            Method::Deflated => Body::Deflated(DeflateDecoder::new(packed)),
        };
        Content { entry, body, hasher: Hasher::new(), crc: Crc::new(), count: 0 }
    }

    /// The content of a file of at most `limit` bytes.
    pub(super) fn read_whole(
        &self,
        entry: &Entry,
        limit: u64,
        report: &mut Report,
    ) -> Result<Option<(Vec<u8>, Sums)>, VerifyError> {
        if u64::from(entry.bytes) > limit {
            let what = format!("the file is over its limit of {limit} bytes");
            report.add_finding(Finding::new(
                Code::PacketMalformed,
                Location::file(&entry.name),
                what,
            ));
            return Ok(None);
        }
        let (mut content, mut bytes) = (self.content(entry), vec![]);
        let read = content.read_to_end(&mut bytes);
        let sums = content.finish(read.map(|_| ()), report)?;
        Ok(sums.map(|sums| (bytes, sums)))
    }
}

/// The files are in the order of their names, none twice; the manifest and
/// its signatures come last.
fn ordered(entries: &[Entry], end: u64) -> Result<(), Defect> {
    let rank = |name: &str| OWN.iter().position(|own| *own == name).map_or(0, |at| at + 1);
    for pair in entries.windows(2) {
        let [a, b] = pair else { continue };
        let (before, behind) = (rank(&a.name), rank(&b.name));
        if before > behind || before == behind && a.name >= b.name {
            let span = (u64::from(b.offset), end);
            return Err(Defect::at(&b.name, "the file is out of order, or there twice", span));
        }
    }
    Ok(())
}

enum Defect {
    Io(io::Error),
    Found(Vec<Finding>),
}

const TWO_HEADERS: &str =
    "the file's header before its content and that in the list of files are not alike";

impl Defect {
    fn findings(self) -> Vec<Finding> {
        match self {
            Self::Found(findings) => findings,
            Self::Io(_) => vec![],
        }
    }

    fn at(name: &str, what: &str, bytes: (u64, u64)) -> Self {
        let file = (!name.is_empty()).then(|| name.to_owned());
        let place = Location { file, bytes: Some(bytes), ..Location::default() };
        Self::Found(vec![Finding::new(Code::PacketContainer, place, what)])
    }
}

impl From<io::Error> for Defect {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // It became shorter while it was read.
            io::ErrorKind::UnexpectedEof => Self::at("", "it ends too early", (0, 0)),
            _ => Self::Io(error),
        }
    }
}

/// The bytes of a file as they lie in the ZIP file.
struct Packed<'a> {
    file: &'a dyn Source,
    at: u64,
    end: u64,
    hasher: Hasher,
}

impl Read for Packed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let Some(into) = buffer.get_mut(..left).filter(|into| !into.is_empty()) else {
            return Ok(0);
        };
        let count = self.file.read_at(into, self.at)?;
        self.hasher.update(into.get(..count).unwrap_or_default());
        self.at += count as u64;
        Ok(count)
    }
}

enum Body<'a> {
    Stored(Packed<'a>),
    Deflated(DeflateDecoder<Packed<'a>>),
}

/// A file's content being read; never more of it than its header says.
pub(super) struct Content<'a> {
    entry: &'a Entry,
    body: Body<'a>,
    hasher: Hasher,
    crc: Crc,
    count: u64,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.body {
            Body::Stored(packed) => packed.read(buffer)?,
            Body::Deflated(decoder) => decoder.read(buffer)?,
        };
        self.count += count as u64;
        if self.count > u64::from(self.entry.bytes) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "more bytes than it claims"));
        }
        let bytes = buffer.get(..count).unwrap_or_default();
        self.hasher.update(bytes);
        self.crc.update(bytes);
        Ok(count)
    }
}

impl Content<'_> {
    /// Reads what is left, and tells whether all was as the header says.
    pub(super) fn finish(
        mut self,
        read: io::Result<()>,
        report: &mut Report,
    ) -> Result<Option<Sums>, VerifyError> {
        let read = read.and_then(|()| {
            let mut buffer = vec![0; 64 << 10];
            while self.read(&mut buffer)? > 0 {}
            Ok(())
        });
        let place = Location {
            file: Some(self.entry.name.clone()),
            bytes: Some((self.entry.start(), self.entry.end())),
            ..Location::default()
        };
        let mut found = |what: String| {
            report.add_finding(Finding::new(Code::PacketDigest, place.clone(), what));
            Ok(None)
        };
        match read {
            Err(error) if is_content(&error) => {
                return found(format!("the content cannot be unpacked: {error}"));
            }
            Err(error) => return Err(error.into()),
            Ok(()) => {}
        }
        let (used, mut packed) = match self.body {
            Body::Stored(packed) => (self.count, packed),
            Body::Deflated(decoder) => (decoder.total_in(), decoder.into_inner()),
        };
        // What the decoder had no use for is hashed too.
        io::copy(&mut packed, &mut io::sink())?;
        if used != u64::from(self.entry.packed) || self.count != u64::from(self.entry.bytes) {
            return found("its length is not the one that its header says".into());
        }
        if self.crc.sum() != self.entry.crc {
            return found("its checksum is not the one that its header says".into());
        }
        Ok(Some(Sums { sha256: self.hasher.finish(), packed: packed.hasher.finish() }))
    }
}

/// Whether it is the content that is wrong, and not the disk.
fn is_content(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}
