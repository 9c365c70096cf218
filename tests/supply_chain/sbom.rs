//! Software bills of materials of a real Nix store with thousands of paths and
//! of this machine's dpkg, compared with the tools of SPDX and CycloneDX.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::common::{
    peers,
    programs::{PROVCTL, PROVENANCED},
    settings::settings,
};

struct SbomFixture {
    dir: tempfile::TempDir,
}

impl SbomFixture {
    fn new() -> Self {
        let fixture = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(fixture.path("log")).unwrap();
        let (state, watch) = (fixture.path("state"), fixture.path("log/**"));
        let settings = settings(("c", "h"), "essential", &state, None, &watch);
        fs::write(fixture.path("p.toml"), settings).unwrap();
        let ran = fixture.daemon(&["run", "--ticks", "1"]);
        assert!(ran.status.success(), "{ran:?}");
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn daemon(&self, args: &[&str]) -> Output {
        let (command, rest) = args.split_first().unwrap();
        let config = self.text("p.toml");
        Command::new(PROVENANCED)
            .args([&[*command, "--config", &config], rest].concat())
            .env_remove("SOURCE_DATE_EPOCH")
            .output()
            .unwrap()
    }

    /// Both documents, with the time of creation fixed.
    fn sbom(&self, out: &str, more: &[&str]) -> [PathBuf; 2] {
        let folder = self.text(out);
        let fixed = [
            "sbom",
            "--out",
            &folder,
            "--created",
            "2026-11-21",
            "--format",
            "spdx-2.3",
            "--format",
            "cyclonedx-1.6",
        ];
        let made = self.daemon(&[&fixed[..], more].concat());
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        ["spdx", "cdx"].map(|kind| self.path(out).join(format!("c-h.{kind}.json")))
    }
}

fn provctl(args: &[&str]) -> (Option<i32>, String) {
    let ran = Command::new(PROVCTL).args(args).output().unwrap();
    (ran.status.code(), String::from_utf8_lossy(&ran.stdout).into_owned())
}

/// By provctl, and by the format's own tools.
fn accepted([spdx, cdx]: &[PathBuf; 2]) {
    for path in [spdx, cdx] {
        let (code, said) = provctl(&["sbom", "validate", path.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{said}");
    }
    if let Some(tool) = peers::find("pyspdxtools") {
        let ran = Command::new(tool).arg("-i").arg(spdx).output().unwrap();
        assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}");
    }
    if let Some(tool) = peers::find("jsonschema") {
        let python = fs::canonicalize(tool).unwrap().with_file_name("python");
        let script = "import sys\n\
            from cyclonedx.schema import SchemaVersion\n\
            from cyclonedx.validation.json import JsonStrictValidator\n\
            found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())\n\
            sys.exit(str(found) if found else 0)\n";
        let judge =
            |path: &Path| Command::new(&python).args(["-c", script]).arg(path).output().unwrap();
        let ran = judge(cdx);
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let bad = spdx.with_file_name("bad.json");
        let text = r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"lib","name":"a"}]}"#;
        fs::write(&bad, text).unwrap();
        assert!(!judge(&bad).status.success(), "the validator finds nothing");
        assert_eq!(provctl(&["sbom", "validate", bad.to_str().unwrap()]).0, Some(1));
    }
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

const SYSTEM: &str = r#"
let
  file = i: builtins.toFile "pkg${toString i}-1.${toString i}.0" (builtins.concatStringsSep " " ([ "x${toString i}" ]
    ++ (if i < 3 then [ ] else map (builtins.elemAt all) [ (i / 2) (i / 3) (i - i / 2 - 1) ])));
  all = builtins.genList file COUNT;
  tool = derivation {
    name = "tool-2.4.1"; system = builtins.currentSystem; builder = "/bin/sh"; outputs = [ "out" "bin" ];
    args = [ "-c" "echo $bin > $out; echo bin > $bin" ];
  };
