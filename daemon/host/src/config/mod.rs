//! The settings: config/provenance.toml over the tier's defaults.
//!
//! *Parsing* (TOML, known keys, right types) is kept apart from *judging*
//! (values that make sense together); both name the line.

pub mod address;
mod alert;
mod anchor;
mod api;
mod calendar_server;
mod certificates;
mod documents;
mod error;
mod replication;
mod sources;
mod tiers;
pub mod url;

pub use error::ConfigError;

use std::{os::unix::ffi::OsStrExt, path::PathBuf};

use globset::Glob;
use provenance_core::{
    encoding::{digest::Digest, file_uri, json::Value},
    record::{chain::MAX_INTERVAL_S, time_attestation::Rule},
};
use serde::{Deserialize, Serialize};

use crate::config::error::parse_error;

pub use alert::{Alert, Webhook};
pub use anchor::Anchor;
pub use api::{Api, Tls};
pub use calendar_server::Aggregate;
pub use certificates::Authority;
pub use documents::{Packets, Period, Sbom, SbomFormat};
pub use replication::{S3, Store};
pub use sources::{Access, CHRONY_SOCKET, GPSD, NodeSettings, Receiver, Sources, Typed};
pub use tiers::Tier;

use crate::{clock, config::address::Listen, durable};

/// A settings file is at most 1 MiB.
const MAX_BYTES: u64 = 1 << 20;

/// The settings in force: the file over the tier's defaults.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Whose evidence this is.
    pub client: String,
    /// On which host.
    pub host: String,
    /// Under which tier.
    pub tier: Tier,
    /// Where everything is kept.
    pub state_dir: PathBuf,
    /// `credential:NAME` or a path; `None` in the essential tier only.
    pub signing_key: Option<String>,
    /// Seconds between records.
    pub interval_s: u64,
    /// Globs of watched files.
    pub watch: Vec<String>,
    /// Globs of files that are not.
    pub exclude: Vec<String>,
    /// The systemd journal.
    pub journal: Journal,
    /// When the clock counts as agreed.
    pub rule: Rule,
    /// Where time comes from besides the kernel.
    pub sources: Sources,
    /// The Bitcoin node, where there is one.
    pub node: Option<NodeSettings>,
    /// A bundle for each such period, in seconds; `None` by command only.
    pub bundle_every_s: Option<u64>,
    /// Controls that a scheduled bundle names.
    pub controls: Vec<String>,
    /// Days until a bundle's artifacts may be removed.
    pub bundle_days: u64,
    /// Where metrics are told; `None` nowhere.
    pub metrics: Option<Listen>,
    pub alert: Alert,
    /// How the root is anchored; `None` where it is not.
    pub anchor: Option<Anchor>,
    /// How others' digests are taken; `None` where they are not.
    pub aggregate: Option<Aggregate>,
    /// The software bill of materials.
    pub sbom: Sbom,
    pub packet: Packets,
    /// Where copies go; `None` nowhere.
    pub store: Option<Store>,
    /// The local certificate authority, where there is one.
    pub certificates: Option<Authority>,
    /// Where packages and certificates can be asked for.
    pub api: Option<Api>,
    /// Digest of all of this.
    pub sha256: Digest,
}

/// Which journal is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Journal {
    Off,
    /// The machine's own.
    System,
    /// The journal files of a folder.
    Folder(PathBuf),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    client: String,
    host: Option<String>,
    tier: Tier,
    #[serde(default = "default_state_dir")]
    state_dir: PathBuf,
    signing_key: Option<String>,
    #[serde(default)]
    chain: Chain,
    #[serde(default)]
    time: Time,
    #[serde(default)]
    bitcoin: sources::BitcoinFile,
    #[serde(default)]
    bundle: Bundle,
    #[serde(default)]
    retention: Retention,
    #[serde(default)]
    metrics: sources::MetricsFile,
    #[serde(default)]
    alert: alert::File,
    #[serde(default)]
    anchor: anchor::File,
    #[serde(default)]
    aggregate: calendar_server::File,
    #[serde(default)]
    sbom: documents::SbomFile,
    #[serde(default)]
    packet: documents::PacketFile,
    #[serde(default)]
    store: replication::File,
    #[serde(default)]
    certificates: certificates::File,
    #[serde(default)]
    api: api::File,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Chain {
    interval_s: Option<u64>,
    watch: Vec<String>,
    exclude: Vec<String>,
    journal: JournalSetting,
}

