//! The appliance's health, asked as a monitoring system asks.

use std::fs;

use provenance_registry::Reader;
use serde_json::Value;

use crate::common::{files::walk, test_appliance::TestAppliance};

fn health(appliance: &TestAppliance, args: &[&str]) -> (i32, Value) {
    let output = appliance.output("health", &[&["--json"], args].concat());
    let message = String::from_utf8_lossy(&output.stderr);
    let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{message}"));
    (output.status.code().unwrap(), answer)
}

fn part<'a>(answer: &'a Value, what: &str) -> (&'a str, &'a str) {
    let checks = answer["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["what"] == what);
    let check = check.unwrap_or_else(|| panic!("no {what} in {answer}"));
    (check["health"].as_str().unwrap(), check["message"].as_str().unwrap())
}

fn alerts(appliance: &TestAppliance, state: &str) -> Vec<Value> {
    let rows = Reader::open(&appliance.state("registry.db"))
        .unwrap()
        .rows_of_kind("alert", 0)
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let records = rows.iter().map(|row| serde_json::from_slice::<Value>(&row.body).unwrap());
    let ours = |data: &Value| data["code"] == "verify.failed" && data["state"] == state;
    records.map(|record| record["data"].clone()).filter(ours).collect()
}

#[test]
fn each_part_is_told_and_the_worst_decides() {
    let appliance = TestAppliance::new();
    let (code, answer) = health(&appliance, &[]);
    assert_eq!((code, &answer["health"]), (1, &"failing".into()), "nothing ran here: {answer}");
    assert_eq!(part(&answer, "chain"), ("failing", "there is no record yet"));

    let running = appliance.start();
    running.until("two ticks", || appliance.of_kind("tick").len() >= 2);
    let (code, answer) = health(&appliance, &[]);
    // Nobody was asked for the time, and nothing was verified yet.
    assert_eq!((code, &answer["health"]), (2, &"unknown".into()), "{answer}");
    assert_eq!(part(&answer, "time").0, "unknown");
    assert_eq!(part(&answer, "chain").0, "ok");
    assert_eq!(part(&answer, "registry").0, "ok");
    assert_eq!(part(&answer, "checkpoint").0, "ok");
    assert_eq!(part(&answer, "verification").0, "unknown");
    assert!(part(&answer, "alerts").1.starts_with("1 open: clock."), "{answer}");
    assert!(part(&answer, "disk").1.contains("% of the space free"), "{answer}");

    // In words for people; the code is the same.
    let output = appliance.output("health", &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text.starts_with("time          unknown") && text.ends_with("\nUNKNOWN\n"), "{text}");

    running.stop();
    let (code, answer) = health(&appliance, &[]);
    assert_eq!((code, part(&answer, "chain")), (1, ("failing", "the daemon is stopped")));
}

#[test]
fn a_daemon_that_was_killed_or_hangs_is_failing() {
    let appliance = TestAppliance::new();
    let running = appliance.start();
    running.until("two ticks", || appliance.of_kind("tick").len() >= 2);
    running.signal(rustix::process::Signal::STOP);
    // Two intervals, and five seconds for a slow disk.
    running.until("it is noticed", || health(&appliance, &[]).0 == 1);
    let (_, answer) = health(&appliance, &[]);
    assert!(part(&answer, "chain").1.contains("does not run, or cannot write"), "{answer}");
    running.signal(rustix::process::Signal::CONT);
    running.until("it goes on", || health(&appliance, &[]).0 == 2);
    running.stop();
}

#[test]
fn a_verification_is_recorded_and_a_failed_one_is_an_alert() {
    let appliance = TestAppliance::new();
    let running = appliance.start();
    running.until("two ticks", || appliance.of_kind("tick").len() >= 2);
    let policy = appliance.path("policy.toml");
    let policy = ["--verify", "--policy", policy.to_str().unwrap()];
    let (code, answer) = health(&appliance, &policy);
    assert_eq!((code, part(&answer, "verification").0), (2, "ok"), "{answer}");
    assert!(part(&answer, "verification").1.starts_with("verified "), "{answer}");

    // A byte of the first record, for as long as the verification runs.
    let file = walk(&appliance.state("chain")).remove(0);
    let good = fs::read(&file).unwrap();
    let overwrite = |byte: u8| {
        use std::os::unix::fs::FileExt as _;
        let open = fs::OpenOptions::new().write(true).open(&file).unwrap();
        open.write_all_at(&[byte], 20).unwrap();
    };
    overwrite(good[20] ^ 1);
    let (code, answer) = health(&appliance, &policy);
    overwrite(good[20]);
    assert_eq!((code, part(&answer, "verification").0), (1, "failing"), "{answer}");
    running.until("it is an alert", || !alerts(&appliance, "raised").is_empty());
    let [raised] = &alerts(&appliance, "raised")[..] else { panic!("one alert") };
    assert_eq!((&raised["subject"], &raised["severity"]), (&"evidence".into(), &"error".into()));
    let message = raised["message"].as_str().unwrap();
    assert!(message.starts_with("the verification of the chain failed: "), "{message}");
    let (code, answer) = health(&appliance, &[]);
    assert_eq!((code, part(&answer, "alerts").0), (1, "failing"), "{answer}");

    // Without a policy nothing can be said of signatures: neither good nor bad.
    let (_, answer) = health(&appliance, &["--verify"]);
    assert_eq!(part(&answer, "verification").0, "unknown", "{answer}");
    let ticks = appliance.of_kind("tick").len();
    running.until("two more ticks", || appliance.of_kind("tick").len() >= ticks + 2);
    assert!(alerts(&appliance, "resolved").is_empty());

    let (_, answer) = health(&appliance, &policy);
    assert_eq!(part(&answer, "verification").0, "ok", "{answer}");
    running.until("it is over", || !alerts(&appliance, "resolved").is_empty());
    running.stop();
    appliance.verifies();
    let kinds = Reader::open(&appliance.state("registry.db"))
        .unwrap()
        .rows_of_kind("verify", 0)
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    assert_eq!(kinds.len(), 4);
}

#[test]
fn a_policy_that_cannot_be_read_is_no_verdict() {
    let appliance = TestAppliance::new();
    appliance.runs(&["--ticks", "1"]);
    let output = appliance.output("health", &["--verify", "--policy", "/nonexistent"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.stdout.is_empty() && message.contains("/nonexistent"), "{message}");
    assert!(![0, 1, 2].contains(&output.status.code().unwrap()), "{output:?}");
    let rows = Reader::open(&appliance.state("registry.db"))
        .unwrap()
        .rows_of_kind("verify", 0)
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    assert!(rows.is_empty(), "nothing was recorded");
}
