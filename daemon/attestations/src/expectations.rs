//! What the auditor expects of packages, and how much is enough: `spec.toml`
//! (docs/packages.md).

use std::collections::BTreeSet;

use globset::{Glob, GlobMatcher};
use serde::Deserialize;

use crate::{
    Claims, Kind, Level, Package,
    certificate_claims::{GITHUB, GITLAB},
};

/// A spec is at most this long.
pub const MAX_SPEC: u64 = 1 << 20;
/// As issuer: that the certificate names none, as those of GitHub's releases.
const NONE: &str = "none";
/// Rules in it.
const MAX_RULES: usize = 10_000;

/// What is expected of all packages.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// Whether what fails only warns: the exit code is 0 then.
    pub warn: bool,
    /// Whether a registry's word for when it published is believed, where its
    /// key does not count any more.
    pub stated_times: bool,
    /// What packages need for which no rule says it; `None`: nobody decided.
    pub minimum: Option<Level>,
    rules: Vec<Rule>,
}

/// What is expected of the packages that it matches.
#[derive(Clone, Debug)]
pub struct Rule {
    pattern: String,
    glob: GlobMatcher,
    /// What these need.
    pub minimum: Level,
    /// Which kinds of evidence count; empty: each.
    pub kinds: BTreeSet<Kind>,
    /// Who should have signed.
    pub signer: Option<Expected>,
}

/// Who should have signed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Expected {
    issuer: Option<String>,
    identity: Option<String>,
    repository: Option<String>,
    git_ref: Option<String>,
    workflow: Option<String>,
    builder: Option<String>,
    environment: Option<String>,
}

/// Why there is no spec.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SpecError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    stated_times: bool,
    minimum: Option<String>,
    #[serde(default)]
    package: Vec<FileRule>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Strict,
    Warn,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRule {
    name: String,
    minimum: Option<String>,
    #[serde(default)]
    kinds: Vec<String>,
    issuer: Option<String>,
    identity: Option<String>,
    repository: Option<String>,
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    workflow: Option<String>,
    builder: Option<String>,
    environment: Option<String>,
}

impl Spec {
    /// Reads a spec.
    ///
    /// # Errors
    /// [`SpecError`], with the line where there is one.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let file: File = toml::from_str(text).map_err(|error| SpecError(error.to_string()))?;
        if file.package.len() > MAX_RULES {
            return Err(SpecError(format!("over {MAX_RULES} rules")));
        }
        let rules = file.package.into_iter().map(FileRule::rule).collect::<Result<_, _>>()?;
        Ok(Self {
            warn: matches!(file.mode, Mode::Warn),
            stated_times: file.stated_times,
            minimum: file.minimum.as_deref().map(level).transpose()?,
            rules,
        })
    }

    /// The first rule that matches the package, by its full name or by a
    /// file's as `file:NAME`.
    pub fn rule(&self, package: &Package) -> Option<&Rule> {
        let files = package.files.iter().filter_map(|artifact| artifact.file.as_deref());
        let names: Vec<String> =
            files.map(|file| format!("file:{file}")).chain([package.full_name()]).collect();
        self.rules.iter().find(|rule| names.iter().any(|name| rule.glob.is_match(name)))
    }

    /// Rules that match none of these packages: perhaps misspelt.
    pub fn idle<'a>(&'a self, packages: &[Package]) -> Vec<&'a str> {
        let used: Vec<*const Rule> = packages
            .iter()
            .filter_map(|package| self.rule(package))
            .map(std::ptr::from_ref)
            .collect();
        let idle = self.rules.iter().filter(|rule| !used.contains(&std::ptr::from_ref(*rule)));
        idle.map(|rule| rule.pattern.as_str()).collect()
    }
}

fn level(name: &str) -> Result<Level, SpecError> {
    Level::of(name).filter(|level| *level != Level::Mismatch).ok_or_else(|| {
        SpecError(format!("minimum = \"{name}\": it is absent, detected or verified"))
    })
}

