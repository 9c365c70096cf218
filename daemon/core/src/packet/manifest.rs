//! `packet.json`: an in-toto statement about every other file of the packet.

use alloc::{string::String, vec::Vec};

use super::is_safe_name;
use crate::{
    canon::Value,
    digest::Digest,
    logs::read_digest,
    scan::{Scan, ScanError},
    statement::{ChainRange, Collector, Link, STATEMENT_TYPE},
    time::Timestamp,
};

/// The manifest's name in the packet.
pub const MANIFEST: &str = "packet.json";
/// Its detached signature.
pub const SIGNATURE: &str = "packet.json.sig";
/// The same signature as a Sigstore bundle.
pub const SIGSTORE: &str = "packet.sigstore.json";
/// A manifest is at most 8 MiB.
pub const MAX_MANIFEST: usize = 8 << 20;
/// The `predicateType` of a packet; `cosign --type` takes it.
const PREDICATE_TYPE: &str = "https://msp-provenance.dev/packet/v1";

/// What a packet says that it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// Every other file but the signatures: its name, the digest of its bytes,
    /// the digest of its bytes as they lie in the ZIP file. By name.
    pub files: Vec<(String, Digest, Digest)>,
    /// The records of the log chain in the period.
    pub chain: ChainRange,
    /// Whose appliance.
    pub client: String,
    /// The program that made the packet.
    pub collector: Collector,
    /// Which appliance.
    pub host: String,
    /// The first instant of the period.
    pub from: Timestamp,
    /// The first instant behind it.
    pub to: Timestamp,
    /// The root over the registry's records in the packet.
    pub root: Digest,
    /// How many these are.
    pub size: u64,
    /// What the sample is drawn by.
    pub seed: String,
    /// How many items it has at most.
    pub sample: u64,
    /// Whether the manifest is signed.
    pub signed: bool,
    /// The compliance tier.
    pub tier: String,
}

/// Why bytes are no manifest.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ManifestError {
    /// Over [`MAX_MANIFEST`].
    #[error(
        "a manifest of {0} bytes is over the limit of 8 MiB; make a packet of a shorter period"
    )]
    TooLong(usize),
    /// Not of this type.
    #[error("the manifest's type is unknown to this program; use a newer provctl")]
    UnknownType,
    /// Not the one canonical form.
    #[error("not a manifest in canonical form: {0}")]
    Malformed(#[from] ScanError),
    /// A name that could lead out of the packet, stands twice, or out of order.
    #[error("file {0}: its name is no plain path, repeated or out of order")]
    Name(usize),
    /// Not as many digests as files.
    #[error("there are not as many packed digests as files")]
    Packed,
}

