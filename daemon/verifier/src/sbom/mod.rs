//! `provctl sbom`: whether a document is what it should be (docs/format.md
//! §12), and what differs between two of them. Documents of other programs are
//! read too.

mod cyclonedx;
mod spdx;

use std::collections::{BTreeMap, BTreeSet};

use provenance_core::{
    encoding::json::Value,
    record::coverage::{ATTESTATION, COVERAGE, Coverage, Level},
    report::{Code, Finding, Place, Report},
};
use serde::Deserialize;

/// So many defects of one document are told.
const MAX_DEFECTS: usize = 100;

/// What a document says of one package.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Item {
    name: String,
    version: String,
    purl: Option<String>,
    /// What tells it from another of the same name and version.
    identity: String,
}

/// A document as far as it is compared, and what is wrong with it.
#[derive(Debug, Default)]
struct Document {
    format: &'static str,
    items: Vec<Item>,
    relations: u64,
    defects: Vec<(String, String)>,
    more: u64,
    /// How many packages are vouched for, as it says in sum, and as they say.
    stated: Option<Coverage>,
    counted: Option<Coverage>,
}

impl Document {
    /// What stands in the document, or at one package, under `name`.
    fn told(&mut self, at: &str, of_package: bool, name: &str, text: &str) {
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
    fn settle(&mut self) {
        let counted = self.counted.take();
        if counted.is_some() || self.stated.is_some() {
            let same = self.stated.clone().unwrap_or_default() == counted.unwrap_or_default();
            self.demand(same, COVERAGE, "not the sum of what the packages say");
        }
    }

    fn defect(&mut self, at: impl Into<String>, what: impl Into<String>) {
        if self.defects.len() < MAX_DEFECTS {
            self.defects.push((at.into(), what.into()));
        } else {
            self.more += 1;
        }
    }

    fn demand(&mut self, holds: bool, at: &str, what: &str) {
        if !holds {
            self.defect(at, what);
        }
    }
}

/// Ecosystem, level, and level by kind of what vouches for a package.
type Attested<'a> = (&'a str, Level, Vec<(&'a str, Level)>);

fn attested(value: &Value) -> Option<Attested<'_>> {
    let level = |value: &Value| Level::of(value.as_str()?);
    let Value::Object(kinds) = value.get("kinds")? else { return None };
    let kinds = kinds.iter().map(|(kind, value)| Some((kind.as_str(), level(value)?)));
    Some((
        value.get("ecosystem")?.as_str()?,
        level(value.get("level")?)?,
        kinds.collect::<Option<_>>()?,
    ))
}

/// Which format it is of.
#[derive(Deserialize)]
struct Format {
    #[serde(rename = "spdxVersion")]
    spdx: Option<String>,
    #[serde(rename = "bomFormat")]
    cyclonedx: Option<String>,
}

/// What is wrong with a document, in words.
pub fn defects(bytes: &[u8]) -> Vec<String> {
    let defects = parse(bytes).defects.into_iter();
    defects.map(|(at, what)| format!("{at}: {what}")).collect()
}

/// Validates `bytes`, which findings call `name`. Gives how many of its
/// packages are vouched for, where it says that.
pub fn check(bytes: &[u8], name: &str, report: &mut Report) -> Option<Coverage> {
    let document = parse(bytes);
    report.checked("documents", 1);
    report.checked("packages", document.items.len() as u64);
    report.checked("relations", document.relations);
    for (at, what) in &document.defects {
        let message = if at.is_empty() { what.clone() } else { format!("{at}: {what}") };
        report.find(Finding::new(Code::SbomInvalid, Place::file(name), message));
    }
    if document.more > 0 {
        let message = format!("and {} more defects", document.more);
        report.find(Finding::new(Code::SbomInvalid, Place::file(name), message));
    }
    document.stated
}

fn parse(bytes: &[u8]) -> Document {
    let mut document = parse_form(bytes);
    document.settle();
    document
}

fn parse_form(bytes: &[u8]) -> Document {
    let mut none = Document { format: "unknown", ..Document::default() };
    match serde_json::from_slice::<Format>(bytes) {
        Err(error) => none.defect("", format!("not JSON of a known form: {error}")),
        Ok(Format { spdx: Some(_), cyclonedx: None }) => return spdx::parse(bytes),
        Ok(Format { spdx: None, cyclonedx: Some(_) }) => return cyclonedx::parse(bytes),
        Ok(_) => none.defect("", "neither SPDX (spdxVersion) nor CycloneDX (bomFormat) in JSON"),
    }
    none
}

/// What differs between two documents.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Name and versions of what only the second has.
    pub added: Vec<(String, String)>,
    /// Name and versions of what only the first has.
    pub removed: Vec<(String, String)>,
    /// Name, versions in the first, versions in the second.
    pub changed: Vec<(String, String, String)>,
    /// Name and version of what was built anew.
    pub rebuilt: Vec<(String, String)>,
    /// How many names are alike in both.
    pub same: u64,
}

