//! What a certificate says of its holder. Fulcio, which issues it, takes this
//! from the token of an identity provider: it is proved as far as both are
//! trusted, and whoever signs cannot choose it.

use provenance_core::encoding::json::Value;
use sigstore_crypto::{CertificateInfo, SubjectAltName};

/// The identity provider of GitHub's workflows.
pub(super) const GITHUB: &str = "https://token.actions.githubusercontent.com";
/// The identity provider of GitLab's pipelines.
pub(super) const GITLAB: &str = "https://gitlab.com";

/// What is proved of who signed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Claims {
    /// Who vouches for the identity: an OIDC issuer.
    pub issuer: Option<String>,
    /// The certificate's subject: an e-mail address or a URI.
    pub identity: Option<String>,
    /// The repository that was built, as a URL.
    pub repository: Option<String>,
    pub git_ref: Option<String>,
    pub commit: Option<String>,
    /// The workflow's file, from the repository's root.
    pub workflow: Option<String>,
    /// The workflow that signed, as a URI with its ref: the builder, where
    /// that is a reusable workflow.
    pub builder: Option<String>,
    /// On whose machine it ran: `github-hosted` or `self-hosted`.
    pub runner: Option<String>,
    /// The run itself.
    pub run: Option<String>,
    /// The deployment environment.
    pub environment: Option<String>,
}

impl Claims {
    pub(super) fn of(certificate: &CertificateInfo) -> Self {
        let ci = &certificate.ci_claims;
        let issuer = certificate.issuer.clone();
        // Certificates from before the general extensions have GitHub's own.
        let old = &ci.deprecated_github;
        let github = issuer.as_deref() == Some(GITHUB);
        let old_repository =
            || Some(format!("https://github.com/{}", old.workflow_repository.as_ref()?));
        let repository = ci.source_repository_uri.clone();
        let repository = repository.or_else(|| old_repository().filter(|_| github));
        let identity = certificate.identity.as_ref().map(|name| name.as_str().to_owned());
        let uri = matches!(certificate.identity, Some(SubjectAltName::Uri(_)));
        let builder = ci.build_signer_uri.clone();
        let builder = builder.or_else(|| identity.clone().filter(|_| uri));
        let workflow = ci.build_config_uri.as_ref().or(builder.as_ref());
        Self {
            workflow: workflow.zip(repository.as_ref()).and_then(|(uri, of)| path_in(uri, of)),
            issuer,
            identity,
            repository,
            git_ref: ci.source_repository_ref.clone().or_else(|| old.workflow_ref.clone()),
            commit: ci.source_repository_digest.clone().or_else(|| old.workflow_sha.clone()),
            builder,
            runner: ci.runner_environment.clone(),
            run: ci.run_invocation_uri.clone(),
            environment: ci.deployment_environment.clone(),
        }
    }

    /// As JSON; what the certificate does not say is absent.
    pub(crate) fn to_value(&self) -> Value {
        let members = [
            ("issuer", &self.issuer),
            ("identity", &self.identity),
            ("repository", &self.repository),
            ("ref", &self.git_ref),
            ("commit", &self.commit),
            ("workflow", &self.workflow),
            ("builder", &self.builder),
            ("runner", &self.runner),
            ("run", &self.run),
            ("environment", &self.environment),
        ];
        let add = |value: Value, (name, text): (&str, &Option<String>)| {
            value.with_some(name, text.as_deref())
        };
        members.into_iter().fold(Value::object([]), add)
    }
}

/// The path of `https://…/owner/name/path@ref` below its repository.
fn path_in(uri: &str, repository: &str) -> Option<String> {
    let path = uri.strip_prefix(repository)?.strip_prefix('/')?;
    let (path, _) = path.rsplit_once('@')?;
    Some(path.trim_start_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflows_path_is_that_below_its_repository() {
        let path = |uri, repository| path_in(uri, repository);
        let github = "https://github.com/o/r/.github/workflows/release.yml@refs/tags/v1";
        let file = Some(".github/workflows/release.yml".to_owned());
        assert_eq!(path(github, "https://github.com/o/r"), file);
        assert_eq!(path(github, "https://github.com/o/r2"), None);
        assert_eq!(
            path(github, "https://github.com/o"),
            Some("r/.github/workflows/release.yml".into())
        );
        let gitlab = "https://gitlab.com/g/s/p//.gitlab-ci.yml@refs/heads/main";
        assert_eq!(path(gitlab, "https://gitlab.com/g/s/p"), Some(".gitlab-ci.yml".into()));
        assert_eq!(path("https://github.com/o/repo/x@y", "https://github.com/o/r"), None);
    }
}
