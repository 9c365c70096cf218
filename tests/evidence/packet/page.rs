//! `report.html`: the same bytes for the same records, nothing of a record
//! as markup, and what a real browser makes of it.

use std::{borrow::Cow, fs, path::Path};

use provenance_core::{
    bitcoin::BlockHash,
    encoding::{digest::Digest, time::Timestamp},
    packet::{Facts, Manifest, REPORT},
    record::{
        alert::Alert,
        chain::{Body, Session, Tick},
        coverage::{Coverage, Level},
        log_entry::{Event, LogEntry, What},
        time_attestation::{Claim, Rule, Source, State, judge},
    },
    registry::{
        AnchorEntry, AnchorStep, BundleEntry, CertificateEntry, CountersignEntry, Entry,
        Governance, Issued, PackageEntry, PacketEntry, SbomEntry, SubjectKind, VerifyEntry,
    },
    report::{Severity, Verdict},
    signing::public_key::PublicKey,
    statement::{
        Subject, countersignature,
        evidence::{ChainRange, Collector, Link},
    },
};
use provenance_verifier::report_html::Page;

use super::{
    browser::Browser,
    harness::{PacketFixture, codes, resign, unpack},
};

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;
/// What a record may hold that would like to be more than text.
const HOSTILE: &str = "</td><script>console.error('hostile')</script><img src=http://127.0.0.1:9/x \
    onerror=console.error(1)>\" onload='x' &lt; \u{202e}gnp.exe\u{2066}\u{200b}\u{7}\u{e0041}";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(format!("{text}:00.000000000Z").as_bytes()).unwrap()
}

/// The number of the page's form, and the digest of one page of it.
const GOLDEN: (u32, &str) = (2, "fda6b404a4445328fd628dffcde0cc4449d8dfcd3d6f7f5fc8270e0457bc9438");

#[test]
fn the_page_changes_only_with_the_number_of_its_form() {
    let (form, digest) = GOLDEN;
    let generator = format!("content=\"msp-provenance report {form}\"");
    assert!(provenance_verifier::report_html::FORM.contains(&generator), "{generator}");
    let page = Digest::sha256(&weeks("plain")).to_hex();
    assert_eq!(
        page, digest,
        "the page has other bytes than pages of form {form} had: whoever verifies a packet made \
         before would call its report.html forged. Raise the number in FORM and \
         docs/format.md §13, and write number and digest here"
    );
}

