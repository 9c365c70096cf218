//! `proof.json` of a bundle: the registry's record of it, its inclusion path
//! and the checkpoint that the path leads to, as canonical JSON
//! (docs/format.md §6).
//!
//! Reading it proves nothing yet: the path is checked with the Merkle tree's
//! rule and the checkpoint's signature with a key from the auditor's policy.

use alloc::{string::String, vec::Vec};

use crate::{
    bitcoin::Anchor,
    encoding::{
        digest::Digest,
        json::Value,
        json_scanner::{ScanError, Scanner},
    },
    merkle::MAX_PROOF_PATH,
    record::{MAX_RECORD, Record, RecordError, log_entry::read_digest},
};

/// The largest proof: a record with each byte escaped, a checkpoint, two paths
/// and a transaction with its branch.
pub const MAX_PROOF: usize = 2 * MAX_RECORD + MAX_CHECKPOINT * 2 + 32_768;
/// The largest checkpoint with all its signatures.
pub const MAX_CHECKPOINT: usize = 64 << 10;
/// A record's place in a registry of a signed size.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// The record's anchor in Bitcoin, when there is one.
    pub anchor: Option<Anchor>,
    /// The record's bytes as they are in the registry; its `seq` is `index`.
    pub body: String,
    /// The leaf's index in the tree, from 0.
    pub index: u64,
    /// How many leaves the tree has; over `index`.
    pub size: u64,
    /// The siblings from the leaf upward (RFC 6962 §2.1.1).
    pub path: Vec<Digest>,
    /// The text of the signed note whose root the path leads to.
    pub checkpoint: String,
}

/// Why bytes are no proof, or a proof cannot be written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofError {
    /// Over [`MAX_PROOF`].
    #[error("a proof of {0} bytes is over the limit of {MAX_PROOF}")]
    TooLong(usize),
    /// Not the one canonical form.
    #[error("not a proof in canonical form: {0}")]
    Malformed(#[from] ScanError),
    /// The body is no record.
    #[error("the body of the proof is no record: {0}")]
    Body(RecordError),
    /// The body is the record of another place.
    #[error("the body's seq is {seq}, and the proof is for index {index}")]
    OtherIndex {
        /// What the record says.
        seq: u64,
        /// What the proof says.
        index: u64,
    },
    /// There is no such leaf.
    #[error("index {index} is not in a tree of {size} leaves")]
    OutsideTree {
        /// The leaf asked for.
        index: u64,
        /// The tree's size.
        size: u64,
    },
}

impl Proof {
    /// The canonical bytes.
    ///
    /// # Errors
    /// Where [`Self::parse`] would refuse them.
    pub fn encode(&self) -> Result<Vec<u8>, ProofError> {
        let path: Vec<Value> = self.path.iter().map(|sibling| (*sibling).into()).collect();
        let bytes = Value::object([
            ("body", self.body.as_str().into()),
            ("checkpoint", self.checkpoint.as_str().into()),
            ("index", self.index.into()),
            ("path", path.into()),
            ("size", self.size.into()),
        ])
        .with_some("anchor", self.anchor.as_ref().map(Anchor::to_value))
        .encode();
        Self::parse(&bytes)?;
        Ok(bytes)
    }

