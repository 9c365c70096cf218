//! The verdict over one package: each piece of evidence by itself, then what
//! they come to together.

use std::collections::BTreeSet;

use provenance_core::{
    encoding::time::Timestamp,
    report::{Code, Finding, Location, Report, Severity},
};

use crate::{
    Artifact, Claims, Digests, Level, Package,
    evidence::{Content, Evidence, Malformed, Signed},
    expectations::{Rule, Spec},
    index::Pool,
    keys::Keys,
    npm,
    outcome::{self, Judged, Outcome},
    package_name,
    previous_report::Previous,
    sigstore::{Contents, Open, Proved, Refusal, Signer},
    trusted_root::Roots,
};

/// What all packages are judged by.
pub struct Judge<'a> {
    pub roots: &'a Roots,
    /// The keys of registries and others.
    pub keys: &'a Keys,
    /// What is expected.
    pub spec: &'a Spec,
    /// All evidence that was brought.
    pub pool: &'a Pool,
    /// An earlier report.
    pub previous: Option<&'a Previous>,
}

/// A file of a package with what was brought for it alone.
pub struct EvaluationInput<'a> {
    /// Where the file is opened, if it is at hand.
    pub open: Option<Open<'a>>,
    /// Evidence that has to be about it, by its place in the pool.
    pub own: &'a [usize],
    /// What should have been such evidence.
    pub malformed: &'a [Malformed],
}

/// What a piece of evidence is to a file.
enum About {
    /// It names these contents.
    These,
    /// It names the file or its package, and other contents.
    Others(Digests),
    /// It names the file or its package, and its contents by no digest that
    /// could be compared.
    Named,
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
        given: &[EvaluationInput<'_>],
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
            let mut places = self.pool.about(package, artifact);
            places.extend(given.own);
            for at in places {
                let Some(piece) = self.pool.evidence().get(at) else { continue };
                let own = given.own.contains(&at);
                if let Some(judged) = self.piece(piece, package, artifact, given.open, own, rule) {
                    used.insert(at);
                    of_file.push(judged);
                }
            }
            outcome::forgive(&mut of_file);
            levels.push(outcome::level(&of_file, rule));
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
        open: Option<Open<'_>>,
        own: bool,
        rule: Option<&Rule>,
    ) -> Option<Judged> {
        let judged = |level| Judged::new(piece, level);
        match about(piece, package, artifact) {
            About::These => {}
            About::Unsaid if own => {}
            About::Named => {
                let why = "it names the contents by no digest that is known of them";
                return Some(judged(Level::Detected).code(Code::PackageUnsupported, why));
            }
            About::Others(named) => {
                let why = "it is about other contents than these";
                let found = artifact.digests.common(&named);
                let values = (named.common(&found).to_string(), found.to_string());
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
                match misnamed(piece, signed, package, artifact) {
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
                    .map(|it| crate::statement::contradictions(it, claims))
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
        signature: &crate::evidence::RegistrySignature,
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
    fn origin(&self, signature: &crate::evidence::RegistrySignature) -> Option<String> {
        let others = self.pool.evidence().iter().filter_map(|piece| match &piece.content {
            Content::Registry(other) if other.message() != signature.message() => Some(other),
            _ => None,
        });
        let of_key = || self.keys.of(&signature.key, "npm:signatures");
        let over = |message: &String| {
            of_key().any(|key| key.signed(message.as_bytes(), &signature.signature))
        };
        others.map(crate::evidence::RegistrySignature::message).take(10_000).find(over)
    }

    /// What the report says of a package.
    fn tell(&self, outcome: &Outcome, report: &mut Report) {
        report.checked("packages", 1);
        report.checked("files", outcome.files.1 as u64);
        report.checked("attestations", outcome.evidence.len() as u64);
        let package = &outcome.package;
        for judged in &outcome.evidence {
            if let Some(finding) = judged.finding(package) {
                report.add_finding(finding);
            }
        }
        let place = || Location::file(package.to_string());
        if outcome.level == Level::Absent {
            report.add_finding(Finding::new(
                Code::PackageAbsent,
                place(),
                "nothing vouches for it",
            ));
        }
        match outcome.required {
            // What does not hold has its own findings.
            _ if outcome.level == Level::Mismatch => {}
            Some(required) if outcome.level < required => {
                let message = "it is vouched for less than the spec asks";
                let finding = Finding::new(Code::PackageLevel, place(), message);
                report.add_finding(finding.values(required.as_str(), outcome.level.as_str()));
            }
            None if outcome.level < Level::Verified => {
                let why = "it is not verified, and no spec says that less is enough";
                report.not_checked_decisive(format!("who vouches for {package}"), why);
            }
            _ => {}
        }
        let before = self.previous.and_then(|previous| previous.better(package, outcome.level));
        if let Some(before) = before.filter(|_| outcome.level != Level::Mismatch) {
            let message = "it is vouched for less than in the earlier report";
            let finding = Finding::new(Code::PackageDowngraded, place(), message);
            report.add_finding(finding.values(before.as_str(), outcome.level.as_str()));
        }
    }
}

fn about(piece: &Evidence, package: &Package, artifact: &Artifact) -> About {
    let subjects = &piece.subjects;
    let same = |digests: &crate::Digests| digests.same(&artifact.digests);
    if subjects.iter().any(|subject| same(&subject.digests) == Some(true)) {
        return About::These;
    }
    let named =
        subjects.iter().find(|subject| package_name::names(&subject.name, package, artifact));
    match (named, subjects.first()) {
        (Some(named), _) if same(&named.digests).is_none() => About::Named,
        (Some(named), _) => About::Others(named.digests.clone()),
        (None, Some(first)) if first.name.is_empty() && first.digests.is_empty() => About::Unsaid,
        (None, Some(first)) if first.name.is_empty() => About::Others(first.digests.clone()),
        (None, Some(first)) => About::Else(first.name.clone()),
        (None, None) => About::Else("nothing that is known".into()),
    }
}

/// Where an attestation of npm's or PyPI's has the right contents and another
/// name: what is expected, and what it says.
fn misnamed(
    piece: &Evidence,
    signed: &Signed,
    package: &Package,
    artifact: &Artifact,
) -> Option<(String, String)> {
    let subjects = &piece.subjects;
    if signed.names_file && subjects.len() != 1 {
        return Some(("one subject".into(), format!("{} subjects", subjects.len())));
    }
    let these = || subjects.iter().filter(|it| it.digests.same(&artifact.digests) == Some(true));
    let version = |name: &str| npm::of_purl(name).filter(|_| package.certain);
    let right = |(name, version): &(String, String)| {
        package.name == *name && package.version.as_ref() == Some(version)
    };
    let named: Vec<_> = these().filter_map(|it| Some((&it.name, version(&it.name)?))).collect();
    if let Some((first, _)) = named.first() {
        let fits = named.iter().any(|(_, version)| right(version));
        return (!fits).then(|| (package.to_string(), (*first).clone()));
    }
    let file = artifact.file.as_ref().filter(|_| signed.names_file)?;
    let other = these().find(|it| !package_name::same_python_file(file, &it.name))?;
    Some((file.clone(), other.name.clone()))
}