/// Six weeks of an appliance: pauses, a clock that drifts, hostile names.
fn weeks(hostile: &str) -> Vec<u8> {
    let (from, to) = (at("2026-10-12T00:00"), at("2026-11-23T00:00"));
    let (mut page, mut facts) = (Page::new(from, to), Facts::new(from, to));
    let digest = Digest::sha256(b"x");
    let mut seq = 0;
    let mut tell = |page: &mut Page, time: Timestamp, entry: Entry| {
        facts.entry(seq, time, &entry);
        page.entry(seq, time, &entry);
        seq += 1;
    };
    let session = || Session {
        boot: "b".into(),
        config_sha256: digest,
        reason: "x".into(),
        software: "p".into(),
        up_ms: 0,
    };
    let (mut time, mut n) = (from.plus_nanos(9 * 3600 * SECOND), 0_i64);
    page.record(time, &Body::Start(session()));
    while time < at("2026-11-21T14:30") {
        let wave = (n * 37 % 997 - 498) * 2_000;
        let day = time.since(from) / DAY;
        let wide = if day == 20 { 40_000_000 } else { 2_000_000 };
        let interval =
            |offset_ns, bound_ns| State::Ok(Claim::Interval { offset_ns, bound_ns, as_of: time });
        let gps = match day {
            8..11 => State::Absent("no fix".into()),
            28 => interval(95_000_000, 1_000_000),
            _ => interval(wave / 2, 1_000_000 + (n % 40) * 20_000),
        };
        let sources = [
            (
                "btc:node",
                State::Ok(Claim::Window {
                    not_before: time.plus_nanos(-3_000 * SECOND),
                    not_after: time.plus_nanos(6_000 * SECOND),
                }),
            ),
            ("gps:gpsd", gps),
            ("kernel", interval(0, 16_000_000)),
            ("ntp:chrony", interval(wave, wide)),
            (hostile, State::Rejected(Cow::Borrowed(hostile))),
        ];
        let sources = sources.into_iter().map(|(src, state)| Source {
            src: Cow::Owned(src.to_owned()),
            state,
            detail: None,
        });
        let rule = Rule { alarm_ns: 100_000_000, min_agreeing: 2 };
        let range = |src: &str, from: u64| LogEntry {
            src: Cow::Owned(src.to_owned()),
            generation: 0,
            what: What::Range { from, to: from + 4_213, sha256: digest },
        };
        let shrunk = What::Event(Event::Truncated { to: 9, size: 3 });
        let mut logs =
            vec![range("file:/var/log/auth.log", 0), range("file:/var/log/nginx/access.log", 7)];
        if n % 50 == 0 {
            logs.push(range(hostile, 0));
            logs.push(range("file:/srv/a%20%E2%80%AEb%3Cscript%3E.log", 0));
        }
        if n == 900 {
            logs.push(LogEntry {
                src: "file:/var/log/dpkg.log".into(),
                generation: 0,
                what: shrunk,
            });
        }
        let clock = judge(time, rule, None, sources.collect());
        let tick = Tick { boot: "b".into(), clock, logs, more: false, up_ms: 0 };
        page.record(time, &Body::Tick(tick));
        n += 1;
        time = time.plus_nanos(match n {
            // Half a day without a word, two days after an orderly stop.
            1_500 => 14 * 3600 * SECOND,
            5_000 => {
                page.record(time, &Body::Stop(session()));
                2 * DAY
            }
            _ => 300 * SECOND,
        });
    }
    for day in 0..6 {
        let start = from.plus_nanos(day * 7 * DAY);
        tell(
            &mut page,
            start.plus_nanos(7 * DAY),
            Entry::Bundle(BundleEntry {
                id: format!("EB-2026110{day}-0001"),
                statement_sha256: digest,
                first_seq: day as u64 * 2016,
                first_hash: digest,
                last_seq: day as u64 * 2016 + 2015,
                last_hash: digest,
                from: start,
                to: start.plus_nanos(7 * DAY),
                signed: true,
                artifacts: 3,
                reason: if day == 3 { hostile.into() } else { "scheduled".into() },
            }),
        );
        let anchor =
            |step| Entry::Anchor(AnchorEntry { root: digest, size: day as u64 * 3 + 1, step });
        let txid = BlockHash(Digest::sha256(&[day as u8]));
        let intended =
            AnchorStep::Intended { network: "bitcoin".into(), checkpoint: None, previous: None };
        tell(&mut page, start.plus_nanos(7 * DAY), anchor(intended));
        let height = 974_000 + day as u32 * 1_008;
        let step = match day {
            5 => AnchorStep::Broadcast { txid },
            _ => AnchorStep::Mined { txid, block: txid, height, depth: 2 },
        };
        tell(&mut page, start.plus_nanos(7 * DAY + 3600 * SECOND), anchor(step));
    }
    let alert = |id: u8, code: &str, until| {
        Entry::Alert(Alert {
            id: format!("{id:032x}"),
            code: code.into(),
            subject: if id == 2 { hostile.into() } else { "gps:gpsd".into() },
            severity: if id == 2 { Severity::Error } else { Severity::Warning },
            message: if id == 2 { hostile.into() } else { "It disagrees with the others".into() },
            since: at("2026-11-09T00:05"),
            until,
            seq: 4,
            hash: digest,
        })
    };
    tell(&mut page, at("2026-11-09T00:05"), alert(1, "clock.disputed", None));
    tell(
        &mut page,
        at("2026-11-10T00:05"),
        alert(1, "clock.disputed", Some(at("2026-11-10T00:05"))),
    );
    tell(&mut page, at("2026-11-20T00:05"), alert(2, "verify.failed", None));
    let review = |who: &str, what: &str| Entry::Review {
        who: who.into(),
        what: what.into(),
        outcome: "in order".into(),
    };
    tell(&mut page, at("2026-11-18T10:12"), review("anna", "EB-20261101-0001"));
    tell(&mut page, at("2026-11-19T10:12"), review(hostile, hostile));
    tell(
        &mut page,
        at("2026-11-19T11:00"),
        Entry::Packet(PacketEntry {
            name: "MSP-clinic-001-2026-10-01-2026-11-01.zip".into(),
            sha256: digest,
            bytes: 9,
            from,
            to,
            registry: 5,
            signed: true,
            who: "otto".into(),
        }),
    );
    tell(
        &mut page,
        at("2026-11-19T12:00"),
        Entry::Sbom(SbomEntry {
            created: from,
            documents: vec![],
            packages: 1_204,
            source: "nix".into(),
            system: "/run/current-system".into(),
            coverage: None,
            reports: vec![],
        }),
    );
    software(hostile, |time, entry| tell(&mut page, time, entry));
    tell(
        &mut page,
        at("2026-11-21T03:00"),
        Entry::Verify(VerifyEntry {
            what: "chain".into(),
            verdict: "verified".into(),
            records: 11_310,
            codes: [("chain.gap".to_owned(), 1), (hostile.to_owned(), 2)].into(),
            policy_sha256: Some(digest),
            software: "p".into(),
        }),
    );
    let manifest = Manifest {
        files: vec![],
        chain: ChainRange {
            id: "0123456789abcdef0123456789abcdef".into(),
            first: Link { seq: 0, hash: digest },
            last: Link { seq: 11_310, hash: digest },
        },
        client: "clinic-001".into(),
        collector: Collector { name: "p".into(), version: "0".into() },
        host: "appliance-7".into(),
        from,
        to,
        root: digest,
        size: seq,
        seed: String::new(),
        sample: 25,
        signed: true,
        tier: "enterprise".into(),
    };
    page.render(&manifest, &facts)
}

