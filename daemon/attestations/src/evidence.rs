//! Evidence of who vouches for a package: its forms, and where it was found.

use provenance_core::encoding::time::Timestamp;
use serde::Deserialize;
use sigstore_types::{Bundle, Statement, bundle::VerificationMaterialContent};

use crate::{
    Claims, Digests, Kind,
    certificate_claims::{GITHUB, GITLAB},
};

/// Pieces of evidence in one file.
pub(crate) const MAX_PIECES: usize = 10_000;

/// Where a piece of evidence is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Source {
    pub file: String,
    /// Which one in it, from 1: its line, where it has a line of its own.
    pub number: u64,
}

/// A piece of evidence.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Where it is.
    pub source: Source,
    /// What it is.
    pub kind: Kind,
    /// What it is about.
    pub subjects: Vec<Subject>,
    /// The evidence itself.
    pub content: Content,
}

/// The forms of evidence.
#[derive(Clone, Debug)]
pub enum Content {
    /// A Sigstore bundle.
    Bundle(Box<Signed>),
    /// A registry's signature.
    Registry(RegistrySignature),
}

/// A Sigstore bundle, and what stands around it.
#[derive(Clone, Debug)]
pub struct Signed {
    pub bundle: Bundle,
    /// The statement in it, where it has one.
    pub statement: Option<Statement>,
    /// Whom an index calls the publisher.
    pub publisher: Option<Publisher>,
    /// Whether its subject names the file as an index does.
    pub names_file: bool,
}

/// What a piece of evidence is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subject {
    /// A name, which may be empty.
    pub name: String,
    pub digests: Digests,
}

/// A piece of a file that looks like evidence and cannot be read as such.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed {
    pub source: Source,
    pub why: String,
    /// Whether it is something else altogether, and no damaged evidence.
    pub other: bool,
}

/// A piece of evidence before it is known where it stands.
pub(crate) type ParsedEvidence = Result<(Kind, Content), String>;

impl Signed {
    /// The hint at a public key, where no certificate is in the bundle.
    pub(crate) fn key_hint(&self) -> Option<&str> {
        match &self.bundle.verification_material.content {
            VerificationMaterialContent::PublicKey(key) => Some(&key.hint),
            _ => None,
        }
    }
}

/// The registry's signature over a version: name, version and contents.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistrySignature {
    pub name: String,
    pub version: String,
    /// What the tarball is, as the registry writes it.
    pub integrity: String,
    /// Which of the registry's keys.
    pub key: String,
    /// The signature, in base64.
    pub signature: String,
    /// When the version was published, as the metadata say: nobody signs this.
    pub published: Option<Timestamp>,
}

impl RegistrySignature {
    /// What is signed.
    pub(crate) fn message(&self) -> String {
        format!("{}@{}:{}", self.name, self.version, self.integrity)
    }
}

/// Whom the index calls the publisher: the index's word, compared with the
/// certificate.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Publisher {
    kind: String,
    repository: Option<String>,
    workflow: Option<String>,
    workflow_filepath: Option<String>,
    email: Option<String>,
}

impl Publisher {
    /// Where the index names somebody else than the certificate proves.
    pub(crate) fn contradictions(&self, proved: &Claims) -> Vec<Contradiction> {
        let (issuer, repository, workflow) = match &*self.kind {
            "GitHub" => (
                Some(GITHUB),
                self.repository.as_ref().map(|name| format!("https://github.com/{name}")),
                self.workflow.as_ref().map(|name| format!(".github/workflows/{name}")),
            ),
            "GitLab" => (
                Some(GITLAB),
                self.repository.as_ref().map(|name| format!("https://gitlab.com/{name}")),
                self.workflow_filepath.clone(),
            ),
            "Google" => (Some(GOOGLE), None, None),
            _ => (None, None, None),
        };
        let google = self.kind == "Google";
        let pairs = [
            ("issuer", issuer.map(str::to_owned), &proved.issuer),
            ("repository", repository, &proved.repository),
            ("workflow", workflow, &proved.workflow),
            ("identity", self.email.clone().filter(|_| google), &proved.identity),
        ];
        let differs = |(what, said, proved): (_, Option<String>, &Option<String>)| {
            let (said, proved) = (said?, proved.clone().unwrap_or_else(|| "none".into()));
            // The hosts know no case in the names of owners and projects.
            let same = match what {
                "repository" => said.eq_ignore_ascii_case(&proved),
                _ => said == proved,
            };
            (!same).then_some((what, said, proved))
        };
        pairs.into_iter().filter_map(differs).collect()
    }
}

/// A difference: of what, what the statement says, and what is proved.
pub(crate) type Contradiction = (&'static str, String, String);

pub(crate) const GOOGLE: &str = "https://accounts.google.com";
