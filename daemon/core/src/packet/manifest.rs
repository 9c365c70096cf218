//! `packet.json`: an in-toto statement about every other file of the packet.

use alloc::{string::String, vec::Vec};

use super::is_safe_name;
use crate::{
    encoding::{
        digest::Digest,
        json::Value,
        json_scanner::{ScanError, Scanner},
        time::Timestamp,
    },
    record::log_entry::read_digest,
    statement::{self, ChainRange, Collector, read_period, text},
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
        let packed: Vec<Value> = self.files.iter().map(|(.., packed)| (*packed).into()).collect();
        let predicate = Value::object([
            ("chain", self.chain.to_value()),
            ("client", self.client.as_str().into()),
            ("collector", self.collector.to_value()),
            ("host", self.host.as_str().into()),
            ("packed", packed.into()),
            ("period", statement::period(self.from, self.to)),
            ("registry", Value::object([("root", self.root.into()), ("size", self.size.into())])),
            (
                "sample",
                Value::object([("seed", self.seed.as_str().into()), ("size", self.sample.into())]),
            ),
            ("signed", self.signed.into()),
            ("tier", self.tier.as_str().into()),
        ]);
        let files = self.files.iter().map(|(name, sha256, _)| (&**name, *sha256));
        let bytes = statement::encode(PREDICATE_TYPE, predicate, files);
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
        let ((mut manifest, packed), subjects) =
            statement::parse(bytes, PREDICATE_TYPE, read_predicate)?
                .ok_or(ManifestError::UnknownType)?;
        if packed.len() != subjects.len() {
            return Err(ManifestError::Packed);
        }
        let files = subjects.into_iter().zip(packed);
        manifest.files = files.map(|(file, packed)| (file.name, file.sha256, packed)).collect();
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

fn read_predicate(scan: &mut Scanner<'_>) -> Result<(Manifest, Vec<Digest>), ScanError> {
    scan.open()?;
    scan.key("chain")?;
    let chain = ChainRange::read(scan)?;
    let client = text(scan, "client")?;
    let collector = Collector::read(scan)?;
    let host = text(scan, "host")?;
    scan.key("packed")?;
    let mut packed = Vec::new();
    scan.array(|scan| {
        packed.push(read_digest(scan)?);
        Ok(())
    })?;
    let (from, to) = read_period(scan)?;
    if from == to {
        return scan.fail("the period is empty");
    }
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
