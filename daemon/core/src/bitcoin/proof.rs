//! The proof of an anchor: as it stands in the registry (the transaction in
//! its block) and in a bundle's `proof.json` (that, and the record's place
//! under the anchored root).

use alloc::{string::String, vec::Vec};

use super::{
    AnchorError, BlockHash, ChainWork, HEADER, Header, MAX_DEPTH, MAX_PROVED, OutProof,
    Transaction, Txid, block_root,
};
use crate::{
    encoding::{
        digest::{Digest, from_hex, to_hex},
        json::Value,
        json_scanner::{ScanError, Scanner},
    },
    merkle::{self, MAX_PROOF_PATH},
    record::log_entry::read_digest,
};

/// A transaction's place in a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TxProof {
    /// The siblings from the transaction up to the block's root, as hashed.
    pub branch: Vec<Digest>,
    /// The block's header.
    pub header: Header,
    /// The block's height, as the node said: the header does not tell it.
    pub height: u32,
    /// The transaction's place in the block, from 0.
    pub position: u32,
    /// The transaction without witness.
    pub tx: Vec<u8>,
}

/// A registry record's anchor, in `proof.json`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Anchor {
    /// The siblings from the record's leaf up to the anchored root.
    pub path: Vec<Digest>,
    /// That root in a transaction, that in a block.
    pub proof: TxProof,
    /// How many records the anchored tree has.
    pub size: u64,
}

/// What a proof that holds shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Anchored {
    /// The root that was anchored.
    pub root: Digest,
    /// The transaction.
    pub txid: Txid,
    /// The block.
    pub block: BlockHash,
    /// Its height, which nothing shows yet.
    pub height: u32,
    /// Its header, which meets its own target.
    pub header: Header,
    /// The work that it took.
    pub work: ChainWork,
}

impl TxProof {
    /// The proof from a node's answers: `gettransaction` (its `hex`) and
    /// `gettxoutproof`, and the block's height. What it gives holds.
    ///
    /// # Errors
    /// [`AnchorError`], also where the transaction does not carry `root`.
    pub fn from_node(
        tx: &[u8],
        outproof: &[u8],
        height: u32,
        root: &Digest,
    ) -> Result<Self, AnchorError> {
        let transaction = Transaction::parse(tx)?;
        let found = OutProof::parse(outproof)?;
        if found.txid != transaction.txid() {
            return Err(AnchorError::OtherTransaction);
        }
        let proof = Self {
            branch: found.branch,
            header: found.header,
            height,
            position: found.position,
            tx: transaction.stripped().into(),
        };
        proof.verify(root)?;
        Ok(proof)
    }

    /// Checks that the transaction carries `root`, is in the block, and that
    /// the block's header meets its target.
    ///
    /// # Errors
    /// [`AnchorError`], naming the first step that does not hold.
    pub fn verify(&self, root: &Digest) -> Result<Anchored, AnchorError> {
        let transaction = self.transaction()?;
        if transaction.root()? != *root {
            return Err(AnchorError::Payload("it carries another root"));
        }
        let txid = transaction.txid();
        if block_root(txid, self.position, &self.branch)? != self.header.merkle_root() {
            return Err(AnchorError::Branch("it does not lead to the root in the header"));
        }
        let work = self.header.check()?;
        let (block, height, header) = (self.header.hash(), self.height, self.header);
        Ok(Anchored { root: *root, txid, block, height, header, work })
    }

    /// The transaction, which has no witness and a size that is proved.
    ///
    /// # Errors
    /// [`AnchorError::Transaction`].
    pub fn transaction(&self) -> Result<Transaction, AnchorError> {
        if self.tx.len() > MAX_PROVED {
            return Err(AnchorError::Transaction("over 4096 bytes without witness"));
        }
        if self.tx.len() == 64 {
            return Err(AnchorError::Transaction("64 bytes, as an inner node of the tree has"));
        }
        let transaction = Transaction::parse(&self.tx)?;
        match transaction.has_witness() {
            true => Err(AnchorError::Transaction("it has a witness, which its id leaves out")),
            false => Ok(transaction),
        }
    }

