//! The best block as a bound of time (docs/format.md §3).
//!
//! A block's time is over the median of the eleven before it, and nodes refuse
//! one over two hours ahead of their clocks. So true time is not before the
//! median time past. It is within two hours behind the block's own time as
//! long as blocks are found: a window that ends before now means that the
//! clock is ahead, or that no block came for two hours, which happens about
//! every third year by chance.

use provenance_core::{
    encoding::{json::Value, time::Timestamp},
    record::time_attestation::{Claim, Source},
};

use crate::{Node, NodeError};

/// The name in records.
pub const NAME: &str = "btc:node";
/// How far a block's time may be ahead of a node's clock.
const AHEAD_NS: i64 = 2 * 3600 * 1_000_000_000;

/// A node's best block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tip {
    /// `main`, `test`, `testnet4`, `signet`, `regtest`
    pub chain: String,
    pub height: u64,
    /// The highest header that the node knows.
    pub headers: u64,
    /// Its hash, 64 hex digits.
    pub hash: String,
    /// Its own time, in seconds since the epoch.
    pub time_s: i64,
    /// The median of the times of it and the ten before it.
    pub median_s: i64,
    /// The node has not caught up yet.
    pub syncing: bool,
}

/// Asks the node for its best block, and bounds time by it. `network` is what
/// the settings call it.
pub fn ask(node: &Node, network: &str) -> Source<'static> {
    match tip(node) {
        Ok(tip) => source(&tip, network),
        Err(error @ (NodeError::Answer { .. } | NodeError::Refused { .. })) => {
            Source::rejected(NAME, error.to_string(), None)
        }
        Err(error) => Source::absent(NAME, error.to_string()),
    }
}

/// The best block.
///
/// # Errors
/// [`NodeError`].
pub(crate) fn tip(node: &Node) -> Result<Tip, NodeError> {
    let info = node.call("getblockchaininfo", &[])?;
    let mut tip = read(&info).ok_or_else(|| wrong("getblockchaininfo", &info))?;
    if tip.time_s == 0 {
        // Before version 24 the block's time is asked for apart.
        let header = node.call("getblockheader", &[tip.hash.clone().into()])?;
        let time = header.get("time").and_then(serde_json::Value::as_i64);
        tip.time_s = time.ok_or_else(|| wrong("getblockheader", &header))?;
    }
    Ok(tip)
}

/// The height of the best block of a node that the settings can mean: on
/// `network`, and caught up.
///
/// # Errors
/// [`NodeError`].
pub fn height(node: &Node, network: &str) -> Result<u32, NodeError> {
    let tip = tip(node)?;
    let refuse = |message: String| Err(NodeError::Unfit(message));
    if !tip.is_on(network) {
        return refuse(format!("it is on {}, and the settings say {network}", tip.chain));
    }
    if tip.is_behind(network) {
        return refuse(format!("it has not caught up: block {} of {}", tip.height, tip.headers));
    }
    let high = |_| NodeError::Answer { method: "getblockchaininfo", what: "the height".into() };
    u32::try_from(tip.height).map_err(high)
}

fn wrong(method: &'static str, answer: &serde_json::Value) -> NodeError {
    let what = answer.to_string().chars().take(100).collect::<String>();
    NodeError::Answer { method, what }
}

fn read(info: &serde_json::Value) -> Option<Tip> {
    let number = |name: &str| info.get(name)?.as_u64();
    let hash = info.get("bestblockhash")?.as_str()?;
    if hash.len() != 64 || !hash.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    Some(Tip {
        chain: info.get("chain")?.as_str()?.chars().take(20).collect(),
        height: number("blocks")?,
        headers: number("headers")?,
        hash: hash.to_ascii_lowercase(),
        time_s: info.get("time").and_then(serde_json::Value::as_i64).unwrap_or_default(),
        median_s: info.get("mediantime")?.as_i64()?,
        syncing: info.get("initialblockdownload")?.as_bool()?,
    })
}

