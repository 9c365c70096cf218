//! The documentation, compared with the code: what it names is there, what it
//! says of codes and options is so, and its example prints what it shows.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::CommandFactory as _;
use provenance_audit::policy_file::Policy;
use provenance_core::{record::alert::AlertCode, report::Code};
use serde_json::Value;

use crate::common::{docs_schema, peers, programs::PROVCTL};

/// Members and files that look like codes.
const NO_CODES: [&str; 5] =
    ["chain.first", "chain.last", "clock.step_ns", "proof.json", "registry.db"];

#[test]
fn every_code_stands_in_the_format_with_its_severity_and_no_other_does() {
    let format = read("docs/format.md");
    let sorted = documented(section(&format, "## 9."));
    let known = |code: &Code| (code.as_str().to_owned(), code.severity().as_str().to_owned());
    assert_eq!(sorted, Code::ALL.iter().map(known).collect::<BTreeMap<_, _>>());
    let sorted = documented(section(&format, "## 4."));
    let known = |code: &AlertCode| (code.as_str().to_owned(), code.severity().as_str().to_owned());
    assert_eq!(sorted, AlertCode::ALL.iter().map(known).collect::<BTreeMap<_, _>>());
    let operations = read("docs/operations.md");
    let alerts = section(&operations, "## Alerts");
    for code in AlertCode::ALL {
        assert!(alerts.contains(&format!("\n| `{}` | ", code.as_str())), "{code:?}");
    }
}

/// The rows of a table of codes: each code with its severity, none twice.
fn documented(section: &str) -> BTreeMap<String, String> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split(" | ").collect();
        let [code, severity, _] = cells[..] else { return None };
        let known = ["error", "warning", "info"].contains(&severity);
        known.then(|| (code.trim_end_matches('`').to_owned(), severity.to_owned()))
    };
    let documented: Vec<(String, String)> = section.lines().filter_map(row).collect();
    let sorted: BTreeMap<String, String> = documented.iter().cloned().collect();
    assert_eq!(sorted.len(), documented.len(), "a code is there twice");
    sorted
}

#[test]
fn every_code_that_a_step_of_the_format_names_exists() {
    let format = read("docs/format.md");
    let steps = &format[..format.find("## 9.").unwrap()];
    let first = |text: &str| text.split('.').next().unwrap().to_owned();
    let families: Vec<String> = Code::ALL.iter().map(|code| first(code.as_str())).collect();
    let mut found = 0;
    for quoted in steps.split('`').skip(1).step_by(2) {
        let named = quoted.contains('.') && families.contains(&first(quoted));
        let code = quoted.bytes().all(|c| c.is_ascii_lowercase() || matches!(c, b'.' | b'_'));
        if !named || !code || NO_CODES.contains(&quoted) {
            continue;
        }
        let finding = Code::ALL.iter().any(|code| code.as_str() == quoted);
        assert!(finding || AlertCode::find(quoted).is_some(), "{quoted}");
        found += 1;
    }
    assert!(found > 50, "only {found} codes found");
}

#[test]
fn the_annotated_policy_is_one_and_so_it_is_with_every_key_set() {
    let text = read("config/policy.toml");
    let policy = Policy::parse(&text).unwrap();
    assert!(policy.keys.is_empty() && policy.client.is_none());
    let set: Vec<&str> = text.lines().map(uncommented).collect();
    let policy = Policy::parse(&set.join("\n")).unwrap();
    assert_eq!(policy.client.as_deref(), Some("clinic-001"));
    assert!(policy.host.is_some() && policy.max_gap_s.is_some());
    assert!(policy.anchor.headers.is_some() && policy.anchor.blocks.len() == 1);
    let [key] = &policy.keys[..] else { panic!("{:?}", policy.keys) };
    assert_eq!((key.from, key.until), (0, Some(40_210)));
    assert!(policy.heads.len() == 1 && policy.heads[0].time.is_some());
}

/// A setting that is commented out, taken in; prose stays a comment.
fn uncommented(line: &str) -> &str {
    let Some(rest) = line.strip_prefix("# ") else { return line };
    let key = rest.split(" = ").next().unwrap_or_default();
    let is_setting = rest.contains(" = ")
        && key.bytes().all(|c| c.is_ascii_lowercase() || c == b'_')
        && !rest.ends_with('.');
    let in_value = rest.starts_with("-----") || rest.starts_with("\"\"\"") || rest.len() == 60;
    let table = rest.starts_with('[') && rest.ends_with(']');
    if is_setting || table || in_value { rest } else { line }
}

