//! How the last attempt to anchor went: for `health` and for alerts. It is no
//! evidence; the registry is.

use provenance_core::encoding::{json::Value, time::Timestamp};

use provenance_host::{durable, state_dir::StateDir};

use crate::error::ServiceError;

const MAX_STATUS: u64 = 8 << 10;
const MAX_ERROR: usize = 2 << 10;

/// The last attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    pub time: Timestamp,
    /// Why it could not go on; `None` where it did what was possible.
    pub error: Option<String>,
    /// What is in the wallet, in satoshi, where that is little.
    pub balance: Option<u64>,
}

/// Puts it where the daemon looks.
pub(super) fn save(state: &StateDir, status: &Status) -> Result<(), ServiceError> {
    let short = |error: &String| error.chars().take(MAX_ERROR / 4).collect::<String>();
    let value = Value::object([("time", status.time.into())])
        .with_some("balance", status.balance)
        .with_some("error", status.error.as_ref().map(short).as_deref());
    let path = state.cache().join("anchor.json");
    durable::replace(&path, &value.encode(), 0o640)
        .map_err(ServiceError::io(format!("cannot write {}", path.display())))
}

impl Status {
    /// The last attempt; `None` where there was none that can be read.
    pub(crate) fn read(state: &StateDir) -> Option<Self> {
        let bytes = durable::read_limited(&state.cache().join("anchor.json"), MAX_STATUS).ok()?;
        let value = Value::parse(&bytes).ok()?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let balance = value.get("balance").and_then(Value::as_int);
        Some(Self {
            time: Timestamp::parse(text("time")?.as_bytes())?,
            error: text("error"),
            balance: balance.and_then(|sat| u64::try_from(sat).ok()),
        })
    }
}