/// An inventory with who vouches for its packages, and what the chronicle tells.
fn software(hostile: &str, mut tell: impl FnMut(Timestamp, Entry)) {
    let (digest, from) = (Digest::sha256(b"x"), at("2026-11-19T12:30"));
    let mut coverage = Coverage::default();
    coverage.count("npm", Level::Verified, [("provenance", Level::Verified)]);
    coverage.count("npm", Level::Absent, []);
    coverage.count("pypi", Level::Mismatch, [("publish", Level::Mismatch)]);
    tell(
        at("2026-11-19T12:30"),
        Entry::Sbom(SbomEntry {
            created: from,
            documents: vec![],
            packages: 1_207,
            source: "nix".into(),
            system: hostile.into(),
            coverage: Some(coverage),
            reports: vec![digest],
        }),
    );
    let id = "0123456789abcdef0123456789abcdef";
    let governance = Governance {
        approved_by: hostile.into(),
        approved_at: from,
        place: "Ulm".into(),
        policy_version: "3".into(),
    };
    let issued = Issued {
        id: id.into(),
        subject: SubjectKind::Package,
        name: "@acme/agent".into(),
        version: Some(hostile.into()),
        der: b"x".to_vec(),
        sha256: digest,
        key: digest,
        issuer: digest,
        not_before: from,
        not_after: at("2027-11-19T12:30"),
        artifact_sha256: None,
        renews: None,
        governance,
    };
    tell(from, Entry::Certificate(CertificateEntry::Issued(Box::new(issued))));
    let revoked =
        CertificateEntry::Revoked { id: id.into(), by: "anna".into(), reason: hostile.into() };
    tell(at("2026-11-19T13:30"), Entry::Certificate(revoked));
    tell(
        at("2026-11-19T14:30"),
        Entry::Package(PackageEntry {
            id: id.into(),
            event: "package.published".into(),
            package: "@acme/agent".into(),
            version: "1.2.3".into(),
            who: hostile.into(),
            details: [].into(),
            sha256: None,
            certificate: None,
        }),
    );
    let request = countersignature::Request {
        author: hostile.into(),
        key: PublicKey::parse("MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=")
            .unwrap(),
        subject: Subject { name: hostile.into(), sha256: digest },
        time: from,
        tree: countersignature::Tree::find("nar").unwrap(),
        version: None,
    };
    tell(
        at("2026-11-19T15:30"),
        Entry::Countersign(CountersignEntry {
            key: digest,
            statement_sha256: digest,
            request: Box::new(request),
            reason: Some(hostile.into()),
            who: hostile.into(),
            time: from,
        }),
    );
}

