//! `provenanced anchor`: its answer.

use provenance_core::{canon::Value, verify::anchors::State};

use super::{Exit, Failure, provenanced::failure, say};
use crate::{
    bitcoin::{Node, wallet::NodeWallet},
    engine::anchor::Anchor,
    host::{
        config::Config,
        durable::StateDir,
        systime::{Clock as _, SystemClock},
    },
    services::{
        anchor::{self, Asked, Outcome},
        evidence::Evidence,
    },
};

pub(super) fn run(
    config: &Config,
    state: &StateDir,
    mut evidence: Evidence,
    at_once: bool,
    json: bool,
) -> Result<(), Failure> {
    let clock = SystemClock::new().map_err(|error| Failure::new(Exit::Io, error))?;
    let outcome = match (&config.node, config.anchor) {
        (Some(node), Some(settings)) => {
            let rpc = Node::new(&node.rpc, node.access.clone());
            let limit = settings.max_fee_rate_sat_vb;
            let wallet = NodeWallet::new(rpc, node.wallet.as_deref(), &node.network, limit);
            let asked = Asked { settings, network: &node.network, at_once };
            anchor::step(&asked, state, &mut evidence, &wallet, || clock.now().time)
        }
        _ => Err(anchor::off()),
    };
    let outcome = outcome.map_err(failure)?;
    if json {
        say(&String::from_utf8_lossy(&value(&outcome).encode()));
    } else {
        say(&text(&outcome));
    }
    Ok(())
}

fn value(outcome: &Outcome) -> Value {
    let done = outcome
        .done
        .iter()
        .map(|(size, state)| Value::object([("size", (*size).into()), ("state", (*state).into())]));
    let anchors = outcome.anchors.iter().map(|anchor| {
        Value::object([
            ("root", anchor.root.into()),
            ("since", anchor.since.into()),
            ("size", anchor.size.into()),
            ("state", anchor.state.as_str().into()),
        ])
        .with_some("height", anchor.block.map(|(_, _, height)| height))
        .with_some("txid", txid(anchor).as_deref())
    });
    Value::object([
        ("anchors", Value::Array(anchors.collect())),
        ("bundles_proved", (outcome.proved as u64).into()),
        ("done", Value::Array(done.collect())),
    ])
}

fn text(outcome: &Outcome) -> String {
    let mut lines: Vec<String> = outcome.anchors.iter().map(line).collect();
    if outcome.proved > 0 {
        lines.push(format!("{} bundles have new proofs", outcome.proved));
    }
    lines.join("\n")
}

fn line(anchor: &Anchor) -> String {
    let txid = txid(anchor).map(|txid| format!(", transaction {txid}")).unwrap_or_default();
    let block = match (anchor.block, anchor.state) {
        (Some((_, _, height)), State::Mined | State::Final) => format!(", block {height}"),
        _ => String::new(),
    };
    let state = anchor.state.as_str();
    format!("{state}: the root of {} records{txid}{block}, since {}", anchor.size, anchor.since)
}

/// The transaction that is in a block, or was last, else the newest.
fn txid(anchor: &Anchor) -> Option<String> {
    let mined = anchor.block.map(|(txid, _, _)| txid);
    mined.or_else(|| anchor.txs.last().map(|tx| tx.txid)).map(|txid| txid.to_hex())
}
