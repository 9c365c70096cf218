//! What a lock file names, whatever its form.

use std::collections::BTreeMap;

use crate::{Artifact, Ecosystem, Package};

/// A lock file is at most this long.
pub const MAX_LOCK: u64 = 64 << 20;

/// Packages in it.
pub const MAX_PACKAGES: usize = 200_000;

/// Files of one package: one for each platform.
pub(crate) const MAX_FILES: usize = 1000;

/// What a lock file pins, and what it leaves open.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lock {
    /// What is pinned by a digest.
    pub packages: Vec<Package>,
    /// What is not: its name, and why.
    pub unpinned: Vec<(String, &'static str)>,
}

/// Why a file is no lock file.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// None of the kinds that are known, by its name.
    #[error(
        "no lock file that is known: package-lock.json, npm-shrinkwrap.json, pylock.toml, requirements.txt"
    )]
    Kind,
    /// One, and it cannot be read.
    #[error("{0}")]
    Form(String),
}

impl Lock {
    pub(crate) fn pin(
        &mut self,
        ecosystem: Ecosystem,
        name: &str,
        version: Option<&str>,
        file: Artifact,
    ) {
        let package = Package {
            ecosystem,
            name: name.into(),
            version: version.map(Into::into),
            files: vec![file],
            certain: true,
        };
        self.packages.push(package);
    }

    /// One package for each name and version, its files side by side.
    pub(crate) fn united(self) -> Self {
        let mut packages = BTreeMap::<_, Package>::new();
        for package in self.packages {
            let key = (package.ecosystem, package.name.clone(), package.version.clone());
            match packages.get_mut(&key) {
                None => _ = packages.insert(key, package),
                Some(known) => {
                    for file in package.files {
                        if !known.files.contains(&file) && known.files.len() < MAX_FILES {
                            known.files.push(file);
                        }
                    }
                }
            }
        }
        let mut unpinned = self.unpinned;
        unpinned.sort();
        unpinned.dedup();
        Self { packages: packages.into_values().collect(), unpinned }
    }

    pub(crate) fn full(&self) -> Result<(), String> {
        let many = self.packages.len() + self.unpinned.len() > MAX_PACKAGES;
        if many { Err(format!("it names over {MAX_PACKAGES} packages")) } else { Ok(()) }
    }
}
