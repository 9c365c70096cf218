//! `provctl verify-package`: files, a lock file or a folder of packages, and
//! what vouches for them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use provenance_attestations::{
    Artifact, Ecosystem, Hasher, Keys, Package, coverage,
    evaluate::{EvaluationInput, Judge},
    evidence::{Evidence, Malformed},
    expectations::{self, Spec},
    index::Pool,
    keys, lockfile, npm_identity,
    outcome::Outcome,
    package_name, parse,
    previous_report::{self, Previous},
    trusted_root::Roots,
};
use provenance_core::{
    encoding::json::Value,
    record::coverage::Coverage,
    report::{Code, Finding, Location, Report},
};
use provenance_host::durable;

use crate::error::AuditError;

/// Files of a folder that are looked at.
const MAX_FOLDER: usize = 100_000;
/// Evidence in all.
const MAX_POOL: usize = 200_000;
/// What a file's attestations are called beside it.
const BESIDE: [&str; 8] = [
    ".attestations.json",
    ".attestation",
    ".provenance",
    ".publish.attestation",
    ".slsa.attestation",
    ".sigstore.json",
    ".sigstore",
    ".sigstore.jsonl",
];
/// What in a folder is a package.
const PACKED: [&str; 4] = [".whl", ".tgz", ".tar.gz", ".zip"];

/// What is asked.
#[derive(Debug, Default)]
pub struct Options {
    /// Files of packages.
    pub files: Vec<PathBuf>,
    /// Where attestations are: files, or folders of such.
    pub attestations: Vec<PathBuf>,
    /// What is expected.
    pub spec: Option<PathBuf>,
    /// A lock file.
    pub lock: Option<PathBuf>,
    /// A folder of packages.
    pub folder: Option<PathBuf>,
    /// Sigstore's root, instead of those in the program.
    pub root: Option<PathBuf>,
    /// Keys of registries and others.
    pub keys: Vec<PathBuf>,
    /// An earlier report.
    pub previous: Option<PathBuf>,
}

/// What came of it.
pub struct Verified {
    pub report: Report,
    pub outcomes: Vec<Outcome>,
    /// How many are vouched for.
    pub coverage: Coverage,
    /// What was trusted.
    pub roots: Roots,
    /// Whether a failure only warns.
    pub warn: bool,
}

/// A package with where its files are.
struct Target {
    package: Package,
    paths: Vec<Option<PathBuf>>,
    /// Whether all evidence that was named has to be about it.
    sole: bool,
}

/// The evidence, and what of it belongs to one file.
#[derive(Default)]
struct Brought {
    pool: Pool,
    beside: BTreeMap<PathBuf, (Vec<usize>, Vec<Malformed>)>,
    /// What was named, by its place.
    named: Vec<usize>,
    malformed: Vec<Malformed>,
    /// Files of a folder that are nothing that could vouch.
    passed_over: u64,
}

/// Verifies packages.
///
/// # Errors
/// [`AuditError`] where something that was named cannot be read.
pub fn verify(options: &Options, progress: &mut dyn FnMut(u64)) -> Result<Verified, AuditError> {
    let roots = roots(options.root.as_deref())?;
    let keys = trusted_keys(&options.keys)?;
    let spec = match &options.spec {
        Some(path) => read_spec(path)?,
        None => Spec::default(),
    };
    let previous = match &options.previous {
        Some(path) => {
            let bytes = durable::read_limited(path, previous_report::MAX_REPORT)
                .map_err(AuditError::io(path))?;
            Some(Previous::parse(&bytes).map_err(not_evidence(path))?)
        }
        None => None,
    };
    let mut report = Report::new();
    let targets = targets(options, &mut report)?;
    let pool = brought(options, &targets)?;
    let sole = targets.len() == 1 && targets.iter().any(|target| target.sole);
    let judge = Judge {
        roots: &roots,
        keys: &keys,
        spec: &spec,
        pool: &pool.pool,
        previous: previous.as_ref(),
    };
    if !sole {
        for malformed in &pool.malformed {
            let place = Location::file(&*malformed.source.file).line(malformed.source.number);
            report.add_finding(Finding::new(Code::PackageMalformed, place, &*malformed.why));
        }
    }
    let mut used = vec![false; pool.pool.evidence().len()];
    let mut outcomes = vec![];
    for (number, target) in targets.iter().enumerate() {
        let outcome = judge_one(&judge, target, &pool, sole, &mut report, &mut used);
        outcomes.push(outcome);
        progress(number as u64 + 1);
    }
    let idle = used.iter().filter(|used| !**used).count();
    if idle > 0 {
        let why = "they are about none of these packages";
        report.not_checked(format!("{idle} attestations"), why);
    }
    if pool.passed_over > 0 {
        let what = format!("{} files of the folder of attestations", pool.passed_over);
        report.not_checked(what, "they are nothing that vouches for packages");
    }
    let packages: Vec<Package> = targets.into_iter().map(|target| target.package).collect();
    for pattern in spec.idle(&packages) {
        report
            .not_checked(format!("the spec's rule {pattern}"), "it matches none of these packages");
    }
    let why = "an attestation proves who signed it, and not that what it says is true, or that the \
               contents are harmless";
    report.not_checked("what the packages do", why);
    let coverage = coverage::of(&outcomes);
    Ok(Verified { report, outcomes, coverage, roots, warn: spec.warn })
}

