//! The records of an anchor: each change of its state is one (docs/format.md
//! §7). All of them name the root that is anchored and the size of its tree.

use alloc::{format, string::String, vec::Vec};

use super::{EntryError, Members, wrong};
use crate::{
    bitcoin::{BlockHash, MAX_WHOLE, TxProof, Txid, digests},
    encoding::{
        digest::{Digest, from_hex, to_hex},
        json::Value,
        json_scanner::Scanner,
    },
    merkle::MAX_PATH,
};

/// The networks that an anchor may be in.
pub const NETWORKS: [&str; 4] = ["bitcoin", "testnet4", "signet", "regtest"];

/// A change of an anchor's state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnchorEntry {
    /// The root that is anchored.
    pub root: Digest,
    /// How many records its tree has.
    pub size: u64,
    /// What happened.
    pub step: AnchorStep,
}

/// What can happen to an anchor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AnchorStep {
    /// It is due.
    Intended {
        /// One of [`NETWORKS`].
        network: String,
        /// The checkpoint of the tree; absent where there is no key.
        checkpoint: Option<String>,
        /// The anchor before it, and the proof that this one continues it.
        previous: Option<Previous>,
    },
    /// The transaction is ready, and was not sent yet.
    Signed(SignedTx),
    /// A node has it.
    Broadcast {
        /// Which.
        txid: Txid,
    },
    /// Another transaction with the same payload is ready, and was not sent
    /// yet: it pays more.
    Replaced {
        /// The one that it takes the place of.
        txid: Txid,
        /// The new one.
        by: SignedTx,
    },
    /// It is in a block.
    Mined {
        /// Which of the transactions.
        txid: Txid,
        /// The block.
        block: BlockHash,
        /// Its height.
        height: u32,
        /// How many blocks deep, the block itself counted.
        depth: u32,
    },
    /// It is as deep as was asked for, and proved.
    Final {
        /// Which of the transactions.
        txid: Txid,
        /// How deep.
        depth: u32,
        /// The proof.
        proof: TxProof,
    },
    /// The block is no longer in the chain.
    Reorged {
        /// Which of the transactions.
        txid: Txid,
        /// The block that it was in.
        block: BlockHash,
    },
    /// Calendars promised to anchor it with what others submitted.
    Promised {
        /// What each of them promised.
        promises: Vec<Promise>,
    },
    /// A calendar kept its promise.
    Attested {
        /// The block's height, as the calendar says.
        height: u32,
        /// What leads from the root to that of the block: operations of
        /// OpenTimestamps, in a row.
        operations: Vec<u8>,
    },
    /// It was given up; the next anchor covers its root.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A calendar's promise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Promise {
    /// What leads from the root to the commitment that it keeps.
    pub operations: Vec<u8>,
    /// Where it can be asked for what follows.
    pub url: String,
}

/// The most calendars that an anchor is submitted to.
pub const MAX_CALENDARS: usize = 8;
/// Operations of a promise, or of what keeps it, are at most so many bytes.
pub const MAX_OPERATIONS: usize = 4096;

/// The anchor before this one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Previous {
    /// The consistency proof (RFC 6962 §2.1.2) from its tree to this one's.
    pub path: Vec<Digest>,
    /// Its root.
    pub root: Digest,
    /// The size of its tree.
    pub size: u64,
}

/// A signed transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedTx {
    /// What it pays, in satoshi.
    pub fee_sat: u64,
    /// The whole transaction, with its witness.
    pub tx: Vec<u8>,
    /// Its id.
    pub txid: Txid,
}

impl AnchorStep {
    /// The value of the member `state`.
    pub fn state(&self) -> &'static str {
        match self {
            Self::Intended { .. } => "intended",
            Self::Signed(_) => "signed",
            Self::Broadcast { .. } => "broadcast",
            Self::Replaced { .. } => "replaced",
            Self::Mined { .. } => "mined",
            Self::Final { .. } => "final",
            Self::Reorged { .. } => "reorged",
            Self::Promised { .. } => "promised",
            Self::Attested { .. } => "attested",
            Self::Failed { .. } => "failed",
        }
    }
}

impl AnchorEntry {
    pub(super) fn read(members: &Members<'_>) -> Result<Self, EntryError> {
        let step = match members.text("state")?.as_str() {
            "intended" => AnchorStep::Intended {
                network: network(members.text("network")?)?,
                checkpoint: members.maybe_text("checkpoint"),
                previous: members.0.get("previous").map(previous).transpose()?,
            },
            "signed" => AnchorStep::Signed(signed(members)?),
            "broadcast" => AnchorStep::Broadcast { txid: hash(members, "txid")? },
            "replaced" => {
                let by = members.0.get("by").ok_or_else(|| wrong("by", "a transaction"))?;
                AnchorStep::Replaced { txid: hash(members, "txid")?, by: signed(&Members(by))? }
            }
            "mined" => AnchorStep::Mined {
                txid: hash(members, "txid")?,
                block: hash(members, "block")?,
                height: small(members, "height")?,
                depth: small(members, "depth")?,
            },
            "final" => AnchorStep::Final {
                txid: hash(members, "txid")?,
                depth: small(members, "depth")?,
                proof: proof(members)?,
            },
            "reorged" => {
                AnchorStep::Reorged { txid: hash(members, "txid")?, block: hash(members, "block")? }
            }
            "promised" => AnchorStep::Promised { promises: promises(members)? },
            "attested" => AnchorStep::Attested {
                height: small(members, "height")?,
                operations: operations(members)?,
            },
            "failed" => AnchorStep::Failed { reason: members.text("reason")? },
            _ => return Err(wrong("state", "that of an anchor")),
        };
        Ok(Self { root: members.digest("root")?, size: members.count("size")?, step })
    }

