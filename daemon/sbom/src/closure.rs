//! A Nix closure as its store has it, from which both an inventory and a
//! judgement of its signatures are made.

use provenance_core::nix::PathInfo;

use crate::{Inventory, Package, SbomError, Source, nix_store_path};

/// So many signatures may one path have.
pub(super) const MAX_SIGNATURES: usize = 64;

/// A system and every path that it needs, sorted by path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closure {
    pub paths: Vec<PathInfo>,
    /// Which of them is the system itself.
    pub system: usize,
}

impl Closure {
    /// The packages that the paths are.
    ///
    /// # Errors
    /// [`SbomError`].
    pub(crate) fn inventory(self) -> Result<Inventory, SbomError> {
        let mut packages = Vec::with_capacity(self.paths.len());
        for (place, info) in self.paths.into_iter().enumerate() {
            let package =
                nix_store_path::package(&info.path, info.deriver.as_deref(), info.nar_hash)?;
            let needs = info.references.into_iter().filter(|to| *to != place).collect();
            packages.push(Package { needs, ..package });
        }
        Ok(Inventory::new(Source::Nix, packages, self.system))
    }
}

/// That it is a store path, with no more signatures than are looked at.
pub(super) fn check(info: &PathInfo) -> Result<(), SbomError> {
    let short = || info.path.chars().take(300).collect::<String>();
    if nix_store_path::split(&info.path).is_none() {
        return Err(SbomError::malformed(short(), "no store path"));
    }
    if info.signatures.len() > MAX_SIGNATURES {
        let limit = MAX_SIGNATURES;
        return Err(SbomError::TooMuch { what: short(), limit, of: "signatures" });
    }
    Ok(())
}
