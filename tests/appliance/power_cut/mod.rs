//! Power cuts. A daemon works on a file system on a disk that records each write
//! and flush. From the record, disks are made as a power cut at some moment could
//! have left them: what was flushed is there, of the rest a random part, block by
//! block, in any order. On each the file system is mounted, the daemon recovers
//! and goes on, and everything that was acknowledged before is there and verifies.
//!
//! `STATES=300` makes more of them than the default, `SEED` others.

mod disk;

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    time::Duration,
};

use crate::common::{
    peers,
    programs::{PROVCTL, PROVENANCED, keygen},
    settings::{settings, trusted_key},
};
use disk::{Mounted, Recorder, Recording, run};

const TICKS: usize = 12;

/// What was acknowledged when the recording had come so far.
#[derive(Clone, Copy, Debug)]
struct Acknowledged {
    reached: u64,
    records: usize,
    reviews: usize,
}

#[test]
fn after_any_power_cut_all_that_was_acknowledged_is_there_and_verifies() {
    if !rustix::process::geteuid().is_root() {
        return peers::missing("power cuts: mounting a disk needs root");
    }
    let Some(recorder) = peers::find("qemu-storage-daemon") else { return };
    let Some(mkfs) = sbin("mkfs.ext4").or_else(|| peers::find("mkfs.ext4")) else { return };
    let fixture = PowerCutFixture::new(&mkfs);
    let (mut recording, acknowledged) = fixture.record(&recorder);
    let mut random = Random(number("SEED").unwrap_or(1));
    let (states, mut reached) = (number("STATES").unwrap_or(24), 0);
    // From where there is a record that could be lost.
    let first = acknowledged.iter().find(|now| now.records > 0).unwrap().reached;
    let first = recording.entries.iter().position(|entry| entry.end >= first).unwrap();
    for state in 0..states {
        let mut cut = first + random.below(recording.entries.len() - first) + 1;
        if state % 2 == 0 {
            // When most is on its way.
            cut = recording.next_flush(cut);
        }
        let flushed = recording.last_flush(cut);
        let image = fixture.image(&mut recording, flushed, cut, &mut random);
        let known = known(&acknowledged, recording.entries[cut - 1].end);
        reached = reached.max(known.records);
        if let Err(lost) = fixture.recovers(&image, known) {
            panic!("state {state}, cut after write {cut} (flushed {flushed}), {known:?}: {lost}");
        }
    }
    assert!(reached > TICKS / 2, "no cut behind many records: {reached}");
    // A disk that forgets what it flushed is found out.
    let all = recording.entries.len();
    let forgotten = fixture.image(&mut recording, first + (all - first) / 3, 0, &mut random);
    let lost = fixture.recovers(&forgotten, known(&acknowledged, u64::MAX)).unwrap_err();
    assert!(lost.contains("acknowledged"), "{lost}");
    println!("{states} power cuts among {all} writes and flushes");
}

/// The most that was acknowledged when the recording reached no further.
fn known(acknowledged: &[Acknowledged], reached: u64) -> Acknowledged {
    let before = acknowledged.iter().rfind(|now| now.reached <= reached);
    *before.unwrap_or(&Acknowledged { reached: 0, records: 0, reviews: 0 })
}

struct PowerCutFixture(tempfile::TempDir);

