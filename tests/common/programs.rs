//! The built programs, and what is asked of their output.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

pub(crate) const PROVENANCED: &str = env!("CARGO_BIN_EXE_provenanced");
pub(crate) const PROVCTL: &str = env!("CARGO_BIN_EXE_provctl");

/// Both streams of a program that has ended, as text.
pub(crate) fn output_text(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    stdout.into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The JSON on its standard output.
#[track_caller]
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", output_text(output)))
}

#[track_caller]
pub(crate) fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}: {}", output.status, output_text(output));
}

/// It ended with this code, its message contains these words, and it did not panic.
#[track_caller]
pub(crate) fn assert_refused(output: &Output, code: i32, words: &str) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{}", output_text(output));
    assert!(message.contains(words), "{words:?} is not in {message:?}");
    assert!(!message.contains("panicked"), "{message}");
}

/// Makes `NAME.key` and `NAME.pub` in the folder.
#[track_caller]
pub(crate) fn keygen(folder: &Path, name: &str) {
    let mut command = Command::new(PROVENANCED);
    command.env_remove("CREDENTIALS_DIRECTORY").args(["keygen", "--name", name, "--out"]);
    assert_success(&command.arg(folder).output().unwrap());
}
