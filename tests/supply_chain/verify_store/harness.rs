//! A store of its own that a real nix filled.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

use super::{peers, run};

/// A folder, a link, a program and a text, which need each other.
const SYSTEM: &str = r#"
let
  text = builtins.toFile "text-1.0" "text";
  source = builtins.path { name = "source-1.0"; path = ./tree; };
  flat = builtins.path { name = "flat-1.0"; path = ./tree/a; recursive = false; };
  part = derivation {
    name = "part-2.0"; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" "mkdir -p $out/b $out/a/empty; echo $out > $out/self; echo ${text} > $out/b/x; : > $out/none; printf 12345678 > $out/eight; ln -s ../b/x $out/a/link; echo run > $out/run; chmod +x $out/run" ];
    PATH = "/bin:/usr/bin";
  };
in derivation {
  name = "system-3.0"; system = builtins.currentSystem; builder = "/bin/sh";
  args = [ "-c" "echo ${part} ${source} ${flat} > $out" ];
}
"#;

/// A store of its own with a system in it.
pub(crate) struct NixStoreFixture {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) nix: PathBuf,
    pub(crate) system: String,
}

impl NixStoreFixture {
    pub(crate) fn new() -> Option<Self> {
        let nix = peers::find("nix")?;
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("dir")).unwrap();
        fs::write(tree.join("a"), "a").unwrap();
        fs::write(tree.join("dir/program"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(tree.join("dir/program"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("dir/program", tree.join("z")).unwrap();
        fs::write(dir.path().join("system.nix"), SYSTEM).unwrap();
        let mut fixture = Self { dir, nix, system: String::new() };
        let file = fixture.text("system.nix");
        let sandbox = ["--option", "sandbox-paths", "/bin /lib /lib64 /usr"];
        let build = [
            &["build", "--impure"],
            &sandbox[..],
            &["--no-link", "--print-out-paths", "-f", &file],
        ];
        fixture.system = fixture.ok(&build.concat()).trim().to_owned();
        Some(fixture)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    pub(crate) fn nix(&self, args: &[&str]) -> Output {
        let store = self.text("store");
        Command::new(&self.nix).args(args).args(["--store", &store]).output().unwrap()
    }

    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let ran = self.nix(args);
        assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }

    /// A new key, its secret half in a file of its name: the public half.
    pub(crate) fn key(&self, file: &str, name: &str) -> String {
        let made = Command::new(&self.nix)
            .args(["key", "generate-secret", "--key-name", name])
            .output()
            .unwrap();
        let secret = made.stdout;
        fs::write(self.dir.path().join(file), &secret).unwrap();
        self.public(file)
    }

    pub(crate) fn public(&self, file: &str) -> String {
        let mut convert = Command::new(&self.nix);
        let secret = fs::File::open(self.dir.path().join(file)).unwrap();
        let made =
            convert.args(["key", "convert-secret-to-public"]).stdin(secret).output().unwrap();
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn sign(&self, file: &str, path: &str) {
        self.ok(&["store", "sign", "-r", "-k", &self.text(file), path]);
    }

    pub(crate) fn database(&self) -> String {
        self.text("store/nix/var/nix/db/db.sqlite")
    }

    /// Where it lies on disk.
    pub(crate) fn real(&self, path: &str) -> PathBuf {
        self.dir.path().join("store").join(path.trim_start_matches('/'))
    }

    pub(crate) fn path(&self, name: &str) -> String {
        let all = self.ok(&["path-info", "-r", &self.system]);
        all.lines().find(|path| path.ends_with(name)).unwrap().to_owned()
    }

    pub(crate) fn sql(&self, text: &str) {
        let script =
            "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.executescript(sys.argv[2])";
        let ran = Command::new("python3").args(["-c", script, &self.database(), text]).output();
        assert!(ran.unwrap().status.success(), "{text}");
    }

    pub(crate) fn verify(&self, more: &[&str]) -> (i32, Value) {
        let (database, root) = (self.database(), self.text("store"));
        let fixed = ["--system", &self.system, "--nix-db", &database];
        let root = if more.contains(&"--rehash") { vec!["--root", &root] } else { vec![] };
        run(&[&fixed[..], &root, more].concat())
    }

    /// Whether nix finds each path of the closure in order.
    pub(crate) fn nix_agrees(
        &self,
        keys: &[&str],
        threshold: usize,
        contents: bool,
        expected: bool,
    ) {
        let (keys, threshold) = (keys.join(" "), threshold.to_string());
        let mut args = vec!["store", "verify", "-r", "-n", &threshold, &self.system];
        args.extend(["--option", "trusted-public-keys", &keys]);
        if !contents {
            args.push("--no-contents");
        }
        let ran = self.nix(&args);
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.success(), expected, "{args:?}: {said}");
    }
}
