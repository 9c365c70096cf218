//! What is sent: a part of a file, read as it goes, and no faster than asked.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Sleep, sleep_until};

use crate::pace::Throttle;

/// What is read at once.
const CHUNK: usize = 64 << 10;

/// Which part of which file.
#[derive(Clone, Debug)]
pub(super) struct FilePart {
    path: PathBuf,
    from: u64,
    bytes: u64,
    pace: Throttle,
}

impl FilePart {
    pub(super) fn new(path: &Path, from: u64, bytes: u64, pace: &Throttle) -> Self {
        Self { path: path.into(), from, bytes, pace: pace.clone() }
    }

    /// A body that reads it from its beginning.
    pub(super) fn body(&self) -> reqwest::Body {
        let reading = Reading { part: self.clone(), file: None, left: self.bytes, wait: None };
        reqwest::Body::wrap(reading)
    }
}

/// A part being read.
struct Reading {
    part: FilePart,
    file: Option<File>,
    left: u64,
    wait: Option<Pin<Box<Sleep>>>,
}

impl Reading {
    fn next(&mut self) -> io::Result<Bytes> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut file = File::open(&self.part.path)?;
                file.seek(SeekFrom::Start(self.part.from))?;
                self.file.insert(file)
            }
        };
        let mut chunk = vec![0; usize::try_from(self.left).unwrap_or(CHUNK).min(CHUNK)];
        // The length was promised: a shorter file must not look like a whole one.
        file.read_exact(&mut chunk)?;
        self.left -= chunk.len() as u64;
        Ok(chunk.into())
    }
}

impl Body for Reading {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(wait) = &mut self.wait {
            if wait.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.wait = None;
        }
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let next = self.next();
        if let Ok(chunk) = &next {
            self.wait = self.part.pace.after(chunk.len()).map(|due| Box::pin(sleep_until(due)));
        }
        Poll::Ready(Some(next.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
