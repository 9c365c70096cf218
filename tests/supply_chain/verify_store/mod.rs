//! `provctl verify-store` against stores that a real nix built and signed, its
//! verdicts compared with those of `nix store verify`.

mod attest;
mod countersign;
mod harness;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use serde_json::{Value, json};

use crate::common::{docs_schema, peers, programs::PROVCTL};
use harness::NixStoreFixture;

fn run(args: &[&str]) -> (i32, Value) {
    let args = [&["verify-store", "--json"], args].concat();
    let ran = Command::new(PROVCTL).args(&args).output().unwrap();
    let value = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|_| panic!("{args:?}: {}", String::from_utf8_lossy(&ran.stderr)));
    (ran.status.code().unwrap(), value)
}

/// The names of the paths with something wrong, and what.
fn wrong(report: &Value) -> Vec<(String, String)> {
    let list = report["paths"].as_array().unwrap();
    let part = |item: &Value, key: &str| item[key].as_str().unwrap().to_owned();
    let name = |path: String| path.split_once('-').unwrap().1.to_owned();
    let mut list: Vec<_> =
        list.iter().map(|item| (name(part(item, "path")), part(item, "code"))).collect();
    list.sort();
    list
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, code)| ((*name).to_owned(), (*code).to_owned())).collect()
}

#[test]
fn paths_are_judged_as_nix_judges_them_and_named() {
    let Some(fixture) = NixStoreFixture::new() else { return };
    let (a, b) = (fixture.key("a.sec", "a-1"), fixture.key("b.sec", "b-1"));
    let local = pairs(&[("part-2.0", "nix.local"), ("system-3.0", "nix.local")]);
    // Nobody signed: what was built here is named, what is content-addressed is not.
    let (code, report) = fixture.verify(&["--trusted-keys", &a, "--rehash"]);
    assert_eq!((code, wrong(&report)), (1, local.clone()), "{report}");
    assert_eq!(report["checked"]["content-addressed paths"], 3);
    assert_eq!(report["checked"]["contents"], 5);
    fixture.nix_agrees(&[&a], 1, true, false);
    let schema: Value =
        serde_json::from_str(&fs::read_to_string("docs/report.schema.json").unwrap()).unwrap();
    docs_schema::check(&schema, &report).unwrap_or_else(|error| panic!("{error}\n{report}"));
    // Signed, by the key or by another.
    fixture.sign("a.sec", &fixture.system);
    let (code, report) = fixture.verify(&["--trusted-keys", &a, "--rehash"]);
    assert_eq!((code, wrong(&report)), (0, vec![]), "{report}");
    assert_eq!(report["checked"]["signed paths"], 2);
    fixture.nix_agrees(&[&a], 1, true, true);
    assert_eq!(fixture.verify(&["--trusted-keys", &b]).0, 1);
    fixture.nix_agrees(&[&b], 1, false, false);
    // Another key of the same name.
    let impostor = fixture.key("c.sec", "a-1");
    let (code, report) = fixture.verify(&["--trusted-keys", &impostor]);
    let named = pairs(&[("part-2.0", "nix.signature"), ("system-3.0", "nix.signature")]);
    assert_eq!((code, wrong(&report)), (1, named), "{report}");
    fixture.nix_agrees(&[&impostor], 1, false, false);
    // Two are asked for: one has signed, then one path only, then all.
    let both = ["--trusted-keys", &a, &b, "--threshold", "2"];
    let (code, report) = fixture.verify(&both);
    let few = pairs(&[("part-2.0", "nix.untrusted"), ("system-3.0", "nix.untrusted")]);
    assert_eq!((code, wrong(&report)), (1, few), "{report}");
    fixture.nix_agrees(&[&a, &b], 2, false, false);
    fixture.sign("b.sec", &fixture.path("part-2.0"));
    let (code, report) = fixture.verify(&both);
    assert_eq!((code, wrong(&report)), (1, pairs(&[("system-3.0", "nix.untrusted")])));
    fixture.sign("b.sec", &fixture.system);
    let (code, report) = fixture.verify(&both);
    assert_eq!((code, wrong(&report)), (0, vec![]), "{report}");
    fixture.nix_agrees(&[&a, &b], 2, false, true);
    // Without a key nothing can be said of signatures; built here they are named.
    assert_eq!(wrong(&fixture.verify(&[]).1), local);
    fixture.sql("UPDATE ValidPaths SET ultimate = 0");
    let (code, report) = fixture.verify(&[]);
    assert_eq!((code, wrong(&report)), (2, vec![]), "{report}");
    fixture.sql("UPDATE ValidPaths SET sigs = NULL");
    let (code, report) = fixture.verify(&["--trusted-keys", &a]);
    let none = pairs(&[("part-2.0", "nix.unsigned"), ("system-3.0", "nix.unsigned")]);
    assert_eq!((code, wrong(&report)), (1, none), "{report}");
}

