//! The running daemon: signals, settings read again, what systemd is told,
//! slow and odd logs, states it must not start on. Its bundles and its disk
//! have modules of their own.
#![cfg(test)]

mod bundles;
mod disk;
#[path = "../full_disk/mod.rs"]
mod full_disk;
mod health;
mod metrics;
mod world;

use std::{
    fs,
    os::unix::net::UnixDatagram,
    time::{Duration, Instant},
};

use msp_provenance::registry::Reader;
use rustix::process::Signal;
use world::World;

#[test]
fn sigterm_ends_in_order_and_the_checkpoint_covers_the_stop() {
    let world = World::new();
    let running = world.start();
    running.until("two ticks", || world.of_kind("tick").len() >= 2);
    world.append("log/a.log", "written just before the end\n");
    running.stop();
    let last = world.records().pop().unwrap();
    assert_eq!((&last["kind"], &last["data"]["reason"]), (&"stop".into(), &"SIGTERM".into()));
    assert_eq!(world.covered("/a.log"), fs::metadata(world.path("log/a.log")).unwrap().len());
    let reader = Reader::open(&world.state("registry.db")).unwrap();
    let head = reader.last_of_kind("head").unwrap().unwrap();
    let head: serde_json::Value = serde_json::from_slice(&head.body).unwrap();
    assert_eq!(head["data"]["seq"], last["seq"]);
    let note = fs::read_to_string(world.state("checkpoint")).unwrap();
    assert_eq!(note.lines().nth(1).unwrap(), reader.len().unwrap().to_string());
    world.verifies();
}

#[test]
fn sighup_takes_new_settings_over_and_records_them() {
    let world = World::new();
    fs::create_dir(world.path("other")).unwrap();
    world.append("other/b.log", "here before it was watched\n");
    let running = world.start();
    running.until("a.log is read", || world.covered("/a.log") == 4);
    let more = "[time]\noffset_alarm_ms = 250\n[bundle]\nevery = \"off\"\n".to_string();
    world.settings("enterprise", "*", &more);
    running.signal(Signal::HUP);
    running.until("b.log is read", || world.covered("/b.log") == 27);
    world.append("log/a.log", "two\n");
    running.until("a.log goes on", || world.covered("/a.log") == 8);
    running.stop();
    let [config] = &world.of_kind("config")[..] else { panic!("one config record") };
    let start = &world.of_kind("start")[0]["data"];
    assert_eq!(config["data"]["old"], start["config_sha256"]);
    assert_ne!(config["data"]["old"], config["data"]["new"]);
    let appeared = world.entries("/a.log").iter().filter(|e| e["event"] == "appeared").count();
    assert_eq!(appeared, 1, "the followers go on where they were");
    world.verifies();
}

#[test]
fn sighup_with_settings_that_cannot_be_taken_changes_nothing() {
    let world = World::new();
    let good = fs::read_to_string(world.path("p.toml")).unwrap();
    let running = world.start();
    running.until_it_says("chaining");
    fs::write(world.path("p.toml"), good.replace("interval_s", "intervall_s")).unwrap();
    running.signal(Signal::HUP);
    running.until_it_says("line 7");
    fs::write(world.path("p.toml"), good.replace("client = \"c\"", "client = \"d\"")).unwrap();
    running.signal(Signal::HUP);
    running.until_it_says("restart it");
    fs::remove_file(world.path("p.toml")).unwrap();
    running.signal(Signal::HUP);
    running.until_it_says("No such file");
    let ticks = world.of_kind("tick").len();
    running.until("two more ticks", || world.of_kind("tick").len() >= ticks + 2);
    running.stop();
    assert!(world.of_kind("config").is_empty());
    world.verifies();
}

#[test]
fn settings_changed_between_two_runs_are_recorded_and_judged_by() {
    let world = World::new();
    world.runs(&["--ticks", "1"]);
    world.runs(&["--ticks", "2", "--set", "chain.interval_s=3"]);
    let [config] = &world.of_kind("config")[..] else { panic!("one config record") };
    assert_eq!(config["data"]["interval_s"], 3);
    let report = world.verdict(0);
    assert!(!report.to_string().contains("chain.gap"), "{report}");
    world.runs(&["--ticks", "1", "--set", "chain.interval_s=3"]);
    assert_eq!(world.of_kind("config").len(), 1, "unchanged is not recorded");
}

