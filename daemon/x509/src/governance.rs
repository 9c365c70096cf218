//! What a certificate says of its subject, in one text: canonical JSON, with
//! what is not ASCII escaped, because the extension takes nothing else.

use std::fmt::Write as _;

use provenance_core::{
    encoding::{digest::Digest, json::Value, time::Timestamp},
    registry::{
        Governance, Issued, SubjectKind,
        package::{is_package, is_version},
    },
    statement::is_chain_id,
};
use serde::Deserialize;

/// It is at most so many bytes.
const MAX_COMMENT: usize = 8 << 10;
/// A field is at most so many bytes.
pub const MAX_FIELD: usize = 256;

/// The part of [`Issued`] that X.509 has no place for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GovernanceExtension {
    /// What it is for.
    pub subject: SubjectKind,
    pub name: String,
    /// A package's version.
    pub version: Option<String>,
    /// A package's archive.
    pub artifact_sha256: Option<Digest>,
    /// The certificate that it takes the place of.
    pub renews: Option<String>,
    /// Who decided it.
    pub governance: Governance,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    approved_at: String,
    approved_by: String,
    artifact_sha256: Option<String>,
    name: String,
    place: String,
    policy_version: String,
    renews: Option<String>,
    subject: String,
    version: Option<String>,
}

impl From<&Issued> for GovernanceExtension {
    fn from(issued: &Issued) -> Self {
        Self {
            subject: issued.subject,
            name: issued.name.clone(),
            version: issued.version.clone(),
            artifact_sha256: issued.artifact_sha256,
            renews: issued.renews.clone(),
            governance: issued.governance.clone(),
        }
    }
}

/// The text of the comment.
pub fn write(said: &GovernanceExtension) -> String {
    let value = Value::object([
        ("name", said.name.as_str().into()),
        ("subject", said.subject.as_str().into()),
    ]);
    let value = said
        .governance
        .write(value)
        .with_some("artifact_sha256", said.artifact_sha256)
        .with_some("renews", said.renews.as_deref())
        .with_some("version", said.version.as_deref());
    let mut ascii = String::new();
    for c in String::from_utf8_lossy(&value.encode()).chars() {
        if c.is_ascii() && c != '\x7f' {
            ascii.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing into a string cannot fail.
            let _ = write!(ascii, "\\u{unit:04x}");
        }
    }
    ascii
}

/// Reads exactly what [`write`] gives.
///
/// # Errors
/// What is wrong with it.
pub fn read(text: &str) -> Result<GovernanceExtension, &'static str> {
    if text.len() > MAX_COMMENT {
        return Err("a comment of at most 8 KiB");
    }
    let json: Json = serde_json::from_str(text).map_err(|_| "a comment in our JSON")?;
    let digest = |hex: String| Digest::from_hex(hex.as_bytes()).ok_or("a digest in hex");
    let subject = SubjectKind::ALL.into_iter().find(|kind| kind.as_str() == json.subject);
    let said = GovernanceExtension {
        subject: subject.ok_or("a known kind of subject")?,
        name: json.name,
        version: json.version,
        artifact_sha256: json.artifact_sha256.map(digest).transpose()?,
        renews: json.renews,
        governance: Governance {
            approved_by: json.approved_by,
            approved_at: Timestamp::parse(json.approved_at.as_bytes()).ok_or("a time")?,
            place: json.place,
            policy_version: json.policy_version,
        },
    };
    judge(&said)?;
    if write(&said) == text { Ok(said) } else { Err("a comment in its one form") }
}

/// Whether a certificate can say it.
///
/// # Errors
/// What would be right.
pub fn judge(said: &GovernanceExtension) -> Result<(), &'static str> {
    let part = |part: &str| {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        !part.is_empty() && part.chars().all(fits) && part.is_ascii()
    };
    let fits = match said.subject {
        SubjectKind::Authority => part(&said.name),
        SubjectKind::Package => is_package(&said.name),
        SubjectKind::Service => is_dns_name(&said.name),
        SubjectKind::Appliance => {
            said.name.split_once('/').is_some_and(|(client, host)| part(client) && part(host))
        }
    };
    let Governance { approved_by, place, policy_version, .. } = &said.governance;
    let texts = [approved_by, place, policy_version];
    if !fits || said.name.len() > MAX_FIELD {
        Err("name: a package (`name`, `@scope/name`), a service's DNS name, or client/host")
    } else if said.version.as_deref().is_some_and(|version| !is_version(version))
        || said.version.is_some() && said.subject != SubjectKind::Package
    {
        Err("version: a package's version")
    } else if texts.iter().any(|text| text.is_empty() || text.len() > MAX_FIELD) {
        Err("approved_by, place and policy_version: 1 to 256 bytes each")
    } else if texts.iter().any(|text| text.chars().any(char::is_control)) {
        Err("approved_by, place and policy_version: without control characters")
    } else if said.renews.as_deref().is_some_and(|id| !is_chain_id(id)) {
        Err("renews: a certificate's id")
    } else {
        Ok(())
    }
}

fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (1..=63).contains(&label.len())
            && label.chars().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}