#[derive(Deserialize, Serialize)]
#[serde(untagged, expecting = "journal is true, false or the path of a folder")]
enum JournalSetting {
    On(bool),
    Folder(PathBuf),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Time {
    offset_alarm_ms: u64,
    min_agreeing: Option<u32>,
    ntp: sources::NtpFile,
    gps: sources::GpsFile,
    bitcoin: sources::TimeBitcoinFile,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Bundle {
    every: Option<String>,
    controls: Vec<String>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Retention {
    bundle_days: Option<u64>,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            interval_s: None,
            watch: vec!["/var/log/**".into()],
            exclude: vec!["/var/log/journal/**".into()],
            journal: JournalSetting::On(true),
        }
    }
}

impl Default for Bundle {
    /// HIPAA's audit controls and integrity: what chained logs support.
    fn default() -> Self {
        Self { every: None, controls: vec!["164.312(b)".into(), "164.312(c)(1)".into()] }
    }
}

impl Default for Time {
    fn default() -> Self {
        Self {
            offset_alarm_ms: 100,
            min_agreeing: None,
            ntp: Default::default(),
            gps: Default::default(),
            bitcoin: Default::default(),
        }
    }
}

fn default_state_dir() -> PathBuf {
    "/var/lib/msp-provenance".into()
}

impl Config {
    /// Reads the file at `path`, puts each `KEY=VALUE` of `set` over it, and
    /// judges the whole.
    ///
    /// # Errors
    /// [`ConfigError`], naming the line where there is one.
    pub fn load(path: &std::path::Path, set: &[String]) -> Result<Self, ConfigError> {
        let bytes = durable::read_limited(path, MAX_BYTES)
            .map_err(|source| ConfigError::Read { path: path.into(), source })?;
        let name = path.display().to_string();
        let text = String::from_utf8(bytes)
            .map_err(|error| parse_error(&name, format!("not UTF-8: {error}")))?;
        Self::parse(&name, &text, set)
    }