impl FileRule {
    fn rule(self) -> Result<Rule, SpecError> {
        let wrong =
            |what: &str| Err(SpecError(format!("[[package]] name = \"{}\": {what}", self.name)));
        let scheme = ["npm:", "pypi:", "file:", "*"].iter().any(|it| self.name.starts_with(it));
        if !scheme {
            return wrong("write npm:NAME, pypi:NAME or file:NAME, with * for any text");
        }
        let glob = match Glob::new(&self.name) {
            Ok(glob) => glob.compile_matcher(),
            Err(error) => return wrong(&error.to_string()),
        };
        let mut kinds = BTreeSet::new();
        for name in &self.kinds {
            match Kind::ALL.into_iter().find(|kind| kind.as_str() == name) {
                Some(kind) => _ = kinds.insert(kind),
                None => return wrong(&format!("no kind \"{name}\"")),
            }
        }
        let whose = self.repository.is_some() || self.identity.is_some();
        let more = [&self.git_ref, &self.workflow, &self.builder, &self.issuer, &self.environment];
        if !whose && more.iter().any(|it| it.is_some()) {
            return wrong("say whose: repository or identity");
        }
        if self.git_ref.as_ref().is_some_and(|it| !it.starts_with("refs/")) {
            return wrong("a ref begins with refs/, such as refs/heads/main or refs/tags/v*");
        }
        let repository = self.repository.as_deref().map(plain_repository);
        // Most are proved as URLs, CircleCI's without the scheme.
        let host =
            |it: &str| it.trim_start_matches("https://").split('/').next().map(str::to_owned);
        if repository.as_deref().and_then(host).is_some_and(|host| !host.contains('.')) {
            return wrong("a repository is named with its host: https://github.com/…");
        }
        let named = repository.as_deref().or(self.identity.as_deref());
        let issuer = self.issuer.clone().or_else(|| named.and_then(issuer_of).map(str::to_owned));
        if whose && issuer.is_none() {
            return wrong("say the issuer who vouches for that identity");
        }
        let minimum = self.minimum.as_deref().map(level).transpose()?.unwrap_or(Level::Verified);
        let signer = whose.then_some(Expected {
            issuer,
            identity: self.identity,
            repository,
            git_ref: self.git_ref,
            workflow: self.workflow,
            builder: self.builder,
            environment: self.environment,
        });
        Ok(Rule { pattern: self.name, glob, minimum, kinds, signer })
    }
}

fn plain_repository(url: &str) -> String {
    let url = url.trim_end_matches('/');
    url.strip_suffix(".git").unwrap_or(url).to_owned()
}

/// Who vouches for identities of this host; others can be named with issuers
/// that vouch for anything.
fn issuer_of(name: &str) -> Option<&'static str> {
    let hosts = [("https://github.com/", GITHUB), ("https://gitlab.com/", GITLAB)];
    hosts.into_iter().find(|(host, _)| name.starts_with(host)).map(|(_, issuer)| issuer)
}

impl Expected {
    /// Where what is proved is not what is expected: of what, what is
    /// expected, and what is proved.
    pub(crate) fn differences(&self, proved: &Claims) -> Vec<(&'static str, String, String)> {
        type Same<'a> = &'a dyn Fn(&str, &str) -> bool;
        let part = |what: &'static str,
                    expected: &Option<String>,
                    proved: &Option<String>,
                    same: Same<'_>| {
            let (expected, found) = (expected.as_deref()?, proved.as_deref().unwrap_or(NONE));
            let named = proved.is_some() || what == "issuer";
            let holds = named && same(expected, found);
            (!holds).then(|| (what, expected.to_owned(), found.to_owned()))
        };
        let exact: Same<'_> = &|expected, proved| expected == proved;
        let builder: Same<'_> =
            &|expected, signer| is_builder(expected, signer, proved.runner.as_deref());
        let parts = [
            part("issuer", &self.issuer, &proved.issuer, exact),
            part("identity", &self.identity, &proved.identity, exact),
            part("repository", &self.repository, &proved.repository, exact),
            part("ref", &self.git_ref, &proved.git_ref, &matches),
            part("workflow", &self.workflow, &proved.workflow, &is_workflow),
            part("builder", &self.builder, &proved.builder, builder),
            part("environment", &self.environment, &proved.environment, exact),
        ];
        parts.into_iter().flatten().collect()
    }
}

/// A file's name alone is one in the usual folder.
fn is_workflow(expected: &str, proved: &str) -> bool {
    expected == proved || proved.strip_prefix(".github/workflows/") == Some(expected)
}

/// A builder is a workflow, with or without its ref, or whose machine it ran on.
fn is_builder(expected: &str, signer: &str, runner: Option<&str>) -> bool {
    if let Some(wanted) = expected.strip_prefix("https://github.com/actions/runner/") {
        return runner == Some(wanted);
    }
    expected == signer || signer.rsplit_once('@').map(|(path, _)| path) == Some(expected)
}

/// Whether `text` is of a pattern in which `*` is any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests;