#[test]
fn systemd_hears_ready_after_the_start_record_then_status_watchdog_and_stopping() {
    let world = World::new();
    let socket = UnixDatagram::bind(world.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut command = world.command("run", &[]);
    command.env("NOTIFY_SOCKET", world.path("notify")).env("WATCHDOG_USEC", "400000");
    command.env_remove("WATCHDOG_PID");
    let running = world.spawn(command);
    let hear = || {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let first = hear();
    let started = world.of_kind("start").len();
    assert_eq!((first.trim_end(), started), ("READY=1", 1));
    let (begin, mut alive) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_millis(2_500) {
        let message = hear();
        alive += usize::from(message.contains("WATCHDOG=1"));
        assert!(message.contains("WATCHDOG=1") || message.contains("STATUS=record"), "{message}");
    }
    // Each 200 ms of 2.5 s, and after each tick.
    assert!(alive >= 8, "{alive}");
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
    let world = World::new();
    world.settings("essential", "log", "");
    world.runs(&["--ticks", "1"]);
    let bundle = world.output("bundle", &["--json"]);
    let made: serde_json::Value = serde_json::from_slice(&bundle.stdout).unwrap();
    assert_eq!(made["signed"], false);
    let folder = std::path::PathBuf::from(made["path"].as_str().unwrap());
    assert!(folder.join("statement.json").exists() && !folder.join("statement.json.sig").exists());
    assert!(!world.state("checkpoint").exists());
    fs::write(world.path("policy.toml"), "allow_unsigned = true\n").unwrap();
    let report = world.verdict(2);
    assert!(report["not_checked"].to_string().contains("nobody signed"), "{report}");
    world.runs(&["--ticks", "1"]);
    world.verdict(2);
}

#[test]
fn a_huge_log_and_a_fifo_hold_no_tick_up() {
    const SIZE: u64 = 50 << 30;
    let world = World::new();
    fs::File::create(world.path("log/huge.log")).unwrap().set_len(SIZE).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, world.path("log/fifo.log"), kind, mode, 0).unwrap();
    let running = world.start();
    running.until("five ticks", || world.of_kind("tick").len() >= 5);
    running.stop();
    let ups = world.of_kind("tick").iter().map(|t| t["data"]["up_ms"].as_u64().unwrap()).collect();
    let ups: Vec<u64> = ups;
    // The last came early, with the signal.
    let steady = ups.windows(2).take(4);
    assert!(steady.clone().all(|pair| (500..2_000).contains(&(pair[1] - pair[0]))), "{ups:?}");
    let covered = world.covered("/huge.log");
    let ranges = world.entries("/huge.log").iter().filter(|entry| entry["to"].is_u64()).count();
    assert!(covered > 8 << 20 && covered < SIZE && ranges >= 4, "{covered} in {ranges}");
    assert_eq!(world.covered("/a.log"), 4, "the others do not wait");
    assert!(world.entries("/fifo.log").is_empty());
    // Time ran out: that is said, and is no error.
    assert!(world.entries("/huge.log").iter().any(|entry| entry["event"] == "late"));
    world.verifies();
}

#[test]
fn a_state_of_parts_is_not_guessed_at() {
    let world = World::new();
    world.runs(&["--ticks", "2"]);
    let lines = world.lines();
    // The registry is gone.
    let registry = world.state("registry.db");
    fs::rename(&registry, world.path("kept.db")).unwrap();
    world.refuses_to_run(65, "has a chain and no registry.db");
    assert!(!registry.exists(), "none was begun");
    fs::rename(world.path("kept.db"), &registry).unwrap();
    // The chain is gone, or its end.
    let chain = world.state("chain");
    fs::rename(&chain, world.path("kept")).unwrap();
    world.refuses_to_run(65, "the registry knows record");
    assert!(world.lines().is_empty(), "none was begun");
    fs::remove_dir_all(&chain).unwrap();
    fs::rename(world.path("kept"), &chain).unwrap();
    let file = world::walk(&chain).remove(0);
    fs::write(&file, lines[..lines.len() - 1].concat()).unwrap();
    world.refuses_to_run(65, "the registry knows record");
    fs::write(&file, lines.concat()).unwrap();
    // Of another chain.
    let other = World::new();
    other.runs(&["--ticks", "1"]);
    fs::rename(&registry, world.path("kept.db")).unwrap();
    fs::copy(other.state("registry.db"), &registry).unwrap();
    world.refuses_to_run(65, "not of one state folder");
    fs::rename(world.path("kept.db"), &registry).unwrap();
    world.runs(&["--ticks", "1"]);
    assert_eq!(world.lines()[..lines.len()], lines);
    world.verifies();
}

#[test]
fn many_processes_at_once_never_put_an_older_checkpoint_back() {
    let world = World::new();
    world.runs(&["--ticks", "1"]);
    let size = || {
        let note = fs::read_to_string(world.state("checkpoint")).unwrap();
        note.lines().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let reviews = || {
        let review = ["--what", "x", "--outcome", "y", "--who", "z"];
        (0..5).for_each(|_| assert!(world.output("review", &review).status.success()));
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
    assert_eq!(size(), Reader::open(&world.state("registry.db")).unwrap().len().unwrap());
    world.verifies();
}
