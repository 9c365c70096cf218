//! The command lines: one definition each, from which help, completions and
//! man pages are made.
#![forbid(unsafe_code)]

mod output;
pub mod storage_args;

pub use output::{OutputArgs, OutputFormat, print_json};

use std::{
    fmt,
    pin::{Pin, pin},
};

/// Exit codes, after sysexits(3) where that has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Verified, or done.
    Done = 0,
    /// Findings: the verification failed.
    Failed = 1,
    /// Nothing wrong was seen, and not everything could be checked.
    Inconclusive = 2,
    /// The command line.
    Usage = 64,
    /// The input is malformed.
    Data = 65,
    /// There is no such input.
    NoInput = 66,
    /// A defect of this program.
    Internal = 70,
    /// Reading or writing failed.
    Io = 74,
    /// Somebody else is at it: try again.
    Temporary = 75,
    /// The settings.
    Config = 78,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What a command ends with when it cannot do its work.
#[derive(Debug)]
pub struct Failure {
    /// The process's exit code.
    pub exit: Exit,
    /// What went wrong, where, and what to do next.
    pub message: String,
}

impl Failure {
    /// A failure with this code.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }
}

/// What a command line's parser ends with: help and version are no failures.
pub fn usage(error: &clap::Error) -> std::process::ExitCode {
    // A closed pipe is no reason to panic.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() }
}

/// Prints a line of result; a closed pipe is no reason to panic.
pub fn print_line(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a shell's completions of a command line.
pub fn completions<C: clap::CommandFactory>(shell: clap_complete::Shell, name: &str) {
    clap_complete::generate(shell, &mut C::command(), name, &mut std::io::stdout().lock());
}

/// The man pages of a command line: each name with its text. They carry no
/// date, so that the same definition gives the same bytes.
///
/// # Errors
/// None but those of writing into memory.
pub fn man<C: clap::CommandFactory>() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    fn render(
        command: &clap::Command,
        name: &str,
        pages: &mut Vec<(String, Vec<u8>)>,
    ) -> std::io::Result<()> {
        let page = command.clone().display_name(name);
        let mut text = vec![];
        clap_mangen::Man::new(page).render(&mut text)?;
        pages.push((format!("{name}.1"), text));
        let inner = command.get_subcommands().filter(|inner| inner.get_name() != "help");
        inner
            .into_iter()
            .try_for_each(|inner| render(inner, &format!("{name}-{}", inner.get_name()), pages))
    }
    let mut command = C::command().disable_help_subcommand(true);
    command.build();
    let name = command.get_name().to_owned();
    let mut pages = vec![];
    render(&command, &name, &mut pages)?;
    Ok(pages)
}

/// The exit code for an I/O error.
pub fn io_exit(error: &std::io::Error) -> Exit {
    match error.kind() {
        std::io::ErrorKind::NotFound => Exit::NoInput,
        std::io::ErrorKind::InvalidData => Exit::Data,
        _ => Exit::Io,
    }
}

/// Reads a time: RFC 3339 in UTC, with or without a fraction, or a day.
///
/// # Errors
/// What is accepted.
pub fn parse_time(text: &str) -> Result<provenance_core::encoding::time::Timestamp, String> {
    let day = text.len() == 10;
    let full = if day { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let parsed = provenance_core::encoding::time::Timestamp::read(&full);
    parsed.ok_or_else(|| "write 2026-11-21T04:20:00Z or 2026-11-21 (always UTC)".into())
}

/// Runs a server until SIGTERM or SIGINT ends it.
///
/// # Errors
/// [`Failure`]: as the server, or where signals cannot be taken.
pub fn run_until_signal(
    serve: impl AsyncFnOnce(Pin<&mut dyn Future<Output = ()>>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let internal = |error: std::io::Error| Failure::new(Exit::Io, error);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .map_err(internal)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(internal)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(internal)?;
        let mut end = pin!(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        serve(end.as_mut()).await
    })
}

/// Progress on standard error, after a second, where that is a terminal.
pub fn progress_bar(of: &str) -> indicatif::ProgressBar {
    if !std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::no_length();
    let style = indicatif::ProgressStyle::with_template(&format!("{{spinner}} {{human_pos}} {of}"));
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_secs(1));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_or_without_a_fraction_and_as_days() {
        let text = |text: &str| parse_time(text).map(|parse_time| parse_time.to_string());
        assert_eq!(text("2026-11-21").unwrap(), "2026-11-21T00:00:00.000000000Z");
        assert_eq!(text("2026-11-21T04:20:00Z").unwrap(), "2026-11-21T04:20:00.000000000Z");
        assert_eq!(text("2026-11-21T04:20:00.5Z").unwrap(), "2026-11-21T04:20:00.500000000Z");
        for bad in
            ["", "yesterday", "2026-11-21T04:20:00", "2026-11-21T04:20:00+01:00", "2026-13-01"]
        {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }
}