fn judge_one(
    judge: &Judge<'_>,
    target: &Target,
    pool: &Brought,
    sole: bool,
    report: &mut Report,
    used: &mut [bool],
) -> Outcome {
    let none = (vec![], vec![]);
    let mut about_it = false;
    // Named evidence has to be about the one file where none of it is.
    if sole {
        let mut scratch = Report::new();
        let given = [EvaluationInput { open: None, own: &[], malformed: &[] }];
        let digest_only = judge.package(&target.package, &given, &mut scratch).1;
        about_it = pool.named.iter().any(|at| digest_only.contains(at));
    }
    let mut openers = vec![];
    for path in &target.paths {
        openers.push(
            path.clone().map(|path| {
                move || -> io::Result<Box<dyn Read>> { Ok(Box::new(File::open(&path)?)) }
            }),
        );
    }
    let owned: Vec<(Vec<usize>, Vec<Malformed>)> = target
        .paths
        .iter()
        .map(|path| {
            let beside = path.as_ref().and_then(|path| pool.beside.get(path)).unwrap_or(&none);
            let (mut own, mut malformed) = beside.clone();
            if sole {
                malformed.extend(pool.malformed.iter().cloned());
                if !about_it {
                    own.extend(&pool.named);
                }
            }
            (own, malformed)
        })
        .collect();
    let given: Vec<EvaluationInput<'_>> = owned
        .iter()
        .zip(&openers)
        .map(|((own, malformed), opener)| EvaluationInput {
            open: opener.as_ref().map(|open| open as &dyn Fn() -> io::Result<Box<dyn Read>>),
            own,
            malformed,
        })
        .collect();
    let (outcome, found) = judge.package(&target.package, &given, report);
    for at in found {
        if let Some(used) = used.get_mut(at) {
            *used = true;
        }
    }
    outcome
}

/// What is to be verified.
fn targets(options: &Options, report: &mut Report) -> Result<Vec<Target>, AuditError> {
    let mut targets = vec![];
    for path in &options.files {
        targets.push(target(path, true)?);
    }
    if let Some(path) = &options.lock {
        let bytes = durable::read_limited(path, provenance_attestations::lockfile::MAX_LOCK)
            .map_err(AuditError::io(path))?;
        let wrong = not_evidence(path);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let lock = match std::str::from_utf8(&bytes) {
            Ok(text) => lockfile::parse(&name, text).map_err(|error| wrong(error.to_string()))?,
            Err(_) => return Err(wrong("it is not UTF-8".into())),
        };
        for (package, why) in &lock.unpinned {
            let message = format!("{package} is not pinned to its contents: {why}");
            report.add_finding(Finding::new(
                Code::PackageUnpinned,
                Location::file(&*name),
                message,
            ));
        }
        if !lock.unpinned.is_empty() {
            let what = format!("{} packages of {name}", lock.unpinned.len());
            report.not_checked_decisive(what, "the lock file does not say what their contents are");
        }
        report.checked("lock file entries", (lock.packages.len() + lock.unpinned.len()) as u64);
        targets.extend(lock.packages.into_iter().map(|package| Target {
            paths: vec![None; package.files.len()],
            package,
            sole: false,
        }));
    }
    if let Some(folder) = &options.folder {
        for path in entries(folder)? {
            let name = path.to_string_lossy();
            if PACKED.iter().any(|end| name.ends_with(end)) {
                targets.push(target(&path, false)?);
            }
        }
    }
    if targets.is_empty() {
        let what = options.folder.as_ref().or(options.lock.as_ref());
        let path = what.cloned().unwrap_or_default();
        return Err(not_evidence(&path)("there is no package in it".into()));
    }
    Ok(targets)
}

/// A file that is a package, or that nobody knows as one.
fn target(path: &Path, sole: bool) -> Result<Target, AuditError> {
    let mut hasher = Hasher::default();
    let mut file = File::open(path).map_err(AuditError::io(path))?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(AuditError::io(path))?;
        match buffer.get(..read) {
            Some([]) | None => break,
            Some(bytes) => hasher.update(bytes),
        }
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut package = package_name::of_file(&name);
    // Whatever it was renamed to: what npm packs says what it is.
    if package.ecosystem == Ecosystem::Npm || name.ends_with(".tgz") {
        let file = File::open(path).map_err(AuditError::io(path))?;
        if let Some((name, version)) = npm_identity(io::BufReader::new(file)) {
            package.ecosystem = Ecosystem::Npm;
            (package.name, package.version, package.certain) = (name, Some(version), true);
        }
    }
    package.files = vec![Artifact { file: Some(name), digests: hasher.finish() }];
    Ok(Target { package, paths: vec![Some(path.to_owned())], sole })
}

