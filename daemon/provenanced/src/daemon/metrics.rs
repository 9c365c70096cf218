//! Metrics in the Prometheus text format (version 0.0.4), for whoever asks at
//! the address in the settings: `GET /metrics`, and nothing else.
//!
//! Trust: it tells how the daemon stands to all who reach the address, names
//! no log and no secret, and reads at most a request's head.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    future, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, CONTENT_TYPE, HeaderValue},
};
use provenance_core::record::{
    alert::AlertCode,
    time_attestation::{Attestation, Claim, ClockVerdict, State},
};
use provenance_host::config::address::Listen;
use provenance_http::{
    listener,
    server::{self, Limits},
};
use tokio::task::JoinHandle;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// At most 16 ask at once.
const BOUNDS: Limits = Limits {
    connections: 16,
    read_timeout: REQUEST_TIMEOUT,
    max_lifetime: REQUEST_TIMEOUT,
    response_timeout: REQUEST_TIMEOUT,
};
const VERDICTS: [ClockVerdict; 5] = [
    ClockVerdict::Agreed,
    ClockVerdict::Degraded,
    ClockVerdict::Disputed,
    ClockVerdict::Anomalous,
    ClockVerdict::Unsynchronised,
];

/// What is told.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// The chain's last record.
    pub head_seq: u64,
    /// Its time, in seconds since the epoch.
    pub head_time_s: f64,
    /// Ticks since the start.
    pub ticks: u64,
    /// Sources and generations that are followed.
    pub sources: (usize, usize),
    /// Log entries recorded since the start.
    pub entries: u64,
    /// Whether records cannot be written.
    pub failing: bool,
    /// What is to be done again: checkpoints, bundles.
    pub undone: usize,
    /// How long the last tick took, from its beginning to its record's sync.
    pub tick_s: f64,
    /// Open alerts by their code.
    pub alerts: BTreeMap<&'static str, usize>,
    /// The last attestation, as lines.
    clock: String,
}

/// What the daemon writes to, and whoever asks is shown.
#[derive(Clone, Debug, Default)]
pub struct SharedMetrics(Arc<Mutex<Numbers>>);

impl SharedMetrics {
    /// Changes what is told.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Numbers)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).to_text()
    }
}

impl Numbers {
    /// Takes over a tick's attestation.
    pub(crate) fn attest(&mut self, clock: &Attestation<'_>) {
        let mut text = String::new();
        header(&mut text, "clock_verdict", "gauge", "1 for the last tick's verdict");
        for verdict in VERDICTS {
            let value = u8::from(verdict == clock.verdict);
            let name = verdict.as_str();
            let _ = writeln!(text, "provenance_clock_verdict{{verdict=\"{name}\"}} {value}");
        }
        header(
            &mut text,
            "time_source_agrees",
            "gauge",
            "1 where a time source gave what can be used",
        );
        for source in &clock.sources {
            let up = u8::from(matches!(source.state, State::Ok(_)));
            let _ = writeln!(
                text,
                "provenance_time_source_agrees{{source=\"{}\"}} {up}",
                label(&source.src)
            );
        }
        for (name, help, value) in [
            ("source_offset_seconds", "true time minus system clock, as the source has it", 0),
            ("source_bound_seconds", "half the width of the source's interval", 1),
        ] {
            header(&mut text, name, "gauge", help);
            for source in &clock.sources {
                if let State::Ok(Claim::Interval { offset_ns, bound_ns, .. })
                | State::Disagrees(Claim::Interval { offset_ns, bound_ns, .. }) = source.state
                {
                    let nanos = if value == 0 { offset_ns } else { bound_ns };
                    let (src, seconds) = (label(&source.src), seconds(nanos));
                    let _ = writeln!(text, "provenance_{name}{{source=\"{src}\"}} {seconds}");
                }
            }
        }
        self.clock = text;
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        let mut number = |name: &str, kind: &str, help: &str, value: &dyn std::fmt::Display| {
            header(&mut text, name, kind, help);
            let _ = writeln!(text, "provenance_{name} {value}");
        };
        number("head_seq", "gauge", "number of the chain's last record", &self.head_seq);
        let help = "time of the chain's last record";
        number("head_timestamp_seconds", "gauge", help, &self.head_time_s);
        number("ticks_total", "counter", "ticks since the start", &self.ticks);
        let help = "log entries recorded since the start";
        number("log_entries_total", "counter", help, &self.entries);
        number("log_sources", "gauge", "log sources that are followed", &self.sources.0);
        number("log_generations", "gauge", "their open generations", &self.sources.1);
        let help = "1 while records cannot be written";
        number("record_write_failing", "gauge", help, &u8::from(self.failing));
        let help = "checkpoints and bundles that failed and are tried again";
        number("pending_actions", "gauge", help, &self.undone);
        number("last_tick_duration_seconds", "gauge", "how long the last tick took", &self.tick_s);
        let help = "1; the program's version is the label";
        header(&mut text, "build_info", "gauge", help);
        let version = env!("CARGO_PKG_VERSION");
        let _ = writeln!(text, "provenance_build_info{{version=\"{version}\"}} 1");
        header(&mut text, "alerts_open", "gauge", "open alerts by their code");
        for code in AlertCode::ALL {
            let (code, count) = (code.as_str(), self.alerts.get(code.as_str()).unwrap_or(&0));
            let _ = writeln!(text, "provenance_alerts_open{{code=\"{code}\"}} {count}");
        }
        text + &self.clock
    }
}

fn header(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP provenance_{name} {help}\n# TYPE provenance_{name} {kind}");
}

/// A label's value: backslash, quote and line feed are escaped.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[allow(clippy::cast_precision_loss, reason = "metrics are floating-point numbers")]
fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

/// Answers at the address until the task is dropped.
///
/// # Errors
/// Where the address cannot be listened at.
pub(crate) async fn serve(listen: &Listen, board: SharedMetrics) -> io::Result<Server> {
    let listener = listener::bind(listen, None).await?;
    let respond = move |request: Request<Incoming>| future::ready(respond(&request, &board));
    let task = tokio::spawn(server::serve(listener, BOUNDS, respond, future::pending()));
    Ok(Server(task))
}

/// Ends when it is dropped.
#[derive(Debug)]
pub struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn respond(request: &Request<Incoming>, board: &SharedMetrics) -> Response<String> {
    let found = request.method() == Method::GET && *request.uri() == *"/metrics";
    let mut response = match found {
        true => Response::new(board.text()),
        false => Response::new("GET /metrics\n".into()),
    };
    if !found {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
