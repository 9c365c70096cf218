//! A bill of materials as it was read, whatever its format.

use provenance_core::{
    encoding::json::Value,
    record::coverage::{ATTESTATION, COVERAGE, Coverage, Level},
};

/// So many defects of one document are told.
pub(crate) const MAX_DEFECTS: usize = 100;

/// What a document says of one package.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) purl: Option<String>,
    /// What tells it from another of the same name and version.
    pub(crate) identity: String,
}

/// A document as far as it is compared, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) format: &'static str,
    pub(crate) items: Vec<Item>,
    pub(crate) relations: u64,
    pub(crate) defects: Vec<(String, String)>,
    pub(crate) more: u64,
    /// How many packages are vouched for, as it says in sum, and as they say.
    pub(crate) stated: Option<Coverage>,
    pub(crate) counted: Option<Coverage>,
}

impl Document {
    /// What stands in the document, or at one package, under `name`.
    pub(crate) fn told(&mut self, at: &str, of_package: bool, name: &str, text: &str) {
        let value = Value::parse(text.as_bytes()).ok();
        match (of_package, name) {
            (true, ATTESTATION) => match value.as_ref().and_then(attested) {
                Some((ecosystem, level, kinds)) => {
                    let counted = self.counted.get_or_insert_default();
                    counted.count(ecosystem, level, kinds);
                }
                None => self.defect(at, format!("{ATTESTATION} is not of its form")),
            },
            (false, COVERAGE) => match value.as_ref().and_then(Coverage::read) {
                Some(coverage) if self.stated.is_none() => self.stated = Some(coverage),
                Some(_) => self.defect(at, format!("{COVERAGE} stands there twice")),
                None => self.defect(at, format!("{COVERAGE} is not of its form")),
            },
            _ => {}
        }
    }

    /// What it says in sum is what its packages say.
    pub(crate) fn settle(&mut self) {
        let counted = self.counted.take();
        if counted.is_some() || self.stated.is_some() {
            let same = self.stated.clone().unwrap_or_default() == counted.unwrap_or_default();
            self.demand(same, COVERAGE, "not the sum of what the packages say");
        }
    }

    pub(crate) fn defect(&mut self, at: impl Into<String>, what: impl Into<String>) {
        if self.defects.len() < MAX_DEFECTS {
            self.defects.push((at.into(), what.into()));
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn demand(&mut self, holds: bool, at: &str, what: &str) {
        if !holds {
            self.defect(at, what);
        }
    }
}

/// Ecosystem, level, and level by kind of what vouches for a package.
pub(crate) type Attested<'a> = (&'a str, Level, Vec<(&'a str, Level)>);

pub(crate) fn attested(value: &Value) -> Option<Attested<'_>> {
    let level = |value: &Value| Level::of(value.as_str()?);
    let Value::Object(kinds) = value.get("kinds")? else { return None };
    let kinds = kinds.iter().map(|(kind, value)| Some((kind.as_str(), level(value)?)));
    Some((
        value.get("ecosystem")?.as_str()?,
        level(value.get("level")?)?,
        kinds.collect::<Option<_>>()?,
    ))
}

/// `pkg:type/…`, in printable ASCII.
pub(crate) fn is_purl(text: &str) -> bool {
    text.strip_prefix("pkg:").is_some_and(|rest| {
        rest.split_once('/').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty())
    }) && text.bytes().all(|c| c.is_ascii_graphic())
}

/// `2026-11-21T04:20:00Z`, perhaps with a fraction.
pub(crate) fn is_date(text: &str) -> bool {
    let seconds = text.strip_suffix('Z').map(|text| text.split('.').next().unwrap_or(text));
    seconds.is_some_and(|seconds| {
        let full = format!("{seconds}.000000000Z");
        provenance_core::encoding::time::Timestamp::parse(full.as_bytes()).is_some()
    })
}

pub(crate) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}
