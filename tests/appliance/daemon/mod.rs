//! The running daemon: signals, settings read again, what systemd is told,
//! slow and odd logs, states it must not start on. Its bundles and its disk
//! have modules of their own.

mod bundles;
mod disk;
mod health;
mod metrics;

use std::{
    fs,
    os::unix::net::UnixDatagram,
    time::{Duration, Instant},
};

use provenance_registry::Reader;
use rustix::process::Signal;

use crate::common::{files::walk, full_disk, stalls::Stalls, test_appliance::TestAppliance};

#[test]
fn sigterm_ends_in_order_and_the_checkpoint_covers_the_stop() {
    let appliance = TestAppliance::new();
    let running = appliance.start();
    running.until("two ticks", || appliance.of_kind("tick").len() >= 2);
    appliance.append("log/a.log", "written just before the end\n");
    running.stop();
    let last = appliance.records().pop().unwrap();
    assert_eq!((&last["kind"], &last["data"]["reason"]), (&"stop".into(), &"SIGTERM".into()));
    assert_eq!(
        appliance.covered("/a.log"),
        fs::metadata(appliance.path("log/a.log")).unwrap().len()
    );
    let reader = Reader::open(&appliance.state("registry.db")).unwrap();
    let head = reader.last_of_kind("head").unwrap().unwrap();
    let head: serde_json::Value = serde_json::from_slice(&head.body).unwrap();
    assert_eq!(head["data"]["seq"], last["seq"]);
    let note = fs::read_to_string(appliance.state("checkpoint")).unwrap();
    assert_eq!(note.lines().nth(1).unwrap(), reader.len().unwrap().to_string());
    appliance.verifies();
}

#[test]
fn sighup_takes_new_settings_over_and_records_them() {
    let appliance = TestAppliance::new();
    fs::create_dir(appliance.path("other")).unwrap();
    appliance.append("other/b.log", "here before it was watched\n");
    let running = appliance.start();
    running.until("a.log is read", || appliance.covered("/a.log") == 4);
    let more = "[time]\noffset_alarm_ms = 250\n[bundle]\nevery = \"off\"\n".to_string();
    appliance.settings("enterprise", "*", &more);
    running.signal(Signal::HUP);
    running.until("b.log is read", || appliance.covered("/b.log") == 27);
    appliance.append("log/a.log", "two\n");
    running.until("a.log goes on", || appliance.covered("/a.log") == 8);
    running.stop();
    let [config] = &appliance.of_kind("config")[..] else { panic!("one config record") };
    let start = &appliance.of_kind("start")[0]["data"];
    assert_eq!(config["data"]["old"], start["config_sha256"]);
    assert_ne!(config["data"]["old"], config["data"]["new"]);
    let appeared = appliance.entries("/a.log").iter().filter(|e| e["event"] == "appeared").count();
    assert_eq!(appeared, 1, "the followers go on where they were");
    appliance.verifies();
}

#[test]
fn sighup_with_settings_that_cannot_be_taken_changes_nothing() {
    let appliance = TestAppliance::new();
    let good = fs::read_to_string(appliance.path("p.toml")).unwrap();
    let running = appliance.start();
    running.until_it_says("chaining");
    fs::write(appliance.path("p.toml"), good.replace("interval_s", "intervall_s")).unwrap();
    running.signal(Signal::HUP);
    running.until_it_says("line 7");
    fs::write(appliance.path("p.toml"), good.replace("client = \"c\"", "client = \"d\"")).unwrap();
    running.signal(Signal::HUP);
    running.until_it_says("restart it");
    fs::remove_file(appliance.path("p.toml")).unwrap();
    running.signal(Signal::HUP);
    running.until_it_says("No such file");
    let ticks = appliance.of_kind("tick").len();
    running.until("two more ticks", || appliance.of_kind("tick").len() >= ticks + 2);
    running.stop();
    assert!(appliance.of_kind("config").is_empty());
    appliance.verifies();
}

#[test]
fn settings_changed_between_two_runs_are_recorded_and_judged_by() {
    let appliance = TestAppliance::new();
    appliance.runs(&["--ticks", "1"]);
    appliance.runs(&["--ticks", "2", "--set", "chain.interval_s=3"]);
    let [config] = &appliance.of_kind("config")[..] else { panic!("one config record") };
    assert_eq!(config["data"]["interval_s"], 3);
    let report = appliance.verdict(0);
    assert!(!report.to_string().contains("chain.gap"), "{report}");
    appliance.runs(&["--ticks", "1", "--set", "chain.interval_s=3"]);
    assert_eq!(appliance.of_kind("config").len(), 1, "unchanged is not recorded");
}

