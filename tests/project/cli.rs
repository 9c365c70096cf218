//! What users type and scripts rest on: help, man pages, completions, exit
//! codes, messages for bad input, JSON.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use provenance_cli::man;
use rustix::process::{Pid, Signal, kill_process};

use crate::common::{
    files::walk,
    programs::{PROVCTL, PROVENANCED, assert_refused},
    settings::{settings, trusted_key},
    wait::{PATIENCE, holds, wait_for},
};

/// A folder with a key, settings, a policy and, after [`CliFixture::ran`], a state.
struct CliFixture {
    dir: tempfile::TempDir,
}

impl CliFixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Self { dir };
        fs::create_dir(fixture.path("log")).unwrap();
        fs::write(fixture.path("log/a.log"), "one\n").unwrap();
        assert_eq!(
            fixture.daemon(&["keygen", "--out", &fixture.text("keys")]).status.code(),
            Some(0)
        );
        let (key, watch) = (fixture.path("keys/signing.key"), fixture.path("log/**"));
        let (who, state) = (("clinic-001", "h"), fixture.path("state"));
        let settings = settings(who, "enterprise", &state, Some(&key), &watch);
        fs::write(fixture.path("p.toml"), settings).unwrap();
        let key = fs::read_to_string(fixture.path("keys/signing.pub")).unwrap();
        let policy = format!(
            "client = \"clinic-001\"
{}",
            trusted_key("signing", &key)
        );
        fs::write(fixture.path("policy.toml"), policy).unwrap();
        fixture
    }

    fn ran() -> Self {
        let fixture = Self::new();
        let ran = fixture.run(&["--ticks", "1"]);
        assert_eq!(ran.status.code(), Some(0), "{}", error(&ran));
        let bundle = fixture.daemon(&["bundle", "--config", &fixture.text("p.toml"), "--json"]);
        assert_eq!(bundle.status.code(), Some(0), "{}", error(&bundle));
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn daemon(&self, args: &[&str]) -> Output {
        Command::new(PROVENANCED).args(args).env_remove("CREDENTIALS_DIRECTORY").output().unwrap()
    }

    fn run(&self, args: &[&str]) -> Output {
        self.daemon(&[&["run", "--config", &self.text("p.toml")], args].concat())
    }

    fn provctl(&self, args: &[&str]) -> Output {
        Command::new(PROVCTL).args(args).output().unwrap()
    }

    fn verify(&self, args: &[&str]) -> Output {
        let (state, policy) = (self.text("state"), self.text("policy.toml"));
        self.provctl(&[&["verify-chain", "--state", &state, "--policy", &policy], args].concat())
    }

    fn bundle(&self) -> PathBuf {
        fs::read_dir(self.path("state/bundles")).unwrap().next().unwrap().unwrap().path()
    }
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn answer(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn man_pages_are_those_of_the_command_lines() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/man");
    let mut pages = man::<provctl::cli::Cli>().unwrap();
    pages.extend(man::<provenanced::cli::Cli>().unwrap());
    let update = std::env::var_os("UPDATE_MAN").is_some();
    for (name, text) in &pages {
        if update {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(name), text).unwrap();
        }
        let kept = fs::read(folder.join(name)).unwrap_or_default();
        assert!(
            kept == *text,
            "docs/man/{name} is old: run UPDATE_MAN=1 cargo test --test project cli::"
        );
    }
    assert_eq!(fs::read_dir(folder).unwrap().count(), pages.len());
}

#[test]
fn every_command_has_help_with_an_example_and_completions() {
    for (program, commands) in [
        (
            PROVENANCED,
            vec![
                "run",
                "check-config",
                "keygen",
                "bundle",
                "sbom",
                "packet",
                "review",
                "revoke-key",
                "completions",
            ],
        ),
        (PROVCTL, vec!["verify-chain", "verify", "status", "registry", "completions"]),
    ] {
        for command in commands {
            let help = Command::new(program).args([command, "--help"]).output().unwrap();
            assert_eq!(help.status.code(), Some(0), "{command}");
            assert!(answer(&help).contains("Example:"), "{command}");
        }
        for shell in ["bash", "zsh", "fish"] {
            let script = Command::new(program).args(["completions", shell]).output().unwrap();
            assert!(answer(&script).len() > 1000, "{shell}");
        }
    }
}

