//! What a statement says of itself. Whoever signed could write anything here:
//! it is compared with what is proved, and proves nothing.

use serde_json::Value;
use sigstore_types::Statement;

use crate::{
    Claims, Digests, Kind,
    evidence::{Contradiction, Subject},
};

/// The type of npm's statement about a publication.
pub(crate) const NPM_PUBLISH: &str =
    "https://github.com/npm/attestation/tree/main/specs/publish/v0.1";
/// The type of PyPI's statement about a publication.
pub(crate) const PYPI_PUBLISH: &str = "https://docs.pypi.org/attestations/publish/v1";
/// SLSA provenance, in the two versions that are in use.
const SLSA: [&str; 2] = ["https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v1"];
/// Builds by GitHub's workflows, in SLSA v1; what is in the parameters of
/// others is theirs to say.
const WORKFLOW: [&str; 2] = [
    "https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1",
    "https://actions.github.io/buildtypes/workflow/v1",
];
/// Before the name of the machine's kind, in a builder's id.
const RUNNER: &str = "https://github.com/actions/runner/";

pub(super) fn kind(statement: &Statement) -> Kind {
    match &*statement.predicate_type {
        known if SLSA.contains(&known) => Kind::Provenance,
        NPM_PUBLISH | PYPI_PUBLISH => Kind::Publish,
        _ => Kind::Attestation,
    }
}

pub(super) fn subjects(statement: &Statement) -> Vec<Subject> {
    let of = |subject: &sigstore_types::Subject| {
        let mut digests = Digests::default();
        let digest = &subject.digest;
        if let Some(sha256) = &digest.sha256 {
            digests.insert(crate::Hash::Sha256, sha256.as_bytes());
        }
        if let Some(sha512) = &digest.sha512 {
            digests.insert(crate::Hash::Sha512, sha512.as_bytes());
        }
        Subject { name: subject.name.clone(), digests }
    };
    statement.subject.iter().map(of).collect()
}

/// What provenance says of a build.
#[derive(Debug, Default)]
struct Claimed {
    repository: Option<String>,
    git_ref: Option<String>,
    commit: Option<String>,
    workflow: Option<String>,
    builder: Option<String>,
    run: Option<String>,
}

/// Where the statement says something else than what is proved. What it says
/// and the certificate does not is left out: nothing contradicts it.
pub(super) fn contradictions(statement: &Statement, proved: &Claims) -> Vec<Contradiction> {
    let claimed = claimed(statement);
    let pairs = [
        ("repository", claimed.repository, &proved.repository),
        ("ref", claimed.git_ref, &proved.git_ref),
        ("commit", claimed.commit, &proved.commit),
        ("workflow", claimed.workflow, &proved.workflow),
        ("run", claimed.run, &proved.run),
    ];
    let differs = |(what, claimed, proved): (_, Option<String>, &Option<String>)| {
        let (claimed, proved) = (claimed?, proved.clone()?);
        (claimed != proved).then_some((what, claimed, proved))
    };
    let mut found: Vec<_> = pairs.into_iter().filter_map(differs).collect();
    if let Some(builder) = claimed.builder
        && let Some(proved) = other_builder(&builder, proved)
    {
        found.push(("builder", builder, proved));
    }
    found
}

/// What is proved of the builder, where that is another one.
fn other_builder(id: &str, proved: &Claims) -> Option<String> {
    if let Some(runner) = id.strip_prefix(RUNNER) {
        return proved.runner.clone().filter(|proved| proved != runner);
    }
    // A workflow with its ref is a signer; other names are the builder's own.
    let workflow = id.contains("/.github/workflows/");
    let builder = proved.builder.clone().filter(|_| workflow)?;
    let same = builder == id || builder.split('@').next() == Some(id);
    (!same).then_some(builder)
}

fn claimed(statement: &Statement) -> Claimed {
    let predicate = &statement.predicate;
    let text = |pointer: &str| predicate.pointer(pointer)?.as_str().map(str::to_owned);
    match &*statement.predicate_type {
        "https://slsa.dev/provenance/v1" => {
            let known = text("/buildDefinition/buildType")
                .is_some_and(|it| WORKFLOW.contains(&it.as_str()));
            let of = |name: &str| {
                text(&format!("/buildDefinition/externalParameters/workflow/{name}"))
                    .filter(|_| known)
            };
            let repository = of("repository");
            let commit = repository.as_ref().and_then(|repository| commit(predicate, repository));
            Claimed {
                git_ref: of("ref"),
                workflow: of("path"),
                commit,
                repository,
                builder: text("/runDetails/builder/id"),
                run: text("/runDetails/metadata/invocationId").filter(|_| known),
            }
        }
        "https://slsa.dev/provenance/v0.2" => {
            let source = text("/invocation/configSource/uri");
            let (repository, git_ref) = source.as_deref().map(git).unwrap_or_default();
            // GitLab's own generator gives the repository without a ref.
            let entry = text("/invocation/configSource/entryPoint");
            Claimed {
                commit: text("/invocation/configSource/digest/sha1")
                    .filter(|_| repository.is_some()),
                workflow: entry.filter(|path| path.starts_with(".github/workflows/")),
                repository,
                git_ref,
                builder: text("/builder/id"),
                run: None,
            }
        }
        _ => Claimed::default(),
    }
}