in derivation {
  name = "nixos-system-h-25.11"; system = builtins.currentSystem; builder = "/bin/sh";
  passAsFile = [ "all" ]; all = builtins.concatStringsSep "\n" (all ++ [ "${tool}" ]);
  args = [ "-c" "while read -r line || [ -n \"$line\" ]; do echo $line; done < $allPath > $out" ];
}
"#;

/// The system built in the private store.
fn build(nix: &Path, fixture: &SbomFixture, count: usize) -> String {
    let file = fixture.path("system.nix");
    fs::write(&file, SYSTEM.replace("COUNT", &count.to_string())).unwrap();
    let built = Command::new(nix)
        .args(["build", "--impure", "--option", "sandbox-paths", "/bin /lib /lib64 /usr"])
        .args(["--no-link", "--print-out-paths", "-f"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    String::from_utf8(built.stdout).unwrap().trim().to_owned()
}

/// The store's database, as the private store has it.
fn database(nix: &Path) -> PathBuf {
    let home = fs::canonicalize(nix).unwrap();
    let home = home.parent().unwrap().parent().unwrap();
    home.join("store/nix/var/nix/db/db.sqlite")
}

#[test]
fn a_real_closure_of_thousands_of_paths_comes_out_right() {
    let Some(nix) = peers::find("nix") else { return };
    let fixture = SbomFixture::new();
    let system = build(&nix, &fixture, 2100);
    let database = database(&nix).display().to_string();
    let documents = fixture.sbom("a", &["--system", &system, "--nix-db", &database]);
    accepted(&documents);
    let spdx = json(&documents[0]);
    let told = Command::new(&nix).args(["path-info", "--json", "-r", &system]).output().unwrap();
    fs::write(fixture.path("info.json"), &told.stdout).unwrap();
    // nix says the same of each path, in its own words.
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    let told = told.as_object().unwrap();
    let packages = spdx["packages"].as_array().unwrap();
    assert!(packages.len() > 2100 && packages.len() == told.len());
    for package in packages {
        let path = package["packageFileName"].as_str().unwrap();
        assert!(told[path]["narHash"].as_str().unwrap().starts_with("sha256-"), "{path}");
    }
    let references: usize = told
        .iter()
        .map(|(path, info)| {
            let list = info["references"].as_array().unwrap();
            list.iter().filter(|to| to.as_str() != Some(path)).count()
        })
        .sum();
    assert_eq!(spdx["relationships"].as_array().unwrap().len(), references + 1);
    let purls: Vec<&str> = packages
        .iter()
        .filter(|package| package["name"] == "tool")
        .map(|package| package["externalRefs"][0]["referenceLocator"].as_str().unwrap())
        .collect();
    assert_eq!(purls.len(), 2, "{purls:?}");
    assert!(purls.contains(&"pkg:nix/tool@2.4.1?output=bin"), "{purls:?}");
    // The same again, and by what nix prints.
    let again = fixture.sbom("b", &["--system", &system, "--nix-db", &database]);
    let printed = fixture.sbom("c", &["--path-info", &fixture.text("info.json")]);
    for (at, document) in documents.iter().enumerate() {
        assert_eq!(fs::read(document).unwrap(), fs::read(&again[at]).unwrap());
        assert_eq!(fs::read(document).unwrap(), fs::read(&printed[at]).unwrap());
    }
    // Another generation: what differs is told.
    let next = build(&nix, &fixture, 2098);
    let next = fixture.sbom("d", &["--system", &next, "--nix-db", &database]);
    let pair = [documents[0].to_str().unwrap(), next[0].to_str().unwrap()];
    let (code, said) = provctl(&["sbom", "diff", pair[0], pair[1]]);
    assert_eq!(code, Some(0));
    assert!(
        said.contains("- pkg2099 1.2099.0\n") && said.contains("= nixos-system-h 25.11"),
        "{said}"
    );
}

#[test]
fn a_damaged_store_is_refused_or_read_and_never_crashes() {
    let Some(nix) = peers::find("nix") else { return };
    let fixture = SbomFixture::new();
    let system = build(&nix, &fixture, 3);
    let source = database(&nix);
    let copy = fixture.path("db.sqlite");
    let dump = Command::new("python3")
        .args(["-c", "import sqlite3, sys; s = sqlite3.connect(sys.argv[1]); d = sqlite3.connect(sys.argv[2]); s.backup(d)"])
        .args([&source, &copy])
        .output()
        .unwrap();
    assert!(dump.status.success(), "{dump:?}");
    let good = fs::read(&copy).unwrap();
    let db = copy.display().to_string();
    let out = fixture.text("out");
    let run = || fixture.daemon(&["sbom", "--system", &system, "--nix-db", &db, "--out", &out]);
    assert!(run().status.success());
    let sql = |text: &str| {
        fs::write(&copy, &good).unwrap();
        let script =
            "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.executescript(sys.argv[2])";
        let ran = Command::new("python3").args(["-c", script]).arg(&copy).arg(text).output();
        assert!(ran.unwrap().status.success(), "{text}");
    };
    for (change, code) in [
        ("UPDATE ValidPaths SET hash = 'sha256:00'", 65),
        ("UPDATE ValidPaths SET hash = zeroblob(3000000) WHERE path LIKE '%nixos-system%'", 65),
        (
            "PRAGMA foreign_keys = 0; DELETE FROM ValidPaths WHERE path NOT LIKE '%nixos-system%'",
            65,
        ),
        ("DELETE FROM Refs; DELETE FROM ValidPaths", 66),
        ("DROP TABLE Refs", 65),
        (
            "DROP TABLE Refs; CREATE VIEW Refs AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL \
             SELECT x + 1 FROM n) SELECT 1 AS referrer, x AS reference FROM n",
            65,
        ),
    ] {
        sql(change);
        let ran = run();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(code), "{change}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    for at in (0..good.len()).step_by(1 + good.len() / 150) {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        fs::write(&copy, &bad).unwrap();
        let ran = run();
        assert!(matches!(ran.status.code(), Some(0 | 65 | 66 | 74)), "byte {at}: {ran:?}");
    }
}

#[test]
fn packages_with_attestations_are_listed_with_who_vouches_for_them() {
    let fixture = SbomFixture::new();
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/packages");
    let status = "Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n";
    fs::write(fixture.path("status"), status).unwrap();
    let published = vectors.join("npm/sigstore-2.0.0.tgz").display().to_string();
    let attestations =
        vectors.join("npm/sigstore-2.0.0.provenance.sigstore.json").display().to_string();
    let spec = fixture.text("spec.toml");
    let rule = "[[package]]\nname = \"npm:sigstore\"\n\
                repository = \"https://github.com/sigstore/sigstore-js\"\nkinds = [\"provenance\"]\n";
    fs::write(&spec, rule).unwrap();
    let (code, found) = provctl(&[
        "verify-package",
        &published,
        "--attestations",
        &attestations,
        "--expect",
        &spec,
        "--json",
    ]);
    assert_eq!(code, Some(0), "{found}");
    fs::write(fixture.path("packages.json"), &found).unwrap();
    // A second report with the same package again, of which nothing is known.
    let again = r#"{"packages":[{"ecosystem":"npm","name":"sigstore","version":"2.0.0","level":"absent"}]}"#;
    fs::write(fixture.path("again.json"), again).unwrap();
    let (dpkg, first, second) =
        (fixture.text("status"), fixture.text("packages.json"), fixture.text("again.json"));
    let args = ["--dpkg", &dpkg, "--package-report", &first, "--package-report", &second];
    let documents = fixture.sbom("a", &args);
    accepted(&documents);
    let cdx = json(&documents[1]);
    let components = cdx["components"].as_array().unwrap();
    let listed: Vec<_> = components.iter().map(|it| it["bom-ref"].as_str().unwrap()).collect();
    assert_eq!(listed, ["a:all", "pkg:npm/sigstore@2.0.0", "pkg:npm/sigstore@2.0.0#2"]);
    let told = |at: &serde_json::Value| -> serde_json::Value {
        serde_json::from_str(at["properties"][0]["value"].as_str().unwrap()).unwrap()
    };
    assert_eq!(told(&components[1])["level"], "verified");
    assert_eq!(told(&components[1])["kinds"]["provenance"], "verified");
    let sum = told(&cdx["metadata"]);
    let expected = serde_json::json!({"npm": {"absent": 1, "verified": 1}});
    assert_eq!(sum["ecosystems"], expected);
    assert_eq!(told(&components[2])["level"], "absent");
    let sum = Command::new("sha256sum").arg(&published).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    let hash = components[1]["hashes"][0]["content"].as_str().unwrap();
    assert!(sum.starts_with(hash) && hash.len() == 64, "{hash} {sum}");
    // It is on record, and said.
    let (_, listed) = provctl(&["registry", "export", "--state", &fixture.text("state")]);
    assert!(
        listed.contains(r#""coverage":{"ecosystems":{"npm":{"absent":1,"verified":1}}"#),
        "{listed}"
    );
    let said = fixture.daemon(&[&["sbom", "--out", &fixture.text("b")], &args[..]].concat());
    assert!(String::from_utf8_lossy(&said.stdout).contains("1 (50 %)"), "{said:?}");
    // The settings name reports too; what is none, or not there, makes nothing.
    let settings = fs::read_to_string(fixture.path("p.toml")).unwrap();
    let named = format!("{settings}[sbom]\npackage_reports = [\"{second}\"]\n");
    fs::write(fixture.path("p.toml"), named).unwrap();
    let documents = fixture.sbom("c", &["--dpkg", &dpkg]);
    assert_eq!(json(&documents[1])["components"].as_array().unwrap().len(), 2);
    for (text, code) in [(Some("{}"), 65), (None, 66)] {
        match text {
            Some(text) => fs::write(&second, text).unwrap(),
            None => fs::remove_file(&second).unwrap(),
        }
        let out = fixture.text("none");
        let refused = fixture.daemon(&["sbom", "--dpkg", &dpkg, "--out", &out]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(code), "{said}");
        assert!(said.contains("again.json") && !fixture.path("none").exists(), "{said}");
    }
}

#[test]
fn the_packages_of_this_machine_are_those_that_dpkg_lists() {
    let Ok(listed) = Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}\t${Package}:${Architecture}\t${Version}\n"])
        .output()
    else {
        return peers::missing("dpkg-query is missing");
    };
    let fixture = SbomFixture::new();
    let documents = fixture.sbom("a", &["--dpkg", "/var/lib/dpkg/status"]);
    accepted(&documents);
    let text = String::from_utf8(listed.stdout).unwrap();
    let gone = ["config-files", "not-installed"];
    let expected = text.lines().filter(|line| !gone.contains(&line.split('\t').next().unwrap()));
    let mut expected: Vec<(&str, &str)> =
        expected.map(|line| line.split_once('\t').unwrap().1.split_once('\t').unwrap()).collect();
    expected.sort_unstable();
    let cdx = json(&documents[1]);
    let components = cdx["components"].as_array().unwrap();
    let mut found: Vec<(&str, &str)> = components
        .iter()
        .map(|c| (c["bom-ref"].as_str().unwrap(), c["version"].as_str().unwrap()))
        .collect();
    found.sort_unstable();
    assert_eq!(found, expected);
    let listed =
        provctl(&["registry", "list", "--state", &fixture.text("state"), "--kind", "sbom"]);
    assert!(listed.1.contains("sbom"), "{listed:?}");
    // The time of the record, where none is given, and of the environment.
    let epoch = Command::new(PROVENANCED)
        .args(["sbom", "--config", &fixture.text("p.toml"), "--out", &fixture.text("e")])
        .args(["--dpkg", "/var/lib/dpkg/status"])
        .env("SOURCE_DATE_EPOCH", "1795265455")
        .output()
        .unwrap();
    assert!(epoch.status.success(), "{epoch:?}");
    let created = json(&fixture.path("e/c-h.spdx.json"))["creationInfo"]["created"].clone();
    assert_eq!(created, "2026-11-21T12:50:55Z");
}
