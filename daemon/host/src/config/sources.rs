//! The settings of the time sources and of the Bitcoin node.

use std::{os::unix::ffi::OsStrExt, path::PathBuf};

use provenance_core::encoding::{file_uri, json::Value};
use serde::{Deserialize, Serialize};

use super::address::{Listen, WrongListen};

/// Where Debian's and NixOS's chronyd listens.
pub const CHRONY_SOCKET: &str = "/run/chrony/chronyd.sock";
/// Where gpsd listens.
pub const GPSD: &str = "127.0.0.1:2947";

/// The time sources besides the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sources {
    /// chronyd's address: `unix:/run/chrony/chronyd.sock`, `udp:127.0.0.1:323`.
    pub chrony: Option<String>,
    /// The GPS receiver.
    pub gps: Option<Receiver>,
    /// Whether the Bitcoin node is asked.
    pub bitcoin: bool,
}

/// How the GPS receiver is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Receiver {
    /// Through gpsd at this address.
    Gpsd(String),
    /// On a serial line.
    Nmea {
        /// The line's device.
        device: PathBuf,
        /// Bits a second.
        baud: u32,
    },
}

/// The Bitcoin node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeSettings {
    /// Where its RPC is.
    pub rpc: String,
    /// The wallet that anchors.
    pub wallet: Option<String>,
    /// How it lets us in.
    pub access: Access,
    /// `bitcoin`, `testnet4`, `signet` or `regtest`
    pub network: String,
}

/// How a Bitcoin node lets us in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Access {
    /// The node's cookie file: `user:password`, new at each start.
    Cookie(PathBuf),
    /// A user, and the file with the password.
    User {
        /// `rpcauth`'s user.
        user: String,
        /// Where its password is.
        password_file: PathBuf,
    },
    /// A user and a password as typed by an auditor; never from settings.
    Typed(Typed),
    /// None: for a node behind a proxy that knows who asks.
    Open,
}

