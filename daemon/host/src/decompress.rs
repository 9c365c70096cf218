//! The content of log files as rotation leaves them: plain, or compressed by
//! gzip, xz or zstd. Anybody may have written them: memory is bounded.

use std::{
    fs::File,
    io::{BufRead, BufReader, Error, ErrorKind, Read},
};

use lzma_rust2::XzReader;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

/// How much memory a decoder may ask for. gzip needs 32 KiB, always.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// xz, in KiB.
    pub xz_kib: u32,
    /// The window of zstd, in bytes.
    pub zstd_window: u64,
}

impl Limits {
    /// What the daemon grants: `xz -9` and `zstd -19` come with it.
    pub const DAEMON: Self = Self { xz_kib: 96 << 10, zstd_window: 8 << 20 };
    /// What an audit grants: all that `xz -d` and `zstd -d` decode by default
    /// on a machine of ordinary size.
    pub const AUDIT: Self = Self { xz_kib: 512 << 10, zstd_window: 128 << 20 };
}

/// How a file's content is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packing {
    /// As it is.
    Plain,
    /// RFC 1952, any number of members.
    Gzip,
    /// The .xz format, any number of streams.
    Xz,
    /// RFC 8878, any number of frames.
    Zstd,
}

impl Packing {
    /// By the name's ending, as log rotation gives it.
    pub fn of(path: &[u8]) -> Self {
        match path.rsplit(|byte| *byte == b'.').next() {
            Some(b"gz") => Self::Gzip,
            Some(b"xz") => Self::Xz,
            Some(b"zst") => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// A file's content as a stream that only moves forward. What a decoder keeps
/// is bounded by [`Limits`], whatever the file says. Over them, reading gives
/// [`ErrorKind::OutOfMemory`]; a form that the decoders do not know gives
/// [`ErrorKind::Unsupported`]; any other error of a decoder means that the
/// file is damaged.
pub enum Content {
    /// Read as it is.
    Plain(File),
    /// Behind a decoder.
    Packed(Box<dyn Read + Send>),
}

impl Content {
    /// The content of an open file.
    pub fn new(file: File, packing: Packing, limits: Limits) -> Self {
        match packing {
            Packing::Plain => Self::Plain(file),
            Packing::Gzip => {
                Self::Packed(Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::new(file))))
            }
            Packing::Xz => Self::Packed(Box::new(XzReader::new_mem_limit(
                BufReader::new(file),
                true,
                limits.xz_kib,
            ))),
            Packing::Zstd => Self::Packed(Box::new(Zstd::new(file, limits))),
        }
    }

    /// Reads on; 0 at the end. Never [`ErrorKind::Interrupted`].
    ///
    /// # Errors
    /// As said at the type, or the file's own.
    pub fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = match self {
                Self::Plain(file) => file.read(buffer),
                Self::Packed(decoder) => decoder.read(buffer),
            };
            match read {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

/// The frames of a zstd file, one after the other.
struct Zstd {
    source: BufReader<File>,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl Zstd {
    fn new(file: File, limits: Limits) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(limits.zstd_window);
        Self { source: BufReader::new(file), decoder, in_frame: false }
    }

    fn next_frame(&mut self) -> std::io::Result<()> {
        match self.decoder.init(&mut self.source) {
            Ok(()) => self.in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => self.source.seek_relative(length.into())?,
            Err(error) => return Err(failed(error)),
        }
        Ok(())
    }
}

impl Read for Zstd {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            if self.in_frame {
                while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                    let one = BlockDecodingStrategy::UptoBlocks(1);
                    self.decoder.decode_blocks(&mut self.source, one).map_err(failed)?;
                }
                match self.decoder.read(buffer)? {
                    0 => self.in_frame = false,
                    count => return Ok(count),
                }
            } else if self.source.fill_buf()?.is_empty() {
                return Ok(0);
            } else {
                self.next_frame()?;
            }
        }
    }
}

fn failed(error: FrameDecoderError) -> Error {
    let kind = match &error {
        FrameDecoderError::WindowSizeTooBig { .. } => ErrorKind::OutOfMemory,
        FrameDecoderError::DictNotProvided { .. } => ErrorKind::Unsupported,
        _ => ErrorKind::InvalidData,
    };
    Error::new(kind, error)
}
