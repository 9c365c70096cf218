//! The settings under `[anchor]`.

use provenance_core::{encoding::json::Value, opentimestamps, registry::MAX_CALENDARS};
use serde::{Deserialize, Serialize};

use super::sources::{NodeSettings, Wrong};

/// How the registry's root is anchored in Bitcoin, once a day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Anchor {
    /// How deep an anchor is final.
    pub confirmations: u32,
    /// No transaction pays more, in satoshi per virtual byte.
    pub max_fee_rate_sat_vb: u64,
    /// After so many blocks a transaction is replaced by one that pays more.
    pub bump_after_blocks: u32,
    /// In which network.
    pub network: String,
    /// Calendars that anchor for us; none where our own node does.
    pub calendars: Vec<String>,
}

/// By which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Via {
    Node,
    Calendar,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    enabled: Option<bool>,
    via: Via,
    calendars: Vec<String>,
    confirmations: u32,
    max_fee_rate_sat_vb: u64,
    bump_after_blocks: u32,
}

impl Default for File {
    fn default() -> Self {
        Self {
            enabled: None,
            via: Via::Node,
            calendars: vec![],
            confirmations: 6,
            max_fee_rate_sat_vb: 50,
            bump_after_blocks: 6,
        }
    }
}

impl File {
    /// `None` where nothing is anchored: not asked for, or asked for by the
    /// tier alone and there is no node.
    pub(super) fn judge(
        self,
        tier: bool,
        node: Option<&NodeSettings>,
        network: String,
    ) -> Result<Option<Anchor>, Wrong> {
        self.judge_calendars()?;
        let by_calendar = self.via == Via::Calendar;
        let on = match self.enabled {
            Some(true) if node.is_none() && !by_calendar => {
                let message = "there is no node: set [bitcoin] rpc, cookie_file and wallet, or \
                               via = \"calendar\"";
                return Err(("enabled", message.into()));
            }
            Some(on) => on,
            None => tier && (by_calendar || node.is_some()),
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
        Ok(on.then_some(Anchor {
            confirmations: self.confirmations,
            max_fee_rate_sat_vb: self.max_fee_rate_sat_vb,
            bump_after_blocks: self.bump_after_blocks,
            network,
            calendars: self.calendars,
        }))
    }

    fn judge_calendars(&self) -> Result<(), Wrong> {
        match (self.via, self.calendars.len()) {
            (Via::Node, 0) | (Via::Calendar, 1..=MAX_CALENDARS) => {}
            (Via::Node, _) => {
                return Err(("calendars", "they are used with via = \"calendar\"".into()));
            }
            (Via::Calendar, 0) => {
                let message = "\"calendar\" needs calendars = [\"https://…\"]";
                return Err(("via", message.into()));
            }
            (Via::Calendar, _) => {
                return Err(("calendars", format!("at most {MAX_CALENDARS}")));
            }
        }
        for url in &self.calendars {
            super::url::validate(url)
                .map_err(|message| ("calendars", format!("{url}: {message}")))?;
            // Promises name calendars in these characters, and are held to it.
            if !opentimestamps::is_uri(url) {
                let message = format!("{url}: letters, digits and - . _ / : only");
                return Err(("calendars", message));
            }
        }
        Ok(())
    }
}

impl Anchor {
    pub(super) fn to_value(&self) -> Value {
        let calendars: Vec<Value> = self.calendars.iter().map(|url| url.as_str().into()).collect();
        let value = Value::object([
            ("bump_after_blocks", self.bump_after_blocks.into()),
            ("confirmations", self.confirmations.into()),
            ("max_fee_rate_sat_vb", self.max_fee_rate_sat_vb.into()),
        ]);
        value.with_some("calendars", (!calendars.is_empty()).then_some(Value::Array(calendars)))
    }
}
