//! SPDX 2.3 in JSON, by the types of `spdx-rs`. They are of 2.2.1 with most
//! of 2.3 added; what they write here is accepted by SPDX's own tools, but for
//! the lists that 2.3 wants absent where they are empty: those are left out.

use provenance_core::{
    encoding::digest::Digest,
    record::coverage::{ATTESTATION, COVERAGE},
};
use serde::Serialize;
use spdx_rs::models::{
    Algorithm, Checksum, CreationInfo, DocumentCreationInformation, ExternalPackageReference,
    ExternalPackageReferenceCategory, PackageInformation, PrimaryPackagePurpose, Relationship,
    RelationshipType, SpdxExpression,
};

use crate::{
    Header, Inventory, Package, SbomError, Source, inventory::date, package_report::coverage_text,
};

const NOASSERTION: &str = "NOASSERTION";

/// The document without the empty lists of files, snippets and annotations
/// that `spdx_rs::models::SPDX` always writes.
#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    creation: DocumentCreationInformation,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation>,
    packages: Vec<Described>,
    relationships: Vec<Relationship>,
}

/// A package with its annotations, which the library's has not.
#[derive(Serialize)]
struct Described {
    #[serde(flatten)]
    package: PackageInformation,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation>,
}

/// In the library's an annotation names its element; in JSON it lies within it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Annotation {
    annotation_date: String,
    annotation_type: &'static str,
    annotator: String,
    comment: String,
}

pub(super) fn write(inventory: &Inventory, header: &Header) -> Result<Vec<u8>, SbomError> {
    let odd = |why: String| SbomError::malformed("the document", why);
    let noassertion = SpdxExpression::parse(NOASSERTION).map_err(|error| odd(error.to_string()))?;
    let ids: Vec<String> =
        inventory.packages.iter().map(|package| spdx_id(inventory.source, package)).collect();
    let id = |place: usize| ids.get(place).cloned().unwrap_or_default();
    let mut packages = Vec::with_capacity(ids.len());
    let mut relationships = vec![Relationship {
        spdx_element_id: "SPDXRef-DOCUMENT".into(),
        related_spdx_element: id(inventory.system),
        relationship_type: RelationshipType::Describes,
        comment: None,
    }];
    for (place, package) in inventory.packages.iter().enumerate() {
        let system = place == inventory.system;
        let attested = package.attested.iter();
        packages.push(Described {
            package: information(package, id(place), system, &noassertion),
            annotations: attested.map(|it| annotate(ATTESTATION, it.text(), header)).collect(),
        });
        relationships.extend(package.needs.iter().map(|need| Relationship {
            spdx_element_id: id(place),
            related_spdx_element: id(*need),
            relationship_type: RelationshipType::DependsOn,
            comment: None,
        }));
    }
    let created = chrono::DateTime::from_timestamp(header.created_s, 0)
        .filter(|_| (0..=9_223_372_036).contains(&header.created_s))
        .ok_or_else(|| odd("a time of creation outside 1970 to 2262".into()))?;
    let name = inventory.root().map(|root| root.name.clone()).unwrap_or_default();
    let creation = DocumentCreationInformation {
        spdx_version: "SPDX-2.3".into(),
        document_name: format!("{}-{}-{name}", header.client, header.host),
        spdx_document_namespace: namespace(inventory, header),
        creation_info: CreationInfo {
            license_list_version: None,
            creators: vec![creator(header)],
            created,
            creator_comment: None,
        },
        ..DocumentCreationInformation::default()
    };
    let coverage = inventory.coverage.iter();
    let annotations = coverage.map(|it| annotate(COVERAGE, coverage_text(it), header)).collect();
    Ok(serde_json::to_vec(&Document { creation, annotations, packages, relationships })?)
}

fn annotate(name: &str, text: String, header: &Header) -> Annotation {
    Annotation {
        annotation_date: date(header.created_s),
        annotation_type: "OTHER",
        annotator: creator(header),
        comment: format!("{name} {text}"),
    }
}

fn creator(header: &Header) -> String {
    format!("Tool: {}", header.software.replace(' ', "-"))
}

/// Unique to what the document says, and nowhere on a network.
fn namespace(inventory: &Inventory, header: &Header) -> String {
    let part = crate::inventory::purl_part;
    format!(
        "https://msp-provenance.dev/sbom/{}/{}/{}-{}",
        part(&header.client),
        part(&header.host),
        date(header.created_s).replace([':', '-'], ""),
        inventory.digest()
    )
}

fn information(
    package: &Package,
    id: String,
    system: bool,
    noassertion: &SpdxExpression,
) -> PackageInformation {
    let reference = package.purl.as_ref().map(|purl| {
        let category = ExternalPackageReferenceCategory::PackageManager;
        ExternalPackageReference::new(category, "purl".into(), purl.clone(), None)
    });
    let nar = package.nar_sha256.map(|sha256| Checksum::new(Algorithm::SHA256, &sha256.to_hex()));
    let comment = nar.as_ref().map(|_| "The checksum is over the NAR serialisation.".into());
    let file_name = nar.as_ref().map(|_| package.id.clone());
    let sum = package.attested.as_ref().and_then(|it| it.sum.as_ref()).map(|(name, hex)| {
        let algorithm = match &**name {
            "sha512" => Algorithm::SHA512,
            "sha384" => Algorithm::SHA384,
            _ => Algorithm::SHA256,
        };
        Checksum::new(algorithm, hex)
    });
    PackageInformation {
        package_name: package.name.clone(),
        package_spdx_identifier: id,
        package_version: package.version.clone(),
        package_file_name: file_name,
        package_supplier: Some(package.supplier.clone().unwrap_or_else(|| NOASSERTION.into())),
        files_analyzed: Some(false),
        package_checksum: nar.into_iter().chain(sum).collect(),
        package_home_page: package.homepage.clone(),
        source_information: package.made_from.clone(),
        concluded_license: Some(noassertion.clone()),
        declared_license: Some(noassertion.clone()),
        copyright_text: Some(NOASSERTION.into()),
        package_comment: comment,
        external_reference: reference.into_iter().collect(),
        primary_package_purpose: system.then_some(PrimaryPackagePurpose::OperatingSystem),
        ..PackageInformation::default()
    }
}

/// Letters, digits, `.` and `-` only. A store path's hash keeps its id unique;
/// a Debian name has no capital letter, so escapes with one keep them apart.
fn spdx_id(source: Source, package: &Package) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    if let Some(attested) = &package.attested {
        // Names of npm tell capital letters and signs apart, an SPDXID does not.
        let digest = Digest::sha256(package.id.as_bytes()).to_hex();
        let name: String = package.name.chars().take(64).map(plain).collect();
        let digest = digest.get(..16).unwrap_or_default();
        return format!("SPDXRef-{}-{name}-{digest}", attested.ecosystem);
    }
    match (source, package.id.as_str()) {
        (_, "/") => "SPDXRef-system".into(),
        (Source::Nix, path) => {
            let base = path.rsplit('/').next().unwrap_or_default();
            format!("SPDXRef-nix-{}", base.chars().map(plain).collect::<String>())
        }
        (Source::Dpkg, id) => {
            format!("SPDXRef-deb-{}", id.replace('+', ".2B").replace(':', "-ARCH-"))
        }
    }
}