/// The commit of the repository among what the build resolved.
fn commit(predicate: &Value, repository: &str) -> Option<String> {
    let list = predicate.pointer("/buildDefinition/resolvedDependencies")?.as_array()?;
    let of = |item: &&Value| {
        let uri = item.get("uri").and_then(Value::as_str);
        uri.is_some_and(|uri| git(uri).0.as_deref() == Some(repository))
    };
    let commit = list.iter().take(1000).find(of)?.pointer("/digest/gitCommit")?;
    commit.as_str().map(str::to_owned)
}

/// `git+https://host/owner/name@ref`, apart.
fn git(uri: &str) -> (Option<String>, Option<String>) {
    let Some(rest) = uri.strip_prefix("git+") else { return (None, None) };
    let (repository, git_ref) = match rest.split_once('@') {
        Some((repository, git_ref)) => (repository, Some(git_ref.to_owned())),
        None => (rest, None),
    };
    (Some(repository.trim_end_matches(".git").to_owned()), git_ref)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(predicate_type: &str, predicate: &str) -> Statement {
        let text = format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[],
                "predicateType":"{predicate_type}","predicate":{predicate}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn proved() -> Claims {
        Claims {
            repository: Some("https://github.com/o/r".into()),
            git_ref: Some("refs/tags/v1".into()),
            commit: Some("abc".into()),
            workflow: Some(".github/workflows/release.yml".into()),
            builder: Some("https://github.com/o/b/.github/workflows/b.yml@refs/tags/v2".into()),
            runner: Some("github-hosted".into()),
            run: Some("https://github.com/o/r/actions/runs/1/attempts/1".into()),
            ..Claims::default()
        }
    }

    fn v1(change: impl Fn(String) -> String) -> Vec<&'static str> {
        let predicate = r#"{"buildDefinition":{
            "buildType":"https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters":{"workflow":{"ref":"refs/tags/v1",
              "repository":"https://github.com/o/r","path":".github/workflows/release.yml"}},
            "resolvedDependencies":[{"uri":"git+https://github.com/o/r@refs/tags/v1",
              "digest":{"gitCommit":"abc"}}]},
            "runDetails":{"builder":{"id":"https://github.com/actions/runner/github-hosted"},
              "metadata":{"invocationId":"https://github.com/o/r/actions/runs/1/attempts/1"}}}"#;
        let statement = statement("https://slsa.dev/provenance/v1", &change(predicate.into()));
        contradictions(&statement, &proved()).into_iter().map(|(what, ..)| what).collect()
    }

    #[test]
    fn each_lie_of_slsa_v1_about_its_build_is_found() {
        assert_eq!(v1(|it| it), [""; 0]);
        let lie = |from: &'static str, to: &'static str| v1(move |it| it.replace(from, to));
        assert_eq!(lie("\"https://github.com/o/r\"", "\"https://github.com/e/r\""), ["repository"]);
        assert_eq!(lie("\"ref\":\"refs/tags/v1", "\"ref\":\"refs/tags/v2"), ["ref"]);
        assert_eq!(lie("abc", "abd"), ["commit"]);
        assert_eq!(lie("release.yml", "other.yml"), ["workflow"]);
        assert_eq!(lie("runs/1", "runs/2"), ["run"]);
        assert_eq!(lie("github-hosted", "self-hosted"), ["builder"]);
        let workflow = "https://github.com/o/b/.github/workflows/c.yml@refs/tags/v2";
        assert_eq!(
            v1(|it| it.replace("https://github.com/actions/runner/github-hosted", workflow)),
            ["builder"]
        );
        let same = "https://github.com/o/b/.github/workflows/b.yml@refs/tags/v2";
        assert_eq!(
            v1(|it| it.replace("https://github.com/actions/runner/github-hosted", same)),
            [""; 0]
        );
        // Another build type has other parameters: nothing is read into them.
        assert_eq!(
            v1(|it| it.replace("actions.github.io", "example.org").replace("abc", "x")),
            [""; 0]
        );
    }

    #[test]
    fn each_lie_of_slsa_v02_about_its_build_is_found() {
        let predicate = r#"{"builder":{"id":"https://github.com/actions/runner"},
            "invocation":{"configSource":{"uri":"git+https://github.com/o/r@refs/tags/v1",
              "digest":{"sha1":"abc"},"entryPoint":".github/workflows/release.yml"}}}"#;
        let lie = |from: &str, to: &str| -> Vec<_> {
            let statement =
                statement("https://slsa.dev/provenance/v0.2", &predicate.replace(from, to));
            contradictions(&statement, &proved()).into_iter().map(|(what, ..)| what).collect()
        };
        assert_eq!(lie("", ""), [""; 0]);
        assert_eq!(lie("o/r@", "e/r@"), ["repository"]);
        assert_eq!(lie("refs/tags/v1", "refs/heads/main"), ["ref"]);
        assert_eq!(lie("abc", "abd"), ["commit"]);
        assert_eq!(lie("release.yml", "r.yml"), ["workflow"]);
    }

    #[test]
    fn a_predicate_of_any_form_is_read_without_harm() {
        for predicate in ["null", "[]", "7", r#"{"buildDefinition":[1]}"#, r#"{"invocation":{}}"#] {
            for kind in SLSA {
                assert!(contradictions(&statement(kind, predicate), &proved()).is_empty());
            }
        }
    }
}
