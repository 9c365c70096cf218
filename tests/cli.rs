//! What users type and scripts rest on: help, man pages, completions, exit
//! codes, messages for bad input, JSON.
#![cfg(test)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use msp_provenance::cli::{man, provctl, provenanced};

const PROVENANCED: &str = env!("CARGO_BIN_EXE_provenanced");
const PROVCTL: &str = env!("CARGO_BIN_EXE_provctl");

/// A folder with a key, settings, a policy and, after [`World::ran`], a state.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = Self { dir };
        fs::create_dir(world.path("log")).unwrap();
        fs::write(world.path("log/a.log"), "one\n").unwrap();
        assert_eq!(world.daemon(&["keygen", "--out", &world.text("keys")]).status.code(), Some(0));
        let settings = format!(
            "client = \"clinic-001\"\nhost = \"h\"\ntier = \"enterprise\"\nstate_dir = \"{}\"\n\
             signing_key = \"{}\"\n[chain]\ninterval_s = 1\nwatch = [\"{}/**\"]\njournal = false\n",
            world.text("state"),
            world.text("keys/signing.key"),
            world.text("log")
        );
        fs::write(world.path("p.toml"), settings).unwrap();
        let key = fs::read_to_string(world.path("keys/signing.pub")).unwrap();
        let policy = format!(
            "client = \"clinic-001\"\n[[keys]]\nname = \"signing\"\npublic_key = \"\"\"\n{key}\"\"\"\n"
        );
        fs::write(world.path("policy.toml"), policy).unwrap();
        world
    }

    fn ran() -> Self {
        let world = Self::new();
        let ran = world.run(&["--ticks", "1"]);
        assert_eq!(ran.status.code(), Some(0), "{}", error(&ran));
        let bundle = world.daemon(&["bundle", "--config", &world.text("p.toml"), "--json"]);
        assert_eq!(bundle.status.code(), Some(0), "{}", error(&bundle));
        world
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

/// The exit code, and that the message holds `expected` and no panic.
fn refuses(output: &Output, code: i32, expected: &str) {
    let message = error(output);
    assert_eq!(output.status.code(), Some(code), "{message}{}", answer(output));
    assert!(message.contains(expected), "{expected:?} is not in {message:?}");
    assert!(!message.contains("panicked"), "{message}");
}

#[test]
fn man_pages_are_those_of_the_command_lines() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/man");
    let mut pages = man::<provctl::Cli>().unwrap();
    pages.extend(man::<provenanced::Cli>().unwrap());
    let update = std::env::var_os("UPDATE_MAN").is_some();
    for (name, text) in &pages {
        if update {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(name), text).unwrap();
        }
        let kept = fs::read(folder.join(name)).unwrap_or_default();
        assert!(kept == *text, "docs/man/{name} is old: run UPDATE_MAN=1 cargo test --test cli");
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
    let world = World::ran();
    let verified = world.verify(&["--json"]);
    assert_eq!(verified.status.code(), Some(0), "{}", answer(&verified));
    let report: serde_json::Value = serde_json::from_str(&answer(&verified)).unwrap();
    assert_eq!(report["verdict"], "verified");
    assert!(report["checked"]["records"].as_u64() >= Some(4));
    assert_eq!(report["head"]["hash"], report["signed_to"]["hash"]);
    for member in ["not_checked", "findings", "finding_counts"] {
        assert!(!report[member].is_null(), "{member}");
    }
    let bundle = world.bundle().display().to_string();
    let one = world.provctl(&["verify", &bundle, "--policy", &world.text("policy.toml")]);
    assert_eq!(one.status.code(), Some(0), "{}", answer(&one));
    let status = world.provctl(&["status", "--state", &world.text("state"), "--json"]);
    let status: serde_json::Value = serde_json::from_str(&answer(&status)).unwrap();
    assert_eq!(status["head"]["hash"], report["head"]["hash"]);
    assert_eq!(status["last_kind"], "stop");
}

#[test]
fn the_three_verdicts_have_their_exit_codes() {
    let world = World::ran();
    let state = world.text("state");
    assert_eq!(world.verify(&[]).status.code(), Some(0));
    let none = world.provctl(&["verify-chain", "--state", &state]);
    assert_eq!(none.status.code(), Some(2), "{}", answer(&none));
    assert!(answer(&none).contains("bundle.key"));
    let zero = "0".repeat(64);
    let other = world.verify(&["--expect-head", &zero]);
    assert_eq!(other.status.code(), Some(1));
    assert!(answer(&other).contains("chain.truncated"));
}

