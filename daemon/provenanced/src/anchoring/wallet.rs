//! The wallet that pays for anchors, by the RPCs of a node and with our own
//! types. It holds little, and nothing else uses it.
//!
//! Trust: the node could send our coins anywhere, it has the keys. It cannot
//! make us record a transaction that carries another root, or a proof that
//! does not hold: both are parsed and checked here and in the core.

use provenance_bitcoin_node::{Node, NodeError};
use provenance_core::{
    bitcoin::{BlockHash, MAX_PROVED, OutPoint, Transaction, TxProof, Txid, payload},
    encoding::digest::{Digest, from_hex, to_hex},
    registry::SignedTx,
};
use serde_json::{Value, json};

use super::{
    rpc_response::{Members as _, number, wrong},
    transaction_search,
};

/// Without an estimate, satoshi per virtual byte.
const FALLBACK_RATE: u64 = 2;
/// The estimate is for a block among so many.
const TARGET_BLOCKS: u64 = 6;
/// What some nodes say of a transaction with no output but our data.
const BARE_DATA_REFUSED: &str = "it takes no transaction that only carries data";
/// What goes back to ourselves then, in bitcoin: over what nodes call dust.
const DUST_FREE_AMOUNT: &str = "0.00001000";
const NOT_FOUND: i32 = -5;
const FUNDS: [i32; 2] = [-6, -4];
const NO_WALLET: i32 = -18;
const ALREADY_LOADED: i32 = -35;
const ALREADY_MINED: i32 = -27;

/// What a wallet is asked for; a test's can fail as no real one does.
pub trait Wallet {
    /// The node's best block; an error where the node is on another network
    /// or has not caught up.
    ///
    /// # Errors
    /// [`NodeError`].
    fn tip(&self) -> Result<u32, NodeError>;
    /// What it sees of a transaction, which was last in the block `mined`.
    ///
    /// # Errors
    /// [`NodeError`].
    fn transaction_state(
        &self,
        tx: &SignedTx,
        mined: Option<&BlockHash>,
    ) -> Result<TransactionState, NodeError>;
    /// What a transaction should pay now, in satoshi per virtual byte: an
    /// estimate, and no less than the node takes.
    ///
    /// # Errors
    /// [`NodeError`].
    fn fee_rate(&self) -> Result<u64, NodeError>;
    /// A signed transaction that carries `root`, spends what is still there of
    /// `exclude`, and nothing of `in_use`. It is not sent.
    ///
    /// # Errors
    /// [`NodeError`].
    fn sign(
        &self,
        root: &Digest,
        rate: u64,
        exclude: &[OutPoint],
        in_use: &[OutPoint],
    ) -> Result<SignedTx, NodeError>;
    /// One that takes the place of `old` and pays `rate`. It is not sent.
    ///
    /// # Errors
    /// [`NodeError`].
    fn replace(&self, old: &SignedTx, root: &Digest, rate: u64) -> Result<SignedTx, NodeError>;
    /// Sends it; that it is known already is no error.
    ///
    /// # Errors
    /// [`NodeError`].
    fn send(&self, tx: &SignedTx) -> Result<(), NodeError>;
    /// The proof of a transaction in a block. It holds.
    ///
    /// # Errors
    /// [`NodeError`].
    fn prove(
        &self,
        tx: &SignedTx,
        block: &BlockHash,
        height: u32,
        root: &Digest,
    ) -> Result<TxProof, NodeError>;
    /// What can be spent, in satoshi.
    ///
    /// # Errors
    /// [`NodeError`].
    fn balance(&self) -> Result<u64, NodeError>;
}

/// What a node sees of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransactionState {
    /// Nothing: it was never sent, or was dropped.
    Nowhere,
    /// It waits since the chain had this height.
    Pool(u32),
    /// It is in this block, at this height, so deep.
    Block(BlockHash, u32, u32),
    /// One of its inputs is spent by another, so deep.
    Conflicted(u32),
}

/// A node's wallet.
#[derive(Clone, Debug)]
pub struct NodeWallet {
    node: Node,
    wallet: Node,
    name: Option<String>,
    network: String,
    /// No transaction pays more, in satoshi per virtual byte.
    max_rate: u64,
}

