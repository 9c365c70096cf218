//! CycloneDX 1.6 in JSON.

use std::{borrow::Cow, collections::HashSet};

use serde::Deserialize;

use super::document::{Document, Item, is_date, is_hex, is_purl};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bom<'a> {
    bom_format: String,
    spec_version: Option<String>,
    serial_number: Option<String>,
    version: Option<u64>,
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow, default)]
    components: Vec<Component<'a>>,
    #[serde(borrow, default)]
    dependencies: Vec<Dependency<'a>>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    timestamp: Option<String>,
    #[serde(borrow)]
    component: Option<Component<'a>>,
    #[serde(borrow, default)]
    properties: Vec<Property<'a>>,
}

#[derive(Deserialize)]
struct Component<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(rename = "bom-ref", borrow)]
    bom_ref: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    purl: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    hashes: Vec<Hash<'a>>,
    #[serde(borrow, default)]
    properties: Vec<Property<'a>>,
}

#[derive(Deserialize)]
struct Property<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: Option<Cow<'a, str>>,
}

impl Property<'_> {
    fn told(&self) -> (&str, &str) {
        (self.name.as_deref().unwrap_or_default(), self.value.as_deref().unwrap_or_default())
    }
}

#[derive(Deserialize)]
struct Hash<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    content: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dependency<'a> {
    #[serde(rename = "ref", borrow)]
    of: Cow<'a, str>,
    #[serde(borrow, default)]
    depends_on: Vec<Cow<'a, str>>,
}

const KINDS: [&str; 13] = [
    "application",
    "framework",
    "library",
    "container",
    "platform",
    "operating-system",
    "device",
    "device-driver",
    "firmware",
    "file",
    "machine-learning-model",
    "data",
    "cryptographic-asset",
];

pub(super) fn parse(bytes: &[u8]) -> Document {
    let mut document = Document { format: "CycloneDX 1.6", ..Document::default() };
    match serde_json::from_slice::<Bom<'_>>(bytes) {
        Ok(bom) => check(&bom, &mut document),
        Err(error) => document.defect("", error.to_string()),
    }
    document
}

fn check(bom: &Bom<'_>, document: &mut Document) {
    document.demand(bom.bom_format == "CycloneDX", "bomFormat", "not CycloneDX");
    document.demand(bom.spec_version.as_deref() == Some("1.6"), "specVersion", "not 1.6");
    document.demand(bom.version.is_none_or(|version| version >= 1), "version", "not from 1");
    let uuid = |text: &str| {
        let groups: Vec<&str> = text.split('-').collect();
        groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
            && groups.iter().all(|group| is_hex(group, group.len()))
    };
    let serial = bom.serial_number.as_deref();
    let unique = serial.is_none_or(|text| text.strip_prefix("urn:uuid:").is_some_and(uuid));
    document.demand(unique, "serialNumber", "not urn:uuid: and a UUID");
    let time = bom.metadata.as_ref().and_then(|metadata| metadata.timestamp.as_deref());
    document.demand(time.is_none_or(is_date), "metadata.timestamp", "not a time in UTC");
    for (name, text) in bom.metadata.iter().flat_map(|it| &it.properties).map(Property::told) {
        document.told("metadata.properties", false, name, text);
    }
    let mut refs = HashSet::new();
    let system = bom.metadata.as_ref().and_then(|metadata| metadata.component.as_ref());
    document.demand(system.is_some(), "metadata.component", "nothing says what is described");
    for (at, component) in system.into_iter().chain(&bom.components).enumerate() {
        // The first is the system.
        let at = match (at, system) {
            (0, Some(_)) => "metadata.component".to_owned(),
            (_, Some(_)) => format!("components[{}]", at - 1),
            (_, None) => format!("components[{at}]"),
        };
        if let Some(id) = component.bom_ref.as_deref() {
            document.demand(refs.insert(id), &at, "its bom-ref is another's too");
        }
        check_component(component, &at, document);
    }
    let mut seen = HashSet::new();
    for (at, dependency) in bom.dependencies.iter().enumerate() {
        let at = format!("dependencies[{at}]");
        document.demand(seen.insert(&*dependency.of), &at, "its ref stands there twice");
        for id in dependency.depends_on.iter().chain([&dependency.of]) {
            document.demand(refs.contains(&**id), &at, "it names a component that is not there");
        }
        document.relations += dependency.depends_on.len() as u64;
    }
}

fn check_component(component: &Component<'_>, at: &str, document: &mut Document) {
    let kind = component.kind.as_deref().is_some_and(|kind| KINDS.contains(&kind));
    document.demand(kind, at, "its type is none of CycloneDX 1.6");
    let name = component.name.as_deref().unwrap_or_default();
    document.demand(!name.is_empty(), at, "it has no name");
    document.demand(component.purl.as_deref().is_none_or(is_purl), at, "its purl is none");
    for hash in &component.hashes {
        let digits = match &*hash.alg {
            "MD5" => 32,
            "SHA-1" => 40,
            "SHA-256" | "SHA3-256" | "BLAKE2b-256" | "BLAKE3" => 64,
            "SHA-384" | "SHA3-384" | "BLAKE2b-384" => 96,
            "SHA-512" | "SHA3-512" | "BLAKE2b-512" => 128,
            _ => 0,
        };
        document.demand(is_hex(&hash.content, digits), at, "a hash that is none of its algorithm");
    }
    for (name, text) in component.properties.iter().map(Property::told) {
        document.told(at, true, name, text);
    }
    let purl = component.purl.as_deref().map(str::to_owned);
    let sum = component.hashes.first().map(|hash| hash.content.clone().into_owned());
    document.items.push(Item {
        name: name.to_owned(),
        version: component.version.as_deref().unwrap_or_default().to_owned(),
        identity: sum.or_else(|| purl.clone()).unwrap_or_default(),
        purl,
    });
}