impl Manifest {
    /// The canonical bytes: what is signed.
    ///
    /// # Errors
    /// Where [`Self::parse`] would refuse them.
    pub fn encode(&self) -> Result<Vec<u8>, ManifestError> {
        let link =
            |link: &Link| Value::object([("seq", link.seq.into()), ("hash", link.hash.into())]);
        let chain = Value::object([
            ("id", self.chain.id.as_str().into()),
            ("first", link(&self.chain.first)),
            ("last", link(&self.chain.last)),
        ]);
        let packed: Vec<Value> = self.files.iter().map(|(.., packed)| (*packed).into()).collect();
        let subject: Vec<Value> = self
            .files
            .iter()
            .map(|(name, sha256, _)| {
                let digest = Value::object([("sha256", (*sha256).into())]);
                Value::object([("digest", digest), ("name", name.as_str().into())])
            })
            .collect();
        let predicate = Value::object([
            ("chain", chain),
            ("client", self.client.as_str().into()),
            (
                "collector",
                Value::object([
                    ("name", self.collector.name.as_str().into()),
                    ("version", self.collector.version.as_str().into()),
                ]),
            ),
            ("host", self.host.as_str().into()),
            ("packed", packed.into()),
            ("period", Value::object([("from", self.from.into()), ("to", self.to.into())])),
            ("registry", Value::object([("root", self.root.into()), ("size", self.size.into())])),
            (
                "sample",
                Value::object([("seed", self.seed.as_str().into()), ("size", self.sample.into())]),
            ),
            ("signed", self.signed.into()),
            ("tier", self.tier.as_str().into()),
        ]);
        let bytes = Value::object([
            ("_type", STATEMENT_TYPE.into()),
            ("predicate", predicate),
            ("predicateType", PREDICATE_TYPE.into()),
            ("subject", subject.into()),
        ])
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
        let mut scan = Scan::new(bytes);
        scan.open()?;
        scan.key("_type")?;
        if scan.string()? != STATEMENT_TYPE {
            return Err(ManifestError::UnknownType);
        }
        scan.key("predicate")?;
        let mut predicate = scan.clone();
        scan.value()?;
        scan.key("predicateType")?;
        if scan.string()? != PREDICATE_TYPE {
            return Err(ManifestError::UnknownType);
        }
        let (mut manifest, packed) = read_predicate(&mut predicate)?;
        scan.key("subject")?;
        let mut packed = packed.into_iter();
        let mut missing = false;
        scan.array(|scan| {
            scan.open()?;
            scan.key("digest")?;
            scan.open()?;
            scan.key("sha256")?;
            let sha256 = read_digest(scan)?;
            scan.close()?;
            let name = text(scan, "name")?;
            scan.close()?;
            missing |= packed.len() == 0;
            manifest.files.push((name, sha256, packed.next().unwrap_or(Digest::ZERO)));
            Ok(())
        })?;
        scan.close()?;
        scan.finish()?;
        if missing || packed.next().is_some() {
            return Err(ManifestError::Packed);
        }
        for (at, (name, ..)) in manifest.files.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|before| manifest.files.get(before));
            let ordered = before.is_none_or(|(before, ..)| before < name);
            if !is_safe_name(name) || !ordered || [MANIFEST, SIGNATURE, SIGSTORE].contains(&&**name)
            {
                return Err(ManifestError::Name(at));
            }
        }
        Ok(manifest)
    }
}

fn read_predicate(scan: &mut Scan<'_>) -> Result<(Manifest, Vec<Digest>), ScanError> {
    scan.open()?;
    scan.key("chain")?;
    let chain = ChainRange::read(scan)?;
    let client = text(scan, "client")?;
    scan.key("collector")?;
    scan.open()?;
    let collector = Collector { name: text(scan, "name")?, version: text(scan, "version")? };
    scan.close()?;
    let host = text(scan, "host")?;
    scan.key("packed")?;
    let mut packed = Vec::new();
    scan.array(|scan| {
        packed.push(read_digest(scan)?);
        Ok(())
    })?;
    scan.key("period")?;
    scan.open()?;
    let (from, to) = (time(scan, "from")?, time(scan, "to")?);
    if from >= to {
        return scan.fail("the period ends before it begins");
    }
    scan.close()?;
    scan.key("registry")?;
    scan.open()?;
    scan.key("root")?;
    let root = read_digest(scan)?;
    scan.key("size")?;
    let size = scan.uint()?;
    scan.close()?;
    scan.key("sample")?;
    scan.open()?;
    let seed = text(scan, "seed")?;
    scan.key("size")?;
    let sample = scan.uint()?;
    scan.close()?;
    scan.key("signed")?;
    let signed = scan.boolean()?;
    let tier = text(scan, "tier")?;
    scan.close()?;
    let files = Vec::new();
    let manifest = Manifest {
        files,
        chain,
        client,
        collector,
        host,
        from,
        to,
        root,
        size,
        seed,
        sample,
        signed,
        tier,
    };
    Ok((manifest, packed))
}

fn time(scan: &mut Scan<'_>, name: &str) -> Result<Timestamp, ScanError> {
    scan.key(name)?;
    match Timestamp::parse(scan.plain()?.as_bytes()) {
        Some(time) => Ok(time),
        None => scan.fail("expected a time"),
    }
}

fn text(scan: &mut Scan<'_>, name: &str) -> Result<String, ScanError> {
    scan.key(name)?;
    Ok(scan.string()?.into_owned())
}
