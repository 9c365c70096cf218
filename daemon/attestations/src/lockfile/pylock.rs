//! `pylock.toml` (PEP 751).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Lock, lock::MAX_FILES};
use crate::{Artifact, Digests, Ecosystem, package_name::python};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    lock_version: String,
    #[serde(default)]
    packages: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: Option<String>,
    #[serde(default)]
    wheels: Vec<Archive>,
    sdist: Option<Archive>,
    archive: Option<Archive>,
    vcs: Option<toml::Value>,
    directory: Option<toml::Value>,
}

#[derive(Deserialize)]
struct Archive {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

pub(super) fn parse(text: &str) -> Result<Lock, String> {
    let file: File = toml::from_str(text).map_err(|error| format!("no pylock.toml: {error}"))?;
    if !file.lock_version.starts_with("1.") {
        return Err(format!("a pylock.toml of the unknown version {}", file.lock_version));
    }
    let mut lock = Lock::default();
    for entry in file.packages {
        let name = python(&entry.name);
        let shown = match &entry.version {
            Some(version) => format!("pypi:{name}@{version}"),
            None => format!("pypi:{name}"),
        };
        if entry.vcs.is_some() || entry.directory.is_some() {
            lock.unpinned.push((shown, "it comes from a repository or a folder"));
            continue;
        }
        let files = entry.wheels.into_iter().chain(entry.sdist).chain(entry.archive);
        let (mut any, mut open) = (false, false);
        for archive in files.take(MAX_FILES) {
            let mut digests = Digests::default();
            for (hash, digest) in &archive.hashes {
                digests.insert_hex(hash, digest);
            }
            if digests.is_empty() {
                open = true;
                continue;
            }
            any = true;
            let last = |text: String| text.rsplit('/').next().map(str::to_owned);
            let file = archive.name.or_else(|| archive.url.or(archive.path).and_then(last));
            let version = entry.version.as_deref();
            lock.pin(Ecosystem::Pypi, &name, version, Artifact { file, digests });
        }
        if open || !any {
            lock.unpinned.push((shown, "it has a file without a hash that counts"));
        }
        lock.full()?;
    }
    Ok(lock)
}
