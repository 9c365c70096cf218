//! Over HTTP, on an address of this machine and on a socket file: the official SDKs,
//! and what no SDK would send.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    ORDER, answered, bundle, node, prepared_appliance, provctl, python_asks,
    serving::{Http, said},
    slow_clock,
};
use crate::common::{files::walk, programs::PROVCTL, test_appliance::TestAppliance};

fn call(id: u64, name: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": {"name": name, "arguments": {}}})
}

fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "t", "version": "0"}}})
}

/// A chain whose verification takes long: 3 million records, of which few bytes
/// are on disk.
fn long_chain(appliance: &TestAppliance) {
    let mut days = walk(&appliance.state("chain"));
    days.retain(|path| path.extension().is_some_and(|it| it == "jsonl"));
    let text = fs::read_to_string(&days[0]).unwrap();
    let tick = text.lines().find(|line| line.contains("\"tick\"")).unwrap();
    let day = appliance.state("chain/2020/01");
    fs::create_dir_all(&day).unwrap();
    fs::write(day.join("01.jsonl"), format!("{tick}\n").repeat(100_000)).unwrap();
    for number in 2..=31 {
        fs::hard_link(day.join("01.jsonl"), day.join(format!("{number:02}.jsonl"))).unwrap();
    }
}

#[test]
fn both_sdks_ask_everything_over_http_and_over_a_socket_file() {
    let appliance = prepared_appliance();
    let id = bundle(&appliance);
    let state = appliance.state("");
    let expected = provctl(&appliance, &["verify-chain", "--state", state.to_str().unwrap()]);
    assert_eq!(expected["verdict"], "verified", "{expected}");
    let health = ["--verify", "--policy", appliance.path("policy.toml").to_str().unwrap()]
        .map(str::to_owned);
    let health: Vec<&str> = health.iter().map(String::as_str).collect();
    // It also says how the clock stands, which is no matter here.
    let _ = appliance.output("health", &health);
    let reads = [
        "status".to_owned(),
        "verification".into(),
        "alerts".into(),
        "anchors".into(),
        format!("bundles/{id}/statement"),
        format!("bundles/{id}/report"),
        "records/0".into(),
    ]
    .map(|path| format!("provenance://appliance/{path}"));
    let plan = json!({
        "calls": [{"name": "verify_chain"}, {"name": "verify_evidence", "arguments": {"id": id}},
            {"name": "list_evidence"}, {"name": "check_time"}],
        "reads": reads,
    });
    let socket = appliance.path("mcp.sock");
    let (tcp, unix) = (Http::of(&appliance, None, &[]), format!("unix:{}", socket.display()));
    let mut seen = vec![];
    for mode in ["legacy", "auto"] {
        seen.extend(python_asks(&plan, json!({"mode": mode, "url": tcp.url})));
    }
    let at_socket = Http::of(&appliance, Some(&unix), &[]);
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    seen.extend(python_asks(&plan, json!({"mode": "auto", "socket": socket})));
    let typescript = node(&plan, &tcp.url);
    if let Some(typescript) = &typescript {
        assert_eq!(typescript["session"].as_str().unwrap().len(), 32);
        assert_eq!(typescript["resources"].as_array().unwrap().len(), 4);
        assert_eq!(typescript["templates"].as_array().unwrap().len(), 4);
        assert_eq!(typescript["prompts"][0]["name"], "integrity_review");
    }
    seen.extend(typescript);
    let protocols: Vec<&str> = seen.iter().map(|it| it["protocol"].as_str().unwrap()).collect();
    let known = ["2025-11-25", "2026-07-28", "2026-07-28", "2025-11-25"];
    assert!(seen.is_empty() || protocols == known, "{protocols:?}");
    for seen in &seen {
        assert_eq!(seen["tools"].as_array().unwrap().len(), 7);
        let answers: Vec<&Value> = seen["calls"].as_array().unwrap().iter().map(answered).collect();
        assert_eq!(answers[0]["verdict"], "verified");
        assert_eq!(answers[1]["verdict"], "verified");
        assert_eq!(answers[2]["records"][0]["data"]["id"], *id);
        let reads: Vec<Value> = seen["reads"].as_array().unwrap().iter().map(content).collect();
        assert_eq!(reads[0]["last_bundle"], *id);
        assert_eq!(reads[0]["head"], reads[0]["evidence"]["head"]);
        assert_eq!(reads[1]["record"]["data"]["verdict"], "verified");
        assert_eq!(reads[2]["alerts"][0]["data"]["code"], "clock.unsynchronised");
        assert_eq!(reads[3]["final_size"], Value::Null);
        assert!(reads[4]["statement"]["subject"].is_array());
        assert_eq!(reads[5]["verdict"], "verified");
        assert_eq!(reads[6]["record"]["kind"], "genesis");
        for at in [0, 1, 2, 3, 4, 6] {
            assert_eq!(reads[at]["verified"], false, "{}", reads[at]);
        }
        // The log's line, its name, and the bundle's reason are no sentences.
        assert!(!seen.to_string().contains("IGNORE ALL"), "{seen}");
        assert!(seen.to_string().contains("IGNORE%20ALL"), "{seen}");
    }
    assert!(tcp.stop() < Duration::from_secs(5));
    assert!(at_socket.stop() < Duration::from_secs(5));
}

