use super::*;

const SHIPPED: &str = include_str!("../../../../config/provenance.toml");

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse("f.toml", text, &[])
}

#[test]
fn the_shipped_file_states_the_defaults() {
    let shipped = parse(SHIPPED).unwrap();
    let least = "client = \"clinic-001\"\ntier = \"enterprise\"\n\
                 signing_key = \"credential:signing-key\"\n\
                 [bundle]\ncontrols = [\"164.312(b)\", \"164.312(c)(1)\"]\n";
    assert_eq!(parse(least).unwrap(), shipped);
    // The keys that the tier sets are commented out with what it sets.
    let uncommented = SHIPPED
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|l| l.contains("# tier:")).unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n");
    assert_eq!(parse(&uncommented).unwrap(), shipped);
}

#[test]
fn every_key_stands_in_the_shipped_file() {
    let file: File = toml::from_str(SHIPPED).unwrap();
    let full = File {
        host: Some(String::new()),
        chain: Chain { interval_s: Some(1), ..file.chain },
        time: Time { min_agreeing: Some(1), ..file.time },
        bundle: Bundle { every: Some(String::new()), ..file.bundle },
        retention: Retention { bundle_days: Some(1) },
        alert: alert::File {
            webhook: Some(String::new()),
            secret_file: Some(String::new()),
            ..file.alert
        },
        ..file
    };
    let table = toml::Table::try_from(full).unwrap();
    for key in keys(&table) {
        let stands = SHIPPED.lines().any(|line| {
            line.trim_start_matches("# ").strip_prefix(&*key).is_some_and(|l| l.starts_with(" ="))
        });
        assert!(stands, "{key}");
    }
}

/// The names of all that is no table.
fn keys(table: &toml::Table) -> Vec<String> {
    let deep = |(key, value): (&String, &toml::Value)| match value {
        toml::Value::Table(inner) => keys(inner),
        _ => vec![key.clone()],
    };
    table.iter().flat_map(deep).collect()
}

#[test]
fn errors_name_the_line_and_what_would_be_right() {
    let cases = [
        ("client = \"c\"\ntier = \"gold\"", "line 2"),
        ("client = \"c\"\ntier = \"essential\"\ntypo = 1", "line 3"),
        ("client = \"c\"\ntier = \"essential\"\n[chain]\nintervall_s = 5", "intervall_s"),
        ("client = \"c\"\ntier = \"essential\"\n[chain]\ninterval_s = 0", "line 4: interval_s"),
        ("client = \"c d\"\ntier = \"essential\"", "line 1: client"),
        ("client = \"c\"\ntier = \"enterprise\"", "keygen"),
        ("client = \"c\"\ntier = \"essential\"\n[chain]\nwatch = [\"var\"]", "line 4: watch"),
        ("client = \"c\"\ntier = \"essential\"\n[chain]\nwatch = [\"/a[\"]", "line 4: watch"),
        ("client = \"c\"\ntier = \"essential\"\n[bundle]\nevery = \"5y\"", "line 4: every"),
        ("client = \"c\"\ntier = \"essential\"\n[chain]\njournal = 5", "true, false"),
        (
            "client = \"c\"\ntier = \"essential\"\n[anchor]\nvia = \"calendar\"",
            "line 4: via: \"calendar\" needs calendars",
        ),
        (
            "client = \"c\"\ntier = \"essential\"\n[anchor]\ncalendars = [\"https://a\"]",
            "line 4: calendars",
        ),
        (
            "client = \"c\"\ntier = \"essential\"\n[anchor]\nvia = \"calendar\"\n\
             calendars = [\"http://a.example\"]",
            "http:// only to this machine",
        ),
        (
            "client = \"c\"\ntier = \"essential\"\n[aggregate]\nlisten = \"127.0.0.1:1\"",
            "line 4: listen: promises name",
        ),
        (
            "client = \"c\"\ntier = \"essential\"\n[aggregate]\nlisten = \"127.0.0.1:1\"\n\
             url = \"https://a?b\"",
            "line 5: url",
        ),
        (
            "client = \"c\"\ntier = \"essential\"\n[anchor]\nenabled = true\nvia = \"calendar\"\n\
             calendars = [\"https://a\"]\n[aggregate]\nlisten = \"127.0.0.1:1\"\nurl = \"https://b\"",
            "listen: a calendar anchors by a node of its own",
        ),
        ("tier = \"essential\"", "client"),
        ("client = ", "line 1"),
    ];
    for (text, expected) in cases {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}\n{error}");
    }
}