impl NodeWallet {
    /// The wallet `name` of the node; without a name its only one.
    pub(crate) fn new(node: Node, name: Option<&str>, network: &str, max_rate: u64) -> Self {
        let wallet =
            name.map_or_else(|| node.clone(), |name| node.with_path(&format!("/wallet/{name}")));
        Self { node, wallet, name: name.map(Into::into), network: network.into(), max_rate }
    }

    /// Asks the wallet, which is loaded first where the node has not.
    fn call_wallet(&self, method: &'static str, parameters: &[Value]) -> Result<Value, NodeError> {
        match (self.wallet.call(method, parameters), &self.name) {
            (Err(NodeError::Refused { code: NO_WALLET, .. }), Some(name)) => {
                match self.node.call("loadwallet", &[name.as_str().into()]) {
                    Ok(_) | Err(NodeError::Refused { code: ALREADY_LOADED, .. }) => {
                        self.wallet.call(method, parameters)
                    }
                    Err(error) => Err(error),
                }
            }
            (answer, _) => answer,
        }
    }

    /// A signed transaction with these outputs; its coins are set aside.
    fn fund(
        &self,
        inputs: &[Value],
        outputs: &[Value],
        rate: u64,
        root: &Digest,
    ) -> Result<SignedTx, NodeError> {
        let raw = self.call_wallet("createrawtransaction", &[inputs.into(), outputs.into()])?;
        let options = json!({"fee_rate": rate, "replaceable": true, "lockUnspents": true});
        let funded = self.call_wallet("fundrawtransaction", &[raw, options]);
        let funded = funded.map_err(|error| match error {
            NodeError::Refused { code, message } if FUNDS.contains(&code) => {
                NodeError::Funds(message)
            }
            error => error,
        })?;
        let hex = funded.member("hex").clone();
        let signed = self.call_wallet("signrawtransactionwithwallet", &[hex])?;
        self.check("signrawtransactionwithwallet", &signed, funded.member("fee"), root)
    }

    /// Coins that were set aside for a transaction that is not on record: its
    /// maker was killed.
    fn free(&self, in_use: &[OutPoint]) -> Result<(), NodeError> {
        let locked = self.call_wallet("listlockunspent", &[])?;
        let locked = locked.as_array().ok_or_else(|| wrong("listlockunspent", "no list"))?;
        let stale =
            |entry: &&Value| outpoint(entry).is_some_and(|outpoint| !in_use.contains(&outpoint));
        let stale: Vec<Value> = locked.iter().filter(stale).cloned().collect();
        if !stale.is_empty() {
            self.call_wallet("lockunspent", &[true.into(), stale.into()])?;
        }
        Ok(())
    }

    fn is_unspent(&self, outpoint: &OutPoint) -> Result<bool, NodeError> {
        let txid = outpoint.txid.to_hex().into();
        Ok(!self.node.call("gettxout", &[txid, outpoint.vout.into(), true.into()])?.is_null())
    }

    /// A transaction as it may go on record: signed, with this root, not too
    /// dear, and small enough to be proved.
    fn check(
        &self,
        method: &'static str,
        answer: &Value,
        fee: &Value,
        root: &Digest,
    ) -> Result<SignedTx, NodeError> {
        if answer.get("complete").and_then(Value::as_bool) != Some(true) {
            return Err(wrong(method, "the transaction is not signed completely"));
        }
        let tx = answer.get("hex").and_then(Value::as_str).and_then(from_hex);
        let tx = tx.ok_or_else(|| wrong(method, "no transaction"))?;
        let parsed = Transaction::parse(&tx).map_err(|error| wrong(method, error))?;
        if parsed.root().map_err(|error| wrong(method, error))? != *root {
            return Err(wrong(method, "the transaction carries another root"));
        }
        if parsed.stripped().len() > MAX_PROVED {
            let what = "the transaction has too many inputs to be proved: join the wallet's coins";
            return Err(wrong(method, what));
        }
        let fee_sat = satoshi(fee).ok_or_else(|| wrong(method, "no fee"))?;
        // A virtual byte is at most a byte; what rounding adds is allowed.
        let most = self.max_rate.saturating_mul(tx.len() as u64 + 1);
        if fee_sat > most {
            return Err(wrong(method, format!("a fee of {fee_sat} sat, over the limit of {most}")));
        }
        self.accepts(&tx)?;
        Ok(SignedTx { fee_sat, txid: parsed.txid(), tx })
    }

