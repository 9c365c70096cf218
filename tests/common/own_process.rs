//! A test of this program in a process of its own: to be killed, or measured.

use std::{env, process::Command};

/// Runs one test alone, ignored or not. `module` is its `module_path!()`.
pub(crate) fn test(module: &str, name: &str) -> Command {
    let (_, module) = module.split_once("::").unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", &format!("{module}::{name}"), "--include-ignored", "--nocapture"]);
    command
}
