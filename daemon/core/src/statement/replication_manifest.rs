//! Copies in WORM storage (docs/format.md §15): what a run put there, and under
//! which names.

use alloc::{collections::BTreeSet, format, string::String, vec::Vec};

use super::{evidence::Link, text};
use crate::{
    encoding::{
        digest::Digest,
        json::Value,
        json_scanner::{ScanError, Scanner},
        time::Timestamp,
    },
    packet::is_safe_name,
    record::log_entry::read_digest,
    statement::{self, is_chain_id},
};

/// The manifest's name in its run's folder.
pub const MANIFEST: &str = "manifest.json";
/// Its detached signature.
pub const SIGNATURE: &str = "manifest.json.sig";
/// The registry's records that a run adds.
pub const REGISTRY: &str = "registry.jsonl";
/// The checkpoint over the registry with these, the last file that is put.
pub const CHECKPOINT: &str = "checkpoint";
/// A manifest is at most 32 MiB.
pub const MAX_MANIFEST: usize = 32 << 20;
/// A run has at most so many files.
pub const MAX_FILES: usize = 131_072;
/// A run's number has so many digits.
const DIGITS: usize = 10;

/// A file of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// Its name below the state folder, and in the run's folder.
    pub name: String,
    /// How many bytes.
    pub bytes: u64,
    /// Their digest.
    pub sha256: Digest,
    /// Where in the file of that name they begin: chain files grow.
    pub from: u64,
    /// For how many days nobody can remove the copy.
    pub days: u64,
}

/// What a run puts into the storage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// The log chain's id.
    pub chain: String,
    /// Whose appliance.
    pub client: String,
    /// Which appliance.
    pub host: String,
    /// The run's number.
    pub run: u64,
    /// When it was begun.
    pub time: Timestamp,
    /// The run that it goes on from, and the digest of its manifest.
    pub follows: Option<(u64, Digest)>,
    /// The chain's last record that is in it.
    pub head: Link,
    /// The chain's file that it stands in.
    pub head_file: String,
    /// Where in that file it ends, with its LF.
    pub head_end: u64,
    /// The registry's records that it adds: from this number …
    pub from: u64,
    /// … up to this, without it.
    pub to: u64,
    /// The root over the registry with these.
    pub root: Digest,
    /// Whether the manifest is signed.
    pub signed: bool,
    /// The files, in the order in which they are put.
    pub files: Vec<File>,
}

/// Why bytes are no manifest.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ManifestError {
    /// Over [`MAX_MANIFEST`].
    #[error("a manifest of {0} bytes is over the limit of 32 MiB")]
    TooLong(usize),
    /// Over [`MAX_FILES`].
    #[error("a run of {0} files is over the limit of 131,072")]
    TooMany(usize),
    /// Of a later version.
    #[error("the manifest is of version {0}, which is unknown to this program; use a newer one")]
    Version(u64),
    /// Not the one canonical form.
    #[error("not a manifest in canonical form: {0}")]
    Malformed(#[from] ScanError),
    /// A name that could lead out of the state folder, or stands twice.
    #[error("file {0}: its name is not one of a state folder's files, or stands twice")]
    Name(usize),
    /// The registry's span or the run before make no sense.
    #[error("the run does not follow from the one that it names")]
    Order,
}

impl Manifest {
    /// The canonical bytes: what is signed.
    ///
    /// # Errors
    /// Where [`Self::parse`] would refuse them.
    pub fn encode(&self) -> Result<Vec<u8>, ManifestError> {
        let files = self.files.iter().map(|file| {
            Value::object([
                ("bytes", file.bytes.into()),
                ("days", file.days.into()),
                ("from", file.from.into()),
                ("name", file.name.as_str().into()),
                ("sha256", file.sha256.into()),
            ])
        });
        let head = [
            ("end", self.head_end.into()),
            ("file", self.head_file.as_str().into()),
            ("hash", self.head.hash.into()),
            ("seq", self.head.seq.into()),
        ];
        let registry =
            [("from", self.from.into()), ("root", self.root.into()), ("to", self.to.into())];
        let follows = self
            .follows
            .map(|(run, sha256)| Value::object([("run", run.into()), ("sha256", sha256.into())]));
        let bytes = Value::object([
            ("chain", self.chain.as_str().into()),
            ("client", self.client.as_str().into()),
            ("files", files.collect::<Vec<_>>().into()),
            ("head", Value::object(head)),
            ("host", self.host.as_str().into()),
            ("registry", Value::object(registry)),
            ("run", self.run.into()),
            ("signed", self.signed.into()),
            ("time", self.time.into()),
            ("v", 1_u64.into()),
        ])
        .with_some("follows", follows)
        .encode();
        Self::parse(&bytes)?;
        Ok(bytes)
    }

