//! CycloneDX 1.6 in JSON.

use provenance_core::record::coverage::{ATTESTATION, COVERAGE};
use serde::Serialize;

use crate::{
    Header, Inventory, Package, SbomError, inventory::date, package_report::coverage_text,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata<'a>,
    components: Vec<Component<'a>>,
    dependencies: Vec<Dependency<'a>>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    timestamp: String,
    tools: Tools<'a>,
    component: Component<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Tools<'a> {
    components: [Component<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Component<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    bom_ref: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<Supplier<'a>>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<Reference<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
struct Supplier<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
struct Reference<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    url: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency<'a> {
    #[serde(rename = "ref")]
    of: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<&'a str>,
}

pub(super) fn write(inventory: &Inventory, header: &Header) -> Result<Vec<u8>, SbomError> {
    let packages = &inventory.packages;
    let root = inventory.root();
    let root = root.ok_or_else(|| SbomError::malformed("the inventory", "it has no system"))?;
    let others = packages.iter().enumerate().filter(|(place, _)| *place != inventory.system);
    let name = |place: &usize| packages.get(*place).map(|package| package.id.as_str());
    let (tool, version) = header.software.split_once(' ').unwrap_or((&header.software, "unknown"));
    let tool = Component { name: tool, version: Some(version), ..plain("application") };
    let document = Document {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: serial(inventory, header),
        version: 1,
        metadata: Metadata {
            timestamp: date(header.created_s),
            tools: Tools { components: [tool] },
            component: component(root, "operating-system"),
            properties: inventory
                .coverage
                .iter()
                .map(|it| Property { name: COVERAGE, value: coverage_text(it) })
                .collect(),
        },
        components: others.map(|(_, package)| component(package, "library")).collect(),
        dependencies: packages
            .iter()
            .map(|package| Dependency {
                of: &package.id,
                depends_on: package.needs.iter().filter_map(name).collect(),
            })
            .collect(),
    };
    Ok(serde_json::to_vec(&document)?)
}

fn plain(kind: &'static str) -> Component<'static> {
    Component {
        kind,
        bom_ref: None,
        supplier: None,
        name: "",
        version: None,
        hashes: vec![],
        purl: None,
        external_references: vec![],
        properties: vec![],
    }
}

fn component<'a>(package: &'a Package, kind: &'static str) -> Component<'a> {
    let supplier = package.supplier.as_deref().and_then(|text| text.split_once(": "));
    let supplier = supplier
        .map(|(_, name)| Supplier { name: name.rsplit_once(" (").map_or(name, |(name, _)| name) });
    let nar = package.nar_sha256.map(|sha256| Hash { alg: "SHA-256", content: sha256.to_hex() });
    let attested = package.attested.as_ref();
    let sum = attested.and_then(|it| it.sum.as_ref()).map(|(name, hex)| Hash {
        alg: match &**name {
            "sha512" => "SHA-512",
            "sha384" => "SHA-384",
            _ => "SHA-256",
        },
        content: hex.clone(),
    });
    Component {
        bom_ref: Some(&package.id),
        supplier,
        name: &package.name,
        version: package.version.as_deref(),
        hashes: nar.into_iter().chain(sum).collect(),
        purl: package.purl.as_deref(),
        external_references: package
            .homepage
            .iter()
            .map(|url| Reference { kind: "website", url })
            .collect(),
        properties: attested
            .map(|it| Property { name: ATTESTATION, value: it.text() })
            .into_iter()
            .collect(),
        ..plain(kind)
    }
}

/// A UUID of version 8 (RFC 9562) from what the document says.
fn serial(inventory: &Inventory, header: &Header) -> String {
    let text =
        format!("{}\n{}\n{}\n{}", header.client, header.host, header.created_s, inventory.digest());
    let mut bytes = provenance_core::encoding::digest::Digest::sha256(text.as_bytes()).0;
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = provenance_core::encoding::digest::to_hex(&bytes);
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default().to_owned();
    let parts = [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)];
    format!("urn:uuid:{}", parts.join("-"))
}
