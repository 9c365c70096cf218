//! A raw transaction: its id, its inputs, and the root that it carries.

use alloc::vec::Vec;

use super::{AnchorError, BlockHash, bytes::Bytes, payload};
use crate::encoding::digest::Digest;

/// A transaction's id: the hash over it without witness.
pub type Txid = BlockHash;

/// The largest whole transaction that is read: what nodes relay.
pub const MAX_WHOLE: usize = 400_000;
/// The largest transaction without witness that a proof holds. More would not
/// fit into an operation of an OpenTimestamps proof.
pub const MAX_PROVED: usize = 4096;

/// A parsed transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    stripped: Vec<u8>,
    witness: bool,
    inputs: Vec<OutPoint>,
    carried: Carried,
}

/// An output of an earlier transaction, which an input spends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OutPoint {
    /// The transaction.
    pub txid: Txid,
    /// Its output, from 0.
    pub vout: u32,
}

/// What the outputs carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Carried {
    Nothing,
    /// The root, and where it begins in the bytes without witness.
    Root(Digest, usize),
    Other,
    Many,
}

impl Transaction {
    /// Reads a transaction with or without witness, to its last byte.
    ///
    /// # Errors
    /// [`AnchorError::Transaction`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AnchorError> {
        if bytes.len() > MAX_WHOLE {
            return Err(AnchorError::Transaction("over 400,000 bytes"));
        }
        let short = AnchorError::Transaction("it ends early, or a length is not canonical");
        // A transaction has inputs, so that a zero there marks a witness.
        let marked = bytes.get(4..6) == Some(&[0, 1]);
        let mut rest = Bytes(bytes);
        let version = rest.take(4).ok_or(short.clone())?;
        if marked {
            rest.take(2).ok_or(short.clone())?;
        }
        let body = rest.0;
        let (inputs, scripts) = body_of(&mut rest).ok_or(short.clone())?;
        if inputs.is_empty() || scripts.is_empty() {
            return Err(AnchorError::Transaction("no inputs or no outputs"));
        }
        let taken = body.len() - rest.0.len();
        let body = body.get(..taken).ok_or(short.clone())?;
        if marked {
            witnesses(&mut rest, inputs.len()).ok_or(short.clone())?;
        }
        let locktime = rest.take(4).ok_or(short)?;
        if !rest.is_empty() {
            return Err(AnchorError::Transaction("bytes behind its end"));
        }
        let stripped = [version, body, locktime].concat();
        // Our own positions are in `body`, which stands behind the version.
        let carried = carried(&scripts, body.len());
        Ok(Self { stripped, witness: marked, inputs, carried })
    }

    /// The bytes without witness.
    pub fn stripped(&self) -> &[u8] {
        &self.stripped
    }

    /// Whether there was a witness.
    pub fn has_witness(&self) -> bool {
        self.witness
    }

    /// The id.
    pub fn txid(&self) -> Txid {
        BlockHash::of(&self.stripped)
    }

    /// What it spends.
    pub fn inputs(&self) -> &[OutPoint] {
        &self.inputs
    }

    /// The root that it carries, in its one OP_RETURN output.
    ///
    /// # Errors
    /// [`AnchorError::Payload`].
    pub fn root(&self) -> Result<Digest, AnchorError> {
        self.placed_root().map(|(root, _)| root)
    }

    /// The root, and at which of the bytes without witness it begins.
    ///
    /// # Errors
    /// [`AnchorError::Payload`].
    pub fn placed_root(&self) -> Result<(Digest, usize), AnchorError> {
        match self.carried {
            Carried::Root(root, at) => Ok((root, at)),
            Carried::Nothing => Err(AnchorError::Payload("there is no OP_RETURN output")),
            Carried::Other => Err(AnchorError::Payload("it is not `MSP1` and a root")),
            Carried::Many => Err(AnchorError::Payload("there is more than one OP_RETURN output")),
        }
    }
}

/// Inputs and outputs: what is spent, and each output's script with the number
/// of bytes behind it.
type Body<'a> = (Vec<OutPoint>, Vec<(&'a [u8], usize)>);

fn body_of<'a>(rest: &mut Bytes<'a>) -> Option<Body<'a>> {
    let (mut inputs, mut scripts) = (Vec::new(), Vec::new());
    // Each round takes bytes, so that a count cannot promise more than there is.
    for _ in 0..rest.compact()? {
        let txid = BlockHash(Digest(rest.array()?));
        inputs.push(OutPoint { txid, vout: rest.u32()? });
        rest.prefixed()?;
        rest.take(4)?;
    }
    for _ in 0..rest.compact()? {
        rest.take(8)?;
        let script = rest.prefixed()?;
        scripts.push((script, rest.0.len()));
    }
    let behind = rest.0.len();
    scripts.iter_mut().for_each(|(_, left)| *left = left.saturating_sub(behind));
    Some((inputs, scripts))
}

fn witnesses(rest: &mut Bytes<'_>, inputs: usize) -> Option<()> {
    for _ in 0..inputs {
        for _ in 0..rest.compact()? {
            rest.prefixed()?;
        }
    }
    Some(())
}

fn carried(scripts: &[(&[u8], usize)], body: usize) -> Carried {
    let mut data = scripts.iter().filter(|(script, _)| script.first() == Some(&payload::OP_RETURN));
    match (data.next(), data.next()) {
        (None, _) => Carried::Nothing,
        (Some(_), Some(_)) => Carried::Many,
        (Some((script, behind)), None) => match payload::root_of(script) {
            Some(root) => Carried::Root(root, (4 + body).saturating_sub(behind + root.0.len())),
            None => Carried::Other,
        },
    }
}

/// Whether 64 bytes can be read as a transaction: then an inner node of a
/// block's tree may be one, and what is below it is nothing of the block's.
pub(super) fn is_transaction(node: &[u8; 64]) -> bool {
    fn whole(mut rest: Bytes<'_>) -> Option<bool> {
        rest.take(4)?;
        let (inputs, scripts) = body_of(&mut rest)?;
        rest.take(4)?;
        Some(!inputs.is_empty() && !scripts.is_empty() && rest.is_empty())
    }
    whole(Bytes(node)).unwrap_or_default()
}