    /// [`Self::load`] from a text; `name` is what errors call it.
    ///
    /// # Errors
    /// [`ConfigError`], naming the line where there is one.
    pub fn parse(name: &str, text: &str, set: &[String]) -> Result<Self, ConfigError> {
        // Typed first, because only then the parser names the line.
        let mut file: File =
            toml::from_str(text).map_err(|error| parse_error(name, error.to_string()))?;
        if !set.is_empty() {
            let mut table: toml::Table =
                toml::from_str(text).map_err(|error| parse_error(name, error.to_string()))?;
            for setting in set {
                override_key(&mut table, setting)?;
            }
            file = table.try_into().map_err(|error: toml::de::Error| {
                parse_error("with --set", error.message().to_owned())
            })?;
        }
        Judge { name, text }.judge(file)
    }
}

impl Config {
    /// The settings in force as JSON; its digest is what `config_sha256` in
    /// the chain names. The signing key's place is in it, the key is not.
    pub fn to_value(&self) -> Value {
        let list =
            |items: &[String]| Value::Array(items.iter().map(|i| i.as_str().into()).collect());
        let path = |path: &std::path::Path| file_uri::encode(path.as_os_str().as_bytes());
        let journal = match &self.journal {
            Journal::Off => false.into(),
            Journal::System => true.into(),
            Journal::Folder(folder) => path(folder).into(),
        };
        Value::object([
            ("client", self.client.as_str().into()),
            ("host", self.host.as_str().into()),
            ("tier", self.tier.to_string().into()),
            ("state_dir", path(&self.state_dir).into()),
            ("interval_s", self.interval_s.into()),
            ("watch", list(&self.watch)),
            ("exclude", list(&self.exclude)),
            ("journal", journal),
            ("offset_alarm_ns", self.rule.alarm_ns.into()),
            ("min_agreeing", self.rule.min_agreeing.into()),
            ("controls", list(&self.controls)),
            ("bundle_days", self.bundle_days.into()),
            ("alert", self.alert.to_value()),
            ("sbom", self.sbom.to_value()),
            ("packet", self.packet.to_value()),
        ])
        .with_some("signing_key", self.signing_key.as_deref())
        .with_some("metrics", self.metrics.as_ref().map(|listen| listen.to_string()).as_deref())
        .with_some("sources", self.sources.to_value())
        .with_some("aggregate", self.aggregate.as_ref().map(Aggregate::to_value))
        .with_some("anchor", self.anchor.as_ref().map(Anchor::to_value))
        .with_some("bitcoin", self.node.as_ref().map(NodeSettings::to_value))
        .with_some("bundle_every_s", self.bundle_every_s)
        .with_some("store", self.store.as_ref().map(Store::to_value))
        .with_some("certificates", self.certificates.as_ref().map(Authority::to_value))
        .with_some("api", self.api.as_ref().map(Api::to_value))
    }
}

/// `KEY=VALUE`, the key dotted, the value in TOML.
fn override_key(table: &mut toml::Table, setting: &str) -> Result<(), ConfigError> {
    let patch: toml::Table = toml::from_str(setting).map_err(|error| {
        parse_error(
            &format!("--set {setting}"),
            format!("{} (write KEY=VALUE as in the file, strings in quotes)", error.message()),
        )
    })?;
    merge(table, patch);
    Ok(())
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

struct Judge<'a> {
    name: &'a str,
    text: &'a str,
}

impl Judge<'_> {
    fn judge(&self, file: File) -> Result<Config, ConfigError> {
        let tier = tiers::defaults(file.tier)?;
        self.origin_part("client", &file.client)?;
        let host = file.host.unwrap_or_else(clock::host_name);
        self.origin_part("host", &host)?;
        if tier.signed && file.signing_key.is_none() {
            let message = format!(
                "the tier {} signs its evidence: set signing_key to a key made by \
                 `provenanced keygen`, or choose the tier essential",
                file.tier
            );
            return Err(self.wrong("signing_key", message));
        }
        let interval_s = file.chain.interval_s.unwrap_or(tier.interval_s);
        if !(1..=MAX_INTERVAL_S).contains(&interval_s) {
            return Err(self.wrong("interval_s", "1 to 86400 seconds".into()));
        }
        for (key, globs) in [("watch", &file.chain.watch), ("exclude", &file.chain.exclude)] {
            self.globs(key, globs)?;
        }
        let alarm_ns = i64::try_from(file.time.offset_alarm_ms)
            .ok()
            .filter(|ms| (1..=3_600_000).contains(ms))
            .ok_or_else(|| self.wrong("offset_alarm_ms", "1 to 3600000 milliseconds".into()))?
            * 1_000_000;
        let wrong = |(key, message): sources::Wrong| self.wrong(key, message);
        let network = file.bitcoin.network.clone();
        let node = sources::judge_node(file.bitcoin).map_err(wrong)?;
        let time = file.time;
        let sources =
            sources::judge(time.ntp, time.gps, &time.bitcoin, node.as_ref()).map_err(wrong)?;
        let anchor = file.anchor.judge(tier.anchored, node.as_ref(), network).map_err(wrong)?;
        let by_calendars = anchor.as_ref().is_some_and(|anchor| !anchor.calendars.is_empty());
        let bundle_days = file.retention.bundle_days.unwrap_or(tier.retention_days);
        let every = file.bundle.every.as_deref().unwrap_or(&tier.bundle_every);
        let authority = file.certificates.judge(file.signing_key.as_deref()).map_err(wrong)?;
        let mut config = Config {
            client: file.client,
            host,
            tier: file.tier,
            state_dir: file.state_dir,
            signing_key: file.signing_key,
            interval_s,
            watch: file.chain.watch,
            exclude: file.chain.exclude,
            journal: match file.chain.journal {
                JournalSetting::On(true) => Journal::System,
                JournalSetting::On(false) => Journal::Off,
                JournalSetting::Folder(path) => Journal::Folder(path),
            },
            rule: Rule { alarm_ns, min_agreeing: time.min_agreeing.unwrap_or(tier.min_agreeing) },
            sources,
            node,
            bundle_every_s: self.every(every)?,
            controls: file.bundle.controls,
            bundle_days,
            metrics: file.metrics.judge().map_err(wrong)?,
            alert: file.alert.judge().map_err(|(key, message)| self.wrong(key, message))?,
            anchor,
            aggregate: file.aggregate.judge(by_calendars).map_err(wrong)?,
            sbom: file.sbom.judge(tier.sbom),
            packet: file.packet.judge(tier.packets).map_err(wrong)?,
            store: file.store.judge(bundle_days).map_err(wrong)?,
            certificates: authority,
            api: file.api.judge().map_err(wrong)?,
            sha256: Digest::ZERO,
        };
        self.controls(&config.controls)?;
        config.sha256 = Digest::sha256(&config.to_value().encode());
        Ok(config)
    }

