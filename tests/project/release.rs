//! A release: the same commit gives the same bytes in any folder, its provenance
//! names them, and the workflow that publishes it holds no lasting secret.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
};

use provenance_core::encoding::digest::Digest;
use serde_json::Value;

use crate::common::peers;

const WORKFLOW: &str = include_str!("../../.github/workflows/release.yml");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

fn git(folder: &Path, args: &[&str]) -> Output {
    let ran = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
        .args(["-c", "init.defaultBranch=main"])
        .args(args)
        .current_dir(folder)
        .env("GIT_COMMITTER_DATE", "2026-11-21T00:00:00Z")
        .env("GIT_AUTHOR_DATE", "2026-11-21T00:00:00Z")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{args:?}: {}", text(&ran.stderr));
    ran
}

/// The files as they are here, committed in a repository of their own.
fn committed(folder: &Path) -> Option<()> {
    if !root().join(".git").exists() {
        peers::missing("this is no git repository: nothing says which files are the source");
        return None;
    }
    let listed = git(root(), &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    for name in text(&listed.stdout).split_terminator('\0') {
        let (from, to) = (root().join(name), folder.join(name));
        // One that was removed here is still listed.
        if from.is_file() {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        }
    }
    git(folder, &["init", "--quiet"]);
    git(folder, &["add", "--all", "--force"]);
    git(folder, &["commit", "--quiet", "--message", "source"]);
    Some(())
}

/// Runs the script of a clone at `folder`.
fn release(folder: &Path, out: &Path, parts: &[&str], more: &[(&str, &str)]) -> Output {
    let mut command = Command::new(folder.join("tests/scripts/release"));
    // All that is needed was fetched when this test was built.
    command.arg(out).args(parts).env("CARGO_NET_OFFLINE", "true");
    command.envs(more.iter().copied()).output().unwrap()
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let each = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    each.map(|path| {
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
    })
    .collect()
}

#[test]
fn two_builds_in_different_folders_are_the_same_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    if committed(&source).is_none() {
        return;
    }
    let full = std::env::var_os("MSP_FULL").is_some();
    let parts: &[&str] = if full { &[] } else { &["source", "probe"] };
    let build = |place: &str| -> PathBuf {
        let clone = dir.path().join(place);
        fs::create_dir_all(clone.parent().unwrap()).unwrap();
        git(dir.path(), &["clone", "--quiet", "source", place]);
        // What is not in the commit has no part in it.
        fs::write(clone.join("README.md"), "changed").unwrap();
        fs::write(clone.join("docs/man/added.1"), "added").unwrap();
        let out = dir.path().join(format!("{}-out", place.replace('/', "-")));
        let ran = release(&clone, &out, parts, &[("RUSTFLAGS", "-Cdebuginfo=0"), ("TAG", "")]);
        assert!(ran.status.success(), "{}", text(&ran.stderr));
        out
    };
    let (a, b) = thread::scope(|scope| {
        let other = scope.spawn(|| build("a/longer/way/to/it"));
        (build("b"), other.join().unwrap())
    });
    let (a, b) = (files(&a), files(&b));
    assert!(a.keys().eq(b.keys()), "{:?} {:?}", a.keys(), b.keys());
    for (name, bytes) in &a {
        assert!(*bytes == b[name], "{name} differs");
    }
    let has =
        |end: &str| assert!(a.keys().any(|name| name.ends_with(end)), "no {end}: {:?}", a.keys());
    ["0.tar.gz", "-man.tar.gz", "SHA256SUMS"].into_iter().for_each(has);
    assert_eq!(a.keys().filter(|name| name.ends_with(".crate")).count(), 2);
    assert!(a.keys().any(|name| name.contains("chrony-probe-")));

    // The statement of one build, compared with the files of the other.
    let statement: Value = serde_json::from_slice(&a["provenance.json"]).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let head = text(&git(&source, &["rev-parse", "HEAD"]).stdout);
    let build = &statement["predicate"]["buildDefinition"];
    assert_eq!(build["resolvedDependencies"][0]["digest"]["gitCommit"], head.trim());
    let lock = Digest::sha256(&fs::read(source.join("Cargo.lock")).unwrap()).to_hex();
    assert_eq!(build["resolvedDependencies"][1]["digest"]["sha256"], *lock);
    let subjects = statement["subject"].as_array().unwrap();
    assert_eq!(subjects.len(), b.len() - 2, "all but the sums and the statement");
    for subject in subjects {
        let name = subject["name"].as_str().unwrap();
        assert_eq!(subject["digest"]["sha256"], *Digest::sha256(&b[name]).to_hex(), "{name}");
    }
    let summed = text(&a["SHA256SUMS"]);
    assert_eq!(summed.lines().count(), subjects.len());
    // No folder of this machine is in what is published.
    for (name, bytes) in &a {
        let here = dir.path().to_str().unwrap().as_bytes();
        assert!(!bytes.windows(here.len()).any(|window| window == here), "{name}");
    }
}

