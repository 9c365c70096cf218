//! `provenanced anchor`: its answer.

use provenance_bitcoin_node::{Node, headers, time_source};
use provenance_cli::{Exit, Failure, OutputFormat, print_json, print_line};
use provenance_core::encoding::json::Value;
use provenance_host::{
    clock::{Clock as _, SystemClock},
    config::{Anchor as AnchorSettings, Config},
    state_dir::StateDir,
};

use super::common::failure;
use crate::{
    anchoring::{
        self, AnchorRequest, AnchorResult, ByCalendars, Headers, Standing, wallet::NodeWallet,
    },
    error::ServiceError,
    ledger::Ledger,
};

pub(super) fn run(
    config: &Config,
    state: &StateDir,
    mut evidence: Ledger,
    at_once: bool,
    format: OutputFormat,
) -> Result<(), Failure> {
    let clock = SystemClock::new().map_err(|error| Failure::new(Exit::Io, error))?;
    let outcome = match (&config.node, &config.anchor) {
        (_, Some(settings)) if !settings.calendars.is_empty() => {
            by_calendars(config, settings, state, &mut evidence, at_once, &clock)?
        }
        (Some(node), Some(settings)) => {
            let rpc = Node::new(&node.rpc, node.access.clone());
            let limit = settings.max_fee_rate_sat_vb;
            let wallet = NodeWallet::new(rpc, node.wallet.as_deref(), &node.network, limit);
            let asked = AnchorRequest { settings, network: &node.network, at_once };
            anchoring::step(&asked, state, &mut evidence, &wallet, || clock.now().time)
        }
        _ => Err(anchoring::off()),
    };
    let outcome = outcome.map_err(failure)?;
    if format == OutputFormat::Json {
        print_json(&value(&outcome));
    } else {
        print_line(&text(&outcome));
    }
    Ok(())
}

fn by_calendars(
    config: &Config,
    settings: &AnchorSettings,
    state: &StateDir,
    evidence: &mut Ledger,
    at_once: bool,
    clock: &SystemClock,
) -> Result<Result<AnchorResult, ServiceError>, Failure> {
    let ask = config.node.as_ref().map(|settings| {
        let node = Node::new(&settings.rpc, settings.access.clone());
        // What a node of another network says of a height is of no use.
        move |height| match time_source::height(&node, &settings.network) {
            Ok(_) => headers::header_at(&node, height).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    });
    let asked = ByCalendars {
        urls: &settings.calendars,
        network: &settings.network,
        at_once,
        confirmations: settings.confirmations,
        headers: ask.as_ref().map(|ask| -> Headers<'_> { ask }),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Io, error))?;
    let now = || clock.now().time;
    Ok(runtime.block_on(anchoring::step_by_calendars(&asked, state, evidence, now)))
}

fn value(outcome: &AnchorResult) -> Value {
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
        .with_some("height", anchor.height)
        .with_some("txid", anchor.txid.map(|txid| txid.to_hex()).as_deref())
    });
    Value::object([
        ("anchors", Value::Array(anchors.collect())),
        ("bundles_proved", (outcome.proved as u64).into()),
        ("done", Value::Array(done.collect())),
    ])
}

fn text(outcome: &AnchorResult) -> String {
    let mut lines: Vec<String> = outcome.anchors.iter().map(line).collect();
    if outcome.proved > 0 {
        lines.push(format!("{} bundles have new proofs", outcome.proved));
    }
    lines.join("\n")
}

fn line(anchor: &Standing) -> String {
    let txid = anchor.txid.map(|txid| format!(", transaction {}", txid.to_hex()));
    let block = anchor.height.map(|height| format!(", block {height}"));
    let (txid, block) = (txid.unwrap_or_default(), block.unwrap_or_default());
    let state = anchor.state.as_str();
    format!("{state}: the root of {} records{txid}{block}, since {}", anchor.size, anchor.since)
}