/// `user:password`, which no message shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Typed(pub String);

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Typed")
    }
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NtpFile {
    chrony: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GpsFile {
    gpsd: Option<String>,
    nmea: Option<PathBuf>,
    baud: u32,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TimeBitcoinFile {
    enabled: Option<bool>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BitcoinFile {
    rpc: Option<String>,
    wallet: Option<String>,
    cookie_file: Option<PathBuf>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    pub(super) network: String,
}

impl Default for GpsFile {
    fn default() -> Self {
        Self { gpsd: None, nmea: None, baud: 9600 }
    }
}

impl Default for BitcoinFile {
    fn default() -> Self {
        Self {
            rpc: None,
            wallet: None,
            cookie_file: None,
            user: None,
            password_file: None,
            network: "bitcoin".into(),
        }
    }
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MetricsFile {
    listen: Option<String>,
}

impl MetricsFile {
    pub(super) fn judge(self) -> Result<Option<Listen>, Wrong> {
        let Some(text) = self.listen else { return Ok(None) };
        text.parse().map(Some).map_err(|wrong: WrongListen| ("listen", wrong.to_string()))
    }
}

/// A key, and what is wrong with its value.
pub(super) type Wrong = (&'static str, String);

const BAUDS: [u32; 9] = [1200, 2400, 4800, 9600, 19200, 38400, 57600, 115_200, 230_400];
const NETWORKS: [&str; 4] = ["bitcoin", "testnet4", "signet", "regtest"];

/// Judges the sources' settings together.
pub(super) fn judge(
    ntp: NtpFile,
    gps: GpsFile,
    bitcoin: &TimeBitcoinFile,
    node: Option<&NodeSettings>,
) -> Result<Sources, Wrong> {
    if let Some(address) = &ntp.chrony {
        let fits = address.strip_prefix("unix:").is_some_and(|path| path.starts_with('/'))
            || address.strip_prefix("udp:").is_some_and(is_host_and_port);
        if !fits {
            let message = "\"unix:/run/chrony/chronyd.sock\" or \"udp:127.0.0.1:323\"";
            return Err(("chrony", message.into()));
        }
    }
    let receiver = match (gps.gpsd, gps.nmea) {
        (Some(_), Some(_)) => {
            return Err(("nmea", "gpsd already reads the receiver: give one of the two".into()));
        }
        (Some(address), None) if is_host_and_port(&address) => Some(Receiver::Gpsd(address)),
        (Some(_), None) => return Err(("gpsd", "\"127.0.0.1:2947\"".into())),
        (None, Some(device)) if device.is_absolute() && BAUDS.contains(&gps.baud) => {
            Some(Receiver::Nmea { device, baud: gps.baud })
        }
        (None, Some(device)) if device.is_absolute() => {
            return Err(("baud", format!("one of {BAUDS:?}")));
        }
        (None, Some(_)) => return Err(("nmea", "an absolute path, \"/dev/ttyUSB0\"".into())),
        (None, None) => None,
    };
    let asked = bitcoin.enabled.unwrap_or(node.is_some());
    if asked && node.is_none() {
        return Err(("enabled", "[bitcoin] rpc says which node is asked: set it".into()));
    }
    Ok(Sources { chrony: ntp.chrony, gps: receiver, bitcoin: asked })
}

/// Judges the node's settings; `None` where there is no node.
pub(super) fn judge_node(file: BitcoinFile) -> Result<Option<NodeSettings>, Wrong> {
    if !NETWORKS.contains(&file.network.as_str()) {
        return Err(("network", format!("one of {}", NETWORKS.join(", "))));
    }
    let Some(rpc) = file.rpc else {
        let others = file.cookie_file.is_some() || file.user.is_some();
        return match others {
            true => Err(("rpc", "the node's address is missing: \"http://127.0.0.1:8332\"".into())),
            false => Ok(None),
        };
    };
    let host = rpc.strip_prefix("http://").unwrap_or_default();
    if host.is_empty() || host.contains(['@', ' ', '#', '?']) {
        let message = "\"http://HOST:PORT\", without user and password (user, password_file or \
                       cookie_file say them); for TLS put a proxy on this machine";
        return Err(("rpc", message.into()));
    }
    let access = match (file.cookie_file, file.user, file.password_file) {
        (Some(path), None, None) => Access::Cookie(path),
        (None, Some(user), Some(password_file)) if !user.contains(':') => {
            Access::User { user, password_file }
        }
        (None, None, None) => Access::Open,
        _ => return Err(("cookie_file", "cookie_file, or user and password_file".into())),
    };
    Ok(Some(NodeSettings { rpc, wallet: file.wallet, access, network: file.network }))
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

impl Sources {
    pub(super) fn to_value(&self) -> Option<Value> {
        if *self == Self::default() {
            return None;
        }
        let gps = self.gps.as_ref().map(|receiver| match receiver {
            Receiver::Gpsd(address) => address.clone(),
            Receiver::Nmea { device, baud } => format!("{} {baud}", encoded(device)),
        });
        let value = Value::object([("bitcoin", self.bitcoin.into())]);
        Some(value.with_some("chrony", self.chrony.as_deref()).with_some("gps", gps.as_deref()))
    }
}

impl NodeSettings {
    /// Where secrets are is in it, they are not.
    pub(super) fn to_value(&self) -> Value {
        let access = match &self.access {
            Access::Cookie(path) => format!("cookie {}", encoded(path)),
            Access::User { user, password_file } => {
                format!("user {user} {}", encoded(password_file))
            }
            Access::Typed(_) => "typed".into(),
            Access::Open => "open".into(),
        };
        Value::object([
            ("access", access.as_str().into()),
            ("network", self.network.as_str().into()),
            ("rpc", self.rpc.as_str().into()),
        ])
        .with_some("wallet", self.wallet.as_deref())
    }
}

fn encoded(path: &std::path::Path) -> String {
    file_uri::encode(path.as_os_str().as_bytes())
}