#[test]
fn a_setting_on_the_command_line_goes_over_the_file() {
    let set = ["chain.interval_s=5".to_owned(), "state_dir=\"./state\"".to_owned()];
    let config = Config::parse("f", SHIPPED, &set).unwrap();
    assert_eq!((config.interval_s, config.state_dir), (5, "./state".into()));
    assert_ne!(config.sha256, parse(SHIPPED).unwrap().sha256);
    for bad in ["chain.interval_s", "chain.intervall_s=5", "state_dir=x", "tier=1"] {
        let error = Config::parse("f", SHIPPED, &[bad.into()]).unwrap_err().to_string();
        assert!(error.contains("--set"), "{error}");
    }
}

#[test]
fn time_sources_and_the_node_are_judged_together() {
    let parse = |more: &str| parse(&format!("client = \"c\"\ntier = \"essential\"\n{more}"));
    let config = parse(
        "[time.ntp]\nchrony = \"udp:127.0.0.1:323\"\n[time.gps]\nnmea = \"/dev/ttyUSB0\"\n\
         [bitcoin]\nrpc = \"http://127.0.0.1:18443\"\nuser = \"u\"\npassword_file = \"/p\"\n\
         network = \"regtest\"",
    )
    .unwrap();
    assert!(config.sources.bitcoin);
    let device = "/dev/ttyUSB0".into();
    assert_eq!(config.sources.gps, Some(Receiver::Nmea { device, baud: 9600 }));
    assert_ne!(config.sha256, parse("").unwrap().sha256);
    for (more, expected) in [
        ("[time.ntp]\nchrony = \"127.0.0.1\"", "line 4: chrony"),
        ("[time.gps]\ngpsd = \"localhost\"", "line 4: gpsd"),
        ("[time.gps]\ngpsd = \"h:1\"\nnmea = \"/dev/x\"", "line 5: nmea"),
        ("[time.gps]\nnmea = \"/dev/x\"\nbaud = 1", "line 5: baud"),
        ("[time.bitcoin]\nenabled = true", "line 4: enabled"),
        ("[bitcoin]\nnetwork = \"mainnet\"", "line 4: network"),
        ("[bitcoin]\nrpc = \"http://u:p@h:1\"", "line 4: rpc"),
        ("[bitcoin]\nrpc = \"http://h:1\"\nuser = \"u\"", "cookie_file"),
        ("[bitcoin]\nuser = \"u\"", "rpc"),
    ] {
        let error = parse(more).unwrap_err().to_string();
        assert!(error.contains(expected), "{more}\n{error}");
        assert!(!error.contains("u:p"), "{error}");
    }
}

