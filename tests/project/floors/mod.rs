//! The floors of docs/architecture.md, held against the code: imports run
//! downward only, adapters do not know each other, the auditor's side reaches
//! nothing that writes. And the house's rules that no compiler holds.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

mod source;

/// A floor: its modules, and the modules and crates it may use beside itself.
struct Floor {
    name: &'static str,
    /// Modules of the library, as paths from its root.
    modules: &'static [&'static str],
    /// Floors, or single modules, that these may use.
    may_use: &'static [&'static str],
    /// Whether one of its modules may use another.
    siblings: bool,
    /// Whether it does I/O and may use any crate and all of std.
    io: bool,
}

const FLOORS: &[Floor] = &[
    Floor { name: "host", modules: &["host"], may_use: &[], siblings: true, io: true },
    Floor {
        name: "adapters",
        modules: &[
            "chain", "logs", "sources", "registry", "signer", "bitcoin", "store", "sbom", "nix",
            "alert", "calendar", "x509",
        ],
        may_use: &["host"],
        siblings: false,
        io: true,
    },
    Floor {
        name: "panel",
        modules: &["panel"],
        may_use: &["host", "sources", "bitcoin"],
        siblings: true,
        io: true,
    },
    Floor {
        name: "copies",
        modules: &["copies"],
        // It makes a new file where there is none, and appends to none.
        may_use: &["host", "store", "registry::rebuild", "registry::reader"],
        siblings: true,
        io: true,
    },
    Floor {
        name: "catalogue",
        modules: &["catalogue"],
        may_use: &["host", "registry::reader"],
        siblings: true,
        io: true,
    },
    Floor {
        name: "packages",
        // It judges bytes; who opens files is audit.
        modules: &["packages"],
        may_use: &[],
        siblings: true,
        io: false,
    },
    Floor { name: "engine", modules: &["engine"], may_use: &[], siblings: true, io: false },
    Floor {
        name: "services",
        modules: &["services"],
        may_use: &["host", "adapters", "catalogue", "copies", "panel", "engine"],
        siblings: true,
        io: true,
    },
    Floor {
        name: "audit",
        modules: &["audit"],
        // The inventory of what is installed only reads.
        may_use: &[
            "host",
            "registry::reader",
            "catalogue",
            "packages",
            "sbom",
            "copies",
            "store",
            "x509",
        ],
        siblings: true,
        io: true,
    },
    Floor {
        name: "provenanced",
        modules: &[
            "bin::provenanced",
            "cli::provenanced",
            "cli::aggregate",
            "cli::anchor",
            "cli::api",
            "cli::cert",
            "cli::package",
            "cli::health",
            "cli::attest",
            "cli::countersign",
            "cli::papers",
            "cli::store",
        ],
        may_use: &[
            "host",
            "panel",
            "services",
            "audit",
            "adapters",
            "catalogue",
            "copies",
            "storage's options",
            "shared by both command lines",
        ],
        siblings: true,
        io: true,
    },
    Floor {
        name: "provctl",
        modules: &[
            "bin::provctl",
            "cli::provctl",
            "cli::check_time",
            "cli::copies",
            "cli::countersign_request",
            "cli::mcp",
            "cli::trust",
            "cli::render",
            "cli::sbom",
            "cli::verify_cert",
            "cli::verify_countersign",
            "cli::verify_package",
            "cli::verify_store",
            "mcp",
        ],
        may_use: &[
            "host",
            "panel",
            "audit",
            "copies",
            "storage's options",
            "registry::reader",
            "store",
            "sbom",
            "packages",
            "bitcoin::headers",
            "shared by both command lines",
        ],
        siblings: true,
        io: true,
    },
    Floor {
        name: "storage's options",
        modules: &["cli::storage"],
        may_use: &["host", "store", "copies", "shared by both command lines"],
        siblings: true,
        io: true,
    },
    Floor { name: "cli", modules: &["cli"], may_use: &[], siblings: true, io: true },
    Floor {
        name: "shared by both command lines",
        modules: &[
            "cli::Exit",
            "cli::Failure",
            "cli::bar",
            "cli::completions",
            "cli::io_exit",
            "cli::man",
            "cli::say",
            "cli::time",
            "cli::until_ended",
            "cli::usage",
        ],
        may_use: &[],
        siblings: true,
        io: true,
    },
];