#[test]
fn the_page_is_made_again_by_the_verifier_and_a_changed_one_is_found() {
    let fixture = PacketFixture::new();
    let files = unpack(&fixture.packet("a.zip"));
    let text = String::from_utf8(files[REPORT].clone()).unwrap();
    for part in
        ["No verification is on record", "EB-", "anna", "a.log", "h</bdi> of <bdi>clinic-001"]
    {
        assert!(text.contains(part), "{part}");
    }
    let signer = fixture.signer("signing");
    let with = |page: Option<String>| {
        let mut changed = files.clone();
        match page {
            Some(page) => changed.insert(REPORT.into(), page.into_bytes()),
            None => changed.remove(REPORT),
        };
        fixture.verify(&resign(&changed, &signer, |_| {}))
    };
    let lie = text.replace("No verification is on record", "Everything is in perfect order");
    assert_eq!(codes(&with(Some(lie))), ["packet.malformed"]);
    assert_eq!(codes(&with(None)), ["packet.missing_file"]);
    // A page of another form may say what it likes, and nothing is verified.
    let other = with(Some(text.replace("provenance report 2", "provenance report 3")));
    assert_eq!((codes(&other), other.verdict()), (vec![], Verdict::Inconclusive));
    assert_eq!(with(Some(text)).verdict(), Verdict::Verified);
}

#[test]
fn nothing_of_a_record_becomes_markup_and_the_page_is_bounded() {
    let page = weeks(HOSTILE);
    assert_eq!(page, weeks(HOSTILE), "the same records, the same bytes");
    let text = String::from_utf8(page).unwrap();
    for part in
        ["<script", "<img", "onload='", "\u{202e}", "\u{2066}", "\u{200b}", "\u{7}", "\u{e0041}"]
    {
        assert!(!text.contains(part), "{part:?}");
    }
    for part in ["&lt;script&gt;", "⟨U+202E⟩", "⟨U+E0041⟩"] {
        assert!(text.contains(part), "{part}");
    }
    let tags = |text: &str| text.matches('<').count();
    let long = weeks(&HOSTILE.repeat(100));
    let long = String::from_utf8(long).unwrap();
    assert_eq!(tags(&long), tags(&weeks_text("plain")), "as many tags, whatever the names");
    assert!(long.len() < 300_000, "{}", long.len());
}

fn weeks_text(name: &str) -> String {
    String::from_utf8(weeks(name)).unwrap()
}

/// Text whose colour is too near to what is behind it (WCAG 2, 4.5 to 1).
pub(crate) const FAINT: &str = r#"(() => {
  const parse = c => (c.match(/[\d.]+/g) || [0,0,0,0]).map(Number);
  const lum = c => { const f = v => (v/=255) <= .03928 ? v/12.92 : ((v+.055)/1.055)**2.4;
    return .2126*f(c[0]) + .7152*f(c[1]) + .0722*f(c[2]); };
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c; } return [255,255,255]; };
  const bad = [];
  for (const e of document.querySelectorAll('body *')) {
    if (e.closest('svg') || e.matches('.skip')) continue;
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const [a, b] = [lum(parse(getComputedStyle(e).color)), lum(behind(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) bad.push(e.tagName + ' ' + e.textContent.slice(0, 40));
  }
  return bad;
})()"#;
/// What is wider than the screen, and text too small to read.
pub(crate) const WIDE: &str = r#"(() => {
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const out = [...document.querySelectorAll('body *:not(.skip)')].filter(e =>
    e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + '.' + e.className);
  const small = [...document.querySelectorAll('body *')].filter(e => !e.closest('svg') &&
    [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) &&
    parseFloat(getComputedStyle(e).fontSize) < 11.5).map(e => e.tagName + '.' + e.className);
  return [wide, out.slice(0, 5), small.slice(0, 5)];
})()"#;