/// The evidence that was named, and what lies beside the files.
fn brought(options: &Options, targets: &[Target]) -> Result<Brought, AuditError> {
    let mut pool = Brought::default();
    for path in &options.attestations {
        let files = if path.is_dir() { entries(path)? } else { vec![path.clone()] };
        // What is no attestation at all may lie in a folder beside some.
        let folder = path.is_dir();
        for file in files {
            let name = file.to_string_lossy();
            let known = BESIDE.iter().any(|end| name.ends_with(end)) || name.ends_with(".json");
            if folder && !(known || name.ends_with(".jsonl")) {
                continue;
            }
            let pieces = read(&file)?;
            let other = |piece: &Result<_, Malformed>| piece.as_ref().is_err_and(|it| it.other);
            if folder && pieces.iter().all(other) {
                pool.passed_over += 1;
                continue;
            }
            for piece in pieces {
                pool.take(piece, |pool, at| match at {
                    Ok(at) => pool.named.push(at),
                    Err(malformed) => pool.malformed.push(malformed),
                });
            }
        }
    }
    for path in targets.iter().flat_map(|target| target.paths.iter().flatten()) {
        for end in BESIDE {
            let mut beside = path.clone().into_os_string();
            beside.push(end);
            let beside = PathBuf::from(beside);
            if !beside.is_file() || options.attestations.contains(&beside) {
                continue;
            }
            for piece in read(&beside)? {
                pool.take(piece, |pool, at| {
                    let (own, malformed) = pool.beside.entry(path.clone()).or_default();
                    match at {
                        Ok(at) => own.push(at),
                        Err(piece) => malformed.push(piece),
                    }
                });
            }
        }
    }
    if pool.pool.evidence().len() > MAX_POOL {
        let path = options.attestations.first().cloned().unwrap_or_default();
        return Err(not_evidence(&path)(format!("over {MAX_POOL} attestations at once")));
    }
    Ok(pool)
}

impl Brought {
    fn take(
        &mut self,
        piece: Result<Evidence, Malformed>,
        place: impl FnOnce(&mut Self, Result<usize, Malformed>),
    ) {
        match piece {
            Ok(evidence) => {
                let at = self.pool.add(evidence);
                place(self, Ok(at));
            }
            Err(malformed) => place(self, Err(malformed)),
        }
    }
}

fn read(path: &Path) -> Result<Vec<Result<Evidence, Malformed>>, AuditError> {
    let bytes = durable::read_limited(path, parse::MAX_FILE).map_err(AuditError::io(path))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(parse::read(&name, &bytes))
}

/// The files right in a folder, by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, AuditError> {
    let mut files = vec![];
    for entry in fs::read_dir(folder).map_err(AuditError::io(folder))? {
        let path = entry.map_err(AuditError::io(folder))?.path();
        if path.is_file() {
            files.push(path);
        }
        if files.len() > MAX_FOLDER {
            return Err(not_evidence(folder)(format!("over {MAX_FOLDER} files")));
        }
    }
    files.sort();
    Ok(files)
}

fn roots(path: Option<&Path>) -> Result<Roots, AuditError> {
    let Some(path) = path else {
        let program = Path::new("the roots in this program");
        return Roots::embedded().map_err(|error| not_evidence(program)(error.to_string()));
    };
    let text = text(path, provenance_attestations::MAX_ROOT)?;
    Roots::from_json(&text).map_err(|error| not_evidence(path)(error.to_string()))
}

fn trusted_keys(paths: &[PathBuf]) -> Result<Keys, AuditError> {
    let mut keys = Keys::default();
    for path in paths {
        let text = text(path, keys::MAX_KEYS)?;
        keys.add(&text).map_err(|error| not_evidence(path)(error.to_string()))?;
    }
    Ok(keys)
}

fn read_spec(path: &Path) -> Result<Spec, AuditError> {
    let text = text(path, expectations::MAX_SPEC)?;
    Spec::parse(&text).map_err(|error| not_evidence(path)(error.to_string()))
}

fn text(path: &Path, limit: u64) -> Result<String, AuditError> {
    let bytes = durable::read_limited(path, limit).map_err(AuditError::io(path))?;
    String::from_utf8(bytes).map_err(|_| not_evidence(path)("it is not UTF-8".into()))
}

fn not_evidence(path: &Path) -> impl Fn(String) -> AuditError {
    let path = path.to_owned();
    move |why| AuditError::NotEvidence { path: path.clone(), why }
}

impl Verified {
    /// As JSON: a report, with what is said of each package.
    pub fn to_value(&self) -> Value {
        let packages = self.outcomes.iter().map(Outcome::to_value);
        self.report
            .to_value()
            .with("packages", Value::Array(packages.collect()))
            .with("coverage", coverage::to_value(&self.coverage))
            .with("trust", self.roots.to_value())
            .with("mode", if self.warn { "warn" } else { "strict" })
    }
}
