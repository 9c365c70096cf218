//! What a calendar answers (docs/format.md §7, "Calendars"): to a submission the way from
//! its digest to the commitment of its batch, and later the way from that
//! commitment to the block. A digest and a commitment stand for themselves;
//! the answers hold no header, as files do.
//!
//! A batch is a tree over the submissions of a moment. Each leaf is blinded by
//! bytes that only its submitter is told: who sees a sibling cannot tell what
//! it stands for, even where he can guess it.

use alloc::{string::String, vec::Vec};

use super::{
    PENDING, op,
    write::{WriteError, Writer, block},
};
use crate::{
    bitcoin::Anchor,
    encoding::digest::{Digest, from_hex, to_hex},
    merkle::{leaf_hash, node_hash, sides},
};

/// How long a blinding is.
pub const NONCE: usize = 16;
/// How long a commitment is.
pub const COMMITMENT: usize = 40;
/// A batch has at most so many submissions.
pub const MAX_LEAVES: usize = 1 << 16;
/// What a calendar promises to anchor: the root of a batch, and the size of
/// the registry before the batch was recorded. The first record of a batch
/// from there on is that of this batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Commitment {
    /// The registry's size before.
    pub after: u64,
    /// The root of the batch.
    pub root: Digest,
}

impl Commitment {
    /// As the message that it is in proofs.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.after.to_be_bytes()[..], &self.root.0].concat()
    }

    /// As a record holds it.
    pub fn to_hex(&self) -> String {
        to_hex(&self.to_bytes())
    }

    /// Reads the lower-case hex that [`Self::to_hex`] writes.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != COMMITMENT * 2 {
            return None;
        }
        let bytes = from_hex(text)?;
        let (after, root) = bytes.split_first_chunk()?;
        Some(Self { after: u64::from_be_bytes(*after), root: Digest(root.try_into().ok()?) })
    }
}

/// Submissions that are committed to together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// From the leaves up to the root; where a row is odd, its last node goes
    /// up as it is.
    rows: Vec<Vec<Digest>>,
    commitment: Commitment,
}

impl Batch {
    /// The batch of these submissions, each with its blinding; `None` where
    /// there are none, or over [`MAX_LEAVES`].
    pub fn new<'a>(
        after: u64,
        submissions: impl IntoIterator<Item = (&'a [u8], &'a [u8; NONCE])>,
    ) -> Option<Self> {
        let blind = |(digest, nonce): (&[u8], &[u8; NONCE])| leaf_hash(&[digest, nonce].concat());
        let mut row: Vec<Digest> = submissions.into_iter().map(blind).collect();
        if row.len() > MAX_LEAVES {
            return None;
        }
        let mut rows = Vec::new();
        while row.len() > 1 {
            let above = row.chunks(2).map(|pair| match *pair {
                [left, right] => node_hash(left, right),
                _ => pair.first().copied().unwrap_or(Digest::ZERO),
            });
            let above = above.collect();
            rows.push(core::mem::replace(&mut row, above));
        }
        let commitment = Commitment { after, root: *row.first()? };
        rows.push(row);
        Some(Self { rows, commitment })
    }

    /// What the batch commits to.
    pub fn commitment(&self) -> Commitment {
        self.commitment
    }

    /// The answer to the submission at `index`, whose blinding this is: the
    /// way to the commitment, and that the calendar at `uri` can be asked for
    /// what follows.
    pub fn promise(&self, index: usize, nonce: &[u8; NONCE], uri: &str) -> Option<Vec<u8>> {
        let count = self.rows.first()?.len();
        let mut path = Vec::new();
        let mut at = index;
        for row in &self.rows {
            path.extend(row.get(at ^ 1).copied());
            at >>= 1;
        }
        let sides = sides(index as u64, count as u64)?;
        let mut out = Writer(Vec::new());
        out.around(&[], nonce);
        out.around(&[0], &[]);
        out.0.push(op::SHA256);
        out.climb(&sides, &path);
        out.around(&self.commitment.after.to_be_bytes(), &[]);
        out.0.push(op::ATTESTATION);
        out.0.extend(PENDING);
        let mut payload = Writer(Vec::new());
        payload.prefixed(uri.as_bytes());
        out.prefixed(&payload.0);
        Some(out.0)
    }
}

/// The answer to the question for `commitment`, which the registry record
/// `body` at `index` holds: the way to the block. The anchor is verified first.
///
/// # Errors
/// [`WriteError`].
pub fn of_commitment(
    commitment: &Commitment,
    body: &str,
    index: u64,
    anchor: &Anchor,
) -> Result<Vec<u8>, WriteError> {
    block(&commitment.to_bytes(), body, index, anchor)
}