#[test]
fn the_statement_can_be_signed_and_stock_cosign_verifies_it() {
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (dir.path().join("source"), dir.path().join("out"));
    if committed(&source).is_none() {
        return;
    }
    let keygen = Command::new(env!("CARGO_BIN_EXE_provenanced"))
        .args(["keygen", "--name", "release", "--out"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(keygen.status.success(), "{}", text(&keygen.stderr));
    let path = |name: &str| dir.path().join(name).display().to_string();
    let key = path("release.key");
    let with = [("RELEASE_KEY", &*key), ("TAG", "v0.1.0")];
    let ran = release(&source, &out, &["source"], &with);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let made = files(&out);

    // Our own reader takes the bundle: it is of the one form.
    let bundle = &made["provenance.sigstore.json"];
    let bundle = provenance_core::signing::sigstore_bundle::SigstoreBundle::parse(bundle).unwrap();
    assert_eq!(bundle.payload(), made["provenance.json"]);

    let Some(cosign) = peers::find("cosign") else { return };
    let verify = |file: &Path| {
        Command::new(&cosign)
            .args(["verify-blob-attestation", "--insecure-ignore-tlog"])
            .args(["--type", "slsaprovenance1", "--key", &path("release.pub"), "--bundle"])
            .arg(out.join("provenance.sigstore.json"))
            .arg(file)
            .output()
            .unwrap()
    };
    for name in made.keys().filter(|name| name.ends_with(".crate") || name.ends_with(".gz")) {
        let ran = verify(&out.join(name));
        assert!(ran.status.success(), "{name}: {}", text(&ran.stderr));
    }
    assert!(!verify(&out.join("SHA256SUMS")).status.success());
}

#[test]
fn what_cannot_be_a_release_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |parts: &[&str], more: &[(&str, &str)], out: &str, code: i32, words: &str| {
        let ran = release(root(), &dir.path().join(out), parts, more);
        assert_eq!(ran.status.code(), Some(code), "{}", text(&ran.stderr));
        assert!(text(&ran.stderr).contains(words), "{}", text(&ran.stderr));
    };
    fs::create_dir(dir.path().join("there")).unwrap();
    refused(&["source"], &[], "there", 64, "there already");
    refused(&["all"], &[], "a", 64, "no part all");
    if root().join(".git").exists() {
        refused(&["source"], &[("TAG", "v9.9.9")], "b", 65, "the tag is v9.9.9");
    }
}

/// The workflow's jobs, each with its lines.
fn jobs(workflow: &str) -> BTreeMap<&str, Vec<&str>> {
    let (mut jobs, mut job) = (BTreeMap::<&str, Vec<&str>>::new(), None);
    for line in workflow.lines().skip_while(|line| *line != "jobs:").skip(1) {
        let name = line.strip_prefix("  ").filter(|rest| !rest.starts_with([' ', '#']));
        job = name.and_then(|name| name.strip_suffix(':')).or(job);
        if let Some(job) = job {
            jobs.entry(job).or_default().push(line.trim());
        }
    }
    jobs
}

/// What is wrong with a workflow that publishes.
fn wrong(workflow: &str) -> Vec<String> {
    let mut wrong = vec![];
    let code = |line: &str| line.split(" #").next().unwrap_or_default().trim().to_owned();
    for line in workflow.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let uses = line.trim().trim_start_matches("- ").strip_prefix("uses: ");
        if let Some(action) = uses {
            let pinned = code(action).rsplit_once('@').is_some_and(|(_, commit)| {
                commit.len() == 40 && commit.bytes().all(|c| c.is_ascii_hexdigit())
            });
            let version = line.rsplit_once("# v").is_some_and(|(_, v)| v.split('.').count() == 3);
            if !pinned || !version {
                wrong.push(format!("not pinned: {line}"));
            }
        }
        let secret = line.contains("secrets.") || line.contains("secrets[");
        if secret || line.contains("pull_request_target") || line.contains("write-all") {
            wrong.push(format!("not allowed: {line}"));
        }
        // What others can name must not become a part of a command.
        if line.trim_start().trim_start_matches("- ").starts_with("run:") && line.contains("${{") {
            wrong.push(format!("put it into env: {line}"));
        }
    }
    if !workflow.contains("\npermissions: {}\n") {
        wrong.push("a job has permissions that it does not ask for".into());
    }
    let tag = "if: github.ref_type == 'tag'";
    let mut may = BTreeMap::new();
    for (job, lines) in jobs(workflow) {
        let writes: Vec<&str> =
            lines.iter().filter_map(|line| line.strip_suffix(": write")).collect();
        if !writes.is_empty() && !lines.contains(&tag) {
            wrong.push(format!("{job} may write, and runs for pull requests"));
        }
        let steps = lines.iter().position(|line| *line == "steps:").unwrap_or_default();
        if !lines[..steps].contains(&"permissions:") {
            wrong.push(format!("{job} does not say what it may do"));
        }
        may.insert(job, writes);
    }
    let expected = BTreeMap::from([
        ("build", vec![]),
        ("rebuild", vec![]),
        ("attest", vec!["id-token", "attestations"]),
        ("crates", vec!["id-token"]),
        ("publish", vec!["contents"]),
    ]);
    if may != expected {
        wrong.push(format!("permissions: {may:?}"));
    }
    wrong
}

#[test]
fn the_workflow_has_no_lasting_secret_and_pins_every_action() {
    assert_eq!(wrong(WORKFLOW), Vec::<String>::new());
    assert!(WORKFLOW.matches("uses: ").count() > 5);
    assert!(WORKFLOW.contains("tests/scripts/release dist"));
    // What must be found.
    for (from, to) in [
        ("${{ github.token }}", "${{ secrets.GITHUB_TOKEN }}"),
        ("${{ steps.auth.outputs.token }}", "${{ secrets.CARGO_TOKEN }}"),
        ("@3d3c42e5aac5ba805825da76410c181273ba90b1", "@v7"),
        ("permissions: {}", "permissions: write-all"),
        ("  pull_request:", "  pull_request_target:"),
        ("  attest:\n    if: github.ref_type == 'tag'\n", "  attest:\n"),
        ("permissions:\n      contents: read", "permissions:\n      contents: write"),
        ("run: tests/scripts/release dist", "run: tests/scripts/release ${{ github.head_ref }}"),
    ] {
        let bad = WORKFLOW.replacen(from, to, 1);
        assert_ne!(bad, WORKFLOW, "{from}");
        assert!(!wrong(&bad).is_empty(), "{to}");
    }
}
