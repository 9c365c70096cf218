//! `provctl verify-chain --logs` with the real programs: changes of logs on
//! disk are found with their file, byte range and minute, rotated and
//! compressed ones included, and nothing is found where nothing was changed.

use std::{fs, io::Write, path::PathBuf, process::Command};

use crate::common::{
    programs::{PROVCTL, json},
    test_appliance::TestAppliance,
};

struct LogsFixture(TestAppliance);

impl LogsFixture {
    /// Without a log.
    fn new() -> Self {
        let appliance = TestAppliance::new();
        fs::remove_file(appliance.path("log/a.log")).unwrap();
        Self(appliance)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn append(&self, name: &str, text: &[u8]) {
        let path = self.path("log").join(name);
        fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap()
            .write_all(text)
            .unwrap();
    }

    fn tick(&self) {
        self.0.runs(&["--ticks", "1"]);
    }

    fn logrotate(&self, options: &str) {
        let conf = self.path("rotate.conf");
        let log = self.path("log/a.log");
        fs::write(&conf, format!("{} {{\nrotate 5\n{options}\n}}\n", log.display())).unwrap();
        let rotated = Command::new("/usr/sbin/logrotate")
            .args(["-f", "-s"])
            .arg(self.path("rotate.state"))
            .arg(&conf)
            .output()
            .unwrap();
        assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    }

    /// The exit code, and the findings about logs as code, source and bytes.
    fn verify(&self) -> (i32, Vec<serde_json::Value>, serde_json::Value) {
        let output = Command::new(PROVCTL)
            .args(["verify-chain", "--logs", "--json", "--state"])
            .arg(self.path("state"))
            .arg("--policy")
            .arg(self.path("policy.toml"))
            .output()
            .unwrap();
        let report = json(&output);
        let findings = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| finding["code"].as_str().unwrap().starts_with("log."));
        (output.status.code().unwrap(), findings.cloned().collect(), report)
    }

    fn untouched(&self) {
        let (code, findings, report) = self.verify();
        assert_eq!((code, findings.len()), (0, 0), "{report:#}");
    }

    /// Exactly one changed range, and where it is.
    fn changed(&self) -> (String, u64, u64, u64) {
        let (code, findings, report) = self.verify();
        assert_eq!((code, findings.len()), (1, 1), "{report:#}");
        let place = &findings[0]["where"];
        assert_eq!(findings[0]["code"], "log.modified", "{report:#}");
        assert!(place["after"].is_string() && place["before"].is_string(), "{report:#}");
        let number = |name: &str| place[name].as_u64().unwrap();
        (place["file"].as_str().unwrap().to_owned(), number("gen"), number("from"), number("to"))
    }
}

fn line(n: usize) -> Vec<u8> {
    format!("{n:04} {}\n", "x".repeat(100)).into_bytes()
}

#[test]
fn a_flipped_byte_is_named_by_file_range_and_minute() {
    let fixture = LogsFixture::new();
    for n in 0..100 {
        fixture.append("a.log", &line(n));
    }
    fixture.tick();
    fixture.append("a.log", &line(100));
    fixture.tick();
    fixture.untouched();
    fixture.append("a.log", b"not chained yet\n");
    fixture.untouched();
    let path = fixture.path("log/a.log");
    let good = fs::read(&path).unwrap();
    for (at, from, to) in
        [(0, 0, 4096), (4095, 0, 4096), (4096, 4096, 10_600), (10_650, 10_600, 10_706)]
    {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, bad).unwrap();
        let expected = (path.display().to_string(), 0, from, to);
        assert_eq!(fixture.changed(), expected, "byte {at}");
    }
    fs::write(&path, &good[..5_000]).unwrap();
    assert_eq!(fixture.changed(), (path.display().to_string(), 0, 5_000, 10_706));
    fs::write(&path, good).unwrap();
    fixture.untouched();
}

#[test]
fn rotated_and_compressed_logs_are_read_again_and_changes_in_them_found() {
    for options in [
        "create",
        "copytruncate",
        "create\ncompress",
        "create\ncompress\ndelaycompress",
        "create\ncompress\ncompresscmd /usr/bin/xz\ncompressext .xz",
        "create\ncompress\ncompresscmd /usr/bin/zstd\ncompressext .zst\ncompressoptions -q --rm",
    ] {
        let fixture = LogsFixture::new();
        for n in 0..60 {
            fixture.append("a.log", &line(n));
        }
        fixture.tick();
        fixture.logrotate(options);
        fixture.append("a.log", b"after the first rotation\n");
        fixture.tick();
        // And once more after the chain ended.
        fixture.logrotate(options);
        let (code, findings, report) = fixture.verify();
        let wrong = findings.iter().filter(|finding| finding["severity"] == "error").count();
        assert_eq!((code, wrong), (0, 0), "{options}: {report:#}");
    }
}

#[test]
fn a_change_inside_a_compressed_log_is_found() {
    let fixture = LogsFixture::new();
    for n in 0..60 {
        fixture.append("a.log", &line(n));
    }
    fixture.tick();
    fixture.logrotate("create\ncompress");
    fixture.append("a.log", b"new\n");
    fixture.tick();
    let packed = fixture.path("log/a.log.1.gz");
    let unpack = Command::new("gzip").arg("-dk").arg(&packed).status().unwrap();
    assert!(unpack.success());
    let plain = fixture.path("log/a.log.1");
    let mut bytes = fs::read(&plain).unwrap();
    bytes[5_000] ^= 1;
    fs::write(&plain, bytes).unwrap();
    fs::remove_file(&packed).unwrap();
    assert!(Command::new("gzip").arg(&plain).status().unwrap().success());
    assert_eq!(fixture.changed(), (packed.display().to_string(), 0, 4096, 6_360));
}

#[test]
fn a_deleted_log_is_missing_and_one_the_chain_saw_go_is_unverifiable() {
    let fixture = LogsFixture::new();
    fixture.append("a.log", b"one\n");
    fixture.append("b.log", b"two\n");
    fixture.tick();
    fs::remove_file(fixture.path("log/a.log")).unwrap();
    let (code, findings, report) = fixture.verify();
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(findings[0]["code"], "log.missing");
    fixture.tick();
    fixture.tick();
    fixture.tick();
    let (code, findings, report) = fixture.verify();
    assert_eq!((code, findings.len()), (0, 1), "{report:#}");
    assert_eq!(findings[0]["code"], "log.unverifiable");
    // What stands in for a log is not read.
    fs::remove_file(fixture.path("log/b.log")).unwrap();
    assert!(Command::new("mkfifo").arg(fixture.path("log/b.log")).status().unwrap().success());
    assert_eq!(fixture.verify().0, 1);
}

#[test]
fn away_from_the_logs_the_answer_is_inconclusive() {
    let fixture = LogsFixture::new();
    fixture.append("a.log", b"one\n");
    fixture.tick();
    let output = Command::new(PROVCTL)
        .args(["verify-chain", "--logs", "--root", "/nonexistent", "--state"])
        .arg(fixture.path("state"))
        .arg("--policy")
        .arg(fixture.path("policy.toml"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_ne!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("--root"), "{text}");
}
