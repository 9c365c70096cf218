//! What neither the compiler nor clippy holds of docs/architecture.md: no import
//! circle between files, pure folders without I/O, the table of crates.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

mod circles;
mod source;

/// Longer files are split.
const MAX_LINES: usize = 500;
/// Folders whose code does no I/O and asks no clock. (The core is `no_std`.)
const PURE: [&str; 4] = [
    "daemon/attestations/",
    "daemon/provenanced/src/engine/",
    "daemon/verifier/",
    "daemon/verifier-wasm/",
];
/// What leads to I/O or a clock, of std; of `std::io` the traits and errors do not.
const IO: [&str; 7] = ["env", "fs", "net", "os", "process", "thread", "time"];
/// The crates with audited `unsafe`: a system call, and WebAssembly's exports.
const UNSAFE: [&str; 2] = ["host", "verifier-wasm"];
/// Under another licence: it shares no code with the others.
const PROBE: &str = "chrony-probe";

/// A file of the project: its path from the root, and its text.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

#[test]
fn no_files_of_a_crate_import_each_other_in_a_circle() {
    let sources = product();
    assert!(sources.len() > 200, "found only {} files", sources.len());
    let circles = circles::find(&sources);
    assert!(circles.is_empty(), "\n{}\n", circles.join("\n"));
}

#[test]
fn pure_folders_do_no_io() {
    let found: Vec<String> = product().iter().flat_map(io_of).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn io_in_a_pure_folder_is_found() {
    for (path, text, expected) in [
        ("daemon/verifier/src/a.rs", "use std::{fmt, fs::File};", "std::fs::File"),
        ("daemon/provenanced/src/engine/a.rs", "let t = std::time::Instant::now();", "std::time"),
        ("daemon/attestations/src/a.rs", "use std::{io::{self, Read}, net};", "std::net"),
        ("daemon/verifier-wasm/src/a.rs", "::std::process::exit(1)", "std::process"),
    ] {
        let found = io_of(&Source { path: path.into(), text: text.into() });
        assert!(found.iter().any(|line| line.contains(expected)), "{text}: {found:?}");
    }
    for (path, text) in [
        ("daemon/verifier/src/a.rs", "use std::{collections::BTreeMap, io::{self, Read}};"),
        ("daemon/verifier/src/a.rs", "// std::fs\nconst A: &str = \"std::fs::File\";"),
        ("daemon/verifier/src/a.rs", "#[cfg(test)]\nmod tests { use std::fs; }"),
        ("daemon/host/src/a.rs", "use std::fs::File;"),
    ] {
        let found = io_of(&Source { path: path.into(), text: text.into() });
        assert_eq!(found, Vec::<String>::new(), "{text}");
    }
}

#[test]
fn files_are_short_enough_to_read() {
    let long: Vec<String> = project("daemon")
        .iter()
        .map(|source| (&source.path, source.text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| format!("{path}: {lines} lines, {MAX_LINES} at most"))
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn unsafe_code_is_forbidden_but_in_the_audited_crates() {
    for (name, folder) in crates() {
        let root = ["src/lib.rs", "src/main.rs"].map(|file| folder.join(file));
        let root = root.iter().find(|path| path.exists()).unwrap();
        let forbids = fs::read_to_string(root).unwrap().contains("#![forbid(unsafe_code)]");
        assert_ne!(forbids, UNSAFE.contains(&&*name), "{}", root.display());
    }
}

#[test]
fn the_crates_depend_on_each_other_as_the_table_says() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let mut told = BTreeMap::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, name, _, uses, _, _] = cells[..]
            && let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'))
        {
            let uses = uses.split(',').map(str::trim).filter(|uses| !matches!(*uses, "" | "–"));
            told.insert(name.to_owned(), uses.map(str::to_owned).collect::<BTreeSet<_>>());
        }
    }
    let found: BTreeMap<_, _> =
        crates().into_iter().map(|(name, folder)| (name, dependencies(&folder))).collect();
    assert_eq!(told, found, "the table of crates in docs/architecture.md is not the manifests'");
}

#[test]
fn the_auditors_program_reaches_no_writer_and_no_key() {
    let edges: BTreeMap<String, BTreeSet<String>> =
        crates().into_iter().map(|(name, folder)| (name, dependencies(&folder))).collect();
    let mut reached = BTreeSet::from(["provctl".to_owned()]);
    while let Some(more) =
        reached.iter().flat_map(|name| &edges[name]).find(|name| !reached.contains(*name)).cloned()
    {
        reached.insert(more);
    }
    assert!(reached.contains("audit") && !reached.contains("provenanced"), "{reached:?}");
    // The writers of storage are behind a feature, which one crate asks for.
    for (name, folder) in crates() {
        let asks = manifest(&folder)["dependencies"]
            .get("provenance-storage")
            .and_then(|storage| storage.get("features"))
            .is_some_and(|features| features.to_string().contains("write"));
        assert_eq!(asks, name == "provenanced", "{name} and the feature `write`");
    }
    assert_eq!(edges["core"], BTreeSet::new());
    assert_eq!(edges[PROBE], BTreeSet::new());
    assert!(edges.values().all(|uses| !uses.contains(PROBE)));
}

/// Where a file of a pure folder leads to I/O or a clock.
fn io_of(source: &Source) -> Vec<String> {
    if !PURE.iter().any(|folder| source.path.starts_with(folder)) || is_test(source) {
        return vec![];
    }
    let (code, _) = source::without_tests(&source::code(&source.text));
    let leads = |path: &[String]| path[0] == "std" && IO.contains(&&*path[1]);
    source::paths(&code)
        .into_iter()
        .filter(|(_, path)| leads(path))
        .map(|(line, path)| format!("{}:{line}: {} does I/O", source.path, path.join("::")))
        .collect()
}

fn is_test(source: &Source) -> bool {
    let path = source.path.as_str();
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.ends_with("/vectors.rs")
}

/// The crates below daemon/: each name, without `provenance-`, and its folder.
fn crates() -> BTreeMap<String, PathBuf> {
    let folders = fs::read_dir(root().join("daemon")).unwrap();
    folders
        .map(|entry| entry.unwrap().path())
        .filter(|folder| folder.join("Cargo.toml").exists())
        .map(|folder| (folder.file_name().unwrap().to_str().unwrap().to_owned(), folder))
        .collect()
}

fn manifest(folder: &Path) -> toml::Table {
    fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap()
}

/// The crates of the project that one depends on, tests aside.
fn dependencies(folder: &Path) -> BTreeSet<String> {
    let all = crates();
    let name = |dependency: &String| dependency.trim_start_matches("provenance-").to_owned();
    let table = manifest(folder);
    let used = table["dependencies"].as_table().unwrap().keys().map(name);
    used.filter(|name| all.contains_key(name)).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The product's own code, without tests.
fn product() -> Vec<Source> {
    let mut sources = project("daemon");
    sources.retain(|source| !is_test(source));
    sources
}

fn project(folder: &str) -> Vec<Source> {
    let mut folders = vec![root().join(folder)];
    let mut out = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                out.push(Source { path, text });
            }
        }
    }
    out.sort_by(|a, b| a.path.cmp(&b.path));
    out
}
