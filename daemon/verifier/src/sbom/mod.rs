//! `provctl sbom`: whether a document is what it should be (docs/format.md
//! §12), and what differs between two of them. Documents of other programs are
//! read too.

mod cyclonedx;
mod document;
mod spdx;

use std::collections::{BTreeMap, BTreeSet};

use provenance_core::{
    encoding::json::Value,
    record::coverage::Coverage,
    report::{Code, Finding, Location, Report},
};
use serde::Deserialize;

use crate::sbom::document::{Document, Item};

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
        report.add_finding(Finding::new(Code::SbomInvalid, Location::file(name), message));
    }
    if document.more > 0 {
        let message = format!("and {} more defects", document.more);
        report.add_finding(Finding::new(Code::SbomInvalid, Location::file(name), message));
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

#[cfg(test)]
mod tests;