#[test]
fn one_key_under_two_names_is_one_key_where_nix_counts_two() {
    let Some(fixture) = NixStoreFixture::new() else { return };
    let a = fixture.key("a.sec", "a-1");
    let secret = fs::read_to_string(fixture.text("a.sec")).unwrap();
    fs::write(fixture.text("b.sec"), secret.replace("a-1:", "b-1:")).unwrap();
    let b = fixture.public("b.sec");
    let third = fixture.key("c.sec", "c-1");
    fixture.sign("a.sec", &fixture.system);
    fixture.sign("b.sec", &fixture.system);
    let keys = ["--trusted-keys", &a, &b, &third, "--threshold", "2"];
    let (code, report) = fixture.verify(&keys);
    assert_eq!((code, wrong(&report).len()), (1, 2), "{report}");
    fixture.nix_agrees(&[&a, &b, &third], 2, false, true);
}

#[test]
fn changed_contents_and_registrations_are_found() {
    let Some(fixture) = NixStoreFixture::new() else { return };
    let a = fixture.key("a.sec", "a-1");
    fixture.sign("a.sec", &fixture.system);
    let keys = ["--trusted-keys", &a];
    let rehash = ["--trusted-keys", &a, "--rehash"];
    assert_eq!(fixture.verify(&rehash).0, 0);
    for (name, file, change) in [
        ("part-2.0", "eight", "byte"),
        ("part-2.0", "run", "mode"),
        ("part-2.0", "a/more", "added"),
        ("part-2.0", "a/link", "link"),
        ("text-1.0", "", "byte"),
        ("flat-1.0", "", "byte"),
        ("source-1.0", "dir/program", "byte"),
        ("part-2.0", "a/fifo", "fifo"),
    ] {
        let path = fixture.real(&fixture.path(name));
        let file = if file.is_empty() { path } else { path.join(file) };
        writable(&file);
        let undo = spoil(&file, change);
        assert_eq!(fixture.verify(&keys).0, 0, "{change}: not read, not found");
        let (code, report) = fixture.verify(&rehash);
        assert_eq!((code, wrong(&report)), (1, pairs(&[(name, "nix.altered")])), "{change}");
        if change != "fifo" {
            fixture.nix_agrees(&[&a], 1, true, false);
        }
        undo();
        assert_eq!(fixture.verify(&rehash).0, 0, "{change}: undone");
    }
    // Gone.
    let (text, aside) = (fixture.real(&fixture.path("text-1.0")), fixture.real("/aside"));
    writable(&text);
    fs::rename(&text, &aside).unwrap();
    let (code, report) = fixture.verify(&rehash);
    assert_eq!((code, wrong(&report)), (1, pairs(&[("text-1.0", "nix.missing")])));
    fs::rename(&aside, &text).unwrap();
    // What is registered follows the change: the signature does not.
    let part = fixture.path("part-2.0");
    for column in ["hash = 'sha256:' || hex(zeroblob(32))", "narSize = narSize + 8"] {
        fixture.sql("CREATE TABLE Kept AS SELECT * FROM ValidPaths");
        fixture.sql(&format!("UPDATE ValidPaths SET {column} WHERE path = '{part}'"));
        let (code, report) = fixture.verify(&keys);
        assert_eq!((code, wrong(&report)), (1, pairs(&[("part-2.0", "nix.signature")])));
        fixture.nix_agrees(&[&a], 1, false, false);
        fixture.sql(
            "UPDATE ValidPaths SET (hash, narSize) = (SELECT hash, narSize FROM Kept WHERE Kept.id = ValidPaths.id); DROP TABLE Kept",
        );
    }
    // A reference that is taken away.
    fixture.sql(&format!(
        "DELETE FROM Refs WHERE reference = (SELECT id FROM ValidPaths WHERE path LIKE '%text-1.0') \
         AND referrer = (SELECT id FROM ValidPaths WHERE path = '{part}')"
    ));
    assert_eq!(wrong(&fixture.verify(&keys).1), pairs(&[("part-2.0", "nix.signature")]));
}

