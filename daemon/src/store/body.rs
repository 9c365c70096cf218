//! What is sent: a part of a file, read as it goes, and no faster than asked.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use aws_sdk_s3::primitives::SdkBody;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// What is read at once.
const CHUNK: usize = 64 << 10;

/// How fast bytes may go, both ways together.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    kib_s: Option<u64>,
    next: Arc<Mutex<Option<Instant>>>,
}

impl Pace {
    pub(super) fn new(kib_s: Option<u64>) -> Self {
        Self { kib_s, next: Arc::default() }
    }

    /// When the next bytes may go, after so many went.
    pub(super) fn after(&self, bytes: usize) -> Option<Instant> {
        let rate = self.kib_s?.saturating_mul(1024).max(1);
        let span = Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / rate);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let due = next.unwrap_or_else(Instant::now).max(Instant::now()) + span;
        *next = Some(due);
        Some(due)
    }

    pub(super) async fn wait(&self, bytes: usize) {
        if let Some(due) = self.after(bytes) {
            sleep_until(due).await;
        }
    }
}

/// Which part of which file.
#[derive(Clone, Debug)]
pub(super) struct Part {
    path: PathBuf,
    from: u64,
    bytes: u64,
    pace: Pace,
}

impl Part {
    pub(super) fn new(path: &Path, from: u64, bytes: u64, pace: &Pace) -> Self {
        Self { path: path.into(), from, bytes, pace: pace.clone() }
    }

    /// A body that is read anew where a request is sent again.
    pub(super) fn body(self) -> SdkBody {
        SdkBody::retryable(move || {
            let left = self.bytes;
            SdkBody::from_body_1_x(Reading { part: self.clone(), file: None, left, wait: None })
        })
    }
}

/// A part being read.
struct Reading {
    part: Part,
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
