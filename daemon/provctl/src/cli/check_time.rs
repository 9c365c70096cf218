//! `provctl check-time` as a person reads it.

use std::path::{Path, PathBuf};

use provenance_cli::{Exit, Failure, OutputFormat, io_exit, print_json, print_line};
use provenance_core::{
    encoding::time::{Now, human_span},
    record::time_attestation::{Attestation, Claim, ClockVerdict, Source, State},
};
use provenance_host::{
    clock::SystemClock,
    config::{self, Config, ConfigError},
};
use provenance_time_sources::poller;

use super::render::plain;

/// Where the daemon's settings usually are.
const DEFAULT: &str = "/etc/msp-provenance/provenance.toml";

/// Asks, prints, and gives the exit code: 0 agreed, 1 somebody is wrong, 2 not
/// enough to tell.
pub(super) fn run(
    path: Option<PathBuf>,
    set: &[String],
    format: OutputFormat,
) -> Result<Exit, Failure> {
    let config = settings(path, set)?;
    let clock = SystemClock::new().map_err(|error| Failure::new(Exit::Io, error))?;
    let (attestation, now) = poller::check(&config, clock);
    if format == OutputFormat::Json {
        let value = attestation.to_value().with("time", now.time).with("boot", now.boot.as_str());
        print_json(&value);
    } else {
        print_line(&text(&attestation, &now));
    }
    Ok(match attestation.verdict {
        ClockVerdict::Agreed => Exit::Done,
        ClockVerdict::Disputed | ClockVerdict::Anomalous => Exit::Failed,
        ClockVerdict::Degraded | ClockVerdict::Unsynchronised => Exit::Inconclusive,
    })
}

/// The settings given, or the machine's, or those of a machine that has none:
/// whatever answers at the usual places.
pub(super) fn settings(path: Option<PathBuf>, set: &[String]) -> Result<Config, Failure> {
    let machine = PathBuf::from(DEFAULT);
    let path = path.or_else(|| Some(machine).filter(|path| path.exists()));
    let config = match &path {
        Some(path) => Config::load(path, set),
        None => Config::parse("no settings", "client = \"none\"\ntier = \"essential\"", &found()),
    };
    config.map_err(|error| {
        let exit = match &error {
            ConfigError::Read { source, .. } => io_exit(source),
            _ => Exit::Config,
        };
        Failure::new(exit, error)
    })
}

fn found() -> Vec<String> {
    let mut set = vec![];
    if Path::new(config::CHRONY_SOCKET).exists() {
        set.push(format!("time.ntp.chrony = \"unix:{}\"", config::CHRONY_SOCKET));
    }
    if std::net::TcpStream::connect(config::GPSD).is_ok() {
        set.push(format!("time.gps.gpsd = \"{}\"", config::GPSD));
    }
    set
}

fn text(attestation: &Attestation<'_>, now: &Now) -> String {
    let mut lines =
        vec![format!("{:<12} {:<10} {:>14} {:>12}", "source", "state", "offset", "bound")];
    lines.extend(attestation.sources.iter().map(|source| row(source, now)));
    lines.push(String::new());
    lines.push(verdict(attestation));
    if let Some((from, to)) = attestation.window {
        lines.push(format!("true time is between {from} and {to}"));
    }
    lines.join("\n")
}

fn row(source: &Source<'_>, now: &Now) -> String {
    let claim = |state: &str, claim: &Claim| match claim {
        Claim::Interval { offset_ns, bound_ns, as_of } => {
            let sign = if *offset_ns > 0 { "+" } else { "" };
            let offset = format!("{sign}{}", human_span(*offset_ns));
            let age = match now.time.since(*as_of) {
                ..1_000_000_000 => String::new(),
                age => format!("  {} ago", human_span(age)),
            };
            format!("{state:<10} {offset:>14} {:>12}{age}", human_span(*bound_ns))
        }
        Claim::Window { not_before, not_after } => {
            format!("{state:<10} not before {not_before}, not after {not_after}")
        }
    };
    let said = match &source.state {
        State::Ok(it) => claim("ok", it),
        State::Disagrees(it) => claim("DISAGREES", it),
        State::Absent(why) => format!("{:<10} {}", "absent", plain(why)),
        State::Rejected(why) => format!("{:<10} {}", "rejected", plain(why)),
    };
    format!("{:<12} {said}", plain(&source.src))
}

fn verdict(attestation: &Attestation<'_>) -> String {
    let needed = attestation.rule.min_agreeing;
    let said = match attestation.verdict {
        ClockVerdict::Agreed => "the sources agree".to_owned(),
        ClockVerdict::Degraded => {
            format!("none disagrees, and fewer agree than the {needed} that the settings ask for")
        }
        ClockVerdict::Disputed => {
            let liars: Vec<&str> = attestation.falsetickers().collect();
            format!("these miss what the others agree on: {}", plain(&liars.join(", ")))
        }
        ClockVerdict::Anomalous => "they agree that this machine's clock is off".to_owned(),
        ClockVerdict::Unsynchronised => "no source vouches for the clock".to_owned(),
    };
    let agreed = attestation.agreed.map(|(offset, bound)| {
        format!(" (true time minus clock: {} ± {})", human_span(offset), human_span(bound))
    });
    let word = attestation.verdict.as_str().to_uppercase();
    format!("{word}: {said}{}", agreed.unwrap_or_default())
}