    /// Reads exactly what [`Self::encode`] writes.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST {
            return Err(ManifestError::TooLong(bytes.len()));
        }
        let mut scan = Scanner::new(bytes);
        let (manifest, version) = read(&mut scan)?;
        scan.finish()?;
        if version != 1 {
            return Err(ManifestError::Version(version));
        }
        if manifest.files.len() > MAX_FILES {
            return Err(ManifestError::TooMany(manifest.files.len()));
        }
        let mut names = BTreeSet::new();
        for (at, file) in manifest.files.iter().enumerate() {
            if !is_copied(&file.name) || !names.insert(&*file.name) {
                return Err(ManifestError::Name(at));
            }
        }
        let ordered = match manifest.follows {
            Some((run, _)) => run < manifest.run && manifest.from < manifest.to,
            None => manifest.from == 0 && manifest.to > 0,
        };
        if !ordered {
            return Err(ManifestError::Order);
        }
        Ok(manifest)
    }

    /// Where the copies of this appliance lie below a store's prefix.
    pub fn base(&self) -> String {
        base(&self.client, &self.host, &self.chain)
    }
}

/// Where an appliance's copies lie below a store's prefix.
pub fn base(client: &str, host: &str, chain: &str) -> String {
    format!("{client}/{host}/{chain}")
}

/// The name of a run's folder.
pub fn folder(run: u64) -> String {
    format!("{run:0DIGITS$}")
}

/// The run whose folder has this name.
pub fn run_of(folder: &str) -> Option<u64> {
    let digits = folder.len() == DIGITS && folder.bytes().all(|c| c.is_ascii_digit());
    digits.then(|| folder.parse().ok()).flatten()
}

/// Whether a name is of what is copied out of a state folder: whoever rebuilds
/// one puts a file there.
pub fn is_copied(name: &str) -> bool {
    let folders =
        ["bundles/", "certificates/", "chain/", "keys/", "packages/", "packets/", "sboms/"];
    let below = folders.iter().any(|folder| name.len() > folder.len() && name.starts_with(folder));
    is_safe_name(name) && (below || [REGISTRY, CHECKPOINT].contains(&name))
}

/// Whether a copy only has to stay as long as bundles do: raw copies. All else
/// is documentation.
pub fn is_raw(name: &str) -> bool {
    let mut parts = name.split('/');
    parts.next() == Some("bundles") && parts.nth(1) == Some("artifacts")
}

fn read(scan: &mut Scanner<'_>) -> Result<(Manifest, u64), ScanError> {
    scan.open()?;
    let chain = text(scan, "chain")?;
    if !is_chain_id(&chain) {
        return scan.fail("expected a chain's id");
    }
    let client = text(scan, "client")?;
    let mut files = Vec::new();
    scan.key("files")?;
    scan.array(|scan| {
        scan.open()?;
        let (bytes, days, from) =
            (count(scan, "bytes")?, count(scan, "days")?, count(scan, "from")?);
        let name = text(scan, "name")?;
        scan.key("sha256")?;
        let sha256 = read_digest(scan)?;
        scan.close()?;
        files.push(File { name, bytes, sha256, from, days });
        Ok(())
    })?;
    let mut follows = None;
    if scan.maybe_key("follows") {
        scan.open()?;
        let run = count(scan, "run")?;
        scan.key("sha256")?;
        follows = Some((run, read_digest(scan)?));
        scan.close()?;
    }
    scan.key("head")?;
    scan.open()?;
    let head_end = count(scan, "end")?;
    let head_file = text(scan, "file")?;
    scan.key("hash")?;
    let hash = read_digest(scan)?;
    let head = Link { seq: count(scan, "seq")?, hash };
    scan.close()?;
    let host = text(scan, "host")?;
    scan.key("registry")?;
    scan.open()?;
    let from = count(scan, "from")?;
    scan.key("root")?;
    let root = read_digest(scan)?;
    let to = count(scan, "to")?;
    scan.close()?;
    let run = count(scan, "run")?;
    scan.key("signed")?;
    let signed = scan.boolean()?;
    let time = statement::time(scan, "time")?;
    let version = count(scan, "v")?;
    scan.close()?;
    let manifest = Manifest {
        chain,
        client,
        host,
        run,
        time,
        follows,
        head,
        head_file,
        head_end,
        from,
        to,
        root,
        signed,
        files,
    };
    Ok((manifest, version))
}

fn count(scan: &mut Scanner<'_>, name: &str) -> Result<u64, ScanError> {
    scan.key(name)?;
    scan.uint()
}

#[cfg(test)]
mod tests;
