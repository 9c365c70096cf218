//! The records of packages: what happened to one, in its life.

use alloc::{collections::BTreeMap, string::String};

use super::{EntryError, Members, wrong};
use crate::{
    encoding::{digest::Digest, json::Value},
    statement::is_chain_id,
};

/// What can happen to a version of a package.
pub const EVENTS: [&str; 9] = [
    "package.registered",
    "package.build.start",
    "package.build.complete",
    "package.build.failed",
    "package.test.complete",
    "package.certificate.issued",
    "package.published",
    "package.deprecated",
    "package.unpublished",
];

/// An event has at most so many details.
pub const MAX_DETAILS: usize = 32;
/// A detail is at most so many bytes.
pub const MAX_DETAIL: usize = 1024;
/// The endings of the files of a published version: the archive, its
/// certificate, the statement, the attestation of its build.
pub const PUBLISHED: [&str; 4] =
    ["tgz", "cert.pem", "publication.sigstore.json", "provenance.sigstore.json"];
const MAX_NAME: usize = 214;
const MAX_VERSION: usize = 64;

/// Something happened to a version of a package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PackageEntry {
    /// The event's id: 32 lower-case hex digits, given by whoever reports it.
    pub id: String,
    /// What happened, such as `package.published`.
    pub event: String,
    /// To which package: `name` or `@scope/name`.
    pub package: String,
    /// To which version.
    pub version: String,
    /// Who says so.
    pub who: String,
    /// More, in words.
    pub details: BTreeMap<String, String>,
    /// Digest of the package's archive.
    pub sha256: Option<Digest>,
    /// The certificate that goes with it.
    pub certificate: Option<String>,
}

/// How a version stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// It is known, and was not published.
    Registered,
    /// It is there for everybody.
    Published,
    /// It is there, and should not be used.
    Deprecated,
    /// It was taken back.
    Unpublished,
}

/// Why an event cannot follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Already on record.
    #[error("this version is registered already")]
    Twice,
    /// Not on record yet.
    #[error("this version is not registered")]
    Unknown,
    /// A version is published once: others may have it.
    #[error("this version was published before, and a version never changes: use a new number")]
    Again,
    /// Only what is published can be deprecated or unpublished.
    #[error("this version is not published")]
    NotPublished,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Registered, Self::Published, Self::Deprecated, Self::Unpublished];

    /// As people and programs see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Published => "published",
            Self::Deprecated => "deprecated",
            Self::Unpublished => "unpublished",
        }
    }

    /// Reads what [`Self::as_str`] gives.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// The event that leads to it.
    pub fn event(self) -> &'static str {
        match self {
            Self::Registered => "package.registered",
            Self::Published => "package.published",
            Self::Deprecated => "package.deprecated",
            Self::Unpublished => "package.unpublished",
        }
    }

    /// How a version stands after an event, from how it stood before it.
    ///
    /// # Errors
    /// [`Refusal`] where the event cannot follow.
    pub fn after(before: Option<Self>, event: &str) -> Result<Self, Refusal> {
        let to = Self::ALL.into_iter().find(|status| status.event() == event);
        match (before, to) {
            (None, Some(Self::Registered)) => Ok(Self::Registered),
            (Some(_), Some(Self::Registered)) => Err(Refusal::Twice),
            (None, _) => Err(Refusal::Unknown),
            (Some(Self::Registered), Some(Self::Published)) => Ok(Self::Published),
            // What was deprecated by mistake is taken up again.
            (Some(Self::Deprecated), Some(Self::Published)) => Ok(Self::Published),
            (Some(_), Some(Self::Published)) => Err(Refusal::Again),
            (Some(Self::Published), Some(Self::Deprecated)) => Ok(Self::Deprecated),
            (Some(Self::Published | Self::Deprecated), Some(Self::Unpublished)) => {
                Ok(Self::Unpublished)
            }
            (Some(_), Some(_)) => Err(Refusal::NotPublished),
            (Some(before), None) => Ok(before),
        }
    }
}

/// Whether it names a package: `name` or `@scope/name`, whose parts are files'
/// names everywhere.
pub fn is_package(name: &str) -> bool {
    let plain = |part: &str| is_part(part, "._-+");
    name.len() <= MAX_NAME
        && match name.strip_prefix('@') {
            Some(rest) => {
                rest.split_once('/').is_some_and(|(scope, name)| plain(scope) && plain(name))
            }
            None => plain(name),
        }
}

/// Whether it is a version.
pub fn is_version(version: &str) -> bool {
    version.len() <= MAX_VERSION && is_part(version, "._-+~")
}

fn is_part(part: &str, also: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_alphanumeric())
        && part.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
}

/// The name below the state folder of a file that belongs to a version.
pub fn file(package: &str, version: &str, ending: &str) -> String {
    alloc::format!("packages/{package}/{version}.{ending}")
}

impl PackageEntry {
    /// Whether all of it is as it must be; what it says is not judged.
    ///
    /// # Errors
    /// [`EntryError`] naming the member.
    pub fn check(&self) -> Result<(), EntryError> {
        let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let detail = |(name, text): (&String, &String)| {
            !name.is_empty()
                && name.len() <= 64
                && name.chars().all(lower)
                && text.len() <= MAX_DETAIL
        };
        if !is_chain_id(&self.id) {
            Err(wrong("id", "32 lower-case hex digits"))
        } else if !EVENTS.contains(&&*self.event) {
            Err(wrong("event", "one that packages have"))
        } else if !is_package(&self.package) {
            Err(wrong("package", "`name` or `@scope/name` of letters, digits and . _ - +"))
        } else if !is_version(&self.version) {
            Err(wrong("version", "letters, digits and . _ - + ~, at most 64"))
        } else if self.who.is_empty() || self.who.len() > 256 {
            Err(wrong("who", "1 to 256 bytes"))
        } else if self.details.len() > MAX_DETAILS || !self.details.iter().all(detail) {
            Err(wrong("details", "at most 32 texts of at most 1024 bytes, named in lower case"))
        } else if self.certificate.as_ref().is_some_and(|id| !is_chain_id(id)) {
            Err(wrong("certificate", "a certificate's id"))
        } else {
            Ok(())
        }
    }

