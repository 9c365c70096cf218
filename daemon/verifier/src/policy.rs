//! The auditor's policy file: what a verification trusts, and nothing else is
//! trusted (config/policy.toml).

use std::path::PathBuf;

use provenance_core::{
    bitcoin::BlockHash,
    encoding::{digest::Digest, time::Timestamp},
    signing::public_key::PublicKey,
    verify::bundle::Trusted,
};
use serde::Deserialize;

/// A policy file is at most 1 MiB.
pub const MAX_BYTES: u64 = 1 << 20;

/// What an auditor trusts.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The client whose evidence is expected.
    pub client: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// The keys that may sign.
    pub keys: Vec<Trusted>,
    /// Whether evidence that nobody signed is acceptable (essential tier).
    pub allow_unsigned: bool,
    /// The longest time without a record that is acceptable, in seconds.
    pub max_gap_s: Option<u64>,
    /// Records that must be in the chain.
    pub heads: Vec<ExpectedHead>,
    /// What is known of Bitcoin's blocks, and whether anchors are asked for.
    pub anchor: AnchorPolicy,
}

/// What an auditor asks of anchors.
#[derive(Clone, Debug, Default)]
pub struct AnchorPolicy {
    /// Whether evidence without an anchor is inconclusive.
    pub required: bool,
    /// The auditor's file of headers, named from where the policy is.
    pub headers: Option<PathBuf>,
    /// Blocks that the auditor names by height and hash.
    pub blocks: Vec<(u32, BlockHash)>,
}

/// A record that the auditor knows from elsewhere.
#[derive(Clone, Debug)]
pub struct ExpectedHead {
    /// Its sequence number.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
    /// Its time, where the auditor noted it.
    pub time: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    client: Option<String>,
    host: Option<String>,
    #[serde(default)]
    allow_unsigned: bool,
    max_gap_s: Option<u64>,
    #[serde(default)]
    keys: Vec<FileKey>,
    #[serde(default)]
    heads: Vec<FileHead>,
    #[serde(default)]
    anchor: FileAnchor,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileAnchor {
    required: bool,
    headers: Option<PathBuf>,
    blocks: Vec<FileBlock>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileBlock {
    height: u32,
    hash: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileKey {
    name: String,
    public_key: String,
    #[serde(default)]
    from: u64,
    until: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileHead {
    seq: u64,
    hash: String,
    time: Option<String>,
}

/// What is wrong with a policy, with the line where there is one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPolicy(String);

impl From<String> for InvalidPolicy {
    fn from(why: String) -> Self {
        Self(why)
    }
}

impl Policy {
    /// The policy in `text`.
    ///
    /// # Errors
    /// [`InvalidPolicy`].
    pub fn parse(text: &str) -> Result<Self, InvalidPolicy> {
        let file: File =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        let keys = file.keys.into_iter().map(trusted).collect::<Result<Vec<_>, _>>()?;
        let heads = file.heads.into_iter().map(expected).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            client: file.client,
            host: file.host,
            keys,
            allow_unsigned: file.allow_unsigned,
            max_gap_s: file.max_gap_s,
            heads,
            anchor: AnchorPolicy {
                required: file.anchor.required,
                headers: file.anchor.headers,
                blocks: file.anchor.blocks.into_iter().map(block).collect::<Result<_, _>>()?,
            },
        })
    }
}

fn block(block: FileBlock) -> Result<(u32, BlockHash), String> {
    let hash = BlockHash::from_hex(block.hash.as_bytes());
    let wrong = || format!("anchor.blocks: the hash of {} is not 64 hex digits", block.height);
    Ok((block.height, hash.ok_or_else(wrong)?))
}

fn trusted(key: FileKey) -> Result<Trusted, String> {
    let public = PublicKey::parse(&key.public_key)
        .map_err(|error| format!("keys: the public_key of {:?}: {error}", key.name))?;
    if key.until.is_some_and(|until| until <= key.from) {
        return Err(format!("keys: {:?} ends before it begins", key.name));
    }
    Ok(Trusted { name: key.name, key: public, from: key.from, until: key.until })
}

fn expected(head: FileHead) -> Result<ExpectedHead, String> {
    let hash = Digest::from_hex(head.hash.as_bytes())
        .ok_or_else(|| format!("heads: the hash of {} is not 64 hex digits", head.seq))?;
    let time = match head.time {
        None => None,
        Some(text) => Some(
            Timestamp::parse(text.as_bytes())
                .ok_or_else(|| format!("heads: {text:?} is no time with nine digits in UTC"))?,
        ),
    };
    Ok(ExpectedHead { seq: head.seq, hash, time })
}