#[test]
fn systemd_hears_ready_after_the_start_then_watchdog_and_stopping() {
    let appliance = TestAppliance::new();
    let socket = UnixDatagram::bind(appliance.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut command = appliance.command("run", &[]);
    command.env("NOTIFY_SOCKET", appliance.path("notify")).env("WATCHDOG_USEC", "400000");
    command.env_remove("WATCHDOG_PID");
    let running = appliance.spawn(command);
    let hear = || {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let first = hear();
    let started = appliance.of_kind("start").len();
    assert_eq!((first.trim_end(), started), ("READY=1", 1));
    let (mut last, mut pauses) = (Instant::now(), vec![]);
    while pauses.len() < 13 {
        let message = hear();
        if message.contains("WATCHDOG=1") {
            pauses.push(last.elapsed());
            last = Instant::now();
        }
        assert!(message.contains("WATCHDOG=1") || message.contains("STATUS=record"), "{message}");
    }
    // Each 200 ms, and after each tick; the middle one, for a busy machine keeps it
    // from some.
    pauses.sort();
    assert!(pauses[6] < Duration::from_millis(300), "{pauses:?}");
    running.signal(Signal::HUP);
    let mut heard = vec![];
    while !heard.last().is_some_and(|message: &String| message.contains("READY=1")) {
        heard.push(hear());
    }
    let reloading = heard.iter().find(|message| message.contains("RELOADING=1")).unwrap();
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    running.signal(Signal::TERM);
    while !hear().contains("STOPPING=1") {}
    running.stop();
}

#[test]
fn essential_runs_without_a_key_and_says_what_that_leaves_open() {
    let appliance = TestAppliance::new();
    appliance.settings("essential", "log", "");
    appliance.runs(&["--ticks", "1"]);
    let bundle = appliance.output("bundle", &["--json"]);
    let made: serde_json::Value = serde_json::from_slice(&bundle.stdout).unwrap();
    assert_eq!(made["signed"], false);
    let folder = std::path::PathBuf::from(made["path"].as_str().unwrap());
    assert!(folder.join("statement.json").exists() && !folder.join("statement.json.sig").exists());
    assert!(!appliance.state("checkpoint").exists());
    fs::write(appliance.path("policy.toml"), "allow_unsigned = true\n").unwrap();
    let report = appliance.verdict(2);
    assert!(report["not_checked"].to_string().contains("nobody signed"), "{report}");
    appliance.runs(&["--ticks", "1"]);
    appliance.verdict(2);
}

#[test]
fn a_huge_log_and_a_fifo_hold_no_tick_up() {
    const SIZE: u64 = 50 << 30;
    let appliance = TestAppliance::new();
    fs::File::create(appliance.path("log/huge.log")).unwrap().set_len(SIZE).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, appliance.path("log/fifo.log"), kind, mode, 0).unwrap();
    let stalls = Stalls::measure();
    let running = appliance.start();
    running.until("five ticks", || appliance.of_kind("tick").len() >= 5);
    let stalled = stalls.worst_ms();
    running.stop();
    let ups =
        appliance.of_kind("tick").iter().map(|t| t["data"]["up_ms"].as_u64().unwrap()).collect();
    let ups: Vec<u64> = ups;
    // The last came early, with the signal.
    let steady = ups.windows(2).take(4);
    let usual = 500_u64.saturating_sub(stalled)..2_000 + stalled;
    let usual = |pair: &[u64]| usual.contains(&(pair[1] - pair[0]));
    assert!(steady.clone().all(usual), "{ups:?}, stalled for {stalled} ms");
    let covered = appliance.covered("/huge.log");
    let ranges = appliance.entries("/huge.log").iter().filter(|entry| entry["to"].is_u64()).count();
    assert!(covered > 8 << 20 && covered < SIZE && ranges >= 4, "{covered} in {ranges}");
    assert_eq!(appliance.covered("/a.log"), 4, "the others do not wait");
    assert!(appliance.entries("/fifo.log").is_empty());
    // Time ran out: that is said, and is no error.
    assert!(appliance.entries("/huge.log").iter().any(|entry| entry["event"] == "late"));
    appliance.verifies();
}

#[test]
fn a_state_of_parts_is_not_guessed_at() {
    let appliance = TestAppliance::new();
    appliance.runs(&["--ticks", "2"]);
    let lines = appliance.lines();
    // The registry is gone.
    let registry = appliance.state("registry.db");
    fs::rename(&registry, appliance.path("kept.db")).unwrap();
    appliance.refuses_to_run(65, "has a chain and no registry.db");
    assert!(!registry.exists(), "none was begun");
    fs::rename(appliance.path("kept.db"), &registry).unwrap();
    // The chain is gone, or its end.
    let chain = appliance.state("chain");
    fs::rename(&chain, appliance.path("kept")).unwrap();
    appliance.refuses_to_run(65, "the registry knows record");
    assert!(appliance.lines().is_empty(), "none was begun");
    fs::remove_dir_all(&chain).unwrap();
    fs::rename(appliance.path("kept"), &chain).unwrap();
    let file = walk(&chain).remove(0);
    fs::write(&file, lines[..lines.len() - 1].concat()).unwrap();
    appliance.refuses_to_run(65, "the registry knows record");
    fs::write(&file, lines.concat()).unwrap();
    // Of another chain.
    let other = TestAppliance::new();
    other.runs(&["--ticks", "1"]);
    fs::rename(&registry, appliance.path("kept.db")).unwrap();
    fs::copy(other.state("registry.db"), &registry).unwrap();
    appliance.refuses_to_run(65, "not of one state folder");
    fs::rename(appliance.path("kept.db"), &registry).unwrap();
    appliance.runs(&["--ticks", "1"]);
    assert_eq!(appliance.lines()[..lines.len()], lines);
    appliance.verifies();
}

#[test]
fn many_processes_at_once_never_put_an_older_checkpoint_back() {
    let appliance = TestAppliance::new();
    appliance.runs(&["--ticks", "1"]);
    let size = || {
        let note = fs::read_to_string(appliance.state("checkpoint")).unwrap();
        note.lines().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let reviews = || {
        let review = ["--what", "x", "--outcome", "y", "--who", "z"];
        (0..5).for_each(|_| assert!(appliance.output("review", &review).status.success()));
    };
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut last, mut looks) = (size(), 0_u64);
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let now = size();
                assert!(now >= last, "{now} behind {last}");
                (last, looks) = (now, looks + 1);
            }
            looks
        });
        let at_work: Vec<_> = (0..6).map(|_| scope.spawn(reviews)).collect();
        at_work.into_iter().for_each(|one| one.join().unwrap());
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(watch.join().unwrap() > 100);
    });
    assert_eq!(size(), Reader::open(&appliance.state("registry.db")).unwrap().len().unwrap());
    appliance.verifies();
}
