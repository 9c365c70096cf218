//! The webhook's secret: refused where it is none, shown nowhere.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{
    SECRET, http,
    receiver::{Answer, OK, Receiver, address},
    webhook,
};
use crate::common::{files::walk, test_appliance::TestAppliance};

#[test]
fn what_is_no_secret_is_refused_clearly_and_never_printed() {
    let appliance = TestAppliance::new();
    webhook(&appliance, &http(address()), "");
    let path = appliance.path("webhook-secret");
    for (secret, expected) in [
        ("whsec_Z2VoZWlt", "not of the form whsec_"),
        ("Z2VoZWltLWdlaGVpbS1nZWhlaW0tZ2VoZWlt", "not of the form whsec_"),
        ("whsec_Z2VoZWlt!!", "openssl rand"),
        ("", "webhook-secret is not"),
    ] {
        fs::write(&path, secret).unwrap();
        appliance.refuses_to_run(78, expected);
        let output = appliance.output("run", &["--ticks", "1"]);
        let said = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8_lossy(&said).contains("Z2VoZWlt"), "it was printed");
    }
    fs::write(&path, SECRET).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    appliance.refuses_to_run(78, "has mode 0644: others can read it; run chmod 0600");
    fs::remove_file(&path).unwrap();
    appliance.refuses_to_run(78, "cannot read the webhook secret");
    assert!(appliance.records().is_empty(), "nothing was begun");
}

#[test]
fn a_systemd_credential_is_taken_and_one_that_is_missing_is_said() {
    let appliance = TestAppliance::new();
    let address = address();
    webhook(&appliance, &http(address), "");
    let settings = fs::read_to_string(appliance.path("p.toml")).unwrap();
    let file = format!("\"{}\"", appliance.path("webhook-secret").display());
    let settings = settings.replace(&file, "\"credential:hook\"");
    fs::write(appliance.path("p.toml"), settings).unwrap();
    appliance.refuses_to_run(78, "LoadCredential=hook:PATH");
    fs::create_dir(appliance.path("credentials")).unwrap();
    fs::write(appliance.path("credentials/hook"), SECRET).unwrap();
    let receiver = Receiver::start(address, OK);
    let mut command = appliance.command("run", &[]);
    command.env("CREDENTIALS_DIRECTORY", appliance.path("credentials"));
    let running = appliance.spawn(command);
    receiver.until("an alert", |_| !receiver.ids().is_empty());
    running.stop();
}

#[test]
fn with_every_log_on_the_secret_is_in_no_log_and_no_file() {
    let appliance = TestAppliance::new();
    let address = address();
    webhook(&appliance, &http(address), "");
    let receiver = Receiver::start(address, Answer::Says("HTTP/1.1 500 Oh\r\n\r\n"));
    let mut command = appliance.command("run", &[]);
    command.env("PROVENANCED_LOG", "trace").env("RUST_BACKTRACE", "full");
    let running = appliance.spawn(command);
    running.until_it_says("alert not delivered");
    receiver.answers(OK);
    receiver.until("an alert", |_| !receiver.ids().is_empty());
    let mut seen = vec![running.stop()];
    let shown = appliance.output("check-config", &["--json"]);
    assert!(shown.status.success());
    seen.push(String::from_utf8(shown.stdout).unwrap());
    let messages = receiver.received();
    seen.extend(messages.iter().map(|message| format!("{}{}", message.head, message.body)));
    for file in walk(&appliance.state("")) {
        seen.push(String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned());
    }
    assert!(seen.iter().any(|text| text.contains("TRACE")), "the control: it is that loud");
    let bytes = b"Geheimnis-Geheimnis-Geheimnis-12";
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{:?}", &bytes[..6]);
    let base64 = SECRET.trim_start_matches("whsec_");
    for text in &seen {
        for secret in [base64, "Geheimnis", &hex[..20], list.trim_end_matches(']')] {
            assert!(!text.contains(secret), "{secret}");
        }
    }
}
