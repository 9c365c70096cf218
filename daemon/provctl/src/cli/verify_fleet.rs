//! `provctl verify` of copies in WORM storage, and `provctl verify-fleet`.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use clap::Args as ClapArgs;
use provenance_audit::{
    error::AuditError,
    fleet::{self, ApplianceStatus, Fleet},
    policy_file, replica,
    trust::trust_by,
};
use provenance_cli::{
    Exit, Failure, OutputArgs, OutputFormat, print_json, print_line, progress_bar,
    storage_args::{self, Storage, StorageArgs},
};
use provenance_core::{encoding::json::Value, report::Report};
use provenance_storage::{
    ReadStorage, StoreError,
    replica::{Appliance, appliances, only},
};
use provenance_verifier::Trust;

use super::{
    output::{exit_of, failure},
    render,
};

#[derive(Debug, ClapArgs)]
pub(super) struct FleetArgs {
    /// Where the copies are: s3://BUCKET[/PREFIX], or the folder of [store] local
    #[arg(value_name = "s3://…|DIR")]
    address: String,
    /// Whom you trust: one policy for all, or a folder with CLIENT/HOST.toml or CLIENT.toml
    /// (default: /etc/msp-provenance/policy.toml, where that exists)
    #[arg(long, value_name = "FILE|DIR")]
    policy: Option<PathBuf>,
    /// So many appliances at a time (default: as many as there are processors)
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Where copies lie while they are verified, one appliance for each job
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    storage: StorageArgs,
}

/// Whether a path, or an address, is of copies.
pub(super) fn is_copies(path: &Path, args: &StorageArgs) -> bool {
    let address = path.to_string_lossy();
    if storage_args::is_s3(&address) {
        return true;
    }
    if !path.is_dir() || path.join("statement.json").exists() {
        return false;
    }
    let found = args.find(&address).and_then(|storage| {
        let mut bucket = storage.open().map_err(unopened)?;
        Ok(appliances(&mut *bucket, &storage.path).is_ok_and(|found| !found.is_empty()))
    });
    found.unwrap_or(false)
}

/// Verifies the copies of one appliance.
pub(super) fn verify(path: &Path, args: &StorageArgs, trust: &Trust) -> Result<Report, Failure> {
    let storage = args.find(&path.to_string_lossy())?;
    let mut bucket = storage.open().map_err(unopened)?;
    let copies = |error: provenance_storage::replica::CopyError| failure(error.into());
    let appliance = only(&mut *bucket, &storage.path).map_err(copies)?;
    let bar = progress_bar("records");
    let mut progress = |count: u64| bar.set_position(count);
    let report = replica::verify(&mut *bucket, &appliance, trust, &env::temp_dir(), &mut progress);
    bar.finish_and_clear();
    report.map_err(failure)
}

fn unopened(error: StoreError) -> Failure {
    Failure::new(storage_args::exit_of(&error), error)
}

struct Named<'a> {
    storage: &'a Storage,
    policy: Option<&'a Path>,
}

impl Fleet for Named<'_> {
    fn open(&self) -> Result<Box<dyn ReadStorage>, StoreError> {
        self.storage.open()
    }

    fn trust(&self, appliance: &Appliance) -> Result<Trust, AuditError> {
        let policy = match self.policy {
            Some(path) if path.is_dir() => {
                let host = path.join(&appliance.client).join(format!("{}.toml", appliance.host));
                let client = path.join(format!("{}.toml", appliance.client));
                [host, client].into_iter().find(|path| path.is_file())
            }
            path => path.map(Path::to_owned),
        };
        trust_by(policy.as_deref().map(policy_file::load).transpose()?)
    }
}

impl FleetArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let storage = self.storage.find(&self.address)?;
        let mut bucket = storage.open().map_err(unopened)?;
        let found = appliances(&mut *bucket, &storage.path).map_err(|e| failure(e.into()))?;
        drop(bucket);
        if found.is_empty() {
            let message = format!("{}: there are no copies at this address", self.address);
            return Err(Failure::new(Exit::NoInput, message));
        }
        let machine = Path::new(policy_file::DEFAULT);
        let policy = self.policy.as_deref().or(Some(machine).filter(|path| path.exists()));
        let fleet = Named { storage: &storage, policy };
        let threads = self.jobs.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        });
        let scratch = self.scratch.clone().unwrap_or_else(env::temp_dir);
        let bar = progress_bar("appliances");
        let standings = fleet::verify(&fleet, found, &scratch, threads, &|| bar.inc(1));
        bar.finish_and_clear();
        let overall = fleet::overall(&standings);
        if self.output.format() == OutputFormat::Json {
            let each = standings.iter().map(ApplianceStatus::to_value);
            print_json(&Value::object([
                ("appliances", Value::Array(each.collect())),
                ("clients", clients(&standings)),
                ("counts", counts(standings.iter())),
                ("verdict", overall.as_str().into()),
            ]));
        } else {
            print_line(&text(&standings, overall.as_str()));
        }
        Ok(exit_of(overall))
    }
}

fn counts<'a>(standings: impl Iterator<Item = &'a ApplianceStatus>) -> Value {
    let mut counts = BTreeMap::from(
        ["verified", "failed", "inconclusive", "unread"].map(|verdict| (verdict, 0_u64)),
    );
    for standing in standings {
        *counts.entry(standing.verdict()).or_default() += 1;
    }
    Value::object(counts.into_iter().map(|(verdict, count)| (verdict, count.into())))
}

fn clients(standings: &[ApplianceStatus]) -> Value {
    let mut clients = BTreeMap::<&str, Vec<&ApplianceStatus>>::new();
    for standing in standings {
        clients.entry(&standing.appliance.client).or_default().push(standing);
    }
    Value::object(clients.into_iter().map(|(name, of)| (name, counts(of.into_iter()))))
}

fn text(standings: &[ApplianceStatus], overall: &str) -> String {
    let mut lines = vec![];
    let mut client = None;
    for standing in standings {
        let appliance = &standing.appliance;
        if client != Some(&appliance.client) {
            client = Some(&appliance.client);
            lines.push(render::plain(&appliance.client));
        }
        let head = standing.head.map(|head| format!(", record {} of {}", head.seq, head.time));
        lines.push(format!(
            "  {:<12} {}{}",
            standing.verdict(),
            render::plain(&appliance.host),
            head.unwrap_or_default()
        ));
        let findings = standing.findings.iter().map(|(code, count)| format!("{code} × {count}"));
        let why = standing.verdict.as_ref().err().cloned();
        for line in findings.chain(standing.not_checked.iter().cloned()).chain(why) {
            lines.push(format!("{:15}{}", "", render::plain(&line)));
        }
    }
    let count = |verdict| standings.iter().filter(|it| it.verdict() == verdict).count();
    lines.push(format!(
        "{overall}: {} appliances; {} verified, {} failed, {} inconclusive, {} could not be read",
        standings.len(),
        count("verified"),
        count("failed"),
        count("inconclusive"),
        count("unread")
    ));
    lines.join("\n")
}
