//! `verifier.html` in a real browser: on good packets and on those that
//! somebody changed it says what `provctl verify --json` says.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use provenance_core::packet::REGISTRY;
use serde_json::Value;

use super::{
    browser::Browser,
    harness::{PacketFixture, pack, resign, unpack},
    page::{FAINT, WIDE},
    peers,
};

/// Builds the page, as `make verifier` does; `None` where no compiler has the
/// target: said aloud, or a failure under `CI`.
fn build(fixture: &PacketFixture) -> Option<PathBuf> {
    let page = fixture.path("verifier.html");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/verifier");
    let built = Command::new(script).arg(&page).output().unwrap();
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        assert!(said.contains("has no wasm32-unknown-unknown"), "{said}");
        peers::missing(said.trim());
        return None;
    }
    Some(page)
}

/// What the auditor has beside the packet.
#[derive(Clone, Copy, Default)]
struct Beside<'a> {
    policy: Option<&'a Path>,
    headers: Option<&'a Path>,
}

/// What the page says of a packet, once it is done.
fn page_says(browser: &mut Browser, page: &Path, packet: &Path, beside: Beside<'_>) -> Value {
    let seen = browser.open(page, 1280);
    assert_eq!((seen.requests.len(), seen.console.len()), (1, 0), "{seen:?}");
    browser.choose("packet", packet);
    let proof = PathBuf::from(format!("{}.proof.json", packet.display()));
    let files = [("policy", beside.policy), ("headers", beside.headers), ("proof", Some(&*proof))];
    for (name, path) in files {
        if let Some(path) = path.filter(|path| path.exists()) {
            browser.choose(name, path);
        }
    }
    browser.eval("document.getElementById('start').click()");
    let done = browser.eval(
        "new Promise(done => { const look = () => /^(Done|Ended)/.test(\
         document.getElementById('state').textContent) ? done(document.getElementById('state')\
         .textContent) : setTimeout(look, 20); look(); })",
    );
    assert_eq!(done, "Done.");
    let seen = browser.seen();
    let others = seen.requests.iter().filter(|url| !url.starts_with("blob:null/")).count();
    assert_eq!((others, seen.console.len()), (1, 0), "{seen:?}");
    let text = browser
        .eval("(document.getElementById('json') || document.getElementById('report')).textContent");
    let text = text.as_str().unwrap();
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into()))
}

fn provctl_says(packet: &Path, beside: Beside<'_>) -> (Option<i32>, Value) {
    let mut provctl = Command::new(env!("CARGO_BIN_EXE_provctl"));
    provctl.arg("verify").arg(packet).arg("--json");
    for (option, path) in [("--policy", beside.policy), ("--headers", beside.headers)] {
        path.iter().for_each(|path| {
            provctl.arg(option).arg(path);
        });
    }
    let output = provctl.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(Value::String(said)))
}

