//! The tools by name, what they take, and the form of what they answer.

use std::sync::Arc;

use provenance_core::encoding::time::Timestamp;
use rmcp::{
    ErrorData,
    model::{JsonObject, Tool, ToolAnnotations},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// What is asked.
pub(super) enum Question {
    Time,
    Chain(Chain),
    List(List),
    Show(Named),
    Verify(Named),
    Anchors,
    Alerts(Alerts),
    /// Of resources only.
    Status,
    /// Of resources only.
    Verification,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// The arguments of `verify_chain`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Chain {
    #[serde(deserialize_with = "moment")]
    pub(super) from: Option<Timestamp>,
    #[serde(deserialize_with = "moment")]
    pub(super) to: Option<Timestamp>,
    pub(super) expect_head: Option<String>,
}

/// The arguments of `list_evidence`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct List {
    pub(super) kind: Kind,
    #[serde(deserialize_with = "moment")]
    pub(super) from: Option<Timestamp>,
    #[serde(deserialize_with = "moment")]
    pub(super) to: Option<Timestamp>,
    pub(super) before_seq: Option<u64>,
    pub(super) limit: Option<usize>,
}

/// What evidence is listed.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    #[default]
    Bundle,
    Packet,
    Sbom,
}

/// The arguments of `show_evidence` and `verify_evidence`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    pub(super) id: String,
}

/// The arguments of `list_alerts`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Alerts {
    pub(super) resolved: bool,
    pub(super) limit: Option<usize>,
}

impl Kind {
    /// As the registry has it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Bundle => "bundle",
            Self::Packet => "packet",
            Self::Sbom => "sbom",
        }
    }
}

impl Question {
    /// Reads a call, strictly.
    pub(super) fn read(name: &str, arguments: Option<JsonObject>) -> Result<Self, ErrorData> {
        let arguments = Value::Object(arguments.unwrap_or_default());
        match name {
            "check_time" => read::<Nothing>(arguments).map(|_| Self::Time),
            "verify_chain" => read(arguments).map(Self::Chain),
            "list_evidence" => read(arguments).map(Self::List),
            "show_evidence" => read(arguments).map(Self::Show),
            "verify_evidence" => read(arguments).map(Self::Verify),
            "anchor_status" => read::<Nothing>(arguments).map(|_| Self::Anchors),
            "list_alerts" => read(arguments).map(Self::Alerts),
            _ => Err(ErrorData::invalid_params("there is no such tool", None)),
        }
    }
}

fn read<T: DeserializeOwned>(arguments: Value) -> Result<T, ErrorData> {
    // What the client wrote is not said back: it may have it from a log.
    let refused = |_| {
        ErrorData::invalid_params("the arguments are not those of the tool's inputSchema", None)
    };
    serde_json::from_value(arguments).map_err(refused)
}

fn moment<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| provenance_cli::parse_time(&text).map_err(serde::de::Error::custom)).transpose()
}

/// All tools, the two that answer the questions first.
pub(super) fn all() -> Vec<Tool> {
    let when = "RFC 3339 in UTC, or a day: 2026-11-21";
    let span = |more: Value| {
        let mut members = json!({
            "from": {"type": "string", "maxLength": 40, "description": format!("From this time on. {when}")},
            "to": {"type": "string", "maxLength": 40, "description": format!("Before this time. {when}")},
        });
        merge(&mut members, more);
        members
    };
    let limit = json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 20});
    let id = json!({"id": {"type": "string", "minLength": 1, "maxLength": 128,
        "description": "As list_evidence gives it: a bundle's id, or a packet's file name"}});
    vec![
        tool(
            "check_time",
            "Check the clock",
            "Asks every time source of this machine now and judges them as the daemon does: \
             agreed, degraded, disputed, anomalous or unsynchronised. Takes up to 5 seconds.",
            (json!({}), &[]),
            (time_output(), &["verdict", "time", "sources"]),
        ),
        tool(
            "verify_chain",
            "Verify chain and registry",
            "Verifies the chain of records, the registry, the checkpoints, the bundles and the \
             joins between them; the verdict is that of `provctl verify-chain`. `failed` means \
             that evidence was changed, lost or is not signed by a trusted key; `inconclusive` \
             that something decisive could not be checked (see not_checked). Never report \
             `inconclusive` as verified.",
            (
                span(json!({"expect_head": {"type": "string", "pattern": "^[0-9a-f]{64}$",
                "description": "A record with this hash must be in the chain"}})),
                &[],
            ),
            (report_output(), REPORT),
        ),
        tool(
            "list_evidence",
            "List evidence",
            "The bundles, packets or SBOMs on record, the newest first. It reads and does not \
             verify.",
            (
                span(json!({
                    "kind": {"enum": ["bundle", "packet", "sbom"], "default": "bundle"},
                    "before_seq": {"type": "integer", "minimum": 0,
                        "description": "Only records before this one: the last seq of the page before"},
                    "limit": limit,
                })),
                &[],
            ),
            (
                json!({"records": {"type": "array", "items": {"type": "object"}},
                "total": {"type": "integer"}, "verified": {"const": false}}),
                &["records", "total", "verified"],
            ),
        ),
        tool(
            "show_evidence",
            "Show a piece of evidence",
            "One registry record (by id, number or hash), and a bundle's statement. It reads and \
             does not verify. No log's content is in it: digests, sizes and names are.",
            (id.clone(), &["id"]),
            (
                json!({"record": {"type": "object"}, "statement": {"type": ["object", "null"]},
                "verified": {"const": false}}),
                &["record", "statement", "verified"],
            ),
        ),
        tool(
            "verify_evidence",
            "Verify a piece of evidence",
            "Verifies one bundle or packet of this appliance by itself; the verdict is that of \
             `provctl verify`. verify_chain verifies the whole.",
            (id, &["id"]),
            (report_output(), REPORT),
        ),
        tool(
            "anchor_status",
            "Anchors in Bitcoin",
            "How far the registry is anchored in Bitcoin, by its own records: it reads and does \
             not verify. verify_chain verifies the anchors.",
            (json!({}), &[]),
            (
                json!({
                    "anchors": {"type": "array", "items": {"type": "object"}},
                    "registry_size": {"type": "integer"},
                    "final_size": {"type": ["integer", "null"]},
                    "verified": {"const": false},
                }),
                &["anchors", "registry_size", "final_size", "verified"],
            ),
        ),
        tool(
            "list_alerts",
            "List alerts",
            "The alerts on record that are open (or all), the newest first. It reads and does not \
             verify.",
            (
                json!({"resolved": {"type": "boolean", "default": false,
                "description": "Those that are over too"}, "limit": limit}),
                &[],
            ),
            (
                json!({"alerts": {"type": "array", "items": {"type": "object"}},
                "total": {"type": "integer"}, "verified": {"const": false}}),
                &["alerts", "total", "verified"],
            ),
        ),
    ]
}