    /// Client and host are parts of the checkpoint's origin, a line of text
    /// with `/` between its parts.
    fn origin_part(&self, key: &'static str, value: &str) -> Result<(), ConfigError> {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if value.is_empty() || value.len() > 128 || !value.chars().all(fits) {
            let message = "1 to 128 letters, digits, `-`, `_` or `.`".into();
            return Err(self.wrong(key, message));
        }
        Ok(())
    }

    fn globs(&self, key: &'static str, globs: &[String]) -> Result<(), ConfigError> {
        for glob in globs {
            if !glob.starts_with('/') {
                return Err(self.wrong(key, format!("{glob:?} does not begin with /")));
            }
            Glob::new(glob).map_err(|error| self.wrong(key, error.to_string()))?;
        }
        Ok(())
    }

    fn controls(&self, controls: &[String]) -> Result<(), ConfigError> {
        match controls.iter().find(|id| id.is_empty() || id.len() > 64) {
            Some(id) => Err(self.wrong("controls", format!("{id:?} is not 1 to 64 bytes long"))),
            None => Ok(()),
        }
    }

    /// `off`, or a number with `s`, `m`, `h` or `d`.
    fn every(&self, text: &str) -> Result<Option<u64>, ConfigError> {
        if text == "off" {
            return Ok(None);
        }
        let wrong = || self.wrong("every", "\"off\", or 60s to 31d, such as \"24h\"".into());
        let unit = match text.bytes().last() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3_600,
            Some(b'd') => 86_400,
            _ => return Err(wrong()),
        };
        let number = text.get(..text.len() - 1).and_then(|number| number.parse::<u64>().ok());
        let seconds = number.and_then(|number| number.checked_mul(unit));
        seconds.filter(|s| (60..=31 * 86_400).contains(s)).map(Some).ok_or_else(wrong)
    }

    fn wrong(&self, key: &'static str, message: String) -> ConfigError {
        let set = |line: &str| {
            line.trim_start()
                .strip_prefix(key)
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        let line = self.text.lines().position(set).map(|index| index + 1);
        ConfigError::Value { path: self.name.into(), line, key, message }
    }
}

#[cfg(test)]
mod tests;
