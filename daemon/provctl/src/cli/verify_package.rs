//! `provctl verify-package`.

use std::path::PathBuf;

use provenance_attestations::{Level, outcome::Outcome};
use provenance_audit::packages::{self, Options, Verified};
use provenance_cli::{
    Exit, Failure, OutputArgs, OutputFormat, print_json, print_line, progress_bar,
};
use provenance_core::report::Verdict;

use super::{
    output::{exit_of, failure},
    render,
};

/// So many packages are listed for people; JSON has all.
const LISTED: usize = 200;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Packages: npm's tarballs, wheels, source archives, or any file
    #[arg(value_name = "FILE", required_unless_present_any = ["lock", "folder"])]
    files: Vec<PathBuf>,
    /// Attestations, provenance or metadata, or a folder of such; what lies beside a package as
    /// NAME.attestations.json, NAME.provenance or NAME.sigstore.json is found unasked
    #[arg(long, value_name = "FILE|DIR", num_args = 1..)]
    attestations: Vec<PathBuf>,
    /// Who should have signed, and how much is enough
    #[arg(long, value_name = "SPEC")]
    expect: Option<PathBuf>,
    /// Each package of a lock file: package-lock.json, requirements.txt, pylock.toml
    #[arg(long, value_name = "FILE", conflicts_with = "folder")]
    lock: Option<PathBuf>,
    /// Each wheel, tarball and archive in a folder
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Keys of a registry (JSON), or a public key (PEM), that may sign
    #[arg(long, value_name = "FILE", num_args = 1..)]
    keys: Vec<PathBuf>,
    /// Sigstore's trusted root, instead of those in this program
    #[arg(long, value_name = "FILE")]
    trusted_root: Option<PathBuf>,
    /// An earlier report (JSON): no package may be vouched for less than in it
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let options = Options {
        files: args.files.clone(),
        attestations: args.attestations.clone(),
        spec: args.expect.clone(),
        lock: args.lock.clone(),
        folder: args.folder.clone(),
        root: args.trusted_root.clone(),
        keys: args.keys.clone(),
        previous: args.previous.clone(),
    };
    let bar = progress_bar("packages");
    let verified = packages::verify(&options, &mut |count| bar.set_position(count));
    bar.finish_and_clear();
    let verified = verified.map_err(failure)?;
    if args.output.format() == OutputFormat::Json {
        print_json(&verified.to_value());
    } else {
        print_line(&text(&verified));
    }
    let verdict = verified.report.verdict();
    // It tells, and stops nothing; the verdict stays what it is.
    if verified.warn {
        if verdict != Verdict::Verified && args.output.format() == OutputFormat::Text {
            print_line(&format!(
                "mode = \"warn\": the exit code is 0 though this is {}",
                verdict.as_str()
            ));
        }
        return Ok(Exit::Done);
    }
    Ok(exit_of(verdict))
}

fn text(verified: &Verified) -> String {
    let mut lines = vec![
        render::report_on(&verified.report, "who vouches is who should, as far as was asked"),
        String::new(),
    ];
    let mut outcomes: Vec<&Outcome> = verified.outcomes.iter().collect();
    // What needs a look comes first.
    outcomes.sort_by_key(|outcome| outcome.level);
    for outcome in outcomes.iter().take(LISTED) {
        lines.push(line(outcome));
    }
    if outcomes.len() > LISTED {
        lines.push(format!("… and {} more, see --json", outcomes.len() - LISTED));
    }
    lines.push(String::new());
    lines.push(verified.coverage.text());
    lines.push(format!("trusted root: {}", verified.roots.describe()));
    lines.join("\n")
}

fn line(outcome: &Outcome) -> String {
    let level = match outcome.level {
        Level::Detected => "detected only",
        level => level.as_str(),
    };
    let kinds: Vec<&str> = outcome.kinds().into_keys().map(|kind| kind.as_str()).collect();
    let mut text = format!("{level:<14} {}", outcome.package);
    let (verified, files) = outcome.files;
    if files > 1 {
        text.push_str(&format!(" ({verified} of {files} files)"));
    }
    if !kinds.is_empty() {
        text.push_str(&format!(": {}", kinds.join(", ")));
    }
    let claims =
        outcome.evidence.iter().filter_map(|it| it.proved.as_ref()?.claims.as_ref()).next();
    if let Some(claims) = claims {
        let whose = claims.repository.as_ref().or(claims.identity.as_ref());
        let of = [whose, claims.git_ref.as_ref(), claims.workflow.as_ref()];
        let of: Vec<&str> = of.into_iter().flatten().map(String::as_str).collect();
        text.push_str(&format!("; proved {}", of.join(" ")));
    }
    render::plain(&text)
}