/// A resource's JSON, which says what it speaks of.
#[track_caller]
fn content(read: &Value) -> Value {
    assert_eq!(read["mimeType"], "application/json", "{read}");
    let answer: Value = serde_json::from_str(read["text"].as_str().unwrap()).unwrap();
    assert_eq!(answer["evidence"]["head"]["hash"].as_str().unwrap().len(), 64);
    assert!(answer["evidence"]["checkpoint"]["size"].is_u64(), "{answer}");
    answer
}

#[test]
fn a_tampered_state_is_failed_over_http_too_and_hostile_names_stay_data() {
    let appliance = prepared_appliance();
    let id = bundle(&appliance);
    let statement = appliance.state("bundles").join(&id).join("statement.json");
    let text = fs::read_to_string(&statement).unwrap();
    fs::write(&statement, text.replacen("IGNORE", "EXECUTE", 1)).unwrap();
    fs::create_dir(appliance.state("bundles").join(ORDER)).unwrap();
    let http = Http::of(&appliance, None, &[]);
    let report = format!("provenance://appliance/bundles/{id}/report");
    let plan = json!({
        "calls": [{"name": "verify_chain"}, {"name": "verify_evidence", "arguments": {"id": id}}],
        "reads": [report, "provenance://appliance/bundles/EB-20200101-0001/report",
            "provenance://appliance/verification", "file:///etc/passwd",
            format!("provenance://appliance/bundles/{ORDER}/statement")],
    });
    let seen = python_asks(&plan, json!({"mode": "auto", "url": http.url}));
    for seen in seen.into_iter().chain(node(&plan, &http.url)) {
        for call in seen["calls"].as_array().unwrap() {
            let answer = answered(call);
            assert_eq!(answer["verdict"], "failed", "{answer}");
            assert_eq!(answer["findings"][0]["severity"], "error");
        }
        assert_eq!(content(&seen["reads"][0])["verdict"], "failed");
        for read in &seen["reads"].as_array().unwrap()[1..] {
            assert!(read["error"].as_str().unwrap().contains("no such resource"), "{read}");
        }
        let text = seen.to_string();
        assert!(!text.contains("IGNORE ALL") && !text.contains("root:"), "{text}");
        assert!(!text.contains(appliance.state("").to_str().unwrap()), "{text}");
    }
}

#[test]
fn only_this_machine_is_let_in_and_no_page_of_a_browser() {
    let appliance = prepared_appliance();
    let http = Http::of(&appliance, None, &[]);
    let port = http.port();
    let own = format!("localhost:{port}");
    for (header, value, let_in) in [
        ("Host", own.clone(), true),
        ("Host", "localhost".into(), false),
        ("Host", "localhost:1".into(), false),
        ("Host", format!("evil.example.com:{port}"), false),
        ("Host", format!("127.0.0.1.evil.example.com:{port}"), false),
        ("Host", format!("127.0.0.1:{port}@evil.example.com"), false),
        ("Host", String::new(), false),
        ("Origin", format!("http://{own}"), true),
        ("Origin", "http://localhost:1".into(), false),
        ("Origin", format!("https://{own}"), false),
        ("Origin", "http://evil.example.com".into(), false),
        ("Origin", "null".into(), false),
    ] {
        let (status, answer) = http.post(&[(header, &value)], &initialize());
        let fits = if let_in { status == 200 } else { status == 400 || status == 403 };
        assert!(fits, "{header}: {value}: {answer}");
        assert_eq!(answer.to_lowercase().contains("mcp-session-id"), let_in, "{answer}");
        assert!(!answer.to_lowercase().contains("access-control-allow"), "{answer}");
    }
    for (listen, code) in [
        ("0.0.0.0:0", 64),
        ("[::]:0", 64),
        ("192.0.2.1:8469", 64),
        ("localhost:8469", 64),
        ("unix:mcp.sock", 64),
        ("unix:/proc/none/mcp.sock", 74),
        (&format!("127.0.0.1:{port}"), 74),
    ] {
        let run = Command::new("timeout")
            .args(["10", PROVCTL, "mcp", "--listen", listen, "--state"])
            .arg(appliance.state(""))
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(code), "{listen}: {stderr}");
    }
}

