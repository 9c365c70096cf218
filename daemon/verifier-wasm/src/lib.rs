//! What `verifier.html` runs as WebAssembly: the page hands in the auditor's
//! files, this judges the packet and hands back the report that
//! `provctl verify --json` prints.
//!
//! The packet itself is read piece by piece from where the browser has it, so
//! that memory does not grow with it.

#[cfg(target_arch = "wasm32")]
mod exports;

use provenance_core::{
    bitcoin::MAX_HEADERS, encoding::json::Value, merkle::inclusion_proof::MAX_PROOF,
};
use provenance_verifier::{
    Source, Trust,
    block_headers::Blocks,
    packet::{self, Packet},
    policy::{self, Policy},
};

/// What was dropped on the page beside the packet.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// The auditor's policy file.
    pub policy: Option<Vec<u8>>,
    /// The auditor's file of block headers.
    pub headers: Option<Vec<u8>>,
    /// The proof that the packet's export is on record.
    pub proof: Option<Vec<u8>>,
    /// What the packet is called.
    pub name: String,
}

/// The report as `provctl verify --json` prints it, or `{"error": why}`.
pub fn verify(source: &dyn Source, beside: Beside, progress: &mut dyn FnMut(u64)) -> Vec<u8> {
    let answer = report(source, beside, progress);
    answer.unwrap_or_else(|why| Value::object([("error", why.as_str().into())])).encode()
}

fn report(
    source: &dyn Source,
    beside: Beside,
    progress: &mut dyn FnMut(u64),
) -> Result<Value, String> {
    let policy = beside.policy.map(read_policy).transpose()?;
    let mut blocks = Blocks::default();
    let mut missing = false;
    if let Some(bytes) = beside.headers {
        if bytes.len() > MAX_HEADERS {
            return Err("the header file is over its limit".into());
        }
        blocks.read(bytes).map_err(|why| format!("the header file: {why}"))?;
        blocks.demand();
    } else {
        missing = policy.as_ref().is_some_and(|policy| policy.anchor.headers.is_some());
    }
    if let Some(policy) = &policy {
        blocks.merge_policy(&policy.anchor);
    }
    if beside.proof.as_ref().is_some_and(|proof| proof.len() > MAX_PROOF) {
        return Err("the proof beside the packet is over its limit".into());
    }
    let proof_name = format!("{}.proof.json", beside.name);
    let packet = Packet { source, proof_name: &proof_name, proof: beside.proof.as_deref() };
    let given = Trust { policy, blocks, ..Trust::default() };
    let mut report = packet::verify(&packet, &given, progress).map_err(|e| e.to_string())?;
    if missing {
        let why = "the policy names a file of them: give that file too";
        report.not_checked_decisive("the block headers that you trust", why);
    }
    Ok(report.to_value())
}

fn read_policy(bytes: Vec<u8>) -> Result<Policy, String> {
    if bytes.len() as u64 > policy::MAX_BYTES {
        return Err("the policy is over its limit of 1 MiB".into());
    }
    let text = String::from_utf8(bytes).map_err(|error| format!("the policy: {error}"))?;
    Policy::parse(&text).map_err(|why| format!("the policy is not valid: {why}"))
}