    /// Whether the node would take it: what goes on record can be sent. (Some
    /// nodes take no transaction that leaves no change.)
    fn accepts(&self, tx: &[u8]) -> Result<(), NodeError> {
        let method = "testmempoolaccept";
        let answer = self.node.call(method, &[json!([to_hex(tx)]), 0.into()])?;
        let answer = answer.get(0).ok_or_else(|| wrong(method, "no answer"))?;
        match (answer.member("allowed").as_bool(), answer.member("reject-reason").as_str()) {
            (Some(true), _) => Ok(()),
            (Some(false), Some("bare-datacarrier")) => {
                Err(NodeError::Unfit(BARE_DATA_REFUSED.into()))
            }
            (Some(false), why) => {
                let why = why.unwrap_or_default().chars().take(100).collect::<String>();
                Err(NodeError::Unfit(format!("it would not take our transaction: {why}")))
            }
            (None, _) => Err(wrong(method, "allowed")),
        }
    }
}

impl Wallet for NodeWallet {
    fn tip(&self) -> Result<u32, NodeError> {
        provenance_bitcoin_node::time_source::height(&self.node, &self.network)
    }

    fn transaction_state(
        &self,
        tx: &SignedTx,
        mined: Option<&BlockHash>,
    ) -> Result<TransactionState, NodeError> {
        let id = Value::from(tx.txid.to_hex());
        let known = match self.call_wallet("gettransaction", std::slice::from_ref(&id)) {
            Err(NodeError::Refused { code: NOT_FOUND, .. }) => None,
            known => Some(known?),
        };
        let confirmations =
            known.as_ref().map_or(Some(0), |known| known.member("confirmations").as_i64());
        let confirmations =
            confirmations.ok_or_else(|| wrong("gettransaction", "confirmations"))?;
        let count = u32::try_from(confirmations.unsigned_abs()).unwrap_or(u32::MAX);
        if confirmations < 0 {
            return Ok(TransactionState::Conflicted(count));
        }
        let has = known.is_some();
        if let Some(known) = known.filter(|_| count > 0) {
            let block = known.member("blockhash").as_str();
            let block = block.and_then(|hash| BlockHash::from_hex(hash.as_bytes()));
            let height = number(known.member("blockheight"));
            let found = block.zip(height).ok_or_else(|| wrong("gettransaction", "its block"))?;
            return Ok(TransactionState::Block(found.0, found.1, count));
        }
        match self.node.call("getmempoolentry", std::slice::from_ref(&id)) {
            // A wallet that does not know it may have been lost, and made anew.
            Err(NodeError::Refused { code: NOT_FOUND, .. }) if !has => {
                let found = transaction_search::in_chain(&self.node, &tx.txid, mined)?;
                Ok(found.map_or(TransactionState::Nowhere, |(block, height, depth)| {
                    TransactionState::Block(block, height, depth)
                }))
            }
            Err(NodeError::Refused { code: NOT_FOUND, .. }) => Ok(TransactionState::Nowhere),
            entry => number(entry?.member("height"))
                .map(TransactionState::Pool)
                .ok_or_else(|| wrong("getmempoolentry", "height")),
        }
    }

    fn fee_rate(&self) -> Result<u64, NodeError> {
        let estimate = self.node.call("estimatesmartfee", &[TARGET_BLOCKS.into()])?;
        let estimate = rate(estimate.member("feerate")).unwrap_or(FALLBACK_RATE);
        let pool = self.node.call("getmempoolinfo", &[])?;
        let least = rate(pool.member("mempoolminfee")).max(rate(pool.member("minrelaytxfee")));
        Ok(estimate.max(least.unwrap_or(1)).max(1))
    }

