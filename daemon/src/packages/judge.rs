//! The verdict over one package: each piece of evidence by itself, then what
//! they come to together.

use std::collections::{BTreeMap, BTreeSet};

use provenance_core::{
    canon::Value,
    report::{Code, Finding, Place, Report, Severity},
    time::Timestamp,
};

use super::{
    Artifact, Claims, Kind, Level, Package,
    evidence::{Content, Evidence, Malformed, Signed, Source},
    keys::Keys,
    name, npm,
    previous::Previous,
    spec::{Rule, Spec},
    trust::Roots,
    verify::{Contents, Open, Proved, Refusal, Signer},
};

/// What all packages are judged by.
pub struct Judge<'a> {
    /// Sigstore's roots.
    pub roots: &'a Roots,
    /// The keys of registries and others.
    pub keys: &'a Keys,
    /// What is expected.
    pub spec: &'a Spec,
    /// All evidence that was brought.
    pub pool: &'a [Evidence],
    /// An earlier report.
    pub previous: Option<&'a Previous>,
}

/// A file of a package with what was brought for it alone.
pub struct Given<'a> {
    /// Where the file is opened, if it is at hand.
    pub open: Option<Open<'a>>,
    /// Evidence that has to be about it, by its place in the pool.
    pub own: &'a [usize],
    /// What should have been such evidence.
    pub malformed: &'a [Malformed],
}

/// What one piece of evidence comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// Where it is.
    pub source: Source,
    /// Its kind; `None` where it cannot be read.
    pub kind: Option<Kind>,
    /// How far it vouches; never *absent*.
    pub level: Level,
    /// What stands against it, or is missing.
    pub code: Option<Code>,
    /// The same in words.
    pub why: String,
    /// What is proved, where something is.
    pub proved: Option<Proved>,
    values: Option<(String, String)>,
    severity: Option<Severity>,
}

/// What all evidence about a package comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Which.
    pub package: Package,
    /// How far it is vouched for.
    pub level: Level,
    /// How far it should be; `None` where nobody said.
    pub required: Option<Level>,
    /// By what.
    pub evidence: Vec<Judged>,
    /// How many of its files are verified, of how many.
    pub files: (usize, usize),
}

/// What a piece of evidence is to a file.
enum About {
    /// It names these contents.
    These,
    /// It names the file or its package, and other contents.
    Others(String),
    /// It names something else.
    Else(String),
    /// It does not say.
    Unsaid,
}

