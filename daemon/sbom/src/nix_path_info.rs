//! What `nix path-info --json -r` prints, in each of its forms: a list (before
//! Nix 2.19), an object by path (format 1), an object by base name (format 2).

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::Path,
};

use provenance_core::nix::PathInfo;
use provenance_host::durable;
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::{
    Inventory, MAX_PACKAGES, MAX_REFERENCES, SbomError,
    closure::{Closure, check},
    nix_store_path,
};

/// At most so many bytes are read.
pub const MAX_BYTES: u64 = 256 << 20;
const STORE: &str = "/nix/store";

/// What is installed with `system` by the file at `path`.
///
/// # Errors
/// [`SbomError`].
pub fn read(path: &Path, system: Option<&str>) -> Result<Inventory, SbomError> {
    read_paths(path, system)?.inventory()
}

/// The closure of `system` by the file at `path`.
///
/// # Errors
/// [`SbomError`].
pub fn read_paths(path: &Path, system: Option<&str>) -> Result<Closure, SbomError> {
    let bytes = durable::read_limited(path, MAX_BYTES).map_err(SbomError::io(path))?;
    paths(&bytes, &path.display().to_string(), system)
}

/// What is installed with `system`.
///
/// # Errors
/// [`SbomError`]; `what` is what errors call the input.
pub fn parse(bytes: &[u8], what: &str, system: Option<&str>) -> Result<Inventory, SbomError> {
    paths(bytes, what, system)?.inventory()
}

/// The closure of `system`; without one, of the one path that no other needs.
///
/// # Errors
/// [`SbomError`]; `what` is what errors call the input.
pub fn paths(bytes: &[u8], what: &str, system: Option<&str>) -> Result<Closure, SbomError> {
    let malformed = |why: String| SbomError::malformed(what, why);
    let Paths(infos) =
        serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    let root = root(&infos, system, what)?;
    let closure = reach(&infos, root, what)?;
    let places: HashMap<&str, usize> =
        closure.iter().enumerate().map(|(place, path)| (*path, place)).collect();
    let mut paths = Vec::with_capacity(closure.len());
    for path in &closure {
        let Some(info) = infos.get(*path) else { continue };
        let nar_hash = match &info.nar_hash {
            Some(hash) => Some(
                hash.digest()
                    .ok_or_else(|| malformed(format!("{path}: its NAR hash is no SHA-256")))?,
            ),
            None => None,
        };
        let store = nix_store_path::split(path).map_or(STORE, |(store, _)| store);
        let mut references: Vec<usize> =
            info.references.iter().filter_map(|to| places.get(to.as_str())).copied().collect();
        references.sort_unstable();
        references.dedup();
        let info = PathInfo {
            path: (*path).to_owned(),
            nar_hash,
            nar_size: info.nar_size,
            references,
            deriver: info.deriver.as_deref().map(|deriver| absolute(store, deriver)),
            ultimate: info.ultimate,
            signatures: info.signatures.iter().map(Signature::text).collect(),
            ca: info.ca.as_ref().map(Ca::text),
        };
        check(&info)?;
        paths.push(info);
    }
    let system = places.get(root).copied().unwrap_or_default();
    Ok(Closure { paths, system })
}

type Infos = HashMap<String, Info>;

fn root<'a>(infos: &'a Infos, system: Option<&str>, what: &str) -> Result<&'a str, SbomError> {
    if let Some(system) = system {
        let path = nix_store_path::within(system).and_then(|path| infos.get_key_value(path));
        return match path {
            Some((path, _)) => Ok(path),
            None => Err(SbomError::Unknown(system.chars().take(300).collect())),
        };
    }
    let needed: HashSet<&str> = infos
        .iter()
        .flat_map(|(path, info)| info.references.iter().filter(move |to| *to != path))
        .map(String::as_str)
        .collect();
    let mut tops = infos.keys().filter(|path| !needed.contains(path.as_str()));
    match (tops.next(), tops.next()) {
        (Some(top), None) => Ok(top),
        _ => {
            let why =
                "no path, or more than one, that no other needs: say which is meant, with --system";
            Err(SbomError::malformed(what, why))
        }
    }
}

/// What can be reached from `root`, sorted. A reference to a path that is not
/// told of means that the input is not the whole closure.
fn reach<'a>(infos: &'a Infos, root: &'a str, what: &str) -> Result<Vec<&'a str>, SbomError> {
    let (mut seen, mut due) = (HashSet::from([root]), vec![root]);
    while let Some(path) = due.pop() {
        let Some(info) = infos.get(path) else { continue };
        for reference in &info.references {
            let Some((reference, _)) = infos.get_key_value(reference) else {
                let why = format!("{path} needs a path that is not in it: use `path-info -r`");
                return Err(SbomError::malformed(what, why));
            };
            if seen.insert(reference) {
                due.push(reference);
            }
        }
    }
    let mut closure: Vec<&str> = seen.into_iter().collect();
    closure.sort_unstable();
    Ok(closure)
}

fn absolute(store: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{store}/{path}") }
}

