//! A block that an anchor rests on.

use crate::{
    bitcoin::{ChainWork, Header, Txid},
    encoding::{digest::Digest, json::Value, time::Timestamp},
    report::Location,
};

/// Something that was anchored, and what it rests on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockReference {
    /// Where the proof is.
    pub place: Location,
    /// The block's height.
    pub height: u32,
    /// The block's header.
    pub header: Header,
    /// The transaction, where the proof names it.
    pub txid: Option<Txid>,
    /// The root that it carries.
    pub root: Option<Digest>,
    /// Why the header is believed.
    pub basis: Basis,
    /// The work of the block and of those known on top of it.
    pub work: ChainWork,
}

/// Why a header is believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Basis {
    /// The auditor's node has it at that height.
    Node,
    /// The auditor's file has it.
    HeaderFile,
    /// The auditor named its hash.
    PinnedHash,
    /// Nobody vouches for it: only its work is shown.
    ProofOfWork,
}

impl Basis {
    /// As reports name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::HeaderFile => "header file",
            Self::PinnedHash => "pinned hash",
            Self::ProofOfWork => "proof of work alone",
        }
    }
}

impl BlockReference {
    /// The block's own time; it is at most two hours ahead of the miner's clock.
    pub fn time(&self) -> Timestamp {
        Timestamp::from_nanos(i64::from(self.header.time()).saturating_mul(1_000_000_000))
    }

    /// As JSON.
    pub fn to_value(&self) -> Value {
        Value::object([
            ("basis", self.basis.as_str().into()),
            ("block", self.header.hash().into()),
            ("height", self.height.into()),
            ("time", self.time().into()),
            ("where", self.place.to_value()),
            ("work_bits", self.work.bits().into()),
        ])
        .with_some("root", self.root)
        .with_some("txid", self.txid)
    }
}