#[test]
fn what_is_no_request_of_the_protocol_harms_only_itself() {
    let appliance = prepared_appliance();
    let http = Http::of(&appliance, None, &[]);
    let host = format!("Host: 127.0.0.1:{}\r\nConnection: close", http.port());
    let kind = "Content-Type: application/json\r\nAccept: application/json, text/event-stream";
    let deep = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":{}1", "[".repeat(100_000));
    let long = "x".repeat((256 << 10) + 1);
    for (line, body, expected) in [
        ("GET /mcp HTTP/1.1", "", 405),
        ("DELETE /mcp HTTP/1.1", "", 405),
        ("OPTIONS /mcp HTTP/1.1", "", 405),
        ("POST / HTTP/1.1", "{}", 404),
        ("POST /mcp/ HTTP/1.1", "{}", 404),
        ("POST /%6dcp HTTP/1.1", "{}", 404),
        ("POST /mcp HTTP/1.1", "", 415),
        ("POST /mcp HTTP/1.1", "{}", 415),
        ("POST /mcp HTTP/1.1", "\u{0}\u{1}", 415),
        ("POST /mcp HTTP/1.1", "[1,2,3]", 415),
        ("POST /mcp HTTP/1.1", &deep, 415),
        ("POST /mcp HTTP/1.1", &long, 413),
        ("no request at all", "", 400),
    ] {
        let (status, answer) = said(http.send(&format!("{line}\r\n{host}\r\n{kind}"), body));
        let begin: String = body.chars().take(40).collect();
        assert_eq!(status, expected, "{line} {begin}: {answer}");
    }
    let (status, _) = http.post(&[("Content-Type", "text/plain")], &initialize());
    assert_eq!(status, 415);
    let (status, _) = http.post(&[("Accept", "text/html")], &initialize());
    assert_eq!(status, 406);
    // More headers, and longer ones, than a client has.
    let many = "X-A: b\r\n".repeat(100);
    assert_eq!(said(http.send(&format!("POST /mcp HTTP/1.1\r\n{many}{host}"), "{}")).0, 431);
    // A length that is promised and does not come is given up with the connection.
    let mut half = TcpStream::connect(http.at.unwrap()).unwrap();
    write!(half, "POST /mcp HTTP/1.1\r\n{host}\r\n{kind}\r\nContent-Length: 100\r\n\r\n{{")
        .unwrap();
    drop(half);
    let (status, answer) = http.post(&[], &call(7, "verify_chain"));
    assert!(status == 200 && answer.contains("\"verdict\":\"verified\""), "{answer}");
}

#[test]
fn a_request_that_does_not_come_whole_is_given_up() {
    let appliance = prepared_appliance();
    let http = Http::of(&appliance, None, &[]);
    let host = format!("Host: 127.0.0.1:{}", http.port());
    let half = format!("POST /mcp HTTP/1.1\r\n{host}\r\nContent-Length: 9\r\n\r\n{{");
    let started = Instant::now();
    let streams = [half.as_str(), "POST /m"].map(|begin| {
        let mut stream = TcpStream::connect(http.at.unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(50))).unwrap();
        stream.write_all(begin.as_bytes()).unwrap();
        stream
    });
    let answers = streams.map(said);
    let waited = started.elapsed();
    assert_eq!(answers[0].0, 408, "{answers:?}");
    assert_ne!(answers[1].0, 200, "{answers:?}");
    assert!(waited > Duration::from_secs(20) && waited < Duration::from_secs(45), "{waited:?}");
}

#[test]
fn a_client_that_cancels_or_is_gone_ends_the_work() {
    let appliance = prepared_appliance();
    long_chain(&appliance);
    let http = Http::of(&appliance, None, &["--timeout", "3600"]);
    let (_, hello) = http.post(&[], &initialize());
    let session = hello.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).unwrap();
    let named = [("Mcp-Session-Id", session), ("MCP-Protocol-Version", "2025-11-25")];
    let cancel = |id: u64| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});

    // By a notification, in the session that asked; another's does nothing.
    let waiting = http.open(&named, &call(5, "verify_chain"));
    http.works();
    let other = [("Mcp-Session-Id", "another"), ("MCP-Protocol-Version", "2025-11-25")];
    for (headers, id) in [(&other, 5), (&named, 6)] {
        assert_eq!(http.post(headers, &cancel(id)).0, 202);
    }
    // One that a page sends is not let in.
    let page = [named[0], named[1], ("Origin", "http://evil.example.com")];
    assert_eq!(http.post(&page, &cancel(5)).0, 403);
    http.works();
    assert_eq!(http.post(&named, &cancel(5)).0, 202);
    http.rests();
    let (_, answer) = said(waiting);
    assert!(answer.contains("cancelled") && !answer.contains("verdict"), "{answer}");

    // By going away, in either revision.
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "0"},
        "io.modelcontextprotocol/clientCapabilities": {}});
    let mut modern = call(5, "verify_chain");
    modern["params"]["_meta"] = meta;
    let headers = [
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "verify_chain"),
    ];
    for gone in [http.open(&named, &call(5, "verify_chain")), http.open(&headers, &modern)] {
        http.works();
        drop(gone);
        // The other one goes on, until it is gone too.
    }
    http.rests();

    // By the time that an answer may take, and by the end of the server.
    let short = Http::of(&appliance, None, &["--timeout", "1"]);
    let (status, answer) = short.post(&[], &call(1, "verify_chain"));
    assert!(status == 200 && answer.contains("No verdict"), "{answer}");
    short.rests();
    let waiting = http.open(&named, &call(5, "verify_chain"));
    http.works();
    assert!(http.stop() < Duration::from_secs(8));
    assert!(!said(waiting).1.contains("verdict\":\""));
}