#[test]
fn a_content_address_binds_path_references_and_contents() {
    let Some(fixture) = NixStoreFixture::new() else { return };
    let a = fixture.key("a.sec", "a-1");
    fixture.sign("a.sec", &fixture.system);
    let keys = ["--trusted-keys", &a];
    let source = fixture.path("source-1.0");
    let other = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
    for ca in [format!("fixed:r:{other}"), format!("text:{other}"), "what".into()] {
        fixture.sql("CREATE TABLE Kept AS SELECT * FROM ValidPaths");
        fixture
            .sql(&format!("UPDATE ValidPaths SET ca = '{ca}', sigs = '' WHERE path = '{source}'"));
        let (code, report) = fixture.verify(&keys);
        assert_eq!((code, wrong(&report)), (1, pairs(&[("source-1.0", "nix.address")])), "{ca}");
        if ca != "what" {
            fixture.nix_agrees(&[&a], 1, false, false);
        }
        fixture.sql(
            "UPDATE ValidPaths SET (ca, sigs) = (SELECT ca, sigs FROM Kept WHERE Kept.id = ValidPaths.id); DROP TABLE Kept",
        );
    }
    // Contents and registration changed alike: nix, which asks for no signature
    // there, does not see it.
    let file = fixture.real(&source).join("a");
    writable(&file);
    fs::write(&file, "b").unwrap();
    let hash = Command::new(&fixture.nix)
        .args(["hash", "path", "--base16"])
        .arg(fixture.real(&source))
        .output()
        .unwrap();
    let hash = String::from_utf8(hash.stdout).unwrap();
    let hash = hash.trim();
    fixture.sql(&format!(
        "UPDATE ValidPaths SET hash = 'sha256:{hash}', sigs = '' WHERE path = '{source}'"
    ));
    let (code, report) = fixture.verify(&keys);
    assert_eq!((code, wrong(&report)), (1, pairs(&[("source-1.0", "nix.address")])), "{report}");
    fixture.nix_agrees(&[&a], 1, true, true);
}

#[test]
fn what_path_info_prints_is_judged_alike_in_each_format() {
    let Some(fixture) = NixStoreFixture::new() else { return };
    let a = fixture.key("a.sec", "a-1");
    let info = fixture.text("info.json");
    let newer = fixture.text("info-2.json");
    let file = fixture.text("keys");
    fs::write(&file, format!("# whom we trust\n{a}\n")).unwrap();
    for signed in [false, true] {
        if signed {
            fixture.sign("a.sec", &fixture.system);
        }
        let told = fixture.ok(&["path-info", "--json", "-r", &fixture.system]);
        fs::write(&info, &told).unwrap();
        let told: Value = serde_json::from_str(&told).unwrap();
        fs::write(&newer, format_2(&told).to_string()).unwrap();
        let (code, by_database) = fixture.verify(&["--trusted-keys", &file]);
        assert_eq!(code, i32::from(!signed));
        for path in [&info, &newer] {
            let (by_json, report) = run(&["--path-info", path, "--trusted-keys", &a]);
            assert_eq!((by_json, &report), (code, &by_database), "{path}");
        }
    }
}