struct Info {
    nar_hash: Option<NarHash>,
    nar_size: Option<u64>,
    ultimate: bool,
    signatures: Vec<Signature>,
    ca: Option<Ca>,
    references: Vec<String>,
    deriver: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    path: Option<String>,
    nar_hash: Option<NarHash>,
    nar_size: Option<u64>,
    ultimate: Option<bool>,
    signatures: Option<Vec<Signature>>,
    ca: Option<Ca>,
    #[serde(default)]
    references: Vec<String>,
    deriver: Option<String>,
    store_dir: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NarHash {
    Text(String),
    Parts { algorithm: String, format: String, hash: String },
}

impl NarHash {
    fn digest(&self) -> Option<provenance_core::encoding::digest::Digest> {
        match self {
            Self::Text(text) => nix_store_path::nar_hash(text),
            Self::Parts { algorithm, format, hash } if algorithm == "sha256" => {
                let mark = if format == "base64" { '-' } else { ':' };
                nix_store_path::nar_hash(&format!("sha256{mark}{hash}"))
            }
            Self::Parts { .. } => None,
        }
    }
}

/// `name:base64`, or the same in parts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Signature {
    Text(String),
    Parts {
        #[serde(rename = "keyName")]
        key_name: String,
        sig: String,
    },
}

impl Signature {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts { key_name, sig } => format!("{key_name}:{sig}"),
        }
    }
}

/// A content address: `fixed:r:sha256:…`, or from format 2 on in parts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ca {
    Text(String),
    Parts { method: String, hash: NarHash },
}

impl Ca {
    /// In one text; of another method or hash it is none that can be read.
    fn text(&self) -> String {
        let (method, hash) = match self {
            Self::Text(text) => return text.clone(),
            Self::Parts { method, hash } => (method, hash),
        };
        let hash = match hash {
            NarHash::Text(text) => text.replacen('-', ":", 1),
            NarHash::Parts { algorithm, hash, .. } => format!("{algorithm}:{hash}"),
        };
        match method.as_str() {
            "text" => format!("text:{hash}"),
            "flat" => format!("fixed:{hash}"),
            "nar" => format!("fixed:r:{hash}"),
            other => format!("fixed:{other}:{hash}"),
        }
    }
}

struct Paths(Infos);

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Top).map(|collected| Self(collected.infos))
    }
}

#[derive(Default)]
struct Collected {
    infos: Infos,
    references: usize,
}

impl Collected {
    /// One path; `key` is what it stands under, `store` the folder of all.
    fn take<E: de::Error>(
        &mut self,
        key: Option<String>,
        written: Option<Written>,
        store: Option<&str>,
    ) -> Result<(), E> {
        // A path that is not valid stands there with null.
        let Some(written) = written else { return Ok(()) };
        let Some(name) = key.or(written.path) else { return Err(E::missing_field("path")) };
        let own = written.store_dir.as_deref().or(store).unwrap_or(STORE);
        let path = absolute(own, &name);
        let Some((store, _)) = nix_store_path::split(&path) else {
            return Err(E::custom("a name that is no store path"));
        };
        self.references += written.references.len();
        if self.infos.len() >= MAX_PACKAGES || self.references > MAX_REFERENCES {
            return Err(E::custom("more paths or references than are accepted"));
        }
        let references = written.references.iter().map(|to| absolute(store, to)).collect();
        let info = Info {
            nar_hash: written.nar_hash,
            nar_size: written.nar_size,
            ultimate: written.ultimate.unwrap_or(false),
            signatures: written.signatures.unwrap_or_default(),
            ca: written.ca,
            references,
            deriver: written.deriver,
        };
        match self.infos.insert(path.clone(), info) {
            Some(_) => Err(E::custom("a path stands there twice")),
            None => Ok(()),
        }
    }
}

struct Top;

impl<'de> Visitor<'de> for Top {
    type Value = Collected;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what `nix path-info --json -r` prints")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Collected, A::Error> {
        let mut collected = Collected::default();
        while let Some(written) = list.next_element::<Written>()? {
            collected.take(None, Some(written), None)?;
        }
        Ok(collected)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Collected, A::Error> {
        let mut collected = Collected::default();
        let (mut inner, mut store) = (None::<Vec<(String, Option<Written>)>>, None::<String>);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                path if path.starts_with('/') => {
                    let written = map.next_value()?;
                    collected.take(Some(key), written, None)?;
                }
                "info" if inner.is_none() => inner = Some(map.next_value::<Inner>()?.0),
                "storeDir" => store = map.next_value()?,
                "version" => match map.next_value::<u64>()? {
                    2 | 3 => {}
                    _ => return Err(de::Error::custom("a format that is newer than 3")),
                },
                "info" => return Err(de::Error::duplicate_field("info")),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        for (key, written) in inner.into_iter().flatten() {
            collected.take(Some(key), written, store.as_deref())?;
        }
        Ok(collected)
    }
}

/// The object `info` of format 2, in its order.
struct Inner(Vec<(String, Option<Written>)>);

impl<'de> Deserialize<'de> for Inner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Inner;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of paths")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Inner, A::Error> {
                let mut list = vec![];
                while let Some(entry) = map.next_entry()? {
                    if list.len() >= MAX_PACKAGES {
                        return Err(de::Error::custom("more paths than are accepted"));
                    }
                    list.push(entry);
                }
                Ok(Inner(list))
            }
        }
        deserializer.deserialize_map(List)
    }
}