#[test]
fn a_webhook_is_encrypted_or_on_this_machine_and_signed() {
    let least = "client = \"c\"\ntier = \"essential\"\n[alert]\n";
    let with = |url: &str| parse(&format!("{least}webhook = \"{url}\"\nsecret_file = \"/s\"\n"));
    for url in [
        "https://alerts.example.org/x?y=z",
        "https://10.0.0.1:8443/",
        "http://127.0.0.1:80/x",
        "http://127.9.9.9/",
        "http://[::1]:8080/",
        "http://localhost:1/",
    ] {
        let webhook = with(url).unwrap().alert.webhook.unwrap();
        assert_eq!((&*webhook.url, &*webhook.secret_file), (url, "/s"));
    }
    for (url, expected) in [
        ("http://alerts.example.org/", "only to this machine"),
        ("http://10.0.0.1/", "only to this machine"),
        ("http://127.0.0.1.example.org/", "only to this machine"),
        ("http://localhost.example.org/", "only to this machine"),
        ("https://user:geheim@example.org/", "no user"),
        ("https://example.org/#x", "fragment"),
        ("ftp://example.org/", "https://"),
        ("example.org/x", "https://"),
        ("", "https://"),
    ] {
        let error = with(url).unwrap_err().to_string();
        assert!(error.contains("line 4: webhook") && error.contains(expected), "{url}: {error}");
        assert!(!error.contains("geheim"), "{error}");
    }
    for (lines, expected) in [
        ("webhook = \"https://a.example/\"", "line 4: webhook: a webhook is signed"),
        ("secret_file = \"/s\"", "line 4: secret_file"),
        ("disk_low_percent = 91", "line 4: disk_low_percent"),
        ("disk_low_percent = -1", "line 4"),
        ("webhok = \"x\"", "webhok"),
    ] {
        let error = parse(&format!("{least}{lines}")).unwrap_err().to_string();
        assert!(error.contains(expected), "{lines}\n{error}");
    }
    assert_eq!(parse(least).unwrap().alert, Alert { webhook: None, disk_low_percent: 10 });
}

/// The settings of an appliance that copies into this bucket.
fn with_bucket(more: &str) -> Result<Config, ConfigError> {
    let text = format!(
        "client = \"c\"\nhost = \"h\"\ntier = \"essential\"\n[store.s3]\nbucket = \"evidence\"\n{more}"
    );
    parse(&text)
}

#[test]
fn copies_are_kept_as_long_as_the_tier_says_and_documents_for_six_years() {
    let store = with_bucket("").unwrap().store.unwrap();
    assert_eq!((store.retain_days, store.document_days), (30, 2_192));
    let s3 = store.s3.unwrap();
    assert_eq!((s3.url().as_str(), s3.path_style), ("s3://evidence/", false));
    let more = "endpoint = \"https://s3.example.org\"\nprefix = \"msp/a/\"\nretain_days = 4000\n";
    let store = with_bucket(more).unwrap().store.unwrap();
    assert_eq!((store.retain_days, store.document_days), (4_000, 4_000));
    let s3 = store.s3.unwrap();
    assert_eq!((s3.url().as_str(), s3.path_style), ("s3://evidence/msp/a/", true));
    let none = "client = \"c\"\nhost = \"h\"\ntier = \"essential\"\n";
    assert_eq!(parse(none).unwrap().store, None);
}

#[test]
fn a_bucket_that_keeps_nothing_or_that_is_none_is_refused() {
    for bad in [
        "mode = \"GOVERNANCE\"\n",
        "endpoint = \"http://s3.example.org\"\n",
        "endpoint = \"s3.example.org\"\n",
        "prefix = \"../x\"\n",
        "prefix = \"a//b\"\n",
        "region = \"\"\n",
        "retain_days = 0\n",
        "document_days = 40000\n",
        "secret = \"x\"\n",
        "[store]\nmax_kib_s = 0\nlocal = \"/w\"\n",
        "[store]\nlocal = \"worm\"\n",
    ] {
        let text = match bad.starts_with('[') {
            true => parse(&format!("client = \"c\"\ntier = \"essential\"\n{bad}")),
            false => with_bucket(bad),
        };
        assert!(text.is_err(), "{bad}");
    }
    for bucket in ["x", "Evidence", "a/b", ""] {
        let text =
            format!("client = \"c\"\ntier = \"essential\"\n[store.s3]\nbucket = \"{bucket}\"\n");
        assert!(parse(&text).is_err(), "{bucket}");
    }
}
