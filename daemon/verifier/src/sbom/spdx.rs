//! SPDX 2.3 in JSON.

use std::{borrow::Cow, collections::HashSet};

use serde::Deserialize;

use super::document::{Document, Item, is_date, is_hex, is_purl};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spdx<'a> {
    spdx_version: String,
    data_license: Option<String>,
    #[serde(rename = "SPDXID")]
    id: Option<String>,
    name: Option<String>,
    document_namespace: Option<String>,
    creation_info: Option<Creation>,
    #[serde(borrow, default)]
    packages: Vec<Package<'a>>,
    #[serde(default)]
    files: Vec<Named>,
    #[serde(default)]
    snippets: Vec<Named>,
    #[serde(borrow, default)]
    relationships: Vec<Relationship<'a>>,
    #[serde(default)]
    document_describes: Vec<String>,
    #[serde(borrow, default)]
    annotations: Vec<Annotation<'a>>,
}

#[derive(Deserialize)]
struct Creation {
    #[serde(default)]
    creators: Vec<String>,
    created: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "SPDXID")]
    id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package<'a> {
    #[serde(rename = "SPDXID", borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    version_info: Option<Cow<'a, str>>,
    #[serde(borrow)]
    download_location: Option<Cow<'a, str>>,
    #[serde(borrow)]
    supplier: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    checksums: Vec<Checksum<'a>>,
    #[serde(borrow, default)]
    external_refs: Vec<Reference<'a>>,
    #[serde(borrow, default)]
    annotations: Vec<Annotation<'a>>,
}

#[derive(Deserialize)]
struct Annotation<'a> {
    #[serde(borrow)]
    comment: Option<Cow<'a, str>>,
}

impl Annotation<'_> {
    fn told(&self) -> (&str, &str) {
        self.comment.as_deref().and_then(|text| text.split_once(' ')).unwrap_or_default()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Checksum<'a> {
    #[serde(borrow)]
    algorithm: Cow<'a, str>,
    #[serde(borrow)]
    checksum_value: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference<'a> {
    #[serde(borrow)]
    reference_category: Cow<'a, str>,
    #[serde(borrow)]
    reference_type: Cow<'a, str>,
    #[serde(borrow)]
    reference_locator: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Relationship<'a> {
    #[serde(borrow)]
    spdx_element_id: Cow<'a, str>,
    #[serde(borrow)]
    related_spdx_element: Cow<'a, str>,
    #[serde(borrow)]
    relationship_type: Cow<'a, str>,
}

const DOCUMENT: &str = "SPDXRef-DOCUMENT";

pub(super) fn parse(bytes: &[u8]) -> Document {
    let mut document = Document { format: "SPDX 2.3", ..Document::default() };
    match serde_json::from_slice::<Spdx<'_>>(bytes) {
        Ok(spdx) => check(&spdx, &mut document),
        Err(error) => document.defect("", error.to_string()),
    }
    document
}

