//! The settings under `[anchor]`.

use provenance_core::canon::Value;
use serde::{Deserialize, Serialize};

use super::sources::{NodeSettings, Wrong};

/// How the registry's root is anchored in Bitcoin, once a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Anchor {
    /// How deep an anchor is final.
    pub confirmations: u32,
    /// No transaction pays more, in satoshi per virtual byte.
    pub max_fee_rate_sat_vb: u64,
    /// After so many blocks a transaction is replaced by one that pays more.
    pub bump_after_blocks: u32,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    enabled: Option<bool>,
    confirmations: u32,
    max_fee_rate_sat_vb: u64,
    bump_after_blocks: u32,
}

impl Default for File {
    fn default() -> Self {
        Self { enabled: None, confirmations: 6, max_fee_rate_sat_vb: 50, bump_after_blocks: 6 }
    }
}

impl File {
    /// `None` where nothing is anchored: not asked for, or asked for by the
    /// tier alone and there is no node.
    pub(super) fn judge(
        self,
        tier: bool,
        node: Option<&NodeSettings>,
    ) -> Result<Option<Anchor>, Wrong> {
        let node = match (self.enabled, node) {
            (Some(true), None) => {
                let message = "there is no node: set [bitcoin] rpc, cookie_file and wallet";
                return Err(("enabled", message.into()));
            }
            (Some(false), _) | (None, None) => None,
            (None, Some(_)) if !tier => None,
            (_, node) => node,
        };
        let within = |key, good: bool, message: &str| {
            if good { Ok(()) } else { Err((key, message.to_owned())) }
        };
        within("confirmations", (1..=100).contains(&self.confirmations), "1 to 100")?;
        let rate = (1..=10_000).contains(&self.max_fee_rate_sat_vb);
        within("max_fee_rate_sat_vb", rate, "1 to 10000")?;
        let bump = (1..=1_000).contains(&self.bump_after_blocks);
        within("bump_after_blocks", bump, "1 to 1000")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let wallet = node.and_then(|node| node.wallet.as_deref());
        let fits = wallet.is_none_or(|name| !name.is_empty() && name.chars().all(plain));
        within("wallet", fits, "letters, digits, and . _ -")?;
        Ok(node.map(|_| Anchor {
            confirmations: self.confirmations,
            max_fee_rate_sat_vb: self.max_fee_rate_sat_vb,
            bump_after_blocks: self.bump_after_blocks,
        }))
    }
}

impl Anchor {
    pub(super) fn to_value(self) -> Value {
        Value::object([
            ("bump_after_blocks", self.bump_after_blocks.into()),
            ("confirmations", self.confirmations.into()),
            ("max_fee_rate_sat_vb", self.max_fee_rate_sat_vb.into()),
        ])
    }
}