const REPORT: &[&str] = &[
    "verdict",
    "errors",
    "checked",
    "not_checked",
    "findings",
    "findings_left_out",
    "finding_counts",
    "anchors",
    "head",
    "signed_to",
];

fn time_output() -> Value {
    let verdicts = ["agreed", "degraded", "disputed", "anomalous", "unsynchronised"];
    json!({
        "verdict": {"enum": verdicts},
        "time": {"type": "string"},
        "offset_ns": {"type": "integer", "description": "True time minus this machine's clock"},
        "bound_ns": {"type": "integer"},
        "sources": {"type": "array", "items": {"type": "object",
            "required": ["src", "state"],
            "properties": {"src": {"type": "string"},
                "state": {"enum": ["ok", "disagrees", "absent", "rejected"]}}}},
    })
}

fn report_output() -> Value {
    let counts = json!({"type": "object", "additionalProperties": {"type": "integer"}});
    json!({
        "verdict": {"enum": ["verified", "failed", "inconclusive"]},
        "errors": {"type": "integer", "minimum": 0},
        "checked": counts,
        "not_checked": {"type": "array", "items": {"type": "object",
            "required": ["what", "why", "decisive"],
            "properties": {"what": {"type": "string"}, "why": {"type": "string"},
                "decisive": {"type": "boolean"}}}},
        "findings": {"type": "array", "items": {"type": "object",
            "required": ["code", "severity", "meaning", "where"],
            "properties": {"code": {"type": "string"}, "meaning": {"type": "string"},
                "severity": {"enum": ["error", "warning", "info"]},
                "where": {"type": "object"}, "expected": {"type": "string"},
                "got": {"type": "string"}}}},
        "findings_left_out": {"type": "integer", "minimum": 0},
        "finding_counts": counts,
        "anchors": {"type": "array", "items": {"type": "object"}},
        "head": {"type": ["object", "null"]},
        "signed_to": {"type": ["object", "null"]},
    })
}

type Members<'a> = (Value, &'a [&'a str]);

fn tool(
    name: &'static str,
    title: &str,
    description: &'static str,
    (input, needed): Members<'_>,
    (mut output, given): Members<'_>,
) -> Tool {
    // Each answer says what state of the appliance it speaks of.
    merge(
        &mut output,
        json!({"evidence": {
            "type": "object",
            "required": ["head", "checkpoint"],
            "description": "What the answer speaks of: the chain's last record and the newest \
                checkpoint, as read; only a report's verdict says whether they hold",
            "properties": {"head": {"type": ["object", "null"]},
                "checkpoint": {"type": ["object", "null"]}},
        }}),
    );
    let given: Vec<&str> = given.iter().copied().chain(["evidence"]).collect();
    let annotations = ToolAnnotations::with_title(title)
        .read_only(true)
        .destructive(false)
        .idempotent(true)
        .open_world(false);
    Tool::new(name, description, schema(input, needed))
        .with_title(title)
        .with_raw_output_schema(schema(output, &given))
        .with_annotations(annotations)
}

fn schema(properties: Value, required: &[&str]) -> Arc<JsonObject> {
    let mut schema = JsonObject::new();
    schema.insert("type".into(), json!("object"));
    schema.insert("properties".into(), properties);
    if !required.is_empty() {
        schema.insert("required".into(), json!(required));
    }
    schema.insert("additionalProperties".into(), json!(false));
    Arc::new(schema)
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