impl Difference {
    /// For machines.
    pub fn to_value(&self) -> Value {
        let one = |(name, version): &(String, String)| {
            Value::object([("name", name.as_str().into()), ("version", version.as_str().into())])
        };
        let two = |(name, from, to): &(String, String, String)| {
            Value::object([
                ("name", name.as_str().into()),
                ("from", from.as_str().into()),
                ("to", to.as_str().into()),
            ])
        };
        Value::object([
            ("added", self.added.iter().map(one).collect::<Vec<_>>().into()),
            ("removed", self.removed.iter().map(one).collect::<Vec<_>>().into()),
            ("changed", self.changed.iter().map(two).collect::<Vec<_>>().into()),
            ("rebuilt", self.rebuilt.iter().map(one).collect::<Vec<_>>().into()),
            ("same", self.same.into()),
        ])
    }
}

type Versions = BTreeMap<String, BTreeSet<String>>;

/// The names in a document, their versions, and what tells them apart.
#[derive(Debug)]
pub struct Names(BTreeMap<String, Versions>);

/// What differs between two documents; either may be of either format.
pub fn compare(Names(from): &Names, Names(to): &Names) -> Difference {
    let mut difference = Difference::default();
    let versions = |of: &Versions| of.keys().cloned().collect::<Vec<_>>().join(", ");
    for name in from.keys().chain(to.keys()).collect::<BTreeSet<_>>() {
        match (from.get(name), to.get(name)) {
            (Some(from), None) => difference.removed.push((name.clone(), versions(from))),
            (None, Some(to)) => difference.added.push((name.clone(), versions(to))),
            (Some(from), Some(to)) if !from.keys().eq(to.keys()) => {
                difference.changed.push((name.clone(), versions(from), versions(to)));
            }
            (Some(from), Some(to)) if from != to => {
                difference.rebuilt.push((name.clone(), versions(to)));
            }
            _ => difference.same += 1,
        }
    }
    difference
}

/// The names in a document.
///
/// # Errors
/// Why it is no valid one.
pub fn names(bytes: &[u8]) -> Result<Names, String> {
    let document = parse(bytes);
    if let Some((at, what)) = document.defects.first() {
        return Err(format!("not a valid {} document: {at} {what}", document.format));
    }
    let mut names = BTreeMap::<String, Versions>::new();
    for Item { name, version, purl, identity } in document.items {
        // Outputs of one derivation are told apart by their package URL.
        let output = purl.as_deref().and_then(|purl| purl.split_once("output="));
        let name = output.map_or(name.clone(), |(_, output)| format!("{name} ({output})"));
        names.entry(name).or_default().entry(version).or_default().insert(identity);
    }
    Ok(Names(names))
}

/// `pkg:type/…`, in printable ASCII.
fn is_purl(text: &str) -> bool {
    text.strip_prefix("pkg:").is_some_and(|rest| {
        rest.split_once('/').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty())
    }) && text.bytes().all(|c| c.is_ascii_graphic())
}

/// `2026-11-21T04:20:00Z`, perhaps with a fraction.
fn is_date(text: &str) -> bool {
    let seconds = text.strip_suffix('Z').map(|text| text.split('.').next().unwrap_or(text));
    seconds.is_some_and(|seconds| {
        let full = format!("{seconds}.000000000Z");
        provenance_core::encoding::time::Timestamp::parse(full.as_bytes()).is_some()
    })
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
