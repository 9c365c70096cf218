//! The tiers and their defaults: config/compliance-tiers.toml, built in.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    ConfigError,
    documents::{Period, SbomFormat},
    error::parse_error,
};

const TIERS: &str = include_str!("../../../../config/compliance-tiers.toml");

/// A compliance tier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Hashes and registry; signatures allowed, not asked for.
    Essential,
    Professional,
    /// Signed, each minute.
    Enterprise,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Essential => "essential",
            Self::Professional => "professional",
            Self::Enterprise => "enterprise",
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tiers {
    essential: TierDefaults,
    professional: TierDefaults,
    enterprise: TierDefaults,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TierDefaults {
    pub(super) interval_s: u64,
    pub(super) min_agreeing: u32,
    pub(super) signed: bool,
    pub(super) bundle_every: String,
    pub(super) retention_days: u64,
    pub(super) anchored: bool,
    pub(super) sbom: Vec<SbomFormat>,
    pub(super) packets: Vec<Period>,
    /// What the NixOS modules set up; nothing of it is ours.
    #[serde(rename = "appliance")]
    _appliance: serde::de::IgnoredAny,
}

pub(super) fn defaults(tier: Tier) -> Result<TierDefaults, ConfigError> {
    let tiers: Tiers = toml::from_str(TIERS)
        .map_err(|error| parse_error("compliance-tiers.toml", error.to_string()))?;
    Ok(match tier {
        Tier::Essential => tiers.essential,
        Tier::Professional => tiers.professional,
        Tier::Enterprise => tiers.enterprise,
    })
}