/// What a pure floor may use of other crates.
const PURE: &[&str] = &["provenance_core", "core", "alloc", "thiserror", "base64ct"];
/// What those that judge packages may use beside that: readers and arithmetic.
const JUDGES: &[&str] = &[
    "ed25519_dalek",
    "flate2",
    "globset",
    "memchr",
    "p256",
    "p384",
    "proptest",
    "ring",
    "serde",
    "serde_json",
    "sha2",
    "sigstore_bundle",
    "sigstore_crypto",
    "sigstore_trust_root",
    "sigstore_types",
    "sigstore_verify",
    "toml",
];
/// What the core may use.
const CORE: &[&str] = &["core", "alloc", "base64ct", "ed25519_dalek", "sha2", "thiserror"];
/// What makes I/O or asks a clock, of std.
const STD_IO: &[&str] = &["env", "fs", "io", "net", "os", "process", "thread", "time", "path"];
/// The crates that judge packets from bytes in any place, and what they may
/// use of other crates: `std::io` for its traits, and nothing that opens a file.
const VERIFIER: [&str; 2] = ["daemon/verifier/", "daemon/verifier-page/"];
const VERIFIES: &[&str] = &[
    "provenance_core",
    "provenance_verifier",
    "base64ct",
    "flate2",
    "memchr",
    "serde",
    "serde_json",
    "svg",
    "thiserror",
    "toml",
    // The core's module; the crate of that name is the tests' only.
    "zip",
];
/// The audited places of `unsafe`: calls of the system, and the names that
/// WebAssembly exports and imports.
const UNSAFE: [&str; 2] = ["daemon/src/host/systime.rs", "daemon/verifier-page/src/exports.rs"];
const MAX_LINES: usize = 500;
/// A program under other terms: it shares no code with ours.
const PROBE: &str = "daemon/chrony-probe/";

/// A file of the project: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