#[test]
fn a_run_ends_with_a_verdict_and_its_json_keeps_its_members() {
    let fixture = CliFixture::ran();
    let verified = fixture.verify(&["--json"]);
    assert_eq!(verified.status.code(), Some(0), "{}", answer(&verified));
    let report: serde_json::Value = serde_json::from_str(&answer(&verified)).unwrap();
    assert_eq!(report["verdict"], "verified");
    assert!(report["checked"]["records"].as_u64() >= Some(4));
    assert_eq!(report["head"]["hash"], report["signed_to"]["hash"]);
    for member in ["not_checked", "findings", "finding_counts"] {
        assert!(!report[member].is_null(), "{member}");
    }
    let bundle = fixture.bundle().display().to_string();
    let one = fixture.provctl(&["verify", &bundle, "--policy", &fixture.text("policy.toml")]);
    assert_eq!(one.status.code(), Some(0), "{}", answer(&one));
    let status = fixture.provctl(&["status", "--state", &fixture.text("state"), "--json"]);
    let status: serde_json::Value = serde_json::from_str(&answer(&status)).unwrap();
    assert_eq!(status["head"]["hash"], report["head"]["hash"]);
    assert_eq!(status["last_kind"], "stop");
}

#[test]
fn the_three_verdicts_have_their_exit_codes() {
    let fixture = CliFixture::ran();
    let state = fixture.text("state");
    assert_eq!(fixture.verify(&[]).status.code(), Some(0));
    let none = fixture.provctl(&["verify-chain", "--state", &state]);
    assert_eq!(none.status.code(), Some(2), "{}", answer(&none));
    assert!(answer(&none).contains("bundle.key"));
    let zero = "0".repeat(64);
    let other = fixture.verify(&["--expect-head", &zero]);
    assert_eq!(other.status.code(), Some(1));
    assert!(answer(&other).contains("chain.truncated"));
}

#[test]
fn the_registry_can_be_listed_and_its_export_is_the_records() {
    let fixture = CliFixture::ran();
    let state = fixture.text("state");
    let export = answer(&fixture.provctl(&["registry", "export", "--state", &state]));
    let lines: Vec<&str> = export.lines().collect();
    for (seq, pair) in lines.windows(2).enumerate() {
        let hash = msp_provenance_hash(pair[0]);
        assert!(pair[1].contains(&format!("\"prev\":\"{hash}\",\"seq\":{}", seq + 1)), "{seq}");
    }
    let list = answer(&fixture.provctl(&["registry", "list", "--state", &state, "--kind", "head"]));
    assert!(list.lines().count() >= 2 && list.lines().all(|line| line.contains(" head ")));
    let id = fixture.bundle().file_name().unwrap().to_str().unwrap().to_owned();
    let show = fixture.provctl(&["registry", "show", &id, "--state", &state, "--json"]);
    assert!(lines.contains(&answer(&show).trim_end()));
    assert_refused(
        &fixture.provctl(&["registry", "show", "zz", "--state", &state]),
        65,
        "no record",
    );
}

fn msp_provenance_hash(line: &str) -> String {
    provenance_core::encoding::digest::Digest::sha256(line.as_bytes()).to_hex()
}

#[test]
fn bad_command_lines_are_usage_errors_that_help() {
    let fixture = CliFixture::new();
    assert_refused(&fixture.provctl(&["verify-chian"]), 64, "verify-chain");
    assert_refused(&fixture.provctl(&["verify"]), 64, "<FILE|DIR|s3://…>");
    assert_refused(&fixture.provctl(&["verify-chain", "--sate", "x"]), 64, "--state");
    assert_refused(
        &fixture.provctl(&["verify-chain", "--expect-head", "abc"]),
        64,
        "64 lower-case",
    );
    assert_refused(&fixture.provctl(&["verify-chain", "--from", "yesterday"]), 64, "2026-11-21");
    assert_refused(&fixture.daemon(&["run", "--ticks", "many"]), 64, "invalid");
    assert_refused(&fixture.daemon(&["keygen", "--out", "x", "--name", "../y"]), 64, "letters");
    assert_eq!(fixture.provctl(&[]).status.code(), Some(64));
}

