//! Where a transaction is in the chain, by a node whose wallet does not know it.

use provenance_bitcoin_node::{Node, NodeError};
use provenance_core::bitcoin::{BlockHash, Txid};
use serde_json::{Value, json};

use super::rpc_response::{Members as _, number, wrong};

/// A transaction of ours has two outputs: the data, and what goes back.
const MAX_OUTPUTS: u32 = 3;
const NOT_FOUND: i32 = -5;

/// The block of the best chain that `txid` is in, its height and its depth:
/// looked for by an output that is still unspent, by the node's index, if it
/// has one, and in the block that it was in last.
pub(super) fn in_chain(
    node: &Node,
    txid: &Txid,
    last: Option<&BlockHash>,
) -> Result<Option<(BlockHash, u32, u32)>, NodeError> {
    let id = Value::from(txid.to_hex());
    let unspent = by_output(node, &id)?;
    let block = match unspent {
        Some(block) => Some(block),
        None => by_index(node, &id)?,
    };
    for block in block.iter().chain(last) {
        let hash = Value::from(block.to_hex());
        // It is in that block, whatever was said before.
        match node.call("gettxoutproof", &[json!([id]), hash.clone()]) {
            Ok(_) => {}
            Err(NodeError::Refused { .. }) => continue,
            Err(error) => return Err(error),
        }
        // And that block is in the chain.
        if let Some((height, depth)) = header(node, &hash)?.filter(|(_, depth)| *depth > 0) {
            return Ok(Some((*block, height, depth)));
        }
    }
    Ok(None)
}

fn by_output(node: &Node, id: &Value) -> Result<Option<BlockHash>, NodeError> {
    for vout in 0..MAX_OUTPUTS {
        let output = node.call("gettxout", &[id.clone(), vout.into(), false.into()])?;
        let depth = number(output.member("confirmations"));
        let Some(depth) = depth.filter(|depth| *depth > 0) else { continue };
        let best = header(node, output.member("bestblock"))?;
        let above = best.and_then(|(height, _)| height.checked_sub(depth - 1));
        let height = above.ok_or_else(|| wrong("gettxout", "confirmations"))?;
        return Ok(hash(&node.call("getblockhash", &[height.into()])?));
    }
    Ok(None)
}

/// Most nodes have no index, and say so.
fn by_index(node: &Node, id: &Value) -> Result<Option<BlockHash>, NodeError> {
    match node.call("getrawtransaction", &[id.clone(), true.into()]) {
        Ok(known) => Ok(hash(known.member("blockhash"))),
        Err(NodeError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The height of a block, and how deep it is: 0 where it is not in the chain.
fn header(node: &Node, hash: &Value) -> Result<Option<(u32, u32)>, NodeError> {
    let header = match node.call("getblockheader", std::slice::from_ref(hash)) {
        Err(NodeError::Refused { code: NOT_FOUND, .. }) => return Ok(None),
        header => header?,
    };
    let depth = number(header.member("confirmations")).unwrap_or_default();
    let height = number(header.member("height"));
    let height = height.ok_or_else(|| wrong("getblockheader", "height"))?;
    Ok(Some((height, depth)))
}

fn hash(value: &Value) -> Option<BlockHash> {
    value.as_str().and_then(|hash| BlockHash::from_hex(hash.as_bytes()))
}
