//! Puts submissions on disk, those of a moment together, and answers them.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use provenance_core::{
    encoding::time::Timestamp,
    opentimestamps::{Batch, NONCE},
    registry::Entry,
};
use tokio::sync::oneshot;

use provenance_host::config::Aggregate;

use crate::{error::ServiceError, ledger::Ledger};

/// So often a checkpoint is made over the batches since.
const CHECKPOINT: Duration = Duration::from_secs(3600);

/// What one client submits, and where its answer goes: the promise, or
/// nothing where it could not be put on disk.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) digest: Vec<u8>,
    pub(super) answer: oneshot::Sender<Vec<u8>>,
}

pub(super) type Queue = SyncSender<Submission>;

/// The thread that writes: it waits for the disk, and the answers for it.
pub(super) struct Committer(JoinHandle<()>);

impl Committer {
    pub(super) fn start(
        settings: &Aggregate,
        evidence: Ledger,
        now: impl Fn() -> Timestamp + Send + 'static,
    ) -> Result<(Queue, Self), ServiceError> {
        // No connection has two of them under way.
        let (queue, submissions) = sync_channel(settings.max_connections);
        let mut work = CommitLoop {
            evidence,
            now,
            uri: settings.url.clone(),
            patience: Duration::from_millis(settings.batch_ms),
            full: settings.max_connections.div_ceil(2),
            checked: None,
        };
        let thread = std::thread::Builder::new().name("committer".into());
        let thread = thread.spawn(move || work.run(&submissions));
        Ok((queue, Self(thread.map_err(ServiceError::io("cannot start a thread"))?)))
    }

    /// Waits until everything in the queue is on disk; the queue's other end
    /// is closed already.
    pub(super) async fn finish(self) {
        let _ = tokio::task::spawn_blocking(|| self.0.join()).await;
    }
}

struct CommitLoop<N> {
    evidence: Ledger,
    now: N,
    uri: String,
    patience: Duration,
    /// So many do not wait for more.
    full: usize,
    /// When there was a checkpoint last over all batches.
    checked: Option<Instant>,
}

impl<N: Fn() -> Timestamp> CommitLoop<N> {
    fn run(&mut self, submissions: &Receiver<Submission>) {
        while let Ok(first) = submissions.recv() {
            let taken = self.gather(first, submissions);
            match self.commit(&taken) {
                Ok(answers) => {
                    for (submission, answer) in taken.into_iter().zip(answers) {
                        // Whoever went away has no answer, and nobody's lacks.
                        let _ = submission.answer.send(answer);
                    }
                }
                // Dropped, they tell their clients to try again.
                Err(error) => tracing::error!("{} submissions refused: {error}", taken.len()),
            }
            self.checkpoint();
        }
    }

    fn gather(&self, first: Submission, submissions: &Receiver<Submission>) -> Vec<Submission> {
        let end = Instant::now() + self.patience;
        let mut taken = vec![first];
        while taken.len() < self.full {
            let left = end.saturating_duration_since(Instant::now());
            match submissions.recv_timeout(left) {
                Ok(next) => taken.push(next),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        // And who is there already.
        taken.extend(submissions.try_iter().take(self.full));
        taken
    }

    /// The answers, in order. From here on the submissions are on disk.
    fn commit(&mut self, taken: &[Submission]) -> Result<Vec<Vec<u8>>, ServiceError> {
        let mut bytes = vec![0; taken.len() * NONCE];
        getrandom::fill(&mut bytes)
            .map_err(|error| ServiceError::State(format!("no random bytes: {error}")))?;
        let (nonces, _) = bytes.as_chunks::<NONCE>();
        let digests = taken.iter().map(|submission| &submission.digest[..]);
        let after = self.evidence.size()?;
        let none = || ServiceError::State("a batch that cannot be".into());
        let batch = Batch::new(after, digests.zip(nonces)).ok_or_else(none)?;
        self.evidence.append((self.now)(), &[Entry::Batch(batch.commitment())])?;
        let promise = |(at, nonce)| batch.promise(at, nonce, &self.uri).ok_or_else(none);
        nonces.iter().enumerate().map(promise).collect()
    }

    fn checkpoint(&mut self) {
        if self.checked.is_some_and(|at| at.elapsed() < CHECKPOINT) {
            return;
        }
        match self.evidence.signed_tree() {
            Ok(_) => self.checked = Some(Instant::now()),
            Err(error) => tracing::warn!("no checkpoint over the batches: {error}"),
        }
    }
}