#[test]
fn missing_and_malformed_inputs_are_told_apart() {
    let fixture = CliFixture::ran();
    let policy = fixture.text("policy.toml");
    assert_refused(
        &fixture.provctl(&["verify-chain", "--state", "/nonexistent"]),
        66,
        "/nonexistent",
    );
    assert_refused(&fixture.provctl(&["verify", "/nonexistent"]), 66, "/nonexistent");
    assert_refused(&fixture.provctl(&["status", "--state", "/nonexistent"]), 66, "/nonexistent");
    let empty = fixture.text("log");
    assert_refused(
        &fixture.provctl(&["verify-chain", "--state", &empty]),
        65,
        "neither a state folder",
    );
    assert_refused(&fixture.provctl(&["verify", &empty]), 65, "statement.json");
    assert_refused(&fixture.verify(&["--checkpoint", "/nonexistent"]), 66, "/nonexistent");
    assert_refused(&fixture.provctl(&["verify-chain", "--policy", "/nonexistent"]), 66, "policy");
    fs::write(fixture.path("bad.toml"), "client = 5\n").unwrap();
    let bad = fixture.text("bad.toml");
    assert_refused(&fixture.provctl(&["verify-chain", "--policy", &bad]), 78, "line 1");
    // A chain folder or one file of it is enough to verify what is in it.
    let chain = fixture.text("state/chain");
    let part = fixture.provctl(&["verify-chain", "--state", &chain, "--policy", &policy]);
    assert_eq!(part.status.code(), Some(2), "{}", answer(&part));
}

#[test]
fn a_cut_file_is_a_finding_and_a_newer_format_an_error() {
    let fixture = CliFixture::ran();
    let file = walk(&fixture.path("state/chain")).remove(0);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 20]).unwrap();
    let cut = fixture.verify(&[]);
    assert_eq!(cut.status.code(), Some(1));
    assert!(answer(&cut).contains("chain.truncated"), "{}", answer(&cut));
    fs::write(&file, bytes).unwrap();
    assert_eq!(fixture.verify(&[]).status.code(), Some(0));
    let registry = rusqlite::Connection::open(fixture.path("state/registry.db")).unwrap();
    registry.pragma_update(None, "user_version", 2).unwrap();
    drop(registry);
    assert_refused(&fixture.verify(&[]), 65, "use a newer one");
    assert_refused(&fixture.run(&["--ticks", "1"]), 65, "use a newer one");
}

#[test]
fn settings_with_a_typo_name_the_line() {
    let fixture = CliFixture::new();
    let check = |text: &str| {
        fs::write(fixture.path("c.toml"), text).unwrap();
        fixture.daemon(&["check-config", "--config", &fixture.text("c.toml")])
    };
    assert_refused(
        &check("client = \"c\"\ntier = \"essential\"\n[chain]\nintervall_s = 5\n"),
        78,
        "line 4",
    );
    assert_refused(&check("client = \"c\"\ntier = \"enterprise\"\n"), 78, "keygen");
    assert_refused(
        &fixture.daemon(&["check-config", "--config", "/nonexistent"]),
        66,
        "/nonexistent",
    );
    let good = check("client = \"c\"\ntier = \"essential\"\n");
    assert_eq!(good.status.code(), Some(0));
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/provenance.toml");
    assert_eq!(fixture.daemon(&["check-config", "--config", shipped]).status.code(), Some(0));
}

#[test]
fn keys_are_never_overwritten_and_never_read_where_others_can() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = CliFixture::new();
    let keys = fixture.text("keys");
    assert_refused(&fixture.daemon(&["keygen", "--out", &keys]), 64, "never overwritten");
    let key = fixture.path("keys/signing.key");
    let secret = fs::read_to_string(&key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = fixture.run(&["--ticks", "1"]);
    assert_refused(&refused, 78, "chmod 0600");
    let body = secret.lines().nth(1).unwrap();
    assert!(!error(&refused).contains(body), "the key is in the message");
    assert_refused(&fixture.run(&["--set", "signing_key=\"credential:k\""]), 78, "LoadCredential");
    assert!(!fixture.path("state/registry.db").exists(), "nothing was begun");
}