impl Judge<'_> {
    /// Judges a package; `given` has a place for each of its files. Returns
    /// also which pieces of the pool were about it.
    pub fn package(
        &self,
        package: &Package,
        given: &[Given<'_>],
        report: &mut Report,
    ) -> (Outcome, BTreeSet<usize>) {
        let rule = self.spec.rule(package);
        let (mut evidence, mut used) = (vec![], BTreeSet::new());
        let mut levels = vec![];
        for (artifact, given) in package.files.iter().zip(given) {
            let mut of_file = vec![];
            for malformed in given.malformed {
                of_file.push(Judged::malformed(malformed));
            }
            for (at, piece) in self.pool.iter().enumerate() {
                let own = given.own.contains(&at);
                if let Some(judged) = self.piece(piece, package, artifact, (given.open, own), rule)
                {
                    used.insert(at);
                    of_file.push(judged);
                }
            }
            forgive(&mut of_file);
            levels.push(level(&of_file, rule));
            evidence.extend(of_file);
        }
        let level = levels.iter().copied().min().unwrap_or(Level::Absent);
        let verified = levels.iter().filter(|level| **level == Level::Verified).count();
        let outcome = Outcome {
            package: package.clone(),
            level,
            required: rule.map(|rule| rule.minimum).or(self.spec.minimum),
            evidence,
            files: (verified, levels.len()),
        };
        self.tell(&outcome, report);
        (outcome, used)
    }

    fn piece(
        &self,
        piece: &Evidence,
        package: &Package,
        artifact: &Artifact,
        (open, own): (Option<Open<'_>>, bool),
        rule: Option<&Rule>,
    ) -> Option<Judged> {
        let judged = |level| Judged::new(piece, level);
        match about(piece, package, artifact) {
            About::These => {}
            About::Unsaid if own => {}
            About::Others(named) => {
                let why = "it is about other contents than these";
                let values = (named, artifact.digests.to_string());
                return Some(judged(Level::Mismatch).code(Code::PackageDigest, why).values(values));
            }
            About::Else(named) if own => {
                let why = "it was given for this package and is about another one";
                let values = (package.to_string(), named);
                return Some(
                    judged(Level::Mismatch).code(Code::PackageSubject, why).values(values),
                );
            }
            About::Else(_) | About::Unsaid => return None,
        }
        Some(match &piece.content {
            Content::Registry(signature) => self.registry(piece, signature, rule),
            Content::Bundle(signed) => {
                let contents = Contents { digests: &artifact.digests, open };
                let judged = self.bundle(piece, signed, contents, rule);
                match misnamed(signed, package, artifact) {
                    // What does not verify says nothing about names either.
                    Some(values) if judged.level != Level::Mismatch => {
                        let why = "it names these contents by the name of another package";
                        judged.mismatch(Code::PackageSubject, why, values)
                    }
                    _ => judged,
                }
            }
        })
    }

    fn bundle(
        &self,
        piece: &Evidence,
        signed: &Signed,
        contents: Contents<'_>,
        rule: Option<&Rule>,
    ) -> Judged {
        let proved = match signed.key_hint() {
            None => self.roots.verify(&signed.bundle, contents, Signer::Certificate),
            Some(hint) => match self.by_key(signed, hint, contents) {
                Some(proved) => proved,
                None => {
                    let why =
                        format!("it is signed by the key {hint}, which was not brought (--keys)");
                    return Judged::new(piece, Level::Detected).code(Code::PackageKey, why);
                }
            },
        };
        let proved = match proved {
            Ok(proved) => proved,
            // Nothing of it is refuted.
            Err(Refusal { code: Some(code @ Code::PackageRoot), message }) => {
                return Judged::new(piece, Level::Detected).code(code, message);
            }
            Err(Refusal { code: Some(code), message }) => {
                return Judged::new(piece, Level::Mismatch).code(code, message);
            }
            Err(Refusal { code: None, message }) => {
                return Judged::new(piece, Level::Detected).code(Code::PackageUnsupported, message);
            }
        };
        let mut judged = Judged::new(piece, Level::Verified);
        judged.proved = Some(proved.clone());
        let mut contradictions =
            signed.statement.as_ref().map(npm::contradictions).unwrap_or_default();
        if let Some(claims) = &proved.claims {
            let statement = signed.statement.as_ref();
            contradictions.extend(
                statement
                    .map(|it| super::statement::contradictions(it, claims))
                    .unwrap_or_default(),
            );
            contradictions.extend(
                signed.publisher.as_ref().map(|it| it.contradictions(claims)).unwrap_or_default(),
            );
        }
        if let Some((what, said, proved)) = contradictions.into_iter().next() {
            let why = format!("what is said of the {what} is not what is proved");
            return judged.mismatch(Code::PackageStatement, why, (proved, said));
        }
        self.identify(judged, proved.claims.as_ref(), rule)
    }

    /// Whether the proved signer is the expected one.
    fn identify(&self, judged: Judged, claims: Option<&Claims>, rule: Option<&Rule>) -> Judged {
        let expected = rule.and_then(|rule| rule.signer.as_ref());
        let Some(claims) = claims else {
            return match expected {
                // A key that was brought is named by that.
                None => judged,
                Some(_) => judged.only(
                    Code::PackageUnidentified,
                    "its signer has a key and no certificate that proves the expected source",
                ),
            };
        };
        let Some(expected) = expected else {
            let whose = claims.repository.as_ref().or(claims.identity.as_ref());
            let why = format!(
                "it verifies, and the spec does not say whose signature is expected: it is that \
                 of {}",
                whose.map_or("nobody", String::as_str)
            );
            return judged.only(Code::PackageUnidentified, why);
        };
        let mut differences = expected.differences(claims);
        if differences.is_empty() {
            return judged;
        }
        let (what, expected, found) = differences.swap_remove(0);
        let more: Vec<&str> = differences.iter().map(|(what, ..)| *what).collect();
        let more =
            if more.is_empty() { String::new() } else { format!(", nor {}", more.join(", ")) };
        let why = format!("the proved {what} is not the expected one{more}");
        judged.mismatch(Code::PackageIdentity, why, (expected, found))
    }

    /// A bundle without a certificate, by a key that was brought.
    fn by_key(
        &self,
        signed: &Signed,
        hint: &str,
        contents: Contents<'_>,
    ) -> Option<Result<Proved, Refusal>> {
        let mut last = None;
        for key in self.keys.of(hint, "npm:attestations") {
            let verified = self.roots.verify(&signed.bundle, contents, Signer::Key(&key.der));
            let verified = verified.and_then(|proved| match proved.at {
                Some(at) if !key.counts_at(at) => {
                    let why = format!("its key {hint} does not count at {at}");
                    Err(Refusal::new(Code::PackageExpired, why))
                }
                None if key.until.is_some() => {
                    let why = format!("its key {hint} has an end, and nobody says when it signed");
                    Err(Refusal::new(Code::PackageTime, why))
                }
                _ => Ok(proved),
            });
            let done = verified.is_ok();
            last = Some(verified);
            if done {
                break;
            }
        }
        last
    }

    fn registry(
        &self,
        piece: &Evidence,
        signature: &npm::RegistrySignature,
        rule: Option<&Rule>,
    ) -> Judged {
        let judged = |level| Judged::new(piece, level);
        let mut keys = self.keys.of(&signature.key, "npm:signatures").peekable();
        if keys.peek().is_none() {
            let why = format!("it is by the key {}, which was not brought (--keys)", signature.key);
            return judged(Level::Detected).code(Code::PackageKey, why);
        }
        let message = signature.message();
        let Some(key) = keys.find(|key| key.signed(message.as_bytes(), &signature.signature))
        else {
            return match self.origin(signature) {
                Some(origin) => {
                    let why = "the signature is that of another version or package";
                    judged(Level::Mismatch)
                        .code(Code::PackageReplayed, why)
                        .values((message, origin))
                }
                None => {
                    let why = format!("no signature over {message} by the registry's key");
                    judged(Level::Mismatch).code(Code::PackageSignature, why)
                }
            };
        };
        let mut verified = judged(Level::Verified);
        verified.proved = Some(Proved { claims: None, at: None, logged: false });
        if let Some(until) = key.until {
            let stated = signature.published;
            let stated_text = stated.map_or("unknown".into(), |time: Timestamp| time.to_string());
            if stated.is_some_and(|time| !key.counts_at(time)) {
                let why = "the registry's key did not count when it says that it published";
                return verified.mismatch(
                    Code::PackageExpired,
                    why,
                    (format!("before {until}"), stated_text),
                );
            }
            if stated.is_none() || !self.spec.stated_times {
                let why = format!(
                    "the registry's key counts until {until}, and nobody proves that it signed \
                     before (the registry says: {stated_text})"
                );
                return verified.only(Code::PackageTime, why).severity(Severity::Info);
            }
        }
        self.identify(verified, None, rule)
    }

    /// What the signature is really over, among all that was brought.
    fn origin(&self, signature: &npm::RegistrySignature) -> Option<String> {
        let others = self.pool.iter().filter_map(|piece| match &piece.content {
            Content::Registry(other) if other.message() != signature.message() => Some(other),
            _ => None,
        });
        let of_key = || self.keys.of(&signature.key, "npm:signatures");
        let over = |message: &String| {
            of_key().any(|key| key.signed(message.as_bytes(), &signature.signature))
        };
        others.map(npm::RegistrySignature::message).take(10_000).find(over)
    }

    /// What the report says of a package.
    fn tell(&self, outcome: &Outcome, report: &mut Report) {
        report.checked("packages", 1);
        report.checked("files", outcome.files.1 as u64);
        report.checked("attestations", outcome.evidence.len() as u64);
        let package = &outcome.package;
        for judged in &outcome.evidence {
            if let Some(finding) = judged.finding(package) {
                report.find(finding);
            }
        }
        let place = || Place::file(package.to_string());
        if outcome.level == Level::Absent {
            report.find(Finding::new(Code::PackageAbsent, place(), "nothing vouches for it"));
        }
        match outcome.required {
            // What does not hold has its own findings.
            _ if outcome.level == Level::Mismatch => {}
            Some(required) if outcome.level < required => {
                let message = "it is vouched for less than the spec asks";
                let finding = Finding::new(Code::PackageLevel, place(), message);
                report.find(finding.values(required.as_str(), outcome.level.as_str()));
            }
            None if outcome.level < Level::Verified => {
                let why = "it is not verified, and no spec says that less is enough";
                report.undecided(format!("who vouches for {package}"), why);
            }
            _ => {}
        }
        let before = self.previous.and_then(|previous| previous.better(package, outcome.level));
        if let Some(before) = before.filter(|_| outcome.level != Level::Mismatch) {
            let message = "it is vouched for less than in the earlier report";
            let finding = Finding::new(Code::PackageDowngraded, place(), message);
            report.find(finding.values(before.as_str(), outcome.level.as_str()));
        }
    }
}

fn about(piece: &Evidence, package: &Package, artifact: &Artifact) -> About {
    let subjects = &piece.subjects;
    let same = |digests: &super::Digests| digests.same(&artifact.digests);
    if subjects.iter().any(|subject| same(&subject.digests) == Some(true)) {
        return About::These;
    }
    let named = subjects.iter().find(|subject| name::names(&subject.name, package, artifact));
    match (named, subjects.first()) {
        (Some(named), _) => About::Others(named.digests.to_string()),
        (None, Some(first)) if first.name.is_empty() && first.digests.is_empty() => About::Unsaid,
        (None, Some(first)) if first.name.is_empty() => About::Others(first.digests.to_string()),
        (None, Some(first)) => About::Else(first.name.clone()),
        (None, None) => About::Else("nothing that is known".into()),
    }
}

/// Where an attestation of npm's or PyPI's has the right contents and another
/// name: what is expected, and what it says.
fn misnamed(signed: &Signed, package: &Package, artifact: &Artifact) -> Option<(String, String)> {
    let statement = signed.statement.as_ref()?;
    let [subject] = &statement.subject[..] else {
        let many = format!("{} subjects", statement.subject.len());
        return signed.names_file.then(|| ("one subject".into(), many));
    };
    if let Some((name, version)) = npm::of_purl(&subject.name) {
        let other = package.name != name || package.version.as_ref() != Some(&version);
        return (package.certain && other).then(|| (package.to_string(), subject.name.clone()));
    }
    let file = artifact.file.as_ref().filter(|_| signed.names_file)?;
    (!name::same_python_file(file, &subject.name)).then(|| (file.clone(), subject.name.clone()))
}

/// Who signed is another one, and the expected one signed as well: a remark.
fn forgive(judged: &mut [Judged]) {
    let verified: BTreeSet<Option<Kind>> =
        judged.iter().filter(|it| it.level == Level::Verified).map(|it| it.kind).collect();
    for it in judged {
        if it.code == Some(Code::PackageIdentity) && verified.contains(&it.kind) {
            (it.level, it.severity) = (Level::Detected, Some(Severity::Info));
        }
    }
}

/// The level of one file: what does not hold weighs more than what does.
fn level(judged: &[Judged], rule: Option<&Rule>) -> Level {
    let counts = |it: &&Judged| {
        rule.is_none_or(|rule| {
            rule.kinds.is_empty() || it.kind.is_some_and(|kind| rule.kinds.contains(&kind))
        })
    };
    if judged.iter().any(|it| it.level == Level::Mismatch) {
        return Level::Mismatch;
    }
    let best = judged.iter().filter(counts).map(|it| it.level).max();
    best.unwrap_or(if judged.is_empty() { Level::Absent } else { Level::Detected })
}

impl Judged {
    fn new(piece: &Evidence, level: Level) -> Self {
        Self {
            source: piece.source.clone(),
            kind: Some(piece.kind),
            level,
            code: None,
            why: String::new(),
            proved: None,
            values: None,
            severity: None,
        }
    }

    fn malformed(malformed: &Malformed) -> Self {
        Self {
            source: malformed.source.clone(),
            kind: None,
            level: Level::Mismatch,
            code: Some(Code::PackageMalformed),
            why: malformed.why.clone(),
            proved: None,
            values: None,
            severity: None,
        }
    }

    fn code(mut self, code: Code, why: impl ToString) -> Self {
        (self.code, self.why) = (Some(code), why.to_string());
        self
    }

    fn values(mut self, values: (String, String)) -> Self {
        self.values = Some(values);
        self
    }

    fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    fn mismatch(mut self, code: Code, why: impl ToString, values: (String, String)) -> Self {
        self.level = Level::Mismatch;
        self.code(code, why).values(values)
    }

    fn only(mut self, code: Code, why: impl ToString) -> Self {
        self.level = Level::Detected;
        self.code(code, why)
    }

    fn finding(&self, package: &Package) -> Option<Finding> {
        let place = Place::file(self.source.file.clone()).line(self.source.number);
        let mut finding = Finding::new(self.code?, place, format!("{package}: {}", self.why));
        if let Some((expected, got)) = &self.values {
            finding = finding.values(expected, got);
        }
        if let Some(severity) = self.severity {
            finding = finding.severity(severity);
        }
        Some(finding)
    }

    fn to_value(&self) -> Value {
        let proved = self.proved.as_ref();
        Value::object([
            ("file", self.source.file.as_str().into()),
            ("number", self.source.number.into()),
            ("result", self.level.as_str().into()),
        ])
        .with_some("kind", self.kind.map(Kind::as_str))
        .with_some("code", self.code.map(Code::as_str))
        .with_some("why", (!self.why.is_empty()).then_some(self.why.as_str()))
        .with_some("signer", proved.and_then(|it| it.claims.as_ref()).map(Claims::to_value))
        .with_some("signed_at", proved.and_then(|it| it.at))
        .with_some("logged", proved.map(|it| it.logged))
    }
}

impl Outcome {
    /// The best that each kind of evidence comes to, or that it does not hold.
    pub fn kinds(&self) -> BTreeMap<Kind, Level> {
        let mut kinds = BTreeMap::new();
        for judged in &self.evidence {
            let Some(kind) = judged.kind else { continue };
            let entry = kinds.entry(kind).or_insert(judged.level);
            let worse = judged.level == Level::Mismatch || *entry == Level::Mismatch;
            *entry = if worse { Level::Mismatch } else { (*entry).max(judged.level) };
        }
        kinds
    }

    /// As JSON.
    pub fn to_value(&self) -> Value {
        let package = &self.package;
        let files = package.files.iter().map(|artifact| {
            Value::object([("digest", artifact.digests.to_string().into())])
                .with_some("file", artifact.file.as_deref())
        });
        Value::object([
            ("ecosystem", package.ecosystem.as_str().into()),
            ("name", package.name.as_str().into()),
            ("level", self.level.as_str().into()),
            ("files", Value::Array(files.collect())),
            ("files_verified", (self.files.0 as u64).into()),
            ("evidence", Value::Array(self.evidence.iter().map(Judged::to_value).collect())),
        ])
        .with_some("version", package.version.as_deref())
        .with_some("required", self.required.map(Level::as_str))
    }
}
