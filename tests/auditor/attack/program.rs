//! The built programs: a daemon that is verified while it works and is killed,
//! and what provctl says to a script.

use provenance_audit::trust::trust_by;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use provenance_audit::{
    policy_file::Policy,
    state::{self, bundles},
};
use provenance_core::report::Verdict;
use provenanced::ledger::signer;
use rustix::process::{Pid, Signal, kill_process};

use super::harness::{StateFixture, copy_folder};
use crate::common::settings::{settings, trusted_key};

/// A daemon's folder: settings, key, logs, state.
struct Site {
    folder: tempfile::TempDir,
    policy: Policy,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (secret, public, _) = signer::keygen(folder.path(), "key").unwrap();
        fs::create_dir(folder.path().join("log")).unwrap();
        let (state, watch) = (folder.path().join("state"), folder.path().join("log/**"));
        let who = ("clinic-001", "h");
        let settings = settings(who, "enterprise", &state, Some(&secret), &watch);
        fs::write(folder.path().join("settings.toml"), settings).unwrap();
        let policy = super::harness::policy(&fs::read_to_string(public).unwrap());
        Self { folder, policy }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn start(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_provenanced"))
            .args(&arguments[..1])
            .arg("--config")
            .arg(self.folder.path().join("settings.toml"))
            .args(&arguments[1..])
            .env("PROVENANCED_LOG", "warn")
            .stdout(Stdio::null())
            .stderr(
                fs::File::options()
                    .append(true)
                    .create(true)
                    .open(self.folder.path().join("stderr"))
                    .unwrap(),
            )
            .spawn()
            .unwrap()
    }

    /// The errors of one verification; none while there is nothing yet.
    fn errors(&self) -> Vec<String> {
        let trust = trust_by(Some(self.policy.clone())).unwrap();
        match state::verify(&self.state(), &trust, &state::Options::default(), &mut |_| {}) {
            Ok(report) if report.verdict() == Verdict::Failed => {
                report.findings().iter().map(|finding| format!("{finding:?}")).collect()
            }
            Ok(_) => vec![],
            Err(error) => {
                let error = error.to_string();
                let early = ["no such file", "neither a state folder", "not a state folder"];
                if early.iter().any(|text| error.contains(text)) { vec![] } else { vec![error] }
            }
        }
    }

    fn verdict(&self) -> Verdict {
        let trust = trust_by(Some(self.policy.clone())).unwrap();
        let options = state::Options::default();
        let report = state::verify(&self.state(), &trust, &options, &mut |_| {}).unwrap();
        assert_ne!(report.verdict(), Verdict::Failed, "{:#?}", report.findings());
        report.verdict()
    }

    fn write_logs(&self, round: usize) {
        let log = self.folder.path().join("log/a.log");
        if round.is_multiple_of(5) {
            let _ = fs::rename(&log, self.folder.path().join(format!("log/a.log.{round}")));
        }
        let text = fs::read_to_string(&log).unwrap_or_default();
        fs::write(&log, format!("{text}line {round}\n")).unwrap();
    }
}

#[test]
fn a_daemon_at_work_is_never_found_to_have_failed() {
    let site = Site::new();
    let mut daemon = site.start(&["run"]);
    let mut bundler: Option<Child> = None;
    let (mut rounds, mut found) = (0, vec![]);
    let begin = Instant::now();
    let bundles = || fs::read_dir(site.state().join("bundles")).map_or(0, Iterator::count);
    // A busy machine takes longer for the same.
    while begin.elapsed() < Duration::from_secs(9) || rounds < 100 || bundles() < 5 {
        let late = begin.elapsed() > Duration::from_secs(180);
        assert!(!late, "only {rounds} verifications and {} bundles", bundles());
        assert!(daemon.try_wait().unwrap().is_none(), "the daemon ended");
        found.extend(site.errors());
        rounds += 1;
        if rounds % 20 == 0 {
            site.write_logs(rounds);
        }
        let done = bundler.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
        if done && site.state().join("checkpoint").exists() {
            bundler = Some(site.start(&["bundle", "--reason", "while it runs"]));
        }
        if found.len() > 20 {
            break;
        }
    }
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    let status = daemon.wait().unwrap();
    let said = fs::read_to_string(site.folder.path().join("stderr")).unwrap();
    assert!(status.success(), "{said}");
    bundler.unwrap().wait().unwrap();
    let bundles = bundles();
    println!("verified {rounds} times while {bundles} bundles were made");
    assert!(found.is_empty(), "{found:#?}");
    assert!(rounds >= 100 && bundles >= 5, "{rounds} verifications, {bundles} bundles");
    assert_eq!(site.verdict(), Verdict::Verified);
}

