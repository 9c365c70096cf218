//! The ZIP file in the making. Every byte of it is fixed by docs/format.md
//! §13.1; a library's writer would leave some of them to its version.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
};

use flate2::{Compression, Crc, write::DeflateEncoder};
use provenance_core::{
    encoding::digest::{Digest, Hasher},
    packet::zip::{self, Entry, Method},
};

use crate::error::ServiceError;

/// Writes files one behind the other and keeps what the headers need.
pub(super) struct Zip {
    file: BufWriter<File>,
    entries: Vec<Entry>,
    /// Name, digest, digest of the bytes as they lie in the file.
    pub(super) files: Vec<(String, Digest, Digest)>,
    name: String,
}

/// What is written to here lies in the ZIP file.
struct Packed<'a> {
    file: &'a mut BufWriter<File>,
    hasher: Hasher,
    count: u64,
}

impl Write for Packed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.count += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Zip {
    pub(super) fn create(path: &Path) -> Result<Self, ServiceError> {
        let name = path.display().to_string();
        let file = File::create_new(path).map_err(ServiceError::io(name.clone()))?;
        Ok(Self { file: BufWriter::new(file), entries: vec![], files: vec![], name })
    }

    /// A file of these bytes, as they are.
    pub(super) fn stored(&mut self, name: &str, bytes: &[u8]) -> Result<(), ServiceError> {
        self.add(name, Method::Stored, |sink| sink(bytes))
    }

    /// A file with what `fill` hands over, deflated.
    pub(super) fn deflated(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut Sink<'_>) -> Result<(), ServiceError>,
    ) -> Result<(), ServiceError> {
        self.add(name, Method::Deflated, fill)
    }

    /// A copy of a file, deflated.
    pub(super) fn copy(&mut self, name: &str, path: &Path) -> Result<(), ServiceError> {
        let what = || format!("cannot read {}", path.display());
        let mut source = File::open(path).map_err(ServiceError::io(what()))?;
        self.deflated(name, |sink| {
            let mut buffer = vec![0; 128 << 10];
            loop {
                let count = source.read(&mut buffer).map_err(ServiceError::io(what()))?;
                match buffer.get(..count) {
                    Some(bytes) if !bytes.is_empty() => sink(bytes)?,
                    _ => return Ok(()),
                }
            }
        })
    }

    fn add(
        &mut self,
        name: &str,
        method: Method,
        fill: impl FnOnce(&mut Sink<'_>) -> Result<(), ServiceError>,
    ) -> Result<(), ServiceError> {
        if self.entries.len() >= zip::MAX_ENTRIES {
            return Err(too_large());
        }
        let offset = self.entries.last().map_or(0, Entry::end);
        let offset = u32::try_from(offset).map_err(|_| too_large())?;
        let name = name.to_owned();
        let mut entry = Entry { name, method, crc: 0, packed: 0, bytes: 0, offset };
        let failed = || ServiceError::io(format!("cannot write {}", self.name));
        self.file.write_all(&entry.local()).map_err(failed())?;
        let (content, sha256, packed, packed_sha256) = pack(&mut self.file, method, fill)?;
        (entry.crc, entry.bytes) = content;
        entry.packed = packed;
        if entry.end() >= zip::MAX_BYTES {
            return Err(too_large());
        }
        // Sizes and checksum are known now.
        self.file
            .seek(SeekFrom::Start(u64::from(offset)))
            .and_then(|_| self.file.write_all(&entry.local()))
            .and_then(|()| self.file.seek(SeekFrom::Start(entry.end())))
            .map_err(failed())?;
        self.files.push((entry.name.clone(), sha256, packed_sha256));
        self.entries.push(entry);
        Ok(())
    }

    /// The headers of all files, and the end. The file is fsynced.
    pub(super) fn finish(mut self) -> Result<(), ServiceError> {
        let offset = self.entries.last().map_or(0, Entry::end);
        let mut length = 0u64;
        let failed = || ServiceError::io(format!("cannot write {}", self.name));
        for entry in &self.entries {
            let header = entry.central();
            length += header.len() as u64;
            self.file.write_all(&header).map_err(failed())?;
        }
        if offset + length + zip::END as u64 >= zip::MAX_BYTES {
            return Err(too_large());
        }
        let (offset, length) = (u32::try_from(offset), u32::try_from(length));
        let (Ok(offset), Ok(length)) = (offset, length) else { return Err(too_large()) };
        self.file.write_all(&zip::end(self.entries.len(), length, offset)).map_err(failed())?;
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error);
        file.and_then(|file| file.sync_all()).map_err(ServiceError::io(self.name))
    }
}

/// Where a file's content is handed over.
pub(super) type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), ServiceError> + 'a;

/// Checksum and length, digest, packed length, digest of the packed bytes.
type Sums = ((u32, u32), Digest, u32, Digest);

fn pack(
    file: &mut BufWriter<File>,
    method: Method,
    fill: impl FnOnce(&mut Sink<'_>) -> Result<(), ServiceError>,
) -> Result<Sums, ServiceError> {
    let (mut crc, mut hasher, mut count) = (Crc::new(), Hasher::new(), 0u64);
    let packed = Packed { file, hasher: Hasher::new(), count: 0 };
    let mut body = match method {
        Method::Stored => Body::Stored(packed),
        Method::Deflated => Body::Deflated(DeflateEncoder::new(packed, Compression::new(4))),
    };
    fill(&mut |bytes| {
        crc.update(bytes);
        hasher.update(bytes);
        count += bytes.len() as u64;
        if count >= zip::MAX_BYTES {
            return Err(too_large());
        }
        body.write_all(bytes).map_err(ServiceError::io("cannot write the packet"))
    })?;
    let packed = match body {
        Body::Stored(packed) => packed,
        Body::Deflated(encoder) => {
            encoder.finish().map_err(ServiceError::io("cannot write the packet"))?
        }
    };
    let short = |length| u32::try_from(length).map_err(|_| too_large());
    let (bytes, length) = (short(count)?, short(packed.count)?);
    Ok(((crc.sum(), bytes), hasher.finish(), length, packed.hasher.finish()))
}

enum Body<'a> {
    Stored(Packed<'a>),
    Deflated(DeflateEncoder<Packed<'a>>),
}

impl Body<'_> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stored(packed) => packed.write_all(bytes),
            Self::Deflated(encoder) => encoder.write_all(bytes),
        }
    }
}

fn too_large() -> ServiceError {
    let message = "a packet holds at most 65,534 files and 4 GiB: make packets of shorter periods";
    ServiceError::Request(message.into())
}