#[test]
fn the_page_says_of_every_packet_what_provctl_says() {
    let Some(mut browser) = Browser::start() else { return };
    let fixture = PacketFixture::new();
    let Some(page) = build(&fixture) else { return };
    let good = fixture.packet("MSP-good.zip");
    let policy = fixture.path("policy.toml");
    fs::write(&policy, fixture.policy("signing")).unwrap();
    let with = Beside { policy: Some(&policy), headers: None };
    let mut same = |packet: &Path, beside: Beside<'_>| {
        let (code, expected) = provctl_says(packet, beside);
        let got = page_says(&mut browser, &page, packet, beside);
        assert_eq!(got, expected, "{}", packet.display());
        (code, expected)
    };
    let (code, report) = same(&good, with);
    assert_eq!((code, &report["verdict"]), (Some(0), &"verified".into()), "{report:#}");
    // Without a policy, with another's, with a file of headers.
    assert_eq!(same(&good, Beside::default()).0, Some(2));
    let other = fixture.path("other.toml");
    fs::write(&other, fixture.policy("other")).unwrap();
    assert_eq!(same(&good, Beside { policy: Some(&other), headers: None }).0, Some(1));
    let headers = fixture.path("headers.txt");
    fs::write(&headers, "").unwrap();
    let asked = Beside { policy: Some(&policy), headers: Some(&headers) };
    assert_eq!(same(&good, asked).0, Some(2), "an anchor that was asked for is still to come");

    // One changed byte, all over; an end that is missing; no packet at all.
    let bytes = fs::read(&good).unwrap();
    let bad = fixture.path("MSP-bad.zip");
    let mut codes = std::collections::BTreeSet::new();
    let mut found = |(code, report): (Option<i32>, Value)| {
        assert_eq!(code, Some(1), "{report:#}");
        let findings = report["findings"].as_array().unwrap();
        codes.extend(findings.iter().map(|it| it["code"].as_str().unwrap().to_owned()));
    };
    for at in (0..24).map(|n| n * bytes.len() / 24 + 7) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&bad, changed).unwrap();
        found(same(&bad, with));
    }
    fs::write(&bad, &bytes[..bytes.len() - 1]).unwrap();
    found(same(&bad, with));
    fs::write(&bad, b"PK\x05\x06 and no more").unwrap();
    found(same(&bad, with));

    // By who has the key: a bundle left out, a line of the registry, of the
    // chain, a page that says something else, a name that is no path.
    let files = unpack(&good);
    let signer = fixture.signer("signing");
    for name in files.keys().filter(|name| {
        let end = name.rsplit('/').next().unwrap();
        ["statement.json", "proof.json", "report.html", "reviews.json", REGISTRY].contains(&end)
            || name.starts_with("chain/")
    }) {
        let mut changed = files.clone();
        let content = changed.get_mut(name).unwrap();
        let middle = content.len() / 2;
        content[middle] = if content[middle] == b'0' { b'1' } else { b'0' };
        fs::write(&bad, resign(&changed, &signer, |_| {})).unwrap();
        found(same(&bad, with));
        changed.remove(name);
        fs::write(&bad, resign(&changed, &signer, |_| {})).unwrap();
        found(same(&bad, with));
    }
    fs::write(&bad, pack(&[("../a".into(), b"x".to_vec())])).unwrap();
    found(same(&bad, with));
    assert!(codes.len() >= 8, "{codes:?}");

    // The proof of the export.
    let proof = fixture.path("MSP-good.zip.proof.json");
    let text = fs::read_to_string(&proof).unwrap();
    fs::write(&proof, text.replacen("\"path\":[\"", "\"path\":[\"0", 1)).unwrap();
    assert_eq!(same(&good, with).0, Some(1));

    // What is no policy gives no report.
    fs::write(&other, "keys = 1\n").unwrap();
    let refused =
        page_says(&mut browser, &page, &good, Beside { policy: Some(&other), headers: None });
    assert!(refused.as_str().is_some_and(|text| text.contains("the policy is not valid")));
    // A policy that names a file of headers, which a page cannot read by itself.
    fs::write(&proof, text).unwrap();
    let named = format!("{}[anchor]\nheaders = \"h.txt\"\n", fixture.policy("signing"));
    fs::write(&other, named).unwrap();
    let without = Beside { policy: Some(&other), headers: None };
    let report = page_says(&mut browser, &page, &good, without);
    assert_eq!(report["verdict"], "inconclusive", "{report:#}");
}

#[test]
fn the_page_is_legible_accessible_and_reaches_no_network() {
    let Some(mut browser) = Browser::start() else { return };
    let fixture = PacketFixture::new();
    let Some(page) = build(&fixture) else { return };
    // Hostile names in a policy's message and in a record are text.
    let hostile = "<img src=http://127.0.0.1:9/x onerror=console.error(1)>\u{202e}";
    let good = fixture.packet("MSP-good.zip");
    let policy = fixture.path("policy.toml");
    let text = fixture.policy("signing").replace("clinic-001", hostile);
    fs::write(&policy, text).unwrap();
    let with = Beside { policy: Some(&policy), headers: None };
    page_says(&mut browser, &page, &good, with);
    for width in [360, 1280] {
        for scheme in ["light", "dark"] {
            browser.media("screen", scheme);
            browser.screen(width);
            assert_eq!(browser.eval(FAINT), serde_json::json!([]), "{width} {scheme}");
            assert_eq!(browser.eval(WIDE), serde_json::json!([0, [], []]), "{width} {scheme}");
            if let Some(folder) = std::env::var_os("PICTURES") {
                let name = format!("verifier-{width}-{scheme}.png");
                browser.picture(&Path::new(&folder).join(name));
            }
        }
    }
    assert_eq!(browser.eval("document.images.length"), 0);
    let roles = browser.roles();
    for (role, count) in [("banner", 1), ("main", 1), ("contentinfo", 1), ("status", 1)] {
        assert_eq!(roles.iter().filter(|(known, _)| known == role).count(), count, "{role}");
    }
    for name in ["The packet", "Your policy", "Proof of export", "Block headers"] {
        assert!(roles.iter().any(|(_, known)| known.starts_with(name)), "{name}: {roles:?}");
    }
    assert_eq!(browser.eval("document.activeElement.id"), "report", "who listens is led there");
    // Neither the page nor a worker of it can ask anybody for anything.
    let refused = browser.eval(
        "fetch('http://127.0.0.1:9/x').then(() => 'sent', () => 'refused')\
         .then(page => new Promise(done => { const code = \"onmessage = () => { let seen = ''; \
         addEventListener('securitypolicyviolation', e => seen = e.effectiveDirective); \
         fetch('http://127.0.0.1:9/x').catch(() => setTimeout(() => postMessage(seen), 50)); }\"; \
         const worker = new Worker(URL.createObjectURL(new Blob([code]))); \
         worker.onmessage = e => done([page, e.data]); worker.postMessage(1); }))",
    );
    assert_eq!(refused, serde_json::json!(["refused", "connect-src"]));
}