    /// Reads exactly what [`Self::encode`] writes.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > MAX_PROOF {
            return Err(ProofError::TooLong(bytes.len()));
        }
        let mut scan = Scanner::new(bytes);
        let proof = Self::read(&mut scan)?;
        scan.finish()?;
        let (index, size) = (proof.index, proof.size);
        let outside = |size| ProofError::OutsideTree { index, size };
        if let Some(anchor) = proof.anchor.as_ref().filter(|anchor| index >= anchor.size) {
            return Err(outside(anchor.size));
        }
        if index >= size {
            return Err(outside(size));
        }
        let seq = Record::parse(proof.body.as_bytes()).map_err(ProofError::Body)?.seq;
        if seq != index {
            return Err(ProofError::OtherIndex { seq, index });
        }
        Ok(proof)
    }

    fn read(scan: &mut Scanner<'_>) -> Result<Self, ScanError> {
        scan.open()?;
        let anchor = match scan.maybe_key("anchor") {
            true => Some(Anchor::read(scan)?),
            false => None,
        };
        scan.key("body")?;
        let body = scan.string()?.into_owned();
        scan.key("checkpoint")?;
        let checkpoint = scan.string()?.into_owned();
        if checkpoint.len() > MAX_CHECKPOINT {
            return scan.fail("a checkpoint over 64 KiB");
        }
        scan.key("index")?;
        let index = scan.uint()?;
        scan.key("path")?;
        let mut path = Vec::new();
        scan.array(|scan| {
            if path.len() == MAX_PROOF_PATH {
                return scan.fail("a path longer than any tree is high");
            }
            path.push(read_digest(scan)?);
            Ok(())
        })?;
        scan.key("size")?;
        let size = scan.uint()?;
        scan.close()?;
        Ok(Self { anchor, body, index, size, path, checkpoint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{encoding::time::Timestamp, record};
    use alloc::{string::ToString, vec};
    use proptest::prelude::*;

    fn proof(seq: u64) -> Proof {
        let data = Value::object([("what", Value::from("a \"quoted\" \u{1} text"))]);
        let body = record::encode("bundle", seq, Digest::ZERO, Timestamp::default(), &data);
        Proof {
            anchor: None,
            body: String::from_utf8(body).unwrap(),
            index: seq,
            size: seq + 2,
            path: vec![Digest::sha256(b"a"), Digest::sha256(b"b")],
            checkpoint: "msp-provenance/clinic/host\n9\nAAAA=\n\n\u{2014} k AAAA\n".into(),
        }
    }

    #[test]
    fn a_proof_survives_its_bytes() {
        let bytes = proof(7).encode().unwrap();
        assert_eq!(Value::parse(&bytes).unwrap().encode(), bytes);
        assert_eq!(Proof::parse(&bytes), Ok(proof(7)));
    }

    #[test]
    fn a_proof_of_another_place_or_outside_the_tree_is_refused() {
        let other = Proof { index: 6, ..proof(7) };
        assert_eq!(other.encode(), Err(ProofError::OtherIndex { seq: 7, index: 6 }));
        let outside = Proof { size: 7, ..proof(7) };
        assert_eq!(outside.encode(), Err(ProofError::OutsideTree { index: 7, size: 7 }));
        let no_record = Proof { body: "{}".into(), ..proof(7) };
        assert!(matches!(no_record.encode(), Err(ProofError::Body(_))));
        let long = Proof { path: vec![Digest::ZERO; MAX_PROOF_PATH + 1], ..proof(7) };
        assert!(matches!(long.encode(), Err(ProofError::Malformed(_))));
        let large = Proof { checkpoint: "x".repeat(MAX_CHECKPOINT + 1), ..proof(7) };
        assert!(matches!(large.encode(), Err(ProofError::Malformed(_))));
    }

    #[test]
    fn an_unknown_member_is_refused() {
        let text = String::from_utf8(proof(7).encode().unwrap()).unwrap();
        for bad in [
            text.replace(",\"size\"", ",\"root\":0,\"size\""),
            text.replace("\"index\":7", "\"index\":\"7\""),
            text.to_string() + "\n",
            text.replace("{\"body\"", "{ \"body\""),
        ] {
            assert!(matches!(Proof::parse(bad.as_bytes()), Err(ProofError::Malformed(_))), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_alike(seq in 0..1_u64 << 50, at: prop::sample::Index, byte: u8) {
            let mut bytes = proof(seq).encode().unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(proof) = Proof::parse(&bytes) {
                prop_assert_eq!(proof.encode(), Ok(bytes));
            }
        }
    }
}