#[test]
fn the_registry_can_be_looked_into_and_its_export_is_the_records_themselves() {
    let world = World::ran();
    let state = world.text("state");
    let export = answer(&world.provctl(&["registry", "export", "--state", &state]));
    let lines: Vec<&str> = export.lines().collect();
    for (seq, pair) in lines.windows(2).enumerate() {
        let hash = msp_provenance_hash(pair[0]);
        assert!(pair[1].contains(&format!("\"prev\":\"{hash}\",\"seq\":{}", seq + 1)), "{seq}");
    }
    let list = answer(&world.provctl(&["registry", "list", "--state", &state, "--kind", "head"]));
    assert!(list.lines().count() >= 2 && list.lines().all(|line| line.contains(" head ")));
    let id = world.bundle().file_name().unwrap().to_str().unwrap().to_owned();
    let show = world.provctl(&["registry", "show", &id, "--state", &state, "--json"]);
    assert!(lines.contains(&answer(&show).trim_end()));
    refuses(&world.provctl(&["registry", "show", "zz", "--state", &state]), 65, "no record");
}

fn msp_provenance_hash(line: &str) -> String {
    provenance_core::digest::Digest::of(line.as_bytes()).to_hex()
}

#[test]
fn bad_command_lines_are_usage_errors_that_help() {
    let world = World::new();
    refuses(&world.provctl(&["verify-chian"]), 64, "verify-chain");
    refuses(&world.provctl(&["verify"]), 64, "<FILE|DIR|s3://…>");
    refuses(&world.provctl(&["verify-chain", "--sate", "x"]), 64, "--state");
    refuses(&world.provctl(&["verify-chain", "--expect-head", "abc"]), 64, "64 lower-case");
    refuses(&world.provctl(&["verify-chain", "--from", "yesterday"]), 64, "2026-11-21");
    refuses(&world.daemon(&["run", "--ticks", "many"]), 64, "invalid");
    refuses(&world.daemon(&["keygen", "--out", "x", "--name", "../y"]), 64, "letters");
    assert_eq!(world.provctl(&[]).status.code(), Some(64));
}

#[test]
fn missing_and_malformed_inputs_are_told_apart() {
    let world = World::ran();
    let policy = world.text("policy.toml");
    refuses(&world.provctl(&["verify-chain", "--state", "/nonexistent"]), 66, "/nonexistent");
    refuses(&world.provctl(&["verify", "/nonexistent"]), 66, "/nonexistent");
    refuses(&world.provctl(&["status", "--state", "/nonexistent"]), 66, "/nonexistent");
    let empty = world.text("log");
    refuses(&world.provctl(&["verify-chain", "--state", &empty]), 65, "neither a state folder");
    refuses(&world.provctl(&["verify", &empty]), 65, "statement.json");
    refuses(&world.verify(&["--checkpoint", "/nonexistent"]), 66, "/nonexistent");
    refuses(&world.provctl(&["verify-chain", "--policy", "/nonexistent"]), 66, "policy");
    fs::write(world.path("bad.toml"), "client = 5\n").unwrap();
    let bad = world.text("bad.toml");
    refuses(&world.provctl(&["verify-chain", "--policy", &bad]), 78, "line 1");
    // A chain folder or one file of it is enough to verify what is in it.
    let chain = world.text("state/chain");
    let part = world.provctl(&["verify-chain", "--state", &chain, "--policy", &policy]);
    assert_eq!(part.status.code(), Some(2), "{}", answer(&part));
}

#[test]
fn a_cut_file_is_a_finding_and_a_newer_format_an_error() {
    let world = World::ran();
    let file = walk(&world.path("state/chain")).remove(0);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 20]).unwrap();
    let cut = world.verify(&[]);
    assert_eq!(cut.status.code(), Some(1));
    assert!(answer(&cut).contains("chain.truncated"), "{}", answer(&cut));
    fs::write(&file, bytes).unwrap();
    assert_eq!(world.verify(&[]).status.code(), Some(0));
    let registry = rusqlite::Connection::open(world.path("state/registry.db")).unwrap();
    registry.pragma_update(None, "user_version", 2).unwrap();
    drop(registry);
    refuses(&world.verify(&[]), 65, "use a newer one");
    refuses(&world.run(&["--ticks", "1"]), 65, "use a newer one");
}

#[test]
fn settings_with_a_typo_name_the_line() {
    let world = World::new();
    let check = |text: &str| {
        fs::write(world.path("c.toml"), text).unwrap();
        world.daemon(&["check-config", "--config", &world.text("c.toml")])
    };
    refuses(
        &check("client = \"c\"\ntier = \"essential\"\n[chain]\nintervall_s = 5\n"),
        78,
        "line 4",
    );
    refuses(&check("client = \"c\"\ntier = \"enterprise\"\n"), 78, "keygen");
    refuses(&world.daemon(&["check-config", "--config", "/nonexistent"]), 66, "/nonexistent");
    let good = check("client = \"c\"\ntier = \"essential\"\n");
    assert_eq!(good.status.code(), Some(0));
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/provenance.toml");
    assert_eq!(world.daemon(&["check-config", "--config", shipped]).status.code(), Some(0));
}