#[test]
fn progress_and_cancellation_reach_the_sdks_over_http() {
    let appliance = prepared_appliance();
    let (_silent, config) = slow_clock(&appliance);
    let http = Http::of(&appliance, None, &["--config", &config]);
    let plan = json!({"calls": [
        {"name": "check_time", "cancel_after": 1}, {"name": "list_alerts"}, {"name": "check_time"},
    ]});
    let mut seen = vec![];
    for mode in ["legacy", "auto"] {
        seen.extend(python_asks(&plan, json!({"mode": mode, "url": http.url})));
    }
    for seen in seen.into_iter().chain(node(&plan, &http.url)) {
        assert_eq!(seen["calls"][0]["cancelled"], true, "{seen}");
        answered(&seen["calls"][1]);
        answered(&seen["calls"][2]);
        let told = seen["calls"][2]["progress"].as_array().unwrap();
        assert!(told.len() >= 3, "{told:?}");
    }
}

#[test]
fn any_number_of_sessions_and_connections_takes_bounded_memory() {
    let appliance = prepared_appliance();
    let (_silent, config) = slow_clock(&appliance);
    let http = Http::of(&appliance, None, &["--config", &config]);
    let named = [("MCP-Protocol-Version", "2025-11-25")];
    for _ in 0..50 {
        http.post(&[], &initialize());
    }
    let before = http.memory_kib();
    for _ in 0..400 {
        let (status, answer) = http.post(&[], &initialize());
        assert!(status == 200 && answer.contains("mcp-session-id"), "{answer}");
    }
    assert!(http.memory_kib() < before + 4 * 1024, "{before} {}", http.memory_kib());
    // Two are worked on and 14 wait; what is more is told so at once.
    let asked: Vec<TcpStream> =
        (0..30).map(|id| http.open(&named, &call(id, "check_time"))).collect();
    let begin = Instant::now();
    let crowded = loop {
        let (_, answer) = http.post(&named, &call(99, "list_alerts"));
        if answer.contains("\"isError\":true") {
            break answer;
        }
        assert!(begin.elapsed() < Duration::from_secs(4), "{answer}");
    };
    assert!(crowded.contains("too many questions are waiting"), "{crowded}");
    // Connections beyond the limit wait until others are gone, and are served.
    let idle: Vec<TcpStream> =
        (0..150).map(|_| TcpStream::connect(http.at.unwrap()).unwrap()).collect();
    assert!(http.memory_kib() < before + 32 * 1024, "{before} {}", http.memory_kib());
    drop((asked, idle));
    let begin = Instant::now();
    loop {
        let (status, answer) = http.post(&named, &call(1, "list_alerts"));
        if status == 200 && answer.contains("\"isError\":false") {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{answer}");
    }
}

#[test]
fn a_socket_file_in_use_is_left_alone_and_one_left_behind_is_replaced() {
    let appliance = prepared_appliance();
    let socket = appliance.path("mcp.sock");
    let listen = format!("unix:{}", socket.display());
    let other = UnixListener::bind(&socket).unwrap();
    let refused = Command::new("timeout")
        .args(["10", PROVCTL, "mcp", "--listen", &listen, "--state"])
        .arg(appliance.state(""))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(74) && stderr.contains(&listen), "{stderr}");
    drop(other);
    assert!(socket.exists());
    let http = Http::of(&appliance, Some(&listen), &[]);
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let body = initialize().to_string();
    let request = |host: &str, more: &str| {
        format!(
            "POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\n{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    // A page has no way here; its Host and Origin are refused all the same.
    for (host, more, status) in [
        ("localhost", "", "200"),
        ("127.0.0.1:8469", "", "200"),
        ("localhost:8469", "Origin: http://localhost:8469\r\n", "403"),
        ("evil.example.com", "", "403"),
        ("localhost", "Origin: http://localhost\r\n", "403"),
    ] {
        stream.write_all(request(host, more).as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let read = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    }
    drop(http);
}
