//! A file's content, plain or compressed, digested range by range.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
};

use provenance_core::encoding::digest::{Digest, Hasher};
use provenance_host::decompress::{Content, Limits, Packing};

use super::chain_index::RecordedRange;

/// Half of a usual second-level cache: what was read is hashed before it
/// leaves it.
const BUFFER: usize = 256 << 10;

/// What all streams read into, and who is told how much.
pub(super) struct ReadBuffer<'a> {
    buffer: Vec<u8>,
    read: u64,
    progress: &'a dyn Fn(u64),
}

impl<'a> ReadBuffer<'a> {
    pub(super) fn new(progress: &'a dyn Fn(u64)) -> Self {
        Self { buffer: vec![0; BUFFER], read: 0, progress }
    }
}

/// Why a range could not be digested.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The content ends here.
    Short(u64),
    /// What is compressed cannot be decoded behind this byte.
    Damaged(u64, io::Error),
    /// It may be as recorded; reading it is refused or not possible.
    Unread(io::Error),
}

/// An open file.
pub(super) enum Stream {
    Plain(File),
    /// Read forward only; the number is where it stands.
    Packed(Content, u64),
}

impl Stream {
    pub(super) fn new(file: File, packing: Packing) -> Self {
        match packing {
            Packing::Plain => Self::Plain(file),
            packed => Self::Packed(Content::new(file, packed, Limits::AUDIT), 0),
        }
    }

    /// The digest of the bytes of `piece`, which must not lie before what was
    /// read of a compressed file.
    ///
    /// # Errors
    /// [`ReadError`]
    pub(super) fn digest(
        &mut self,
        piece: RecordedRange,
        desk: &mut ReadBuffer<'_>,
    ) -> Result<Digest, ReadError> {
        let mut hasher = Hasher::new();
        match self {
            Self::Plain(file) => {
                let mut at = piece.from;
                while at < piece.to {
                    let window = desk.window(piece.to - at);
                    let count = match file.read_at(window, at) {
                        Ok(0) => return Err(ReadError::Short(at)),
                        Ok(count) => count,
                        Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                        Err(error) => return Err(ReadError::Unread(error)),
                    };
                    hasher.update(desk.took(count));
                    at += count as u64;
                }
            }
            Self::Packed(content, at) => {
                if piece.from < *at {
                    let why = "the chain's ranges of a compressed file go backward";
                    return Err(ReadError::Unread(io::Error::other(why)));
                }
                while *at < piece.to {
                    let stop = if *at < piece.from { piece.from } else { piece.to };
                    let count = match content.read(desk.window(stop - *at)) {
                        Ok(0) => return Err(ReadError::Short(*at)),
                        Ok(count) => count,
                        Err(error) => return Err(failed(*at, error)),
                    };
                    let bytes = desk.took(count);
                    if *at >= piece.from {
                        hasher.update(bytes);
                    }
                    *at += count as u64;
                }
            }
        }
        Ok(hasher.finish())
    }
}

impl ReadBuffer<'_> {
    fn window(&mut self, want: u64) -> &mut [u8] {
        let want = usize::try_from(want).unwrap_or(usize::MAX).min(BUFFER);
        self.buffer.get_mut(..want).unwrap_or_default()
    }

    fn took(&mut self, count: usize) -> &[u8] {
        self.read += count as u64;
        (self.progress)(self.read);
        self.buffer.get(..count).unwrap_or_default()
    }
}

/// The file system's errors have a number, the decoder's have none.
fn failed(at: u64, error: io::Error) -> ReadError {
    match error.kind() {
        ErrorKind::OutOfMemory | ErrorKind::Unsupported => ReadError::Unread(error),
        _ if error.raw_os_error().is_some() => ReadError::Unread(error),
        _ => ReadError::Damaged(at, error),
    }
}
