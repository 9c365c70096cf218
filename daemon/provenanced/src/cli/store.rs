//! `provenanced store` and `provenanced restore`.

use std::path::{Path, PathBuf};

use clap::Args;
use provenance_audit::{policy_file, state, trust::trust_by};
use provenance_cli::{
    Exit, Failure, OutputArgs, OutputFormat, io_exit, print_json, print_line,
    storage_args::{StorageArgs, exit_of, exit_of_copies},
};
use provenance_core::{
    encoding::json::Value,
    registry::{Entry, StoreEntry},
    report::{Report, Verdict},
};
use provenance_host::{
    clock::{Clock as _, SystemClock},
    config::{self, Config},
    durable,
};
use provenance_storage::{
    Access, FolderWriter, S3Writer, WriteStorage,
    replica::{self, Fetched, Trusting},
};

use super::common::{ConfigArgs, failure, open};
use crate::replication::{self, ReplicationRequest, ReplicationResult};

#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The copies: s3://BUCKET/PREFIX/CLIENT/HOST/CHAIN, or as much of it as names one appliance,
    /// or the folder of [store] local
    #[arg(long, value_name = "s3://…|DIR")]
    from: String,
    /// The new state folder, which must not be there or be empty
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Whom to trust; without, nobody says whose records these are
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    storage: StorageArgs,
}

impl StoreArgs {
    /// Copies to each place of the settings; one that fails keeps none of the
    /// others from its copies.
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let config = self.config.load()?;
        let Some(settings) = &config.store else {
            let message = "there is nowhere to copy to: set [store] local, or [store.s3]";
            return Err(Failure::new(Exit::Config, message));
        };
        let (mut outcomes, mut problem) = (vec![], None);
        for bucket in places(settings) {
            let done = bucket.and_then(|bucket| copy(&config, settings, bucket));
            match done {
                Ok(outcome) => outcomes.push(outcome),
                Err(failed) if problem.is_none() => problem = Some(failed),
                Err(failed) => tracing::error!("{}", failed.message),
            }
        }
        if self.output.format() == OutputFormat::Json {
            let each = outcomes.iter().map(value).collect();
            let stores = Value::object([("stores", Value::Array(each))]);
            print_json(&stores);
        } else {
            outcomes.iter().for_each(|outcome| print_line(&text(outcome)));
        }
        let kept = |entry: &StoreEntry| entry.unlocked == 0 || !entry.place.starts_with("s3:");
        match problem {
            Some(problem) => Err(problem),
            None if outcomes.iter().flat_map(|outcome| &outcome.runs).all(kept) => Ok(Exit::Done),
            None => Ok(Exit::Failed),
        }
    }
}

type Opened = Result<Box<dyn WriteStorage>, Failure>;

/// The folder first: it is here whatever the network does.
fn places(settings: &config::Store) -> Vec<Opened> {
    let local = settings.local.as_deref();
    let local = local.map(|path| Ok(Box::new(FolderWriter::new(path)) as Box<dyn WriteStorage>));
    let s3 = settings.s3.as_ref().map(|s3| {
        let access = Access::of(s3.credentials_file.as_deref());
        let bucket = S3Writer::new(s3, &access, settings.max_kib_s);
        bucket
            .map(|bucket| Box::new(bucket) as Box<dyn WriteStorage>)
            .map_err(|error| Failure::new(exit_of(&error), error))
    });
    local.into_iter().chain(s3).collect()
}

fn copy(
    config: &Config,
    settings: &config::Store,
    mut bucket: Box<dyn WriteStorage>,
) -> Result<ReplicationResult, Failure> {
    let (state, mut evidence, _) = open(config)?;
    let clock = SystemClock::new().map_err(|error| Failure::new(Exit::Io, error))?;
    let asked = ReplicationRequest { config, settings, bucket: &mut *bucket };
    replication::run(asked, &state, &mut evidence, || clock.now().time).map_err(failure)
}