#[test]
fn the_policy_that_the_readme_shows_is_one() {
    let readme = read("README.md");
    let blocks = blocks(&readme, "toml");
    let [policy] = &blocks[..] else { panic!("{} blocks", blocks.len()) };
    assert_eq!(Policy::parse(policy).unwrap().keys.len(), 1);
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut found = 0;
    for file in pages() {
        let text = prose(&fs::read_to_string(&file).unwrap());
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let path = file.parent().unwrap().join(target);
            assert!(path.exists(), "{}: {target} is not there", file.display());
            found += 1;
        }
    }
    assert!(found > 15, "only {found} links found");
}

#[test]
fn commands_on_the_pages_name_targets_files_and_options_that_exist() {
    let makefile = read("Makefile");
    let commands = BTreeMap::from([
        ("provctl", provctl::cli::Cli::command()),
        ("provenanced", provenanced::cli::Cli::command()),
    ]);
    let mut found = 0;
    for file in pages() {
        let text = fs::read_to_string(&file).unwrap();
        let shown = ["sh", "console"].iter().flat_map(|kind| blocks(&text, kind)).flat_map(lines);
        for line in shown.chain(spans(&text)) {
            let words: Vec<&str> = line.trim_start_matches("$ ").split_whitespace().collect();
            let Some(first) = words.first() else { continue };
            let program = first.rsplit('/').next().unwrap();
            if let ["make", target] = words[..] {
                let target = format!("\n{target}:");
                assert!(makefile.contains(&target), "{}: {line}", file.display());
                found += 1;
            } else if let Some(command) = commands.get(program) {
                check_command(command, &words[1..], &line);
                found += 1;
            }
            for word in words.iter().filter(|word| word.starts_with("config/")) {
                assert!(root().join(word).exists(), "{}: {word}", file.display());
            }
        }
    }
    assert!(found > 40, "only {found} commands found");
    for target in read("README.md").split("`make ").skip(1) {
        let target = format!("\n{}:", target.split('`').next().unwrap());
        assert!(makefile.contains(&target), "{target}");
    }
}

/// The subcommand exists, and each option is one of its own.
fn check_command(command: &clap::Command, words: &[&str], line: &str) {
    let end = words.iter().position(|word| ["|", ">", "2>", "…"].contains(word));
    let words = &words[..end.unwrap_or(words.len())];
    let mut command = command;
    for word in words {
        if let Some(below) = command.find_subcommand(word) {
            command = below;
        } else if let Some(option) = word.strip_prefix("--") {
            let known = command.get_arguments().any(|arg| arg.get_long() == Some(option));
            assert!(known, "{line}: --{option}");
        } else if command.has_subcommands() {
            panic!("{line}: no subcommand {word}");
        }
    }
}

#[test]
fn the_worked_example_prints_what_the_page_shows() {
    let tools = ["bash", "jq", "openssl", "python3", "sha256sum"];
    if tools.iter().any(|tool| peers::find(tool).is_none()) {
        return;
    }
    let (folder, mut count) = (Example::copy(), 0);
    for block in blocks(&read("docs/format.md"), "console") {
        // Each command behind a mark, all in one shell.
        let commands = block.lines().filter_map(|line| line.strip_prefix("$ "));
        let script: String = commands.map(|line| format!("echo '@@'\n{line}\n")).collect();
        let output = folder.shell(&script);
        assert!(output.status.success(), "{script}\n{output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        let shown: String = block
            .lines()
            .map(|line| if line.starts_with("$ ") { "@@\n".into() } else { format!("{line}\n") })
            .collect();
        assert_eq!(printed, shown, "{script}");
        count += script.matches("@@").count();
    }
    assert!(count > 20, "only {count} commands found");
}

#[test]
fn the_example_is_verified_by_its_policy_and_fails_with_a_byte_changed() {
    let folder = Example::copy();
    let report = folder.verify_chain();
    assert_eq!(report["verdict"], "verified");
    let not_checked = report["not_checked"].as_array().unwrap();
    assert_eq!((not_checked.len(), &not_checked[0]["what"]), (1, &"the logs themselves".into()));
    let path = folder.day();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("first start", "First start")).unwrap();
    let report = folder.verify_chain();
    assert_eq!(report["verdict"], "failed");
    assert_eq!(report["finding_counts"]["chain.broken"], 1);
    assert_eq!(report["finding_counts"]["chain.forked"], 1);
}

