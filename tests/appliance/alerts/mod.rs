//! Alerts of the real daemon: recorded, signed, sent, and kept for a receiver
//! that is down, slow, hostile or gone.

mod conditions;
mod delivery;
mod receiver;
mod secrets;

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt};

use provenance_registry::Reader;
use serde_json::Value;

use crate::common::{
    peers,
    test_appliance::{Running, TestAppliance},
    tls,
};

/// 32 bytes, each of which would be seen.
const SECRET: &str = "whsec_R2VoZWltbmlzLUdlaGVpbW5pcy1HZWhlaW1uaXMtMTI=";

/// Settings with a webhook.
fn webhook(appliance: &TestAppliance, url: &str, more: &str) {
    let path = appliance.path("webhook-secret");
    fs::write(&path, SECRET).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let secret = path.display();
    let alert = format!("[alert]\nwebhook = \"{url}\"\nsecret_file = \"{secret}\"\n{more}");
    appliance.settings("enterprise", "log", &alert);
}

fn http(address: SocketAddr) -> String {
    format!("http://{address}/hooks/provenance")
}

/// The alerts on record, in order.
fn alerts(appliance: &TestAppliance) -> Vec<Value> {
    let Ok(reader) = Reader::open(&appliance.state("registry.db")) else { return vec![] };
    let rows = reader.rows_of_kind("alert", 0).collect::<Result<Vec<_>, _>>().unwrap();
    let record = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap();
    rows.iter().map(|row| record(&row.body)["data"].clone()).collect()
}

/// The ids under which they are sent.
fn ids(alerts: &[Value]) -> Vec<String> {
    let id = |alert: &Value| {
        format!("{}-{}", alert["alert"].as_str().unwrap(), alert["state"].as_str().unwrap())
    };
    alerts.iter().map(id).collect()
}

/// Those of a code, each with its state and subject.
fn of_code(appliance: &TestAppliance, code: &str) -> Vec<(String, String)> {
    let text = |alert: &Value, name: &str| alert[name].as_str().unwrap().to_owned();
    let alerts = alerts(appliance);
    let of = alerts.iter().filter(|alert| alert["code"] == code);
    of.map(|alert| (text(alert, "state"), text(alert, "subject"))).collect()
}

/// A log that was recorded becomes shorter.
fn shrink(appliance: &TestAppliance, running: &Running, name: &str) {
    let log = format!("log/{name}");
    let source = format!("/{name}");
    appliance.append(&log, "a line that is recorded and then gone\n");
    running.until("the log is recorded", || appliance.covered(&source) > 0);
    fs::write(appliance.path(&log), "").unwrap();
    running.until("the log is shorter", || {
        appliance.entries(&source).iter().any(|entry| entry["event"] == "truncated")
    });
}
