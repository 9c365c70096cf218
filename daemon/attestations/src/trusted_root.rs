//! Whom Sigstore's certificates, logs and time stamps are trusted from.

use provenance_core::{encoding::json::Value, report::Code};
use sigstore_trust_root::{SIGSTORE_GITHUB_TRUSTED_ROOT, SIGSTORE_PRODUCTION_TRUSTED_ROOT};
use sigstore_types::Bundle;

use crate::{
    root::{Root, RootError},
    sigstore::{self, Contents, Proved, Refusal, Signer},
};

/// Of which day the roots in the program are. A test holds their digests, so
/// that nobody changes them without changing this.
pub(crate) const EMBEDDED: &str = "2026-10-23";
/// The roots that a verification rests on.
pub struct Roots {
    list: Vec<Root>,
    embedded: bool,
}

impl Roots {
    /// The roots in the program: Sigstore's public instance, and GitHub's for
    /// private repositories.
    ///
    /// # Errors
    /// None that a test would not have found.
    pub fn embedded() -> Result<Self, RootError> {
        let list = vec![
            Root::parse("sigstore.dev", SIGSTORE_PRODUCTION_TRUSTED_ROOT)?,
            Root::parse("githubapp.com", SIGSTORE_GITHUB_TRUSTED_ROOT)?,
        ];
        Ok(Self { list, embedded: true })
    }

    /// A root from a file: nothing else is trusted then. Several, one a line,
    /// are tried in their order.
    ///
    /// # Errors
    /// [`RootError`].
    pub fn from_json(text: &str) -> Result<Self, RootError> {
        let whole = Root::parse("--trusted-root", text);
        let each = || -> Result<Vec<Root>, RootError> {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            lines.take(32).map(|line| Root::parse("--trusted-root", line)).collect()
        };
        let list = match whole {
            Ok(root) => vec![root],
            Err(error) => each().map_err(|_| error)?,
        };
        if list.is_empty() {
            return Err(RootError("the file is empty".into()));
        }
        Ok(Self { list, embedded: false })
    }

    /// Verifies a bundle by the root that fits: one with logs where the bundle
    /// names a log. Where another one does not know its authority either, what
    /// the first says counts: that a log is missing, say.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn verify(
        &self,
        bundle: &Bundle,
        contents: Contents<'_>,
        signer: Signer<'_>,
    ) -> Result<Proved, Refusal> {
        let logged = !bundle.verification_material.tlog_entries.is_empty();
        let mut list: Vec<&Root> = self.list.iter().collect();
        if logged {
            list.retain(|root| root.knows(bundle));
        }
        if list.is_empty() {
            let why = "its transparency log is not one of the trusted root's: it is of another \
                       Sigstore, or newer than that root (--trusted-root)";
            return Err(Refusal::new(Code::PackageRoot, why));
        }
        list.sort_by_key(|root| root.logs != logged);
        let mut first = None;
        for root in list {
            match sigstore::verify(root, bundle, contents, signer) {
                Ok(proved) => return Ok(proved),
                Err(refusal) => {
                    let elsewhere = refusal.code == Some(Code::PackageCertificate);
                    // A root without logs says nothing of a bundle of one with.
                    let better = first.is_none() || root.logs;
                    if better {
                        first = Some(refusal);
                    }
                    if !elsewhere {
                        break;
                    }
                }
            }
        }
        Err(first.unwrap_or_else(|| Refusal::new(Code::PackageCertificate, "no root")))
    }

    /// What the report says of them.
    pub fn to_value(&self) -> Value {
        let each = self.list.iter().map(|root| {
            Value::object([
                ("name", root.name.as_str().into()),
                ("sha256", root.sha256.into()),
                ("logs", root.logs.into()),
            ])
        });
        Value::object([
            ("source", if self.embedded { "embedded" } else { "file" }.into()),
            ("roots", Value::Array(each.collect())),
        ])
        .with_some("date", self.embedded.then_some(EMBEDDED))
    }

    /// The same in words.
    pub fn describe(&self) -> String {
        if self.embedded {
            format!("in the program, as of {EMBEDDED}")
        } else {
            let each = self.list.iter().map(|root| format!("sha256 {}", root.sha256));
            format!("given: {}", each.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_in_the_program_are_those_of_their_date() {
        let roots = Roots::embedded().unwrap();
        let digests: Vec<String> = roots.list.iter().map(|root| root.sha256.to_string()).collect();
        let of_2026_10_23 = [
            "6494e21ea73fa7ee769f85f57d5a3e6a08725eae1e38c755fc3517c9e6bc0b66",
            "484cdfe1a7c65479c5ba2a22193d1be90f0020db1997de696ab207434c62fbb7",
        ];
        assert_eq!(digests, of_2026_10_23, "another root: change EMBEDDED with it");
        assert_eq!(EMBEDDED, "2026-10-23");
        assert!(roots.list[0].logs && !roots.list[1].logs);
    }

    #[test]
    fn what_is_no_root_is_refused() {
        let empty = r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#;
        for bad in ["", "\n", "{}", "[]", empty, &SIGSTORE_GITHUB_TRUSTED_ROOT[..2000]] {
            assert!(Roots::from_json(bad).is_err(), "{bad}");
        }
        assert!(Roots::from_json(SIGSTORE_GITHUB_TRUSTED_ROOT).is_ok());
    }
}