    /// As JSON.
    pub fn to_value(&self) -> Value {
        let branch: Vec<Value> = self.branch.iter().map(|sibling| (*sibling).into()).collect();
        Value::object([
            ("branch", branch.into()),
            ("header", to_hex(&self.header.0).into()),
            ("height", self.height.into()),
            ("position", self.position.into()),
            ("tx", to_hex(&self.tx).into()),
        ])
    }

    /// Reads exactly what [`Self::to_value`] writes. Nothing is verified.
    ///
    /// # Errors
    /// Where the form ends.
    pub fn read(scan: &mut Scanner<'_>) -> Result<Self, ScanError> {
        scan.open()?;
        scan.key("branch")?;
        let branch = digests(scan, MAX_DEPTH)?;
        scan.key("header")?;
        let header: Option<[u8; HEADER]> = hex(scan, HEADER)?.try_into().ok();
        let Some(header) = header else { return scan.fail("a header that is not 80 bytes long") };
        scan.key("height")?;
        let height = small(scan)?;
        scan.key("position")?;
        let position = small(scan)?;
        scan.key("tx")?;
        let tx = hex(scan, MAX_PROVED)?;
        scan.close()?;
        Ok(Self { branch, header: Header(header), height, position, tx })
    }
}

impl Anchor {
    /// Checks the whole way from the record `leaf` at `index` to the block.
    ///
    /// # Errors
    /// [`AnchorError`], naming the first step that does not hold.
    pub fn verify(&self, leaf: Digest, index: u64) -> Result<Anchored, AnchorError> {
        let root = merkle::root_by(leaf, index, self.size, &self.path);
        let root = root.ok_or(AnchorError::Path)?;
        // The transaction's own word for the root, so that a path that leads
        // elsewhere is told from a payload that is none.
        if self.proof.transaction()?.root()? != root {
            return Err(AnchorError::Path);
        }
        self.proof.verify(&root)
    }

    /// As JSON.
    pub fn to_value(&self) -> Value {
        let path: Vec<Value> = self.path.iter().map(|sibling| (*sibling).into()).collect();
        Value::object([
            ("path", path.into()),
            ("proof", self.proof.to_value()),
            ("size", self.size.into()),
        ])
    }

    /// Reads exactly what [`Self::to_value`] writes. Nothing is verified.
    ///
    /// # Errors
    /// Where the form ends.
    pub fn read(scan: &mut Scanner<'_>) -> Result<Self, ScanError> {
        scan.open()?;
        scan.key("path")?;
        let path = digests(scan, MAX_PROOF_PATH)?;
        scan.key("proof")?;
        let proof = TxProof::read(scan)?;
        scan.key("size")?;
        let size = scan.uint()?;
        scan.close()?;
        Ok(Self { path, proof, size })
    }
}

/// An array of at most `most` digests.
pub(crate) fn digests(scan: &mut Scanner<'_>, most: usize) -> Result<Vec<Digest>, ScanError> {
    let mut digests = Vec::new();
    scan.array(|scan| {
        if digests.len() == most {
            return scan.fail("longer than any tree is high");
        }
        digests.push(read_digest(scan)?);
        Ok(())
    })?;
    Ok(digests)
}

/// At most `most` bytes in hex.
fn hex(scan: &mut Scanner<'_>, most: usize) -> Result<Vec<u8>, ScanError> {
    let text = scan.plain()?;
    if text.len() > most * 2 {
        return scan.fail("more bytes than are taken here");
    }
    match from_hex(text) {
        Some(bytes) => Ok(bytes),
        None => scan.fail("expected lower-case hex"),
    }
}

/// A number below 2^31, as Bitcoin counts blocks.
fn small(scan: &mut Scanner<'_>) -> Result<u32, ScanError> {
    match u32::try_from(scan.uint()?).ok().filter(|number| number >> 31 == 0) {
        Some(number) => Ok(number),
        None => scan.fail("a number of 2^31 or more"),
    }
}

/// Hex for messages that name a hash.
impl From<BlockHash> for Value {
    fn from(hash: BlockHash) -> Self {
        let text: String = hash.to_hex();
        Self::Str(text)
    }
}
