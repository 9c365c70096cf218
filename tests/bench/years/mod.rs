//! A state folder of so many days of an enterprise appliance, as the daemon
//! would have left it: a tick a minute, hourly heads and signed checkpoints,
//! closed days.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, reason = "made for benches")]

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    record::{
        self,
        chain::{Body, Genesis, Session, Tick, file_name},
        log_entry::{Event, LogEntry, What},
        time_attestation::{Claim, KERNEL, Rule, Source, judge},
    },
    report::Head,
};
use provenance_host::{config::Config, state_dir::StateDir};
use provenanced::ledger::{
    Ledger,
    signer::{self, Signer},
};

const MINUTE: i64 = 60_000_000_000;
const RULE: Rule = Rule { alarm_ns: 100_000_000, min_agreeing: 0 };

/// The state folder and the policy that trusts its key.
pub(crate) struct Years {
    pub(crate) state: PathBuf,
    pub(crate) policy: PathBuf,
    /// The settings of who lived there.
    pub(crate) config: PathBuf,
}

/// Made once and kept.
pub(crate) fn of_days(folder: &Path, days: u64) -> Years {
    let root = folder.join(format!("bench-days-{days}"));
    let years = Years {
        state: root.join("state"),
        policy: root.join("policy.toml"),
        config: root.join("p.toml"),
    };
    // The policy is written last.
    if !years.policy.exists() || !years.config.exists() {
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        println!("making {days} days of records, once");
        let public = live(&root, ("c", "h"), days * 1440);
        let text = format!(
            "client = \"c\"\nhost = \"h\"\n[[keys]]\nname = \"k\"\npublic_key = \"\"\"\n{public}\"\"\"\n"
        );
        fs::write(&years.policy, text).unwrap();
    }
    years
}

/// A state folder in `root`, of so many records. Returns the public key.
pub(crate) fn live(root: &Path, (client, host): (&str, &str), records: u64) -> String {
    let (secret, public, _) = signer::keygen(root, "k").unwrap();
    let config = settings(root, (client, host));
    let state = StateDir::new(&config.state_dir);
    let signer = Signer::load(secret.to_str().unwrap()).unwrap();
    let time = Timestamp::parse(b"2024-01-01T00:00:00.000000000Z").unwrap();
    let mut evidence = Ledger::open(&config, &state, Some(signer), time).unwrap();
    let mut chain = Chain::new(state.root().to_owned(), time);
    chain.write(&genesis(&config, &evidence));
    chain.write(&start());
    let mut note = None;
    let mut to = 0;
    for minute in 0.. {
        if chain.seq == records {
            break;
        }
        let before = chain.time.day();
        chain.time = chain.time.plus_nanos(MINUTE);
        if let Some(note) = note.take() {
            chain.write(&Body::Checkpoint { note });
        } else {
            chain.write(&Body::Tick(tick(minute, chain.time, &mut to)));
        }
        if chain.time.day() != before {
            chain.flush();
            evidence.close_days(chain.time, chain.time.day()).unwrap();
        }
        if minute % 60 == 59 || chain.seq == records {
            chain.flush();
            let (_, _, made) = evidence.commit(chain.time, chain.head, &[]).unwrap();
            note = made.map(Into::into);
        }
    }
    fs::read_to_string(public).unwrap()
}

/// The settings of a state folder that [`live`] makes; copies go into `root`.
pub(crate) fn settings(root: &Path, (client, host): (&str, &str)) -> Config {
    let folder = root.display();
    let text = format!(
        "client = \"{client}\"\nhost = \"{host}\"\ntier = \"enterprise\"\n\
         state_dir = \"{folder}/state\"\nsigning_key = \"{folder}/k.key\"\n\
         [chain]\ninterval_s = 60\nwatch = [\"/var/log/**\"]\n[store]\nlocal = \"{folder}/worm\"\n"
    );
    fs::write(root.join("p.toml"), &text).unwrap();
    Config::parse("bench", &text, &[]).unwrap()
}

fn genesis(config: &Config, evidence: &Ledger) -> Body<'static> {
    Body::Genesis(Genesis {
        chain: evidence.chain().to_owned().into(),
        client: config.client.clone().into(),
        config_sha256: config.sha256,
        host: config.host.clone().into(),
        interval_s: 60,
        machine: "m".into(),
        software: "s".into(),
        tier: "enterprise".into(),
    })
}

fn start() -> Body<'static> {
    Body::Start(Session {
        boot: "f2db1517".into(),
        config_sha256: Digest::ZERO,
        reason: "first start".into(),
        software: "s".into(),
        up_ms: 0,
    })
}

/// Every third one has a range of a log.
fn tick(minute: u64, time: Timestamp, to: &mut u64) -> Tick<'static> {
    let claim = Claim::Interval { offset_ns: 0, bound_ns: 2_100_000, as_of: time };
    let clock = judge(time, RULE, None, vec![Source::claims(KERNEL, claim, None)]);
    let entry = |what| LogEntry { src: "file:/var/log/syslog".into(), generation: 0, what };
    let mut logs = vec![];
    if minute == 0 {
        logs.push(entry(What::Event(Event::Appeared { id: None })));
    }
    if minute.is_multiple_of(3) {
        let sha256 = Digest::sha256(&minute.to_be_bytes());
        logs.push(entry(What::Range { from: *to, to: *to + 100, sha256 }));
        *to += 100;
    }
    Tick { boot: "f2db1517".into(), clock, logs, more: false, up_ms: (minute + 1) * 60_000 }
}

/// Records into the files of their days, without an fsync for each.
struct Chain {
    root: PathBuf,
    time: Timestamp,
    seq: u64,
    head: Head,
    name: String,
    buffer: Vec<u8>,
}

impl Chain {
    fn new(root: PathBuf, time: Timestamp) -> Self {
        let head = Head { seq: 0, hash: Digest::ZERO, time };
        Self { root, time, seq: 0, head, name: String::new(), buffer: vec![] }
    }

    fn write(&mut self, body: &Body<'_>) {
        let name = file_name(self.time);
        if self.name != name {
            self.flush();
            self.name = name;
        }
        let line =
            record::encode(body.kind(), self.seq, self.head.hash, self.time, &body.to_value());
        self.head = Head { seq: self.seq, hash: Digest::sha256(&line), time: self.time };
        self.seq += 1;
        self.buffer.extend_from_slice(&line);
        self.buffer.push(b'\n');
    }

    fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let path = self.root.join(&self.name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = File::options().append(true).create(true).open(path).unwrap();
        file.write_all(&self.buffer).unwrap();
        self.buffer.clear();
    }
}
