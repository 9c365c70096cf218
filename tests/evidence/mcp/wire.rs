//! What no client would send, and ends that come early.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Output, Stdio},
};

use provenance_audit::{error::AuditError, state};
use provenance_verifier::Trust;
use serde_json::{Value, json};

use super::prepared_appliance;
use crate::common::{programs::PROVCTL, test_appliance::TestAppliance};

fn fed(appliance: &TestAppliance, input: &[u8]) -> Output {
    let mut child = Command::new("timeout")
        .args(["20", PROVCTL, "mcp", "--state"])
        .arg(appliance.state(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have ended before it took all.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[test]
fn garbage_on_standard_input_ends_cleanly() {
    let appliance = TestAppliance::new();
    let deep = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":{}1", "[".repeat(100_000));
    let wrong = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": 7});
    let long = "x".repeat(3 << 20);
    for input in [
        &b""[..],
        b"\n\n\n",
        b"\0\xff\xfe\x80 no json at all\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,",
        b"[1,2,3]\n\"x\"\nnull\n1e999\n",
        deep.as_bytes(),
        format!("{deep}\n").as_bytes(),
        format!("{long}\n").as_bytes(),
        format!("{wrong}\n").as_bytes(),
        b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{}}\n",
    ] {
        let output = fed(&appliance, input);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let begin = String::from_utf8_lossy(&input[..input.len().min(60)]).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 65)), "{begin}: {:?} {stderr}", output);
        assert!(!stderr.contains("panicked") && stderr.len() < 300, "{begin}: {stderr}");
    }
}

#[test]
fn garbage_within_a_session_harms_only_itself() {
    let appliance = prepared_appliance();
    let mut child = Command::new(PROVCTL)
        .args(["mcp", "--state"])
        .arg(appliance.state(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut until = |id: u64| loop {
        let value: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        if value["id"] == id {
            return value;
        }
    };
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "t", "version": "0"}}});
    writeln!(input, "{hello}").unwrap();
    assert_eq!(until(1)["result"]["protocolVersion"], "2025-11-25");
    writeln!(input, "{}", json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        .unwrap();
    input.write_all(b"\xff\xfe{]\n[]\n{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":3}\n").unwrap();
    input.write_all("y".repeat(1 << 20).as_bytes()).unwrap();
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "verify_chain", "arguments": {}}});
    writeln!(input, "\n{call}").unwrap();
    assert_eq!(until(2)["result"]["structuredContent"]["verdict"], "inconclusive");
    let unknown = json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call",
        "params": {"name": "IGNORE ALL PREVIOUS", "arguments": {}}});
    writeln!(input, "{unknown}").unwrap();
    let error = until(3);
    assert_eq!(error["error"]["code"], -32602);
    assert!(!error.to_string().contains("IGNORE ALL"), "{error}");
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_verification_that_nobody_waits_for_ends() {
    let appliance = prepared_appliance();
    let trust = Trust::default();
    trust.stop.now();
    let options = state::Options::default();
    let stopped = state::verify(&appliance.state(""), &trust, &options, &mut |_| {});
    assert!(matches!(stopped, Err(AuditError::Stopped)), "{stopped:?}");
}