#[test]
fn reports_have_the_documented_schema_and_it_refuses_others() {
    let schema: Value = serde_json::from_str(&read("docs/report.schema.json")).unwrap();
    let known: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(schema["$defs"]["code"]["enum"], Value::from(known));
    let folder = Example::copy();
    let bundle = fs::read_dir(folder.0.path().join("state/bundles")).unwrap().next().unwrap();
    let bundle = bundle.unwrap().path().display().to_string();
    let bundle = bundle.as_str();
    let verified = folder.verify_chain();
    let mut reports = vec![
        verified.clone(),
        folder.provctl(&["verify-chain", "--state", "state", "--json"]),
        folder.provctl(&["verify", bundle, "--policy", "policy.toml", "--json"]),
        folder.provctl(&["verify", bundle, bundle, "--policy", "policy.toml", "--json"]),
    ];
    fs::write(folder.0.path().join("state/checkpoint"), "x").unwrap();
    fs::write(folder.day().with_file_name("31.jsonl"), "{}\ntorn").unwrap();
    reports.push(folder.verify_chain());
    for report in &reports {
        docs_schema::check(&schema, report).unwrap_or_else(|error| panic!("{error}\n{report}"));
    }
    let mut wrong = vec![Value::Null, serde_json::json!({})];
    for (pointer, value) in [
        ("/verdict", Value::from("fine")),
        ("/head/hash", Value::from("AB")),
        ("/head/seq", Value::from(-1)),
        ("/findings/0/code", Value::from("chain.unknown")),
        ("/findings/0/where/line", Value::from("3")),
        ("/not_checked", Value::Null),
    ] {
        let mut report = verified.clone();
        *report.pointer_mut(pointer).unwrap() = value;
        wrong.push(report);
    }
    let mut added = verified;
    added["findings"][0]["where"]["extra"] = Value::from(1);
    wrong.push(added);
    for report in wrong {
        assert!(docs_schema::check(&schema, &report).is_err(), "{report}");
    }
}

/// A copy of docs/example, since SQLite writes beside a database.
struct Example(tempfile::TempDir);

impl Example {
    fn copy() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&root().join("docs/example"), folder.path());
        Self(folder)
    }

    /// The one file of its chain.
    fn day(&self) -> PathBuf {
        let mut path = self.0.path().join("state/chain");
        while path.is_dir() {
            path = fs::read_dir(&path).unwrap().next().unwrap().unwrap().path();
        }
        path
    }

    fn shell(&self, script: &str) -> std::process::Output {
        let programs = Path::new(PROVCTL).parent().unwrap().display().to_string();
        let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", script]).current_dir(&self.0).env("PATH", path);
        bash.env("LC_ALL", "C.UTF-8").output().unwrap()
    }

    fn provctl(&self, arguments: &[&str]) -> Value {
        let output = Command::new(PROVCTL).args(arguments).current_dir(&self.0).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }

    fn verify_chain(&self) -> Value {
        self.provctl(&["verify-chain", "--state", "state", "--policy", "policy.toml", "--json"])
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The pages at the root and in docs/.
fn pages() -> Vec<PathBuf> {
    let folders = [root().to_owned(), root().join("docs")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let files = entries.map(|entry| entry.unwrap().path());
    let pages: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    assert!(pages.len() >= 8, "{pages:?}");
    pages
}

/// From the heading to the next of its level.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let from = &text[text.find(&format!("\n{heading}")).unwrap() + 1..];
    &from[..from[1..].find("\n## ").map_or(from.len(), |end| end + 1)]
}

/// The fenced blocks of this kind.
fn blocks(text: &str, kind: &str) -> Vec<String> {
    let fence = format!("\n```{kind}\n");
    let after = text.split(&fence).skip(1);
    after.map(|rest| rest[..rest.find("\n```").unwrap() + 1].to_owned()).collect()
}

/// What is in `code style` in the text itself.
fn spans(text: &str) -> Vec<String> {
    let text = prose(text);
    let spans = text.split('`').skip(1).step_by(2);
    spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Command lines: of a console block those behind `$`, of others all.
fn lines(block: String) -> Vec<String> {
    let console = block.lines().any(|line| line.starts_with("$ "));
    let command = |line: &&str| !console || line.starts_with("$ ");
    block.lines().filter(command).map(str::to_owned).collect()
}

/// The text without fenced and indented blocks, where brackets are no links.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut out = String::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced && !line.starts_with("    ") {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}