    pub(super) fn read(members: &Members<'_>) -> Result<Self, EntryError> {
        let details = match members.0.get("details") {
            Some(Value::Object(details)) => details
                .iter()
                .map(|(name, text)| Some((name.as_str().into(), text.as_str()?.into())))
                .collect::<Option<_>>(),
            _ => None,
        };
        let entry = Self {
            id: members.text("id")?,
            event: members.text("event")?,
            package: members.text("package")?,
            version: members.text("version")?,
            who: members.text("who")?,
            details: details.ok_or_else(|| wrong("details", "an object of texts"))?,
            sha256: match members.0.get("sha256") {
                Some(_) => Some(members.digest("sha256")?),
                None => None,
            },
            certificate: members.maybe_text("certificate"),
        };
        entry.check()?;
        Ok(entry)
    }

    /// The data as JSON.
    pub fn to_value(&self) -> Value {
        let details = self
            .details
            .iter()
            .fold(Value::object([]), |object, (name, text)| object.with(name, text.as_str()));
        Value::object([
            ("details", details),
            ("event", self.event.as_str().into()),
            ("id", self.id.as_str().into()),
            ("package", self.package.as_str().into()),
            ("version", self.version.as_str().into()),
            ("who", self.who.as_str().into()),
        ])
        .with_some("certificate", self.certificate.as_deref())
        .with_some("sha256", self.sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Entry;

    fn entry() -> PackageEntry {
        PackageEntry {
            id: "0123456789abcdef0123456789abcdef".into(),
            event: "package.published".into(),
            package: "@acme/agent".into(),
            version: "1.2.3-rc.1+b".into(),
            who: "anna".into(),
            details: [("commit".into(), "abc".into())].into(),
            sha256: Some(Digest::sha256(b"x")),
            certificate: Some("0123456789abcdef0123456789abcdef".into()),
        }
    }

    #[test]
    fn each_survives_its_bytes_and_nothing_else_passes() {
        let bare = PackageEntry { sha256: None, certificate: None, ..entry() };
        for entry in [entry(), bare] {
            let entry = Entry::Package(entry);
            let value = entry.to_value();
            assert_eq!(Entry::read("package", &value.encode()), Ok(entry));
            for (member, bad) in [
                ("zz", "x"),
                ("id", "A"),
                ("event", "package.eaten"),
                ("package", "../x"),
                ("version", ".."),
                ("who", ""),
                ("details", "x"),
                ("certificate", "x"),
                ("sha256", "x"),
            ] {
                let bad = value.clone().with(member, bad).encode();
                assert!(Entry::read("package", &bad).is_err(), "{member}");
            }
        }
        let details = (0..33).map(|n| (alloc::format!("n{n}"), String::new())).collect();
        assert!(PackageEntry { details, ..entry() }.check().is_err());
        let details = [("n".into(), "x".repeat(1025))].into();
        assert!(PackageEntry { details, ..entry() }.check().is_err());
    }

    #[test]
    fn names_are_those_of_files_and_lead_nowhere_else() {
        for good in ["a", "@acme/agent", "libc++", "a.b_c-d", "1x"] {
            assert!(is_package(good), "{good}");
            assert!(crate::packet::is_safe_name(&file(good, "1.0.0", "tgz")));
        }
        let long = "a".repeat(215);
        for bad in [
            "",
            ".",
            "..",
            "@",
            "@a",
            "@a/",
            "@/a",
            "@a/../b",
            "@a/b/c",
            "a/b",
            "-a",
            "a b",
            "a\0",
            "ä",
            "@@a/b",
            long.as_str(),
        ] {
            assert!(!is_package(bad), "{bad}");
        }
        for bad in ["", ".", "..", "1/2", "-1", "1 2", "1\n", "v@1"] {
            assert!(!is_version(bad), "{bad}");
        }
    }

    #[test]
    fn a_version_is_published_once_and_goes_its_way() {
        use Status::{Deprecated, Published, Registered, Unpublished};
        let after = Status::after;
        assert_eq!(after(None, "package.registered"), Ok(Registered));
        assert_eq!(after(None, "package.build.start"), Err(Refusal::Unknown));
        assert_eq!(after(Some(Registered), "package.build.start"), Ok(Registered));
        assert_eq!(after(Some(Registered), "package.registered"), Err(Refusal::Twice));
        assert_eq!(after(Some(Registered), "package.deprecated"), Err(Refusal::NotPublished));
        assert_eq!(after(Some(Registered), "package.published"), Ok(Published));
        assert_eq!(after(Some(Published), "package.published"), Err(Refusal::Again));
        assert_eq!(after(Some(Published), "package.deprecated"), Ok(Deprecated));
        assert_eq!(after(Some(Deprecated), "package.published"), Ok(Published));
        assert_eq!(after(Some(Deprecated), "package.unpublished"), Ok(Unpublished));
        assert_eq!(after(Some(Unpublished), "package.published"), Err(Refusal::Again));
        assert_eq!(after(Some(Unpublished), "package.deprecated"), Err(Refusal::NotPublished));
        assert_eq!(after(Some(Unpublished), "package.test.complete"), Ok(Unpublished));
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
            assert!(EVENTS.contains(&status.event()));
        }
    }
}