    pub(super) fn to_value(&self) -> Value {
        let entry = Value::object([
            ("root", self.root.into()),
            ("size", self.size.into()),
            ("state", self.step.state().into()),
        ]);
        match &self.step {
            AnchorStep::Intended { network, checkpoint, previous } => entry
                .with("network", network.as_str())
                .with_some("checkpoint", checkpoint.as_deref())
                .with_some("previous", previous.as_ref().map(Previous::to_value)),
            AnchorStep::Signed(signed) => signed.with(entry),
            AnchorStep::Broadcast { txid } => entry.with("txid", *txid),
            AnchorStep::Replaced { txid, by } => {
                entry.with("by", by.with(Value::object([]))).with("txid", *txid)
            }
            AnchorStep::Mined { txid, block, height, depth } => entry
                .with("block", *block)
                .with("depth", *depth)
                .with("height", *height)
                .with("txid", *txid),
            AnchorStep::Final { txid, depth, proof } => {
                entry.with("depth", *depth).with("proof", proof.to_value()).with("txid", *txid)
            }
            AnchorStep::Reorged { txid, block } => entry.with("block", *block).with("txid", *txid),
            AnchorStep::Promised { promises } => {
                let promises: Vec<Value> = promises.iter().map(Promise::to_value).collect();
                entry.with("promises", Value::Array(promises))
            }
            AnchorStep::Attested { height, operations } => {
                entry.with("height", *height).with("operations", to_hex(operations))
            }
            AnchorStep::Failed { reason } => entry.with("reason", reason.as_str()),
        }
    }
}

impl Previous {
    fn to_value(&self) -> Value {
        let path: Vec<Value> = self.path.iter().map(|sibling| (*sibling).into()).collect();
        Value::object([
            ("path", path.into()),
            ("root", self.root.into()),
            ("size", self.size.into()),
        ])
    }
}

impl Promise {
    fn to_value(&self) -> Value {
        Value::object([
            ("operations", to_hex(&self.operations).into()),
            ("url", self.url.as_str().into()),
        ])
    }
}

fn promises(members: &Members<'_>) -> Result<Vec<Promise>, EntryError> {
    let Some(Value::Array(promises)) = members.0.get("promises") else {
        return Err(wrong("promises", "an array"));
    };
    if promises.is_empty() || promises.len() > MAX_CALENDARS {
        return Err(wrong("promises", "of 1 to 8 calendars"));
    }
    let promise = |value| {
        let members = Members(value);
        Ok(Promise { operations: operations(&members)?, url: members.text("url")? })
    };
    promises.iter().map(promise).collect()
}

fn operations(members: &Members<'_>) -> Result<Vec<u8>, EntryError> {
    let bytes = from_hex(&members.text("operations")?);
    let bytes = bytes.filter(|bytes| bytes.len() <= MAX_OPERATIONS);
    bytes.ok_or_else(|| wrong("operations", "at most 4096 bytes in hex"))
}

impl SignedTx {
    fn with(&self, entry: Value) -> Value {
        entry.with("fee_sat", self.fee_sat).with("tx", to_hex(&self.tx)).with("txid", self.txid)
    }
}

fn signed(members: &Members<'_>) -> Result<SignedTx, EntryError> {
    let tx = from_hex(&members.text("tx")?).filter(|tx| tx.len() <= MAX_WHOLE);
    Ok(SignedTx {
        fee_sat: members.count("fee_sat")?,
        tx: tx.ok_or_else(|| wrong("tx", "a transaction in hex"))?,
        txid: hash(members, "txid")?,
    })
}

fn previous(value: &Value) -> Result<Previous, EntryError> {
    let path = value.get("path").map(Value::encode).unwrap_or_default();
    let path = digests(&mut Scanner::new(&path), MAX_PATH);
    Ok(Previous {
        path: path.map_err(|error| EntryError(format!("previous: path: {error}")))?,
        root: Members(value).digest("root")?,
        size: Members(value).count("size")?,
    })
}

fn proof(members: &Members<'_>) -> Result<TxProof, EntryError> {
    let bytes = members.0.get("proof").map(Value::encode).unwrap_or_default();
    let proof = TxProof::read(&mut Scanner::new(&bytes));
    proof.map_err(|error| EntryError(format!("proof: {error}")))
}

fn network(name: String) -> Result<String, EntryError> {
    match NETWORKS.contains(&name.as_str()) {
        true => Ok(name),
        false => Err(wrong("network", "bitcoin, testnet4, signet or regtest")),
    }
}

fn hash(members: &Members<'_>, name: &str) -> Result<BlockHash, EntryError> {
    let text = members.text(name)?;
    BlockHash::from_hex(text.as_bytes()).ok_or_else(|| wrong(name, "a hash of Bitcoin's"))
}

fn small(members: &Members<'_>, name: &str) -> Result<u32, EntryError> {
    let number = u32::try_from(members.count(name)?).ok().filter(|number| number >> 31 == 0);
    number.ok_or_else(|| wrong(name, "below 2^31"))
}