/// The bounds by a best block.
pub(crate) fn source(tip: &Tip, network: &str) -> Source<'static> {
    let detail = Value::object([
        ("chain", tip.chain.as_str().into()),
        ("hash", tip.hash.as_str().into()),
        ("headers", tip.headers.into()),
        ("height", tip.height.into()),
        ("mediantime", tip.median_s.into()),
        ("time", tip.time_s.into()),
    ]);
    let reject = |why: String| Source::rejected(NAME, why, Some(&detail));
    if !tip.is_on(network) {
        return reject(format!("the node is on {}, the settings say {network}", tip.chain));
    }
    if tip.height == 0 {
        return reject("the node has no block yet".into());
    }
    if tip.is_behind(network) {
        return reject(format!("the node has block {} of {}", tip.height, tip.headers));
    }
    let nanos = |seconds: i64| seconds.checked_mul(1_000_000_000).filter(|nanos| *nanos > 0);
    let (Some(median), Some(time)) = (nanos(tip.median_s), nanos(tip.time_s)) else {
        return reject("the block's time is none".into());
    };
    let not_before = Timestamp::from_nanos(median);
    let not_after = Timestamp::from_nanos(time).plus_nanos(AHEAD_NS);
    Source::claims(NAME, Claim::Window { not_before, not_after }, Some(&detail))
}

impl Tip {
    /// Whether it is a block of what the settings call `network`.
    pub(crate) fn is_on(&self, network: &str) -> bool {
        self.chain == chain_of(network)
    }

    /// Whether the node has not caught up. One on regtest says so until a block
    /// of today was found, and nobody is ahead of it.
    pub(crate) fn is_behind(&self, network: &str) -> bool {
        self.syncing && network != "regtest"
    }
}

/// What nodes call a network.
fn chain_of(network: &str) -> &str {
    match network {
        "bitcoin" => "main",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use provenance_core::record::time_attestation::State;

    use super::*;

    fn tip() -> Tip {
        let info = serde_json::json!({
            "chain": "main", "blocks": 900_000, "headers": 900_000,
            "bestblockhash": "00".repeat(32), "time": 1_795_234_800, "mediantime": 1_795_231_200,
            "initialblockdownload": false, "warnings": []
        });
        read(&info).unwrap()
    }

    #[test]
    fn the_best_block_bounds_time_and_decides_nothing_finer() {
        let State::Ok(Claim::Window { not_before, not_after }) = source(&tip(), "bitcoin").state
        else {
            panic!()
        };
        assert_eq!(not_before.nanos(), 1_795_231_200_000_000_000);
        assert_eq!(not_after.since(not_before), 3 * 3600 * 1_000_000_000);
    }

    #[test]
    fn a_node_that_syncs_or_is_on_another_network_bounds_nothing() {
        let why = |tip: &Tip, network: &str| match source(tip, network).state {
            State::Rejected(why) => why.into_owned(),
            other => panic!("{other:?}"),
        };
        assert!(why(&tip(), "testnet4").contains("the node is on main"));
        let syncing = Tip { syncing: true, height: 5, ..tip() };
        assert_eq!(why(&syncing, "bitcoin"), "the node has block 5 of 900000");
        assert!(why(&Tip { median_s: i64::MAX, ..tip() }, "bitcoin").contains("none"));
        assert!(why(&Tip { time_s: -5, ..tip() }, "bitcoin").contains("none"));
    }

    #[test]
    fn an_answer_of_another_form_is_no_tip() {
        for info in [
            serde_json::json!(null),
            serde_json::json!({}),
            serde_json::json!({"chain": "main", "blocks": -1}),
            serde_json::json!({"chain": "main", "blocks": 1, "headers": 1, "mediantime": 1,
                "bestblockhash": "zz", "initialblockdownload": false}),
        ] {
            assert_eq!(read(&info), None, "{info}");
        }
    }
}
