#![forbid(unsafe_code)]
// SPDX-License-Identifier: GPL-2.0-only
//! `chrony-probe`: asks chronyd how it keeps the time and prints one line of
//! JSON. README.md is the whole contract.

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
    time::{Duration, Instant},
};

use failure::Failure;

mod ask;
mod failure;
mod report;
mod socket;

use ask::Chronyd;
use socket::{Address, Socket};

const USAGE: &str = "usage: chrony-probe [--timeout-ms N] [--bind-dir FOLDER] ADDRESS
ADDRESS is unix:/run/chrony/chronyd.sock or udp:127.0.0.1:323";
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    // A reply that its reader trips over is told as such, not as a panic.
    std::panic::set_hook(Box::new(|_| {}));
    let (code, message) = match run() {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => (64, format!("{message}\n{USAGE}")),
        Err(Failure::Unavailable(message)) => (69, message),
        Err(Failure::Output(error)) => (74, format!("standard output: {error}")),
        Err(Failure::Protocol(message)) => (76, message),
        Err(Failure::NoPermission(message)) => (77, message),
    };
    let _ = writeln!(io::stderr(), "chrony-probe: {message}");
    ExitCode::from(code)
}

fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let mut budget = Duration::from_secs(1);
    let (mut bind_dir, mut address) = (None, None);
    let mut arguments = env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || {
            let missing = || Failure::Usage(format!("{} needs a value", argument.display()));
            arguments.next().ok_or_else(missing)
        };
        if argument == "--timeout-ms" {
            budget = milliseconds(&value()?.to_string_lossy())?;
        } else if argument == "--bind-dir" {
            bind_dir = Some(value()?.into());
        } else if argument == "--help" {
            return writeln!(io::stdout(), "{USAGE}").map_err(Failure::Output);
        } else if argument == "--version" {
            let version = env!("CARGO_PKG_VERSION");
            return writeln!(io::stdout(), "chrony-probe {version}").map_err(Failure::Output);
        } else if address.is_none() && !argument.as_encoded_bytes().starts_with(b"-") {
            address = Some(Address::parse(&argument)?);
        } else {
            return Err(Failure::Usage(format!("{} is not understood", argument.display())));
        }
    }
    let address = address.ok_or_else(|| Failure::Usage("which chronyd?".into()))?;
    let socket = Socket::open(&address, bind_dir)?;
    let answers = Chronyd::new(socket, start, budget).ask()?;
    let mut line = report::encode(&answers);
    line.push('\n');
    io::stdout().write_all(line.as_bytes()).map_err(Failure::Output)
}

fn milliseconds(text: &str) -> Result<Duration, Failure> {
    let number = text.parse().ok().map(Duration::from_millis);
    let fits = |time: &Duration| (Duration::from_millis(1)..=MAX_TIMEOUT).contains(time);
    number.filter(fits).ok_or_else(|| Failure::Usage("--timeout-ms takes 1 to 60000".into()))
}
