//! `provctl registry`: its records, listed, shown and exported.

use clap::{Args, Subcommand};
use provenance_audit::state::registry;
use provenance_cli::{Exit, Failure, OutputArgs, OutputFormat, print_json, print_line};
use provenance_core::encoding::{json::Value, time::Timestamp};
use provenance_host::state_dir::StateDir;
use provenance_registry::Reader;

use super::{
    output::{StateArgs, failure},
    render,
};

#[derive(Debug, Subcommand)]
pub(super) enum RegistryCommand {
    /// A line for each record
    #[command(after_help = "Example:\n  provctl registry list --kind bundle --from 2026-11-01")]
    List {
        #[command(flatten)]
        state: StateArgs,
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// One record: by its number, its hash, or the id in it
    #[command(after_help = "Example:\n  provctl registry show EB-20261121-0001")]
    Show {
        /// Number, hash or id
        id: String,
        #[command(flatten)]
        state: StateArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// The records as lines, byte for byte
    #[command(after_help = "Example:\n  provctl registry export > registry.jsonl")]
    Export {
        #[command(flatten)]
        state: StateArgs,
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Debug, Args)]
pub(super) struct FilterArgs {
    /// Of this kind only
    #[arg(long, value_name = "K")]
    kind: Option<String>,
    /// From this time on only
    #[arg(long, value_name = "T", value_parser = provenance_cli::parse_time)]
    from: Option<Timestamp>,
    /// Before this time only
    #[arg(long, value_name = "T", value_parser = provenance_cli::parse_time)]
    to: Option<Timestamp>,
}

impl From<FilterArgs> for registry::Filter {
    fn from(args: FilterArgs) -> Self {
        Self { kind: args.kind, from: args.from, to: args.to }
    }
}

pub(super) fn run(command: RegistryCommand) -> Result<Exit, Failure> {
    let open = |state: &StateArgs| {
        let path = StateDir::new(&state.state).registry();
        Reader::open_for_audit(&path).map_err(|error| failure(error.into()))
    };
    match command {
        RegistryCommand::List { state, filter, output } => {
            let mut rows = vec![];
            registry::each(&open(&state)?, &filter.into(), |record| {
                if output.format() == OutputFormat::Json {
                    rows.push(Value::object([
                        ("seq", record.seq.into()),
                        ("time", record.time.into()),
                        ("kind", record.kind.into()),
                        ("hash", record.hash().into()),
                    ]));
                } else {
                    let data = String::from_utf8_lossy(record.data).into_owned();
                    print_line(&format!(
                        "{:>8}  {}  {:<10} {}",
                        record.seq,
                        record.time,
                        record.kind,
                        render::plain(&render::shortened(&data, 90))
                    ));
                }
            })
            .map_err(failure)?;
            if output.format() == OutputFormat::Json {
                print_json(&Value::Array(rows));
            }
        }
        RegistryCommand::Show { id, state, output } => {
            let body = registry::find(&open(&state)?, &id).map_err(failure)?;
            if output.format() == OutputFormat::Json {
                print_line(&String::from_utf8_lossy(&body));
            } else {
                print_line(&render::value(&Value::parse(&body).unwrap_or(Value::Null)));
            }
        }
        RegistryCommand::Export { state, filter, output: _ } => {
            registry::each(&open(&state)?, &filter.into(), |record| {
                print_line(&String::from_utf8_lossy(record.line));
            })
            .map_err(failure)?;
        }
    }
    Ok(Exit::Done)
}