fn look(browser: &mut Browser, name: &str) {
    // Where the pictures go, for who wants to look at them.
    if let Some(folder) = std::env::var_os("PICTURES") {
        browser.picture(&Path::new(&folder).join(name));
    }
}

#[test]
fn a_browser_shows_it_offline_at_every_width_on_paper_and_in_the_dark() {
    let Some(mut browser) = Browser::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.html");
    fs::write(&path, weeks(HOSTILE)).unwrap();
    if let Some(folder) = std::env::var_os("PICTURES") {
        fs::copy(&path, Path::new(&folder).join("report.html")).unwrap();
    }
    for width in [360, 768, 1280] {
        for scheme in ["light", "dark"] {
            browser.media("screen", scheme);
            let seen = browser.open(&path, width);
            assert_eq!(seen.requests.len(), 1, "{:?}", seen.requests);
            assert_eq!(seen.console, Vec::<String>::new());
            look(&mut browser, &format!("{width}-{scheme}.png"));
            assert_eq!(browser.eval(FAINT), serde_json::json!([]), "{width} {scheme}");
            assert_eq!(browser.eval(WIDE), serde_json::json!([0, [], []]), "{width} {scheme}");
        }
    }
    browser.media("screen", "light");
    browser.open(&path, 360);
    let roles = browser.roles();
    let count = |role: &str| roles.iter().filter(|(known, _)| known == role).count();
    let one = ["banner", "main", "contentinfo", "navigation"];
    assert!(one.iter().all(|role| count(role) == 1), "landmarks");
    assert!(count("table") >= 10 && count("columnheader") >= 40 && count("rowheader") > 20);
    let unnamed = |(role, name): &&(String, String)| {
        ["table", "image", "img", "region", "figure"].contains(&role.as_str()) && name.is_empty()
    };
    assert_eq!(roles.iter().find(unnamed), None);
    assert!(count("image") + count("img") >= 8, "drawings have a role");
    let rules = browser.eval("[...document.styleSheets].length");
    assert_eq!(rules, 1, "the style is allowed by its digest");
    browser.media("print", "dark");
    let paper = browser.eval("getComputedStyle(document.body).backgroundColor");
    assert_eq!(paper, "rgb(255, 255, 255)", "paper is white");
    let pdf = browser.print();
    assert!(pdf.starts_with(b"%PDF") && pdf.len() > 20_000);
    if let Some(folder) = std::env::var_os("PICTURES") {
        fs::write(Path::new(&folder).join("paper.pdf"), pdf).unwrap();
    }
    // What must be found: a request, a word on the console, a wide and faint text.
    let text = weeks_text("plain").replace(
        "<main id=\"main\">",
        "<main id=\"main\"><img src=\"http://127.0.0.1:9/x\"><script>console.error(1)</script>\
         <p style=\"width:3000px;max-width:none;color:#ddd\">faint</p>",
    );
    fs::write(&path, &text).unwrap();
    browser.media("screen", "light");
    assert!(!browser.open(&path, 360).console.is_empty(), "the page's own policy refuses them");
    let policy = text.find("<meta http-equiv").unwrap();
    let end = policy + text[policy..].find('>').unwrap() + 1;
    fs::write(&path, format!("{}{}", &text[..policy], &text[end..])).unwrap();
    let seen = browser.open(&path, 360);
    assert!(seen.requests.len() > 1 && !seen.console.is_empty(), "{seen:?}");
    assert_ne!(browser.eval(FAINT), serde_json::json!([]));
    assert_ne!(browser.eval(WIDE)[0], 0);
}
