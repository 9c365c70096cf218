//! What software a machine runs, from what its package managers wrote down:
//! the Nix store's database or `nix path-info --json` (no evaluation), or
//! dpkg's status. All of it is input that anybody may have written.
#![forbid(unsafe_code)]

mod closure;
mod cyclonedx;
pub mod directory_walk;
pub mod dpkg;
mod inventory;
pub mod nix_build;
pub mod nix_database;
pub mod nix_path_info;
mod nix_store_path;
mod package_report;
pub mod rehash;
mod spdx;

pub use inventory::{
    Header, Inventory, MAX_PACKAGES, MAX_REFERENCES, Package, SbomError, Source, extension,
};

use provenance_core::encoding::digest::Digest;

pub use closure::Closure;
pub use inventory::Attested;
pub use package_report::MAX_REPORT;
pub use provenance_host::config::SbomFormat as Format;

/// Whether `path` is a path right in a store, `/…/<hash>-<name>`.
pub fn is_store_path(path: &str) -> bool {
    nix_store_path::split(path).is_some()
}

impl Inventory {
    fn new(source: Source, packages: Vec<Package>, system: usize) -> Self {
        Self { source, packages, system, coverage: None, reports: vec![] }
    }

    /// The document: the same inventory and header give the same bytes.
    ///
    /// # Errors
    /// [`SbomError::Write`].
    pub fn document(&self, format: Format, header: &Header) -> Result<Vec<u8>, SbomError> {
        let mut bytes = match format {
            Format::Spdx => spdx::write(self, header)?,
            Format::CycloneDx => cyclonedx::write(self, header)?,
        };
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The package that is the system.
    fn root(&self) -> Option<&Package> {
        self.packages.get(self.system)
    }

    /// A digest over what the inventory says: names a document that says it.
    fn digest(&self) -> Digest {
        let mut hasher = provenance_core::encoding::digest::Hasher::new();
        let mut field = |text: &str| {
            hasher.update(&(text.len() as u64).to_be_bytes());
            hasher.update(text.as_bytes());
        };
        field(self.source.as_str());
        field(&self.system.to_string());
        for package in &self.packages {
            let Package {
                id,
                name,
                version,
                purl,
                nar_sha256,
                supplier,
                homepage,
                made_from,
                needs,
                attested,
            } = package;
            field(id);
            field(name);
            for text in [version, purl, supplier, homepage, made_from] {
                field(text.as_deref().unwrap_or("\0"));
            }
            field(&nar_sha256.map(Digest::to_hex).unwrap_or_default());
            field(&needs.len().to_string());
            for index in needs {
                field(&index.to_string());
            }
            // No id is so: the next package cannot be taken for it.
            for text in attested.iter().flat_map(Attested::fields) {
                field(&format!("attested {text}"));
            }
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests;