#[test]
fn a_key_is_succeeded_and_revoked_by_position_in_the_registry() {
    let fixture = CliFixture::ran();
    let settings = fixture.text("p.toml");
    let old = fixture.text("keys/signing.pub");
    let revoke = |key: &str, set: &[&str]| {
        let args = ["revoke-key", "--config", &settings, "--key", key, "--reason", "test"];
        fixture.daemon(&[&args, set].concat())
    };
    assert_refused(&revoke(&old, &[]), 64, "cannot revoke itself");
    assert!(
        fixture
            .daemon(&["keygen", "--out", &fixture.text("keys"), "--name", "new"])
            .status
            .success()
    );
    let set = format!("signing_key=\"{}\"", fixture.text("keys/new.key"));
    assert_eq!(fixture.run(&["--ticks", "1", "--set", &set]).status.code(), Some(0));
    // The old key is trusted no more where another took its place: only a
    // policy with the new one verifies.
    let refused = fixture.verify(&[]);
    assert!(answer(&refused).contains("checkpoint.signature"), "{}", answer(&refused));
    let policy = fs::read_to_string(fixture.path("policy.toml")).unwrap();
    let new = fs::read_to_string(fixture.path("keys/new.pub")).unwrap();
    let both = policy + &trusted_key("new", &new);
    fs::write(fixture.path("policy.toml"), both).unwrap();
    let verified = fixture.verify(&[]);
    assert_eq!(verified.status.code(), Some(0), "{}", answer(&verified));
    assert_eq!(revoke(&old, &["--set", &set]).status.code(), Some(0));
    assert_refused(&revoke(&old, &["--set", &set]), 64, "revoked already");
    assert_eq!(fixture.verify(&[]).status.code(), Some(0), "what it signed before stays good");
    assert_refused(&fixture.run(&["--ticks", "1"]), 64, "does not come back");
}

#[test]
fn the_same_settings_for_another_client_are_refused() {
    let fixture = CliFixture::ran();
    assert_refused(&fixture.run(&["--set", "client=\"other\""]), 65, "belongs to clinic-001");
}

#[test]
fn two_daemons_at_once_are_refused_for_now() {
    let fixture = CliFixture::new();
    let mut first = Command::new(PROVENANCED)
        .args(["run", "--config", &fixture.text("p.toml"), "--ticks", "3"])
        .spawn()
        .unwrap();
    wait_for("the first daemon's chain", PATIENCE, || {
        let files = walk(&fixture.path("state/chain"));
        holds(!files.is_empty(), files)
    });
    assert_refused(&fixture.run(&["--ticks", "1"]), 75, "another provenanced");
    assert!(first.wait().unwrap().success());
    assert_eq!(fixture.verify(&[]).status.code(), Some(0));
}

/// Everything below a folder: names, bytes, modification times.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let files = walk(folder).into_iter();
    files
        .map(|path| {
            let time = fs::metadata(&path).unwrap().modified().unwrap();
            let bytes = fs::read(&path).unwrap();
            (path, bytes, time)
        })
        .collect()
}

#[test]
fn an_audit_leaves_the_evidence_as_it_was() {
    let fixture = CliFixture::ran();
    let before = contents(&fixture.path("state"));
    assert_eq!(fixture.verify(&[]).status.code(), Some(0));
    fixture.provctl(&["status", "--state", &fixture.text("state")]);
    fixture.provctl(&["registry", "list", "--state", &fixture.text("state")]);
    assert!(contents(&fixture.path("state")) == before, "an audit wrote into the state folder");
}

#[test]
fn a_running_appliance_is_never_called_failed() {
    let fixture = CliFixture::new();
    let mut daemon = Command::new(PROVENANCED)
        .args(["run", "--config", &fixture.text("p.toml")])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the first checkpoint", PATIENCE, || {
        holds(fixture.path("state/checkpoint").exists(), walk(&fixture.path("state")))
    });
    let (mut verified, mut bundles) = (0, 0);
    let begin = Instant::now();
    // A busy machine takes longer for the same.
    while begin.elapsed() < Duration::from_secs(8) || verified <= 50 || bundles <= 1 {
        let late = begin.elapsed() > Duration::from_secs(180);
        assert!(!late, "only {verified} verifications and {bundles} bundles");
        assert!(daemon.try_wait().unwrap().is_none(), "the daemon ended");
        if verified % 12 == 6 {
            let made = fixture.daemon(&["bundle", "--config", &fixture.text("p.toml")]);
            bundles += u32::from(made.status.success());
        }
        let bundling = (verified % 12 == 0).then(|| {
            let mut bundle = Command::new(PROVENANCED);
            bundle.args(["bundle", "--config", &fixture.text("p.toml")]);
            let quiet = std::process::Stdio::null;
            bundle.stdout(quiet()).stderr(quiet()).spawn().unwrap()
        });
        let report = fixture.verify(&[]);
        // Before the first record there is nothing to verify yet.
        let fine = matches!(report.status.code(), Some(0 | 2));
        assert!(fine, "{}{}", answer(&report), error(&report));
        // Either may take what is new.
        let made = bundling.map(|mut child| child.wait().unwrap());
        bundles += u32::from(made.is_some_and(|made| made.success()));
        verified += 1;
    }
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    assert!(daemon.wait().unwrap().success());
    assert_eq!(fixture.verify(&[]).status.code(), Some(0));
}
