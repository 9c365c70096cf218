//! SPDX 2.3 in JSON, by the types of `spdx-rs`. They are of 2.2.1 with most
//! of 2.3 added; what they write here is accepted by SPDX's own tools, but for
//! the lists that 2.3 wants absent where they are empty: those are left out.

use serde::Serialize;
use spdx_rs::models::{
    Algorithm, Checksum, CreationInfo, DocumentCreationInformation, ExternalPackageReference,
    ExternalPackageReferenceCategory, PackageInformation, PrimaryPackagePurpose, Relationship,
    RelationshipType, SpdxExpression,
};

use super::{Header, Inventory, Package, SbomError, Source, date};

const NOASSERTION: &str = "NOASSERTION";

/// The document without the empty lists of files, snippets and annotations
/// that `spdx_rs::models::SPDX` always writes.
#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    creation: DocumentCreationInformation,
    packages: Vec<PackageInformation>,
    relationships: Vec<Relationship>,
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
        packages.push(information(package, id(place), system, &noassertion));
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
            creators: vec![format!("Tool: {}", header.software.replace(' ', "-"))],
            created,
            creator_comment: None,
        },
        ..DocumentCreationInformation::default()
    };
    Ok(serde_json::to_vec(&Document { creation, packages, relationships })?)
}

/// Unique to what the document says, and nowhere on a network.
fn namespace(inventory: &Inventory, header: &Header) -> String {
    let part = super::purl_part;
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
    let checksum =
        package.nar_sha256.map(|sha256| Checksum::new(Algorithm::SHA256, &sha256.to_hex()));
    let comment = checksum.as_ref().map(|_| "The checksum is over the NAR serialisation.".into());
    PackageInformation {
        package_name: package.name.clone(),
        package_spdx_identifier: id,
        package_version: package.version.clone(),
        package_file_name: checksum.as_ref().map(|_| package.id.clone()),
        package_supplier: Some(package.supplier.clone().unwrap_or_else(|| NOASSERTION.into())),
        files_analyzed: Some(false),
        package_checksum: checksum.into_iter().collect(),
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