#[test]
fn the_code_keeps_the_floors_and_the_house_rules() {
    let sources = project();
    assert!(sources.len() > 10, "found only {} files", sources.len());
    let found = violations(&sources);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn an_upward_or_sideways_import_is_found() {
    for (path, text, expected) in [
        ("daemon/src/host/a.rs", "use crate::logs::Follower;", "host may not use logs::Follower"),
        ("daemon/src/logs/mod.rs", "use crate::{registry, host};", "adapters may not use registry"),
        ("daemon/src/logs.rs", "use crate::{host::{a, b}, signer::{self, Key}};", "signer::self"),
        ("daemon/src/logs/a/b.rs", "use super::super::super::store::S3;", "may not use store::S3"),
        ("daemon/src/logs/a.rs", "fn f() { crate::alert::send(); }", "may not use alert::send"),
        ("daemon/src/logs/a.rs", "use crate::{\n    // why\n    alert,\n};", "may not use alert"),
        ("daemon/src/logs/a.rs", "use crate::*;", "may not use *"),
        ("daemon/src/logs/a.rs", "use crate::{self as root};", "may not use self"),
        ("daemon/src/logs/a.rs", "use crate as root;", "may not use self"),
        ("daemon/src/logs/a.rs", "type T = Vec<crate::alert::A>;", "may not use alert::A"),
        ("daemon/src/registry/a.rs", "use crate::services::run;", "may not use services::run"),
        ("daemon/src/engine/a.rs", "use crate::host::systime;", "engine may not use host::systime"),
        ("daemon/src/services/a.rs", "use crate::audit::x;", "services may not use audit::x"),
        ("daemon/src/audit/a.rs", "use crate::signer::Key;", "audit may not use signer::Key"),
        ("daemon/src/audit/a.rs", "use crate::registry::Writer;", "may not use registry::Writer"),
        ("daemon/src/audit/a.rs", "use crate::registry;", "may not use registry"),
        ("daemon/src/copies/a.rs", "use crate::registry::Writer;", "may not use registry::Writer"),
        ("daemon/src/store/a.rs", "use crate::registry::reader;", "may not use registry::reader"),
        ("daemon/src/bin/provctl.rs", "use provenanced::daemon;", "provctl may not use"),
        ("daemon/src/bin/provctl.rs", "use provenanced::ledger::signer::x;", "provctl may not use"),
        (
            "daemon/chrony-probe/src/a.rs",
            "use provenance_core::encoding::json::Value;",
            "GPL helper",
        ),
    ] {
        found(path, text, expected);
    }
}

#[test]
fn input_and_output_on_a_pure_floor_is_found() {
    for (path, text, expected) in [
        ("daemon/src/engine/a.rs", "use std::{fmt, fs::File};", "std::fs::File"),
        ("daemon/src/engine/a.rs", "let t = std::time::Instant::now();", "std::time"),
        ("daemon/src/engine/a.rs", "let t = ::std::time::Instant::now();", "std::time"),
        ("daemon/src/engine/a.rs", "use rusqlite::Connection;", "rusqlite::Connection"),
        ("daemon/src/packages/a.rs", "use std::fs::File;", "packages is pure"),
        ("daemon/src/packages/a.rs", "let t = std::time::Instant::now();", "std::time"),
        ("daemon/src/packages/a.rs", "use reqwest::Client;", "packages is pure"),
        ("daemon/src/packages/a.rs", "use crate::host::durable;", "packages may not use"),
        ("daemon/verifier/src/a.rs", "use std::{io, fs::File};", "verifier may not use std::fs"),
        ("daemon/verifier/src/a.rs", "use rustix::fs::open;", "verifier may not use rustix"),
        ("daemon/verifier-page/src/a.rs", "let t = std::time::Instant::now();", "std::time"),
        ("daemon/core/src/a.rs", "extern crate std;", "core may not use std"),
        ("daemon/core/src/a.rs", "use std::fs;", "core may not use std"),
        ("daemon/core/src/a.rs", "use rustix::fs::open;", "core may not use rustix"),
    ] {
        found(path, text, expected);
    }
}

#[test]
fn a_module_outside_the_floors_and_a_use_in_the_crate_root_are_found() {
    found("daemon/src/extra.rs", "", "is on no floor");
    found("daemon/src/extra/mod.rs", "", "is on no floor");
    found("daemon/src/lib.rs", "pub use signer::Key;", "the crate's root only names modules");
}

#[test]
fn house_rules_broken_in_product_code_are_found() {
    let path = "daemon/src/logs/a.rs";
    found(path, "fn f() { unsafe { g() } }", "`unsafe`");
    found("daemon/verifier-page/src/a.rs", "fn f() { unsafe { g() } }", "`unsafe`");
    found("daemon/core/src/a.rs", "fn f() { x.unwrap() }", "`.unwrap()`");
    found(path, "fn f() { x\n    .expect(\"y\") }", "`.expect(`");
    found(path, "fn f() { panic!(\"no\") }", "`panic!`");
    found(path, "fn f() { unreachable!() }", "`unreachable!`");
    found(path, "fn f() { x.unwrap() }\n#[cfg(test)]\nmod tests { fn g() {} }", "`.unwrap()`");
    found(path, "#[cfg(test)]\nuse x::y;\nfn f() { x.unwrap() }", "`.unwrap()`");
    found(path, &"\n".repeat(501), "501 lines");
}

#[test]
fn what_is_allowed_is_not_found() {
    for (path, text) in [
        ("daemon/src/logs/a.rs", "use crate::host::durable;\nuse super::b;\nuse crate::logs::c;"),
        ("daemon/src/logs/a.rs", "// use crate::store;\n/* /* crate::store::x */ */ fn f() {}"),
        ("daemon/src/logs/a.rs", "const S: &str = \"crate::store::x .unwrap() panic!\";"),
        (
            "daemon/src/logs/a.rs",
            "const S: &str = r#\"\" crate::store::x\"#; const C: char = '\"';",
        ),
        ("daemon/src/logs/a.rs", "fn f<'a>(x: &'a str) -> char { '\\'' } // crate::store::x"),
        (
            "daemon/src/logs/a.rs",
            "#[cfg(test)]\nmod tests { use crate::store::x; fn f() { x.unwrap() } }",
        ),
        (
            "daemon/src/engine/a.rs",
            "use std::{collections::BTreeMap, fmt};\nuse provenance_core::encoding::time;",
        ),
        (
            "daemon/src/services/run.rs",
            "use crate::{engine::step, logs, registry::Writer, signer};",
        ),
        ("daemon/src/audit/chain.rs", "use crate::{host::config, registry::reader::Reader};"),
        ("daemon/src/audit/chain.rs", "fn f() { x.unwrap_or_default(); x.expect_err(); }"),
        ("daemon/src/host/systime.rs", "fn f() { unsafe { g() } }"),
        ("daemon/chrony-probe/src/a.rs", "use crate::socket::{self, Socket};\nuse std::fs;"),
        ("daemon/src/lib.rs", "//! Doc.\npub mod engine;\nmod logs;"),
        ("daemon/verifier/src/a.rs", "use std::io::{self, Read};\nuse crate::policy::Policy;"),
        ("daemon/core/src/a.rs", "use crate::path;\nfn f() { path::encode(b\"\") }"),
        ("daemon/core/src/a.rs", "use alloc::vec;\nuse crate::digest::Digest;\nuse sha2::Sha256;"),
    ] {
        let found = violations(&[source(path, text)]);
        assert!(found.is_empty(), "{path}: {text}\n{found:?}");
    }
    let test_file = [
        source("daemon/src/logs/a.rs", "#[cfg(test)]\nmod tests;"),
        source("daemon/src/logs/a/tests.rs", "fn f() { x.unwrap() }"),
    ];
    assert_eq!(violations(&test_file), Vec::<String>::new());
    let pointed_to = [
        source("daemon/src/logs.rs", "#[cfg(test)]\n#[path = \"logs_tests.rs\"]\nmod tests;"),
        source("daemon/src/logs_tests.rs", "fn f() { x.unwrap() }"),
    ];
    assert_eq!(violations(&pointed_to), Vec::<String>::new());
    let not_a_test = [
        source("daemon/src/logs/a.rs", "mod tests;"),
        source("daemon/src/logs/a/tests.rs", "fn f() { x.unwrap() }"),
    ];
    assert_eq!(violations(&not_a_test).len(), 1);
}

fn found(path: &str, text: &str, expected: &str) {
    let found = violations(&[source(path, text)]);
    assert!(found.iter().any(|line| line.contains(expected)), "{path}: {text}\n{found:?}");
}

fn source(path: &str, text: &str) -> Source {
    Source { path: path.into(), text: text.into() }
}

/// What breaks a rule, one line each: file, line and rule.
fn violations(sources: &[Source]) -> Vec<String> {
    let stripped: Vec<_> = sources
        .iter()
        .map(|source| {
            let (code, tests) = source::without_tests(&source::code(&source.text));
            (source, code, tests)
        })
        .collect();
    let test_files: BTreeSet<String> = stripped
        .iter()
        .flat_map(|(source, _, tests)| {
            let named = tests.iter().flat_map(|name| files_of(source, name));
            named.chain(pointed_to(source)).collect::<Vec<_>>()
        })
        .collect();
    let mut out = Vec::new();
    for (source, code, _) in &stripped {
        let lines = source.text.lines().count();
        if lines > MAX_LINES {
            out.push(format!("{}: {lines} lines; split it ({MAX_LINES} at most)", source.path));
        }
        if !test_files.contains(&source.path) {
            house_rules(source, code, &mut out);
            imports(source, code, &mut out);
        }
    }
    out
}

fn house_rules(source: &Source, code: &str, out: &mut Vec<String>) {
    let path = &source.path;
    if !UNSAFE.contains(&&**path)
        && let Some(line) = source::has_word(code, "unsafe")
    {
        out.push(format!("{path}:{line}: `unsafe` outside {}", UNSAFE.join(" and ")));
    }
    for (line, text) in code.lines().enumerate() {
        for word in [".unwrap()", ".expect(", "panic!", "unreachable!", "todo!", "unimplemented!"] {
            if text.contains(word) {
                let line = line + 1;
                out.push(format!("{path}:{line}: `{word}` outside tests; return a typed error"));
            }
        }
    }
}

fn imports(source: &Source, code: &str, out: &mut Vec<String>) {
    let path = &source.path;
    let mut refuse = |line, rule: String| out.push(format!("{path}:{line}: {rule}"));
    if path.starts_with("daemon/core/") {
        if let Some(line) = source::has_word(code, "std") {
            refuse(line, "core may not use std: it has no I/O".into());
        }
        for (line, used) in source::paths(code) {
            if is_crate(&used[0]) && !CORE.contains(&used[0].as_str()) {
                refuse(line, format!("core may not use {}", used[0]));
            }
        }
        return;
    }
    if VERIFIER.iter().any(|folder| path.starts_with(folder)) {
        for (line, used) in source::paths(code) {
            let io = used[0] == "std"
                && (["io", "path"].iter().all(|name| used[1] != *name) && is_io(&used));
            if io || used[0] != "std" && is_crate(&used[0]) && !VERIFIES.contains(&&*used[0]) {
                refuse(line, format!("the verifier may not use {}", used.join("::")));
            }
        }
        return;
    }
    if path.starts_with(PROBE) {
        for (line, used) in source::paths(code) {
            if ["msp_provenance", "provenance_core"].contains(&used[0].as_str()) {
                refuse(line, format!("the GPL helper may not use {}", used[0]));
            }
        }
        return;
    }
    let module = module_of(path);
    if module.is_empty() {
        if let Some(line) = source::has_word(code, "use") {
            refuse(line, "the crate's root only names modules; re-export nothing".into());
        }
        return;
    }
    let Some(floor) = FLOORS.iter().find(|floor| floor.modules.iter().any(|m| within(&module, m)))
    else {
        refuse(
            1,
            format!("{} is on no floor; give it one in tests/project/floors", module.join("::")),
        );
        return;
    };
    for (line, used) in source::paths(code) {
        let name = used.join("::");
        match absolute(&module, &used) {
            Some(used) if !floor.may_use_module(&module, &used) => {
                refuse(line, format!("{} may not use {}", floor.name, used.join("::")));
            }
            // A judge of packages reads what it is handed, by std::io's traits.
            None if floor.name == "packages" && judges(&used) => {}
            None if !floor.io && !is_pure(&used) => {
                refuse(line, format!("{} is pure and may not use {name}", floor.name));
            }
            _ => {}
        }
    }
}

impl Floor {
    fn may_use_module(&self, module: &[String], used: &[String]) -> bool {
        let own = self.modules.iter().filter(|m| self.siblings || within(module, m));
        let named = self.may_use.iter().flat_map(|name| {
            let floor = FLOORS.iter().find(|floor| floor.name == *name);
            floor.map_or_else(|| vec![*name], |floor| floor.modules.to_vec())
        });
        own.copied().chain(named).any(|allowed| within(used, allowed))
    }
}

/// `registry::reader::Row` is within `registry` and `registry::reader`.
fn within(path: &[String], module: &str) -> bool {
    let mut path = path.iter();
    module.split("::").all(|segment| path.next().is_some_and(|p| p == segment))
}

/// A path inside the library from its root; `None` for a path into a crate
/// or one that begins with a name of the file's own.
fn absolute(module: &[String], used: &[String]) -> Option<Vec<String>> {
    let (first, mut rest) = used.split_first()?;
    let mut base = match first.as_str() {
        "crate" if module.first().is_some_and(|m| m == "bin") => module.to_vec(),
        "crate" | "msp_provenance" => Vec::new(),
        "self" => module.to_vec(),
        "super" => module.split_last()?.1.to_vec(),
        _ => return None,
    };
    while let Some((first, tail)) = rest.split_first().filter(|(first, _)| *first == "super") {
        let _ = first;
        base.pop();
        rest = tail;
    }
    base.extend_from_slice(rest);
    Some(base)
}

fn is_pure(used: &[String]) -> bool {
    match used[0].as_str() {
        "std" => !is_io(used),
        name => !is_crate(name) || PURE.contains(&name),
    }
}

fn judges(used: &[String]) -> bool {
    used[0] == "std" && used[1] == "io" || JUDGES.contains(&used[0].as_str())
}

/// Whether a path into std may lead to I/O or a clock.
fn is_io(used: &[String]) -> bool {
    STD_IO.contains(&used[1].as_str()) || used[1] == "*" || used[1] == "self"
}

/// Whether `name` is std or a crate that the workspace depends on.
fn is_crate(name: &str) -> bool {
    let manifests = [
        include_str!("../../../Cargo.toml"),
        include_str!("../../../daemon/core/Cargo.toml"),
        include_str!("../../../daemon/verifier/Cargo.toml"),
    ];
    let mut of_dependencies = false;
    let mut named = manifests.iter().flat_map(|manifest| manifest.lines()).filter(|line| {
        if line.starts_with('[') {
            of_dependencies = line.contains("dependencies");
        }
        let crate_ = line.split([' ', '.', '=']).next().unwrap_or_default();
        of_dependencies && crate_.replace('-', "_") == name
    });
    name == "std" || named.next().is_some()
}

/// `daemon/src/registry/reader.rs` and `…/reader/mod.rs` are
/// `registry::reader`; the crate's root is empty.
fn module_of(path: &str) -> Vec<String> {
    let inside = path.strip_prefix("daemon/src/").unwrap_or(path).trim_end_matches(".rs");
    let mut module: Vec<String> = inside.split('/').map(str::to_owned).collect();
    module.pop_if(|last| last == "mod" || last == "lib");
    module
}

/// Where the text of `mod name;` in `source` may be.
fn files_of(source: &Source, name: &str) -> [String; 2] {
    let stem = source.path.trim_end_matches(".rs");
    let folder = match stem.rsplit_once('/') {
        Some((folder, "mod" | "lib")) => folder,
        _ => stem,
    };
    [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")]
}

/// The files that `#[cfg(test)] #[path = "…"]` points to.
fn pointed_to(source: &Source) -> impl Iterator<Item = String> {
    let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    source.text.split("#[cfg(test)]").skip(1).filter_map(move |item| {
        let (name, _) = item.trim_start().strip_prefix("#[path = \"")?.split_once('"')?;
        Some(format!("{folder}/{name}"))
    })
}

fn project() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = vec![root.join("daemon")];
    let mut out = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                out.push(Source { path, text });
            }
        }
    }
    out.sort_by(|a, b| a.path.cmp(&b.path));
    out
}
