//! How a command prints what it found.

use clap::Args;
use provenance_core::encoding::json::Value;

use crate::print_line;

/// The form of a command's answer on standard output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutputFormat {
    /// Text for a person.
    Text,
    /// JSON for a program (docs/json-output.md).
    Json,
}

/// The option `--json`, for every command that can print JSON.
#[derive(Clone, Copy, Default, Debug, Args)]
pub struct OutputArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl OutputArgs {
    /// The form that was asked for.
    pub fn format(self) -> OutputFormat {
        if self.json { OutputFormat::Json } else { OutputFormat::Text }
    }
}

/// Prints a result as one line of JSON; a closed pipe is no reason to panic.
pub fn print_json(value: &Value) {
    print_line(&String::from_utf8_lossy(&value.encode()));
}