fn value(outcome: &ReplicationResult) -> Value {
    let runs = outcome.runs.iter().map(|run| Entry::Store(run.clone()).to_value());
    let given_up = outcome.given_up.iter().map(|run| Value::from(*run));
    Value::object([
        ("given_up", Value::Array(given_up.collect())),
        ("runs", Value::Array(runs.collect())),
        ("size", outcome.size.into()),
        ("where", outcome.place.as_str().into()),
    ])
}

fn text(outcome: &ReplicationResult) -> String {
    let mut lines = vec![];
    for run in &outcome.runs {
        let kept = match (&*run.lock, run.retain_until) {
            ("compliance", Some(until)) => format!("kept until {until} at least"),
            ("immutable", _) => "kept by the immutable flag".into(),
            _ => "NOT KEPT by the storage".into(),
        };
        lines.push(format!(
            "run {}: {} objects, {} bytes, read back; {kept}",
            run.run, run.objects, run.bytes
        ));
        if run.unlocked > 0 && run.place.starts_with("s3:") {
            lines.push(format!(
                "store.unlocked: of {} objects the storage does not keep what was put there, or \
                 does not say that it does",
                run.unlocked
            ));
        }
    }
    for run in &outcome.given_up {
        lines.push(format!("run {run}: given up; what it was to hold is in a later one"));
    }
    if outcome.runs.is_empty() {
        lines.push("nothing is new".into());
    }
    lines.push(format!("{} has {} registry records", outcome.place, outcome.size));
    lines.join("\n")
}

impl RestoreArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let policy = self.policy.as_deref().map(policy_file::load).transpose();
        let policy = policy.map_err(|error| Failure::new(Exit::Config, error))?;
        let trust = trust_by(policy).map_err(|error| Failure::new(Exit::Config, error))?;
        empty(&self.to)?;
        let storage = self.storage.find(&self.from)?;
        let mut bucket = storage.open().map_err(|error| Failure::new(exit_of(&error), error))?;
        let copies = |error| Failure::new(exit_of_copies(&error), error);
        let appliance = replica::only(&mut *bucket, &storage.path).map_err(copies)?;
        let mut found = Report::new();
        let trusting = Trusting { keys: trust.keys(), allow_unsigned: trust.allows_unsigned() };
        let fetched = replica::fetch(&mut *bucket, &appliance, &self.to, trusting, &mut found);
        let fetched = fetched.map_err(copies)?;
        durable::sync_all_of(&self.to).map_err(|error| Failure::new(Exit::Io, error))?;
        let options = state::Options::default();
        let report = state::verify(&self.to, &trust, &options, &mut |_| {});
        let mut report = report.map_err(|error| Failure::new(Exit::Io, error))?;
        report.absorb(found);
        self.print(&fetched, &report);
        Ok(match report.verdict() {
            Verdict::Verified => Exit::Done,
            Verdict::Failed => Exit::Failed,
            Verdict::Inconclusive => Exit::Inconclusive,
        })
    }

    fn print(&self, fetched: &Fetched, report: &Report) {
        if self.output.format() == OutputFormat::Json {
            let value = report
                .to_value()
                .with("bytes", fetched.bytes)
                .with("runs", fetched.runs)
                .with("state", self.to.display().to_string());
            return print_json(&value);
        }
        let head = fetched.last.head.seq;
        print_line(&format!(
            "{}: {} records of the registry, the chain up to record {head}, from {} runs\n{}: \
             provctl verify-chain --state {} tells more",
            self.to.display(),
            fetched.last.to,
            fetched.runs,
            report.verdict().as_str(),
            self.to.display()
        ));
        for (code, count) in report.counts() {
            print_line(&format!("{} × {count}", code.as_str()));
        }
    }
}

fn empty(path: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(io_exit(&error), format!("{}: {error}", path.display()))
    };
    durable::create_dirs(path).map_err(failed)?;
    match path.read_dir().map_err(failed)?.next() {
        None => Ok(()),
        Some(_) => {
            let message = format!("{} is not empty: name a new folder", path.display());
            Err(Failure::new(Exit::Usage, message))
        }
    }
}