#[test]
fn a_daemon_and_a_bundler_killed_at_any_moment_leave_nothing_failed() {
    let site = Site::new();
    for round in 0..12_u64 {
        site.write_logs(round as usize);
        let mut daemon = site.start(&["run"]);
        std::thread::sleep(Duration::from_millis(200 + 130 * (round % 8)));
        let mut bundler = site.start(&["bundle", "--reason", "to be killed"]);
        std::thread::sleep(Duration::from_millis(5 + 9 * round));
        bundler.kill().unwrap();
        daemon.kill().unwrap();
        bundler.wait().unwrap();
        daemon.wait().unwrap();
        site.verdict();
    }
    assert!(site.start(&["run", "--ticks", "2"]).wait().unwrap().success());
    assert!(site.start(&["bundle", "--reason", "at last"]).wait().unwrap().success());
    assert_eq!(site.verdict(), Verdict::Verified);
}

fn provctl(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_provctl")).args(arguments).output().unwrap()
}

#[test]
fn provctl_tells_a_script_what_it_found() {
    let fixture = StateFixture::new();
    let policy = fixture.dir.path().join("policy.toml");
    let public = fs::read_to_string(fixture.dir.path().join("key.pub")).unwrap();
    fs::write(&policy, trusted_key("k", &public)).unwrap();
    let policy = policy.to_str().unwrap().to_owned();
    let exit = |state: &Path, policy: Option<&str>| {
        let mut arguments = vec!["verify-chain", "--json", "--state", state.to_str().unwrap()];
        arguments.extend(policy.iter().flat_map(|policy| ["--policy", policy]));
        let output = provctl(&arguments);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), json["verdict"].as_str().unwrap().to_owned())
    };
    let expected = |code, verdict: &str| (Some(code), verdict.to_owned());
    let state = fixture.state();
    assert_eq!(exit(&state, Some(&policy)), expected(0, "verified"));
    assert_eq!(exit(&state, None), expected(2, "inconclusive"));
    // Moved, and read from within.
    let copy = fixture.copy();
    let moved = copy.path().join("elsewhere");
    copy_folder(&state, &moved);
    assert_eq!(exit(&moved, Some(&policy)), expected(0, "verified"));
    let file = moved.join("chain/2026/11/20.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("\"to\":11", "\"to\":12", 1)).unwrap();
    assert_eq!(exit(&moved, Some(&policy)), expected(1, "failed"));
    assert_eq!(exit(&moved, None), expected(1, "failed"));
    let human = provctl(&["verify-chain", "--state", moved.to_str().unwrap(), "--policy", &policy]);
    let human = String::from_utf8(human.stdout).unwrap();
    assert!(human.contains("chain.broken") && human.contains("chain/2026/11/20.jsonl"), "{human}");
}

/// Evidence that this user may not read is no failed evidence.
#[test]
fn what_another_user_cannot_read_is_no_verdict() {
    use std::os::unix::{fs::PermissionsExt as _, process::CommandExt as _};
    let fixture = StateFixture::new();
    let copy = fixture.copy();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(copy.path(), 0o755);
    let as_nobody = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provctl"));
        command.args(["verify-chain", "--state"]).arg(copy.path());
        if rustix::process::geteuid().is_root() {
            command.uid(65_534).gid(65_534);
        }
        command.output()
    };
    // The program itself may be out of that user's reach.
    match as_nobody() {
        Ok(output) => assert_eq!(output.status.code(), Some(2), "{output:?}"),
        Err(error) => return println!("not tried: {error}"),
    }
    for name in super::harness::files(copy.path()) {
        let path = copy.path().join(&name);
        mode(&path, 0o000);
        let output = as_nobody().unwrap();
        let code = output.status.code().unwrap();
        assert!([2, 66, 74].contains(&code), "{}: {code} {output:?}", name.display());
        mode(&path, 0o644);
    }
}

#[test]
fn a_single_bundle_that_is_being_made_is_verified_when_it_is_whole() {
    let site = Site::new();
    assert!(site.start(&["run", "--ticks", "1"]).wait().unwrap().success());
    assert!(site.start(&["bundle", "--reason", "one"]).wait().unwrap().success());
    let trust = trust_by(Some(site.policy.clone())).unwrap();
    let begin = Instant::now();
    for entry in fs::read_dir(site.state().join("bundles")).unwrap() {
        let report = bundles::verify(&entry.unwrap().path(), &trust).unwrap();
        assert_eq!(report.verdict(), Verdict::Verified, "{:#?}", report.findings());
    }
    assert!(begin.elapsed() < Duration::from_secs(5));
}
