//! The flake and the NixOS modules, evaluated by a real nix over a stand-in for
//! nixpkgs (tests/nix/nixpkgs): options, types, tiers, assertions, secrets, and
//! the units as text. `UPDATE_GOLDEN=1` writes golden files and docs/options.md.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::common::{
    peers,
    programs::{PROVCTL, PROVENANCED},
};

const TIERS: [&str; 3] = ["essential", "professional", "enterprise"];
/// The least that is accepted.
const LEAST: &str = "enable = true; client = \"c\";";
const KEY: &str = "signingKeyFile = \"/etc/k\";";
const GPS: &str = "timeSync.gpsDevice = \"/dev/ttyS0\";";

/// A real nix, on this checkout.
struct Nix(PathBuf);

impl Nix {
    fn find() -> Option<Self> {
        peers::find("nix").map(Self)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut nix = Command::new(&self.0);
        nix.args(["--extra-experimental-features", "nix-command flakes"]);
        nix.args(arguments).current_dir(root()).output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["eval", "--json"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", error(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What the modules make of the settings `inside` services.msp-provenance.
    fn one(&self, inside: &str) -> Output {
        let module = format!("{{ services.msp-provenance = {{ {inside} }}; }}");
        self.run(&["eval", "--json", "-f", "tests/nix/eval.nix", "one", "--arg", "module", &module])
    }

    fn failed(&self, inside: &str) -> Vec<String> {
        let output = self.one(inside);
        assert!(output.status.success(), "{inside}: {}", error(&output));
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        let failed = value["failed"].as_array().unwrap();
        failed.iter().map(|message| words(message.as_str().unwrap())).collect()
    }

    fn cases(&self) -> Value {
        self.json(&["-f", "tests/nix/eval.nix", "all"])
    }
}

#[test]
fn every_nix_file_parses() {
    let Some(parse) = peers::find("nix-instantiate") else { return };
    let mut files = vec![root().join("flake.nix")];
    for folder in ["modules", "tests/nix", "vm-tests"] {
        walk(&root().join(folder), &mut files);
    }
    files.retain(|file| file.extension().is_some_and(|e| e == "nix"));
    assert!(files.len() > 30, "{files:?}");
    let output = Command::new(parse).arg("--parse").args(&files).output().unwrap();
    assert!(output.status.success(), "{}", error(&output));
}

#[test]
fn units_and_settings_of_each_case_are_those_of_the_golden_files() {
    let Some(nix) = Nix::find() else { return };
    let mut found = BTreeSet::new();
    for (case, value) in nix.cases().as_object().unwrap() {
        assert_eq!(value["failed"], json!([]), "{case}");
        let mut check = |name: &str, text: &str| {
            let path = format!("{case}/{name}");
            golden(&root().join("tests/nix/golden").join(&path), text);
            found.insert(path);
        };
        for (unit, text) in value["units"].as_object().unwrap() {
            check(unit, text.as_str().unwrap());
        }
        check("provenance.toml", value["toml"].as_str().unwrap());
        check("policy.toml", value["policy"].as_str().unwrap());
        let rest = json!({ "chrony": value["chrony"], "rest": value["rest"], "warnings": value["warnings"] });
        check("system.json", &format!("{}\n", serde_json::to_string_pretty(&rest).unwrap()));
    }
    let mut there = vec![];
    let folder = root().join("tests/nix/golden");
    walk(&folder, &mut there);
    for path in there {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        assert!(found.contains(&name), "no case makes {name}: remove it");
    }
}

#[test]
fn the_option_reference_is_that_of_the_options() {
    let Some(nix) = Nix::find() else { return };
    let text = nix.json(&["-f", "tests/nix/options.nix"]);
    golden(&root().join("docs/options.md"), text.as_str().unwrap());
}

#[test]
fn each_tier_takes_its_defaults_from_the_file_that_the_program_reads() {
    let Some(nix) = Nix::find() else { return };
    let cases = nix.cases();
    let tiers: toml::Table =
        fs::read_to_string(root().join("config/compliance-tiers.toml")).unwrap().parse().unwrap();
    for name in TIERS {
        let (settings, tier) = (&cases[name]["settings"], tiers[name].as_table().unwrap());
        let same = |pointer: &str, key: &str| {
            let tier: Value = serde_json::to_value(&tier[key]).unwrap();
            assert_eq!(settings.pointer(pointer), Some(&tier), "{name} {key}");
        };
        same("/chain/interval_s", "interval_s");
        same("/time/min_agreeing", "min_agreeing");
        same("/bundle/every", "bundle_every");
        same("/retention/bundle_days", "retention_days");
        let chrony = cases[name]["chrony"]["extraConfig"].as_str().unwrap();
        let agree = &tier["appliance"]["ntp_agree"];
        assert!(chrony.contains(&format!("minsources {agree}\n")), "{chrony}");
    }
}

#[test]
fn the_program_accepts_the_settings_of_each_case_when_they_are_built() {
    let Some(nix) = Nix::find() else { return };
    let place = Place::new();
    for case in ["essential", "professional", "enterprise", "remote", "calendar", "calendars"] {
        let output = place.build(&nix, &["judged", "--arg", "module", "{ }"], Some(case));
        assert!(output.status.success(), "{case}: {}", error(&output));
    }
}

#[test]
fn settings_that_the_program_refuses_fail_the_build_with_its_own_message() {
    let Some(nix) = Nix::find() else { return };
    let place = Place::new();
    for (inside, said) in [
        ("settings.chain.intervall_s = 5;", "unknown field `intervall_s`"),
        ("settings.chain.watch = [ \"var/log\" ];", "does not begin with /"),
        ("settings.bundle.every = \"1 fortnight\";", "such as \"24h\""),
    ] {
        let module = format!("{{ services.msp-provenance = {{ {LEAST} {inside} }}; }}");
        let output = place.build(&nix, &["judgedOne", "--arg", "module", &module], None);
        assert!(!output.status.success(), "{inside}");
        assert!(error(&output).contains(said), "{inside}: {}", error(&output));
    }
}

#[test]
fn what_a_tier_needs_and_has_not_is_named_with_what_to_set() {
    let Some(nix) = Nix::find() else { return };
    let table: &[(&str, &str)] = &[
        (
            &format!("tier = \"professional\"; {GPS}"),
            "set services.msp-provenance.signingKeyFile = ",
        ),
        (
            &format!("tier = \"professional\"; {KEY}"),
            "asks for GPS beside NTP. Set services.msp-provenance.timeSync.gpsDevice",
        ),
        (
            &format!("tier = \"enterprise\"; {KEY} {GPS}"),
            "asks for a Bitcoin node. Set services.msp-provenance.bitcoin.enable = true",
        ),
        ("timeSync.ntpServers = [ \"a\" \"b\" ];", "at least 3 servers"),
        ("timeSync.enable = false;", "nothing would vouch for the clock"),
        ("settings.signing_key = \"/nix/store/k\";", "lies in the Nix store"),
        ("alerts.webhook = \"https://a.example\";", "webhook and secretFile are set together"),
        ("alerts.secretFile = \"/etc/w\";", "webhook and secretFile are set together"),
        ("openFirewall = true;", "would open nothing that listens"),
        (
            "openFirewall = true; metrics.enable = true; package = { type = \"derivation\"; outPath = \"/p\"; commands.parts = [ \"metrics\" ]; };",
            "would open nothing that listens",
        ),
        ("bitcoin.enable = true; bitcoin.credentialsFile = \"/etc/b\";", "which is not set"),
        // Of later versions.
        (
            "anchor.enable = true; bitcoin.enable = true; package = { type = \"derivation\"; outPath = \"/p\"; commands = { }; };",
            "has no `provenanced anchor`",
        ),
        (
            "anchor.enable = true; package = { type = \"derivation\"; outPath = \"/p\"; commands.provenanced = [ \"anchor\" ]; };",
            "an anchor needs a Bitcoin node",
        ),
        (
            "aggregate = { enable = true; url = \"https://c\"; }; bitcoin.enable = true; anchor.enable = true; package = { type = \"derivation\"; outPath = \"/p\"; commands.provenanced = [ \"anchor\" ]; };",
            "has no `provenanced aggregate`",
        ),
        (
            "aggregate = { enable = true; url = \"https://c\"; }; anchor = { enable = true; calendars = [ \"https://a\" ]; };",
            "by transactions of",
        ),
        (
            "sbom = [ \"spdx-2.3\" ]; package = { type = \"derivation\"; outPath = \"/p\"; commands = { }; };",
            "has no `provenanced sbom`",
        ),
        (
            "packets = [ \"day\" ]; package = { type = \"derivation\"; outPath = \"/p\"; commands = { }; };",
            "has no `provenanced packet`",
        ),
        (
            "store.s3 = { bucket = \"evidence\"; credentialsFile = \"/etc/s\"; }; package = { type = \"derivation\"; outPath = \"/p\"; commands = { }; };",
            "has no `provenanced store`",
        ),
        (
            "mcp.enable = true; package = { type = \"derivation\"; outPath = \"/p\"; commands = { }; };",
            "has no `provctl mcp`",
        ),
        (
            "mcp.http.enable = true; package = { type = \"derivation\"; outPath = \"/p\"; commands = { }; };",
            "mcp.http.enable: this version",
        ),
        (
            "mcp.http = { enable = true; listen = \"0.0.0.0:8469\"; }; package = { type = \"derivation\"; outPath = \"/p\"; commands.provctl = [ \"mcp\" ]; };",
            "only this machine may ask",
        ),
        (
            "certificates.authorityKeyFile = \"/etc/a\"; package = { type = \"derivation\"; outPath = \"/p\"; commands = { }; };",
            "has no `provenanced cert`",
        ),
        (
            "api.enable = true; package = { type = \"derivation\"; outPath = \"/p\"; commands = { }; };",
            "has no `provenanced api`",
        ),
        ("api = { enable = true; listen = \"unix:/tmp/a\"; };", "can make a socket file in"),
        (
            "api = { enable = true; listen = \"0.0.0.0:1\"; tokenFile = \"/etc/t\"; };",
            "over TLS or a Unix socket only",
        ),
        (
            "buildSigning.enable = true; buildSigning.trustedPublicKeys = [ \"a:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=\" ]; package = { type = \"derivation\"; outPath = \"/p\"; commands = { }; };",
            "has no `provctl verify-store`",
        ),
        ("buildSigning.enable = true;", "no path could have enough signatures"),
        (
            "metrics.enable = true; package = { type = \"derivation\"; outPath = \"/p\"; commands = { }; };",
            "the daemon of this version tells no metrics",
        ),
    ];
    for (inside, said) in table {
        let failed = nix.failed(&format!("{LEAST} {inside}"));
        assert_eq!(failed.len(), 1, "{inside}: {failed:#?}");
        assert!(failed[0].contains(said), "{inside}: {failed:?}");
    }
    assert!(nix.failed(LEAST).is_empty());
    // Each assertion of the modules is in the table.
    let mut files = vec![];
    walk(&root().join("modules"), &mut files);
    let count =
        |text: &str| text.matches("message = ''").count() + text.matches("(common.needs ").count();
    let there: usize = files.iter().map(|file| count(&fs::read_to_string(file).unwrap())).sum();
    let said: BTreeSet<&str> = table.iter().map(|(_, said)| *said).collect();
    // One of the messages in the files is the pattern of `needs`.
    assert_eq!(said.len() + 1, there, "an assertion without a line in this table");
}

#[test]
fn wrong_values_and_secrets_in_the_store_are_refused() {
    let Some(nix) = Nix::find() else { return };
    let secret = "absolute path of a secret outside the Nix store";
    for (inside, said) in [
        ("tier = \"gold\";", "one of \"essential\", \"professional\", \"enterprise\""),
        ("client = \"a b\";", "string matching the pattern"),
        ("signingKeyFile = ./flake.nix;", secret),
        ("signingKeyFile = \"/nix/store/abc-key\";", secret),
        ("signingKeyFile = \"keys/signing.key\";", secret),
        ("signingKeyFile = \"${builtins.toFile \"key\" \"x\"}\";", secret),
        ("alerts.secretFile = ./flake.nix;", secret),
        (
            "buildSigning = { enable = true; secretKeyFile = ./flake.nix; trustedPublicKeys = [ \"a:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=\" ]; };",
            secret,
        ),
        (
            "buildSigning = { enable = true; trustedPublicKeys = [ \"a\" ]; };",
            "string matching the pattern",
        ),
        ("bitcoin.credentialsFile = ./flake.nix;", secret),
        ("timeSync.offsetAlarmMs = 0;", "integer between 1 and 3600000"),
        ("settings.chain.interval_s = \"60\";", "integer between 1 and 86400"),
        ("logPaths = \"/var/log\";", "list of string"),
        ("bitcoin.enable = true; bitcoin.network = \"testnet3\";", "one of "),
        ("tire = \"essential\";", "The option `services.msp-provenance.tire' does not exist"),
    ] {
        let without_client = if inside.starts_with("client") { "enable = true;" } else { LEAST };
        let output = nix.one(&format!("{without_client} {inside}"));
        assert!(!output.status.success(), "{inside}");
        assert!(error(&output).contains(said), "{inside}: {}", error(&output));
    }
    let output = nix.one("enable = true;");
    assert!(error(&output).contains("has no value defined"), "{}", error(&output));
}

#[test]
fn switched_off_the_modules_set_nothing() {
    let Some(nix) = Nix::find() else { return };
    let output = nix.one("tier = \"enterprise\";");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value, json!({ "failed": [], "warnings": [] }), "{}", error(&output));
}

#[test]
fn each_unit_has_the_whole_sandbox_and_each_relaxation_its_reason() {
    let Some(nix) = Nix::find() else { return };
    let hardening = "import ./modules/lib/hardening.nix { lib = import ./tests/nix/nixpkgs/lib; }";
    let value = nix.json(&[
        "--impure",
        "--expr",
        hardening,
        "--apply",
        "h: { inherit (h) base relaxations; }",
    ]);
    for (name, relaxation) in value["relaxations"].as_object().unwrap() {
        assert!(relaxation["why"].as_str().is_some_and(|why| why.len() > 40), "{name}");
    }
    let base = value["base"].as_object().unwrap();
    for (case, value) in nix.cases().as_object().unwrap() {
        for (unit, text) in value["units"].as_object().unwrap() {
            let text = text.as_str().unwrap();
            for key in base.keys().filter(|_| unit.ends_with(".service")) {
                // Where packets go by name over the network, no address is denied.
                let open = key == "IPAddressDeny" && !text.contains("IPAddressAllow");
                assert!(open || text.contains(&format!("\n{key}=")), "{case} {unit} {key}");
            }
        }
    }
}

/// Also of those that no machine here boots: other tiers, later parts.
#[test]
fn systemd_finds_little_exposure_in_each_unit_of_each_case() {
    let Some(analyze) = peers::find("systemd-analyze") else { return };
    let exposed = |unit: &Path| {
        let mut analyze = Command::new(&analyze);
        analyze.args(["security", "--offline=true", "--no-pager", "--threshold=20"]).arg(unit);
        let output = analyze.output().unwrap();
        (!output.status.success()).then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let mut files = vec![];
    walk(&root().join("tests/nix/golden"), &mut files);
    files.retain(|file| file.extension().is_some_and(|e| e == "service"));
    assert!(files.len() > 20, "{files:?}");
    for file in &files {
        assert!(exposed(file).is_none(), "{}: {:?}", file.display(), exposed(file));
    }
    // A unit without the sandbox is found out.
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().join("open.service");
    fs::write(&open, "[Service]\nExecStart=/bin/true\n").unwrap();
    assert!(exposed(&open).is_some());
}

#[test]
fn the_packages_name_the_commands_that_the_programs_have() {
    let Some(nix) = Nix::find() else { return };
    let named = nix.json(&["-f", "modules/packages/commands.nix"]);
    for (name, program) in [("provenanced", PROVENANCED), ("provctl", PROVCTL)] {
        let help = Command::new(program).arg("--help").output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
        let command = |line: &str| {
            let name = line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty());
            name.filter(|name| *name != "help").map(str::to_owned)
        };
        let mut there: Vec<String> = list.lines().filter_map(command).collect();
        there.sort();
        assert_eq!(named[name], json!(there), "modules/packages/commands.nix");
    }
}

#[test]
fn the_flake_gives_packages_module_overlay_shell_and_checks() {
    let Some(nix) = Nix::find() else { return };
    let copy = tempfile::tempdir().unwrap();
    // A flake sees what git tracks; here it sees all of it.
    let stand_in = format!("path:{}", root().join("tests/nix/nixpkgs").display());
    for entry in
        ["flake.nix", "flake.lock", "Cargo.toml", "Cargo.lock", "clippy.toml", "rustfmt.toml"]
    {
        fs::copy(root().join(entry), copy.path().join(entry)).unwrap();
    }
    for folder in
        ["modules", "vm-tests", "config", "daemon", "docs/man", "tests/bench", "tests/vectors"]
    {
        let to = copy.path().join(folder);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        let done = Command::new("cp").arg("-r").arg(root().join(folder)).arg(&to).status().unwrap();
        assert!(done.success());
    }
    let flake = format!("path:{}", copy.path().display());
    let arguments = ["--override-input", "nixpkgs", &stand_in, "--no-write-lock-file", "--offline"];
    let names = |of: &str, apply: &str| {
        let place = format!("{flake}#{of}");
        nix.json(&[&["--apply", apply, &place], &arguments[..]].concat())
    };
    let attributes = "builtins.attrNames";
    assert_eq!(
        names("packages.x86_64-linux", attributes),
        json!(["chrony-probe", "default", "msp-provenance"])
    );
    assert_eq!(names("devShells.aarch64-linux", attributes), json!(["default"]));
    assert_eq!(names("nixosModules", attributes), json!(["default"]));
    assert_eq!(names("overlays", attributes), json!(["default"]));
    let checks = names("checks.x86_64-linux", "builtins.mapAttrs (_: check: check.name)");
    let claims = fs::read_dir(root().join("vm-tests/nixos")).unwrap().count();
    assert_eq!(checks.as_object().unwrap().len(), 3 + claims, "{checks}");
    let licence = names("packages.x86_64-linux", "p: p.chrony-probe.meta.license.spdxId");
    assert_eq!(licence, "gpl2Only");
}

#[test]
fn the_lock_holds_what_the_flake_asks_for() {
    let flake = fs::read_to_string(root().join("flake.nix")).unwrap();
    let lock: Value =
        serde_json::from_str(&fs::read_to_string(root().join("flake.lock")).unwrap()).unwrap();
    let node = &lock["nodes"]["nixpkgs"];
    let part = |side: &str, key: &str| node[side][key].as_str().unwrap().to_owned();
    let url = format!(
        "\"github:{}/{}/{}\"",
        part("original", "owner"),
        part("original", "repo"),
        part("original", "ref")
    );
    assert!(flake.contains(&format!("inputs.nixpkgs.url = {url};")), "{url}");
    assert_eq!(part("locked", "rev").len(), 40);
    assert!(part("locked", "narHash").starts_with("sha256-"));
}

/// A folder with the built programs, as a package has them.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        for (name, program) in [("provenanced", PROVENANCED), ("provctl", PROVCTL)] {
            std::os::unix::fs::symlink(program, folder.path().join("bin").join(name)).unwrap();
        }
        Self(folder)
    }

    fn build(&self, nix: &Nix, arguments: &[&str], case: Option<&str>) -> Output {
        let what =
            case.map_or_else(|| arguments[0].to_owned(), |case| format!("{}.{case}", arguments[0]));
        let place = self.0.path().display().to_string();
        // A store of its own is built in with nothing but these.
        let programs = Path::new(PROVENANCED).parent().unwrap().display();
        let seen = format!("/bin /lib /lib64 /usr {place} {programs}");
        let file = [
            &["build", "--no-link", "-L", "-f", "tests/nix/eval.nix", &what][..],
            &["--argstr", "package", &place, "--option", "sandbox-paths", &seen],
        ];
        let file = file.concat();
        nix.run(&[&file, &arguments[1..]].concat())
    }
}

fn golden(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let there = fs::read_to_string(path).unwrap_or_default();
    assert!(there == text, "{} differs; UPDATE_GOLDEN=1 writes:\n{text}", path.display());
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// With single spaces, however the lines break.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