fn check(spdx: &Spdx<'_>, document: &mut Document) {
    let there = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    document.demand(spdx.spdx_version == "SPDX-2.3", "spdxVersion", "not SPDX-2.3");
    let licence = spdx.data_license.as_deref() == Some("CC0-1.0");
    document.demand(licence, "dataLicense", "not CC0-1.0");
    document.demand(spdx.id.as_deref() == Some(DOCUMENT), "SPDXID", "not SPDXRef-DOCUMENT");
    document.demand(there(&spdx.name), "name", "missing");
    let space = spdx.document_namespace.as_deref().unwrap_or_default();
    let absolute = space.contains(':') && !space.contains('#');
    document.demand(absolute, "documentNamespace", "not an absolute URI without a fragment");
    let creation = spdx.creation_info.as_ref();
    let created = creation.and_then(|info| info.created.as_deref());
    document.demand(created.is_some_and(is_date), "creationInfo.created", "not a time in UTC");
    let creator = |text: &String| {
        ["Tool: ", "Organization: ", "Person: "].iter().any(|kind| text.starts_with(kind))
    };
    let named = creation.is_some_and(|i| !i.creators.is_empty() && i.creators.iter().all(creator));
    document.demand(named, "creationInfo.creators", "none, or not Tool:, Organization: or Person:");
    for (name, text) in spdx.annotations.iter().map(Annotation::told) {
        document.told("annotations", false, name, text);
    }
    let mut ids = HashSet::from([DOCUMENT]);
    let others = spdx.files.iter().chain(&spdx.snippets).filter_map(|named| named.id.as_deref());
    ids.extend(others);
    for (at, package) in spdx.packages.iter().enumerate() {
        let id = package.id.as_deref().unwrap_or_default();
        let at = format!("packages[{at}]");
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-');
        let fits = id
            .strip_prefix("SPDXRef-")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(plain));
        document.demand(fits, &at, "its SPDXID is not SPDXRef- and letters, digits, . or -");
        document.demand(ids.insert(id), &at, "its SPDXID is another's too");
        check_package(package, &at, document);
    }
    let mut describes = !spdx.document_describes.is_empty();
    for (at, relation) in spdx.relationships.iter().enumerate() {
        document.relations += 1;
        let (from, to) = (&*relation.spdx_element_id, &*relation.related_spdx_element);
        describes |= from == DOCUMENT && relation.relationship_type == "DESCRIBES";
        let foreign = |id: &str| id.starts_with("DocumentRef-");
        let known = |id: &str| ids.contains(id) || foreign(id);
        if !known(from) || !known(to) && !matches!(to, "NONE" | "NOASSERTION") {
            document
                .defect(format!("relationships[{at}]"), "it names an element that is not there");
        }
    }
    document.demand(describes, "relationships", "nothing says what the document DESCRIBES");
}

fn check_package(package: &Package<'_>, at: &str, document: &mut Document) {
    let name = package.name.as_deref().unwrap_or_default();
    document.demand(!name.is_empty(), at, "it has no name");
    let located = package.download_location.as_deref().is_some_and(|text| !text.is_empty());
    document.demand(located, at, "it has no downloadLocation (NOASSERTION is one)");
    if let Some(supplier) = package.supplier.as_deref() {
        let known = supplier == "NOASSERTION"
            || supplier.starts_with("Organization: ")
            || supplier.starts_with("Person: ");
        document.demand(known, at, "its supplier is no Organization:, Person: or NOASSERTION");
    }
    for checksum in &package.checksums {
        let digits = match &*checksum.algorithm {
            "SHA1" => 40,
            "SHA256" | "SHA3-256" | "BLAKE2b-256" | "BLAKE3" => 64,
            "SHA384" | "SHA3-384" | "BLAKE2b-384" => 96,
            "SHA512" | "SHA3-512" | "BLAKE2b-512" => 128,
            "SHA224" => 56,
            "MD2" | "MD4" | "MD5" => 32,
            _ => checksum.checksum_value.len(),
        };
        let fits = is_hex(&checksum.checksum_value, digits);
        document.demand(fits, at, "a checksum that is none of its algorithm");
    }
    for (name, text) in package.annotations.iter().map(Annotation::told) {
        document.told(at, true, name, text);
    }
    let mut purl = None;
    for reference in &package.external_refs {
        if reference.reference_type == "purl" {
            let category =
                matches!(&*reference.reference_category, "PACKAGE-MANAGER" | "PACKAGE_MANAGER");
            let fits = category && is_purl(&reference.reference_locator);
            document.demand(fits, at, "a package URL that is none");
            purl = Some(reference.reference_locator.clone().into_owned());
        }
    }
    let sum = package.checksums.first().map(|checksum| checksum.checksum_value.clone());
    document.items.push(Item {
        name: name.to_owned(),
        version: package.version_info.as_deref().unwrap_or_default().to_owned(),
        identity: sum.map_or_else(|| purl.clone().unwrap_or_default(), Cow::into_owned),
        purl,
    });
}