impl PowerCutFixture {
    fn new(mkfs: &Path) -> Self {
        let fixture = Self(tempfile::tempdir().unwrap());
        fs::create_dir(fixture.path("keys")).unwrap();
        keygen(&fixture.path("keys"), "k");
        let (key, watch) = (fixture.path("keys/k.key"), fixture.path("log/*"));
        let state = fixture.path("mnt/state");
        let settings = settings(("c", "h"), "essential", &state, Some(&key), &watch);
        fs::write(fixture.path("p.toml"), settings).unwrap();
        let public = fs::read_to_string(fixture.path("keys/k.pub")).unwrap();
        fs::write(fixture.path("policy.toml"), trusted_key("k", &public)).unwrap();
        fs::create_dir(fixture.path("log")).unwrap();
        File::create(fixture.path("base")).unwrap().set_len(64 << 20).unwrap();
        run(Command::new(mkfs).args(["-q", "-F"]).arg(fixture.path("base")));
        fixture
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn daemon(&self, command: &str) -> Command {
        let mut daemon = Command::new(PROVENANCED);
        daemon.arg(command).arg("--config").arg(self.path("p.toml")).env_remove("NOTIFY_SOCKET");
        daemon
    }

    /// Ticks, bundles and reviews, on a disk that records.
    fn record(&self, recorder: &Path) -> (Recording, Vec<Acknowledged>) {
        let mut recorder = Recorder::new(recorder, &self.path("base"), self.0.path());
        let mounted = Mounted::new(&recorder.disk, &self.path("mnt"));
        let mut log =
            OpenOptions::new().create(true).append(true).open(self.path("log/a")).unwrap();
        let mut acknowledged = vec![];
        let mut reviews = 0;
        let mut bundled = false;
        let daemon = self.daemon("run").args(["--ticks", &TICKS.to_string()]).spawn().unwrap();
        let mut daemon = Killed(daemon);
        while daemon.0.try_wait().unwrap().is_none() {
            writeln!(log, "a line").unwrap();
            // A record is written when the one before it was fsynced.
            let records = self.records().saturating_sub(1);
            acknowledged.push(Acknowledged { reached: recorder.reached(), records, reviews });
            if records > reviews * 2 + 1 {
                let what = format!("review-{reviews}");
                let args = ["--what", &what, "--outcome", "seen", "--who", "w"];
                run(self.daemon("review").args(args));
                reviews += 1;
                acknowledged.push(Acknowledged { reached: recorder.reached(), records, reviews });
            }
            if records > 5 && !bundled {
                run(self.daemon("bundle").args(["--reason", "x"]));
                bundled = true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(daemon.0.wait().unwrap().success() && bundled);
        let records = self.records();
        acknowledged.push(Acknowledged { reached: recorder.reached(), records, reviews });
        assert!(records > TICKS && reviews > 3, "{records} records, {reviews} reviews");
        drop(mounted);
        (recorder.finish(), acknowledged)
    }

    /// The disk with all up to `flushed`, and of what follows up to `cut` a part.
    fn image(
        &self,
        recording: &mut Recording,
        flushed: usize,
        cut: usize,
        random: &mut Random,
    ) -> PathBuf {
        let path = self.path("cut");
        fs::copy(self.path("base"), &path).unwrap();
        let mut image = OpenOptions::new().write(true).open(&path).unwrap();
        for index in 0..=flushed {
            recording.apply(index, &mut image, &mut || true);
        }
        let mut rest: Vec<usize> = (flushed + 1..cut).collect();
        random.shuffle(&mut rest);
        // Sometimes nearly nothing arrives, sometimes nearly all.
        let percent = [5, 50, 95][random.below(3)];
        for index in rest {
            recording.apply(index, &mut image, &mut || random.below(100) < percent);
        }
        path
    }

    /// Mounts the disk, lets the daemon recover and go on, and counts.
    fn recovers(&self, image: &Path, known: Acknowledged) -> Result<(), String> {
        let _mounted = Mounted::new(image, &self.path("mnt"));
        let (before, state) = (self.records(), self.path("mnt/state"));
        if before < known.records {
            return Err(format!("of {} acknowledged records {before} are there", known.records));
        }
        let ran = self.daemon("run").args(["--ticks", "1"]).output().unwrap();
        success("the daemon did not recover", &ran)?;
        let mut verify = Command::new(PROVCTL);
        verify.arg("verify-chain").arg("--state").arg(&state);
        verify.arg("--policy").arg(self.path("policy.toml"));
        success("it does not verify", &verify.output().unwrap())?;
        if self.records() < known.records + 2 {
            return Err("the chain did not go on".into());
        }
        let mut list = Command::new(PROVCTL);
        list.args(["registry", "list", "--kind", "review", "--json", "--state"]).arg(&state);
        let listed = list.output().unwrap();
        let listed = String::from_utf8_lossy(&listed.stdout);
        match listed.matches("\"kind\":\"review\"").count() {
            there if there < known.reviews => {
                Err(format!("of {} acknowledged reviews {there} are there", known.reviews))
            }
            _ => Ok(()),
        }
    }

    /// Whole lines of the chain.
    fn records(&self) -> usize {
        let mut folders = vec![self.path("mnt/state/chain")];
        let mut count = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "jsonl") {
                    let bytes = fs::read(path).unwrap();
                    count += bytes.iter().filter(|byte| **byte == b'\n').count();
                }
            }
        }
        count
    }
}

/// Nothing may hold the disk when it is unmounted.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn success(what: &str, output: &Output) -> Result<(), String> {
    let (out, error) = (&output.stdout, &output.stderr);
    let said = || format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(error));
    if output.status.success() { Ok(()) } else { Err(format!("{what}: {}", said())) }
}

fn sbin(name: &str) -> Option<PathBuf> {
    Some(Path::new("/usr/sbin").join(name)).filter(|path| path.exists())
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// xorshift64: the same states for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        for (left, by) in [(true, 13), (false, 7), (true, 17)] {
            self.0 ^= if left { self.0 << by } else { self.0 >> by };
        }
        (self.0 % limit as u64) as usize
    }

    fn shuffle(&mut self, items: &mut [usize]) {
        for index in (1..items.len()).rev() {
            items.swap(index, self.below(index + 1));
        }
    }
}
