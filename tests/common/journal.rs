//! Journal files, made by systemd's own program.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

/// Puts entries, in the form of an export, into a journal file.
pub(crate) fn store(file: &Path, export: &[u8]) {
    let mut child = Command::new("/lib/systemd/systemd-journal-remote")
        .arg(format!("--output={}", file.display()))
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("systemd-journal-remote (package systemd-journal-remote)");
    child.stdin.take().unwrap().write_all(export).unwrap();
    assert!(child.wait().unwrap().success());
}