#[test]
fn keys_are_never_overwritten_and_never_read_where_others_can() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let keys = world.text("keys");
    refuses(&world.daemon(&["keygen", "--out", &keys]), 64, "never overwritten");
    let key = world.path("keys/signing.key");
    let secret = fs::read_to_string(&key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = world.run(&["--ticks", "1"]);
    refuses(&refused, 78, "chmod 0600");
    let body = secret.lines().nth(1).unwrap();
    assert!(!error(&refused).contains(body), "the key is in the message");
    refuses(&world.run(&["--set", "signing_key=\"credential:k\""]), 78, "LoadCredential");
    assert!(!world.path("state/registry.db").exists(), "nothing was begun");
}

#[test]
fn a_key_is_succeeded_and_revoked_by_position_in_the_registry() {
    let world = World::ran();
    let settings = world.text("p.toml");
    let old = world.text("keys/signing.pub");
    let revoke = |key: &str, set: &[&str]| {
        let args = ["revoke-key", "--config", &settings, "--key", key, "--reason", "test"];
        world.daemon(&[&args, set].concat())
    };
    refuses(&revoke(&old, &[]), 64, "cannot revoke itself");
    assert!(
        world.daemon(&["keygen", "--out", &world.text("keys"), "--name", "new"]).status.success()
    );
    let set = format!("signing_key=\"{}\"", world.text("keys/new.key"));
    assert_eq!(world.run(&["--ticks", "1", "--set", &set]).status.code(), Some(0));
    // The old key is trusted no more where another took its place: only a
    // policy with the new one verifies.
    let refused = world.verify(&[]);
    assert!(answer(&refused).contains("checkpoint.signature"), "{}", answer(&refused));
    let policy = fs::read_to_string(world.path("policy.toml")).unwrap();
    let new = fs::read_to_string(world.path("keys/new.pub")).unwrap();
    let both = format!("{policy}[[keys]]\nname = \"new\"\npublic_key = \"\"\"\n{new}\"\"\"\n");
    fs::write(world.path("policy.toml"), both).unwrap();
    let verified = world.verify(&[]);
    assert_eq!(verified.status.code(), Some(0), "{}", answer(&verified));
    assert_eq!(revoke(&old, &["--set", &set]).status.code(), Some(0));
    refuses(&revoke(&old, &["--set", &set]), 64, "revoked already");
    assert_eq!(world.verify(&[]).status.code(), Some(0), "what it signed before stays good");
    refuses(&world.run(&["--ticks", "1"]), 64, "does not come back");
}

#[test]
fn the_same_settings_for_another_client_are_refused() {
    let world = World::ran();
    refuses(&world.run(&["--set", "client=\"other\""]), 65, "belongs to clinic-001");
}

#[test]
fn two_daemons_at_once_are_refused_for_now() {
    let world = World::new();
    let mut first = Command::new(PROVENANCED)
        .args(["run", "--config", &world.text("p.toml"), "--ticks", "3"])
        .spawn()
        .unwrap();
    for _ in 0..200 {
        if world.path("state/chain").exists() && !walk(&world.path("state/chain")).is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    refuses(&world.run(&["--ticks", "1"]), 75, "another provenanced");
    assert!(first.wait().unwrap().success());
    assert_eq!(world.verify(&[]).status.code(), Some(0));
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
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
    let world = World::ran();
    let before = contents(&world.path("state"));
    assert_eq!(world.verify(&[]).status.code(), Some(0));
    world.provctl(&["status", "--state", &world.text("state")]);
    world.provctl(&["registry", "list", "--state", &world.text("state")]);
    assert!(contents(&world.path("state")) == before, "an audit wrote into the state folder");
}

#[test]
fn a_running_appliance_is_never_called_failed() {
    let world = World::new();
    let mut daemon = Command::new(PROVENANCED)
        .args(["run", "--config", &world.text("p.toml"), "--ticks", "8"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !world.path("state/checkpoint").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let (mut verified, mut bundles) = (0, 0);
    while daemon.try_wait().unwrap().is_none() {
        if verified % 12 == 6 {
            let made = world.daemon(&["bundle", "--config", &world.text("p.toml")]);
            bundles += u32::from(made.status.success());
        }
        let bundling = (verified % 12 == 0).then(|| {
            let mut bundle = Command::new(PROVENANCED);
            bundle.args(["bundle", "--config", &world.text("p.toml")]);
            let quiet = std::process::Stdio::null;
            bundle.stdout(quiet()).stderr(quiet()).spawn().unwrap()
        });
        let report = world.verify(&[]);
        // Before the first record there is nothing to verify yet.
        let fine = matches!(report.status.code(), Some(0 | 2));
        assert!(fine, "{}{}", answer(&report), error(&report));
        // Either may take what is new.
        let made = bundling.map(|mut child| child.wait().unwrap());
        bundles += u32::from(made.is_some_and(|made| made.success()));
        verified += 1;
    }
    assert!(verified > 50 && bundles > 1, "{verified} {bundles}");
    assert_eq!(world.verify(&[]).status.code(), Some(0));
}