/// What a later nix prints: base names, and content addresses in parts.
fn format_2(told: &Value) -> Value {
    let base = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    let mut info = serde_json::Map::new();
    for (path, one) in told.as_object().unwrap() {
        let mut one = one.clone();
        let references = one["references"].as_array().unwrap().iter();
        one["references"] = references.map(|path| json!(base(path.as_str().unwrap()))).collect();
        if let Some(ca) = one["ca"].as_str().map(str::to_owned) {
            let (method, rest) = match ca.split_once(':').unwrap() {
                ("text", rest) => ("text", rest),
                (_, rest) => match rest.strip_prefix("r:") {
                    Some(rest) => ("nar", rest),
                    None => ("flat", rest),
                },
            };
            let hash = rest.strip_prefix("sha256:").unwrap();
            one["ca"] = json!({
                "method": method,
                "hash": { "algorithm": "sha256", "format": "nix32", "hash": hash }
            });
        }
        info.insert(base(path), one);
    }
    json!({ "version": 2, "storeDir": "/nix/store", "info": info })
}

#[test]
fn keys_and_thresholds_that_make_no_sense_are_refused() {
    let exit = |args: &[&str]| {
        let ran = Command::new(PROVCTL).arg("verify-store").args(args).output().unwrap();
        (ran.status.code().unwrap(), String::from_utf8_lossy(&ran.stderr).into_owned())
    };
    let good = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";
    assert_eq!(exit(&["--trusted-keys", good, "--threshold", "2"]).0, 64);
    assert_eq!(exit(&["--trusted-keys", good, "--threshold", "0"]).0, 64);
    assert_eq!(exit(&["--trusted-keys", "no such:key"]).0, 64);
    assert_eq!(exit(&["--trusted-keys", "/no/such/file"]).0, 66);
    assert_eq!(exit(&["--trusted-keys", good, "--nix-db", "/no/such/db"]).0, 66);
    // A report of an earlier run does not stay.
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report.json");
    fs::write(&out, "{}").unwrap();
    assert_eq!(exit(&["--nix-db", "/no/such/db", "--out", out.to_str().unwrap()]).0, 66);
    assert!(!out.exists());
    // A secret key is not repeated.
    let secret = format!("k-1:{}", "QUJD".repeat(21) + "QQ==");
    let (code, said) = exit(&["--trusted-keys", &secret]);
    assert!(code == 64 && said.contains("secret key") && !said.contains("QUJD"), "{said}");
}

fn writable(file: &Path) {
    let folder = file.parent().unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    if file.is_file() {
        let mode = fs::metadata(file).unwrap().permissions().mode();
        fs::set_permissions(file, fs::Permissions::from_mode(mode | 0o200)).unwrap();
    }
}

/// Changes the file, and gives what undoes it.
fn spoil(file: &Path, change: &str) -> Box<dyn FnOnce()> {
    let path = file.to_owned();
    match change {
        "byte" => {
            let good = fs::read(file).unwrap();
            let mut bad = good.clone();
            bad[0] ^= 1;
            fs::write(file, bad).unwrap();
            Box::new(move || fs::write(path, good).unwrap())
        }
        "mode" => {
            let mode = |mode| fs::Permissions::from_mode(mode);
            fs::set_permissions(file, mode(0o644)).unwrap();
            Box::new(move || fs::set_permissions(path, mode(0o755)).unwrap())
        }
        "link" => {
            let target = fs::read_link(file).unwrap();
            fs::remove_file(file).unwrap();
            std::os::unix::fs::symlink("elsewhere", file).unwrap();
            Box::new(move || {
                fs::remove_file(&path).unwrap();
                std::os::unix::fs::symlink(target, path).unwrap();
            })
        }
        _ => {
            if change == "fifo" {
                assert!(Command::new("mkfifo").arg(file).status().unwrap().success());
            } else {
                fs::write(file, "").unwrap();
            }
            Box::new(move || fs::remove_file(path).unwrap())
        }
    }
}