    fn sign(
        &self,
        root: &Digest,
        rate: u64,
        exclude: &[OutPoint],
        in_use: &[OutPoint],
    ) -> Result<SignedTx, NodeError> {
        self.free(in_use)?;
        let mut inputs = vec![];
        for outpoint in exclude {
            if self.is_unspent(outpoint)? {
                inputs.push(json!({"txid": outpoint.txid.to_hex(), "vout": outpoint.vout}));
            }
        }
        let data = json!({"data": to_hex(&payload(root))});
        match self.fund(&inputs, std::slice::from_ref(&data), rate, root) {
            Err(NodeError::Unfit(why)) if why == BARE_DATA_REFUSED => {}
            signed => return signed,
        }
        // The coins came out even, and this node takes no transaction without
        // another output: a little goes back to ourselves.
        let address = self.call_wallet("getrawchangeaddress", &[])?;
        let address = address.as_str().ok_or_else(|| wrong("getrawchangeaddress", "no address"))?;
        self.fund(&inputs, &[data, json!({address: DUST_FREE_AMOUNT})], rate, root)
    }

    fn replace(&self, old: &SignedTx, root: &Digest, rate: u64) -> Result<SignedTx, NodeError> {
        // bumpfee would send it at once; it must be on record first.
        let options = json!({"fee_rate": rate});
        let bumped = self.call_wallet("psbtbumpfee", &[old.txid.to_hex().into(), options])?;
        let signed = self.call_wallet("walletprocesspsbt", &[bumped.member("psbt").clone()])?;
        let done = self.call_wallet("finalizepsbt", &[signed.member("psbt").clone()])?;
        let new = self.check("finalizepsbt", &done, bumped.member("fee"), root)?;
        let spends = |tx: &[u8]| Transaction::parse(tx).map(|tx| tx.inputs().to_vec());
        let (old, by) = (spends(&old.tx), spends(&new.tx));
        let shared = matches!((old, by), (Ok(old), Ok(by)) if old.iter().any(|of| by.contains(of)));
        if !shared {
            return Err(wrong("psbtbumpfee", "both could be mined: they spend no common coin"));
        }
        Ok(new)
    }

    fn send(&self, tx: &SignedTx) -> Result<(), NodeError> {
        // The limit is ours, and was held when it was signed.
        match self.call_wallet("sendrawtransaction", &[to_hex(&tx.tx).into(), 0.into()]) {
            Ok(_) | Err(NodeError::Refused { code: ALREADY_MINED, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn prove(
        &self,
        tx: &SignedTx,
        block: &BlockHash,
        height: u32,
        root: &Digest,
    ) -> Result<TxProof, NodeError> {
        let (id, block) = (tx.txid.to_hex(), block.to_hex());
        let proof = self.node.call("gettxoutproof", &[json!([id]), block.into()])?;
        let proof = proof.as_str().and_then(from_hex);
        let proof = proof.ok_or_else(|| wrong("gettxoutproof", "no proof"))?;
        TxProof::from_node(&tx.tx, &proof, height, root)
            .map_err(|error| wrong("gettxoutproof", error))
    }

    fn balance(&self) -> Result<u64, NodeError> {
        let balances = self.call_wallet("getbalances", &[])?;
        satoshi(balances.member("mine").member("trusted"))
            .ok_or_else(|| wrong("getbalances", "mine.trusted"))
    }
}

fn outpoint(entry: &Value) -> Option<OutPoint> {
    let txid = Txid::from_hex(entry.member("txid").as_str()?.as_bytes())?;
    Some(OutPoint { txid, vout: number(entry.member("vout"))? })
}

/// An amount in bitcoin, which the node writes as a number with eight decimals:
/// below 2^53 satoshi, so that rounding gives exactly what was meant.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range, see above")]
fn satoshi(value: &Value) -> Option<u64> {
    let sat = (value.as_f64()? * 1e8).round();
    (0.0..9e15).contains(&sat).then_some(sat as u64)
}

/// Bitcoin per thousand virtual bytes as satoshi per virtual byte, rounded up.
fn rate(value: &Value) -> Option<u64> {
    satoshi(value).map(|per_thousand| per_thousand.div_ceil(1000))
}
