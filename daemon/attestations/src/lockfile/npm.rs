//! `package-lock.json`, versions 2 and 3.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Lock;
use crate::{Artifact, Digests, Ecosystem};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    lockfile_version: u64,
    #[serde(default)]
    packages: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: Option<String>,
    version: Option<String>,
    integrity: Option<String>,
    resolved: Option<String>,
    #[serde(default)]
    link: bool,
    #[serde(default)]
    in_bundle: bool,
}

pub(super) fn parse(text: &str) -> Result<Lock, String> {
    let file: File =
        serde_json::from_str(text).map_err(|error| format!("no lock file of npm: {error}"))?;
    if !matches!(file.lockfile_version, 2 | 3) {
        return Err(format!(
            "a lock file of npm in version {}; npm 7 and later write 2 or 3: run `npm install \
             --package-lock-only`",
            file.lockfile_version
        ));
    }
    let mut lock = Lock::default();
    for (path, entry) in file.packages {
        // The project itself, and its own folders.
        let Some((_, installed)) = path.rsplit_once("node_modules/") else { continue };
        let entry = Entry::deserialize(entry).map_err(|error| format!("{path}: {error}"))?;
        if entry.link {
            continue;
        }
        let name = entry.name.as_deref().unwrap_or(installed);
        let digests = Digests::of_integrity(entry.integrity.as_deref().unwrap_or_default());
        if !digests.is_empty() {
            let file = Artifact { file: None, digests };
            lock.pin(Ecosystem::Npm, name, entry.version.as_deref(), file);
        } else if !entry.in_bundle {
            // What is bundled is in its parent's tarball.
            let why = match entry.resolved.as_deref() {
                Some(from) if from.starts_with("git") => "it comes from a repository",
                Some(from) if from.starts_with("file:") => "it is a folder or file of the project",
                _ => "it has no integrity, or none of a digest that counts",
            };
            let version = entry.version.map(|version| format!("@{version}")).unwrap_or_default();
            lock.unpinned.push((format!("npm:{name}{version}"), why));
        }
        lock.full()?;
    }
    Ok(lock)
}
