//! The protocol's official conformance suite against `provctl mcp --listen`: what each
//! revision requires of a server. What it asks of a demonstration server, and a
//! product has not, stands with its reason in expected-failures.yml; the suite
//! itself fails where one of these passes, or anything else does not.

use std::{fs, process::Command};

use super::peers;
use super::{prepared_appliance, serving::Http};

const EXPECTED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/evidence/mcp/expected-failures.yml");
/// What is of the protocol itself, and has to pass whole.
const WHOLE: [(&str, &[&str]); 2] = [
    (
        "2025-11-25",
        &[
            "server-initialize",
            "ping",
            "tools-list",
            "resources-list",
            "prompts-list",
            "completion-complete",
            "server-sse-multiple-streams",
            "server-session-lifecycle",
            "dns-rebinding-protection",
        ],
    ),
    (
        "2026-07-28",
        &[
            "tools-list",
            "resources-list",
            "sep-2164-resource-not-found",
            "prompts-list",
            "completion-complete",
            "server-sse-multiple-streams",
            "dns-rebinding-protection",
            "caching",
            "http-header-validation",
        ],
    ),
];

#[test]
fn the_official_suite_passes_but_for_what_a_product_has_not() {
    let Some(suite) = peers::find("mcp-npm") else { return };
    let appliance = prepared_appliance();
    let http = Http::of(&appliance, None, &[]);
    for (revision, whole) in WHOLE {
        let run = Command::new(&suite)
            .args(["conformance", "server", "--url", &http.url, "--requirements", revision])
            .args(["--expected-failures", EXPECTED, "-o"])
            .arg(appliance.path(revision))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        let summary = said.split_once("=== SUMMARY ===").map_or("", |(_, summary)| summary);
        let stderr = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{revision}: {summary}\n{stderr}");
        for name in whole {
            let passed = format!("✓ {name}: ");
            let line = summary.lines().find(|line| line.starts_with(&passed));
            let none = line.is_none_or(|line| !line.ends_with(", 0 failed"));
            assert!(!none, "{revision}: {name}: {summary}");
        }
        // Every message that the server sent had the form that the revision gives it.
        assert!(!summary.contains("wire-schema-valid"), "{summary}");
    }
}

#[test]
fn the_suite_finds_a_server_that_does_not_speak_the_protocol() {
    let Some(suite) = peers::find("mcp-npm") else { return };
    let appliance = prepared_appliance();
    let http = Http::of(&appliance, None, &[]);
    let wrong = http.url.replace("/mcp", "/metrics");
    let run = Command::new(suite)
        .args(["conformance", "server", "--url", &wrong, "--scenario", "server-initialize", "-o"])
        .arg(appliance.path("wrong"))
        .output()
        .unwrap();
    assert!(!run.status.success());
    // No reason is named twice, and none for what a run does not ask for.
    let text = fs::read_to_string(EXPECTED).unwrap();
    let entries: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  - ")).collect();
    let mut once = entries.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), entries.len());
    assert!(entries.iter().all(|entry| entry.contains(':')), "one check each");
}
