//! Reports for people. What comes from records or logs may hold anything, so
//! nothing of it reaches the terminal but printable text.

use provenance_audit::{sbom::Difference, status::Status};
use provenance_core::{
    encoding::{json::Value, time::human_span},
    report::{Finding, Head, Location, Report, Severity, Verdict},
};

/// What it means of evidence that nothing is wrong.
pub(super) const INTACT: &str = "everything that was recorded is intact";

/// A report as text.
pub(super) fn report(report: &Report) -> String {
    report_on(report, INTACT)
}

/// A report as text; `verified` says what it means that nothing is wrong.
pub(super) fn report_on(report: &Report, verified: &str) -> String {
    let mut lines = vec![verdict(report, verified)];
    let checked: Vec<String> =
        report.checks().map(|(what, count)| format!("{count} {what}")).collect();
    if !checked.is_empty() {
        lines.push(format!("checked      {}", wrap(&checked.join(", "), 13)));
    }
    if let Some(head) = report.head {
        lines.push(format!("head         {}", describe(head)));
    }
    if let Some(signed) = report.signed_to {
        lines.push(format!("signed up to {}", describe(signed)));
    }
    for seen in report.anchors() {
        let text = format!(
            "{} in block {} of {} ({}); by {}, {}",
            seen.place.file.as_deref().unwrap_or("an anchor"),
            seen.height,
            seen.time(),
            seen.header.hash(),
            seen.basis.as_str(),
            seen.work
        );
        lines.push(format!("anchored     {}", wrap(&plain(&text), 13)));
    }
    for gap in report.gaps() {
        let what = if gap.decisive { "NOT CHECKED " } else { "not checked " };
        lines.push(format!("{what} {}", wrap(&plain(&format!("{}: {}", gap.what, gap.why)), 13)));
    }
    let mut findings: Vec<&Finding> = report.findings().iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    for finding in findings {
        lines.push(String::new());
        lines.extend(finding_lines(finding));
    }
    for (code, count) in report.counts() {
        let kept = report.findings().iter().filter(|finding| finding.code == code).count() as u64;
        let shown: u64 = report
            .findings()
            .iter()
            .filter(|finding| finding.code == code)
            .map(|finding| run_length(&finding.place))
            .sum();
        if count > shown.max(kept) {
            lines.push(format!("\n… and {} more of {}", count - shown.max(kept), code.as_str()));
        }
    }
    lines.join("\n")
}

/// The state of an appliance as text.
pub(super) fn status(status: &Status) -> String {
    let mut lines = vec![];
    match status.head {
        Some(head) => {
            lines.push(format!("last record  {} ({})", describe(head), plain(&status.kind)))
        }
        None => lines.push("last record  none".into()),
    }
    if let Some((time, clock, entries)) = &status.tick {
        lines.push(format!("last tick    {time}, clock {}, {entries} log entries", plain(clock)));
    }
    lines.push(format!("registry     {} records", status.registry));
    lines.push(match status.checkpoint {
        Some(size) => format!("checkpoint   over {size} records"),
        None => "checkpoint   none".into(),
    });
    lines.push(format!("last bundle  {}", plain(status.bundle.as_deref().unwrap_or("none"))));
    lines.join("\n")
}

/// What differs between two inventories as text.
pub(super) fn difference(difference: &Difference) -> String {
    let mut lines = vec![];
    for (mark, list) in [("+", &difference.added), ("-", &difference.removed)] {
        lines.extend(list.iter().map(|(name, version)| plain(&format!("{mark} {name} {version}"))));
    }
    for (name, from, to) in &difference.changed {
        lines.push(plain(&format!("~ {name} {from} -> {to}")));
    }
    for (name, version) in &difference.rebuilt {
        lines.push(plain(&format!("= {name} {version} (built anew)")));
    }
    lines.push(format!("{} alike", difference.same));
    lines.join("\n")
}

/// A JSON value, a member a line.
pub(super) fn value(value: &Value) -> String {
    let mut out = vec![];
    members("", value, &mut out);
    out.join("\n")
}

/// `text` without control characters: escape sequences in a log's name must
/// not reach a terminal.
pub(super) fn plain(text: &str) -> String {
    let visible = |c: char| if hostile(c) { '\u{fffd}' } else { c };
    text.chars().map(visible).collect()
}

/// At most `length` characters.
pub(super) fn shortened(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or(text)),
        None => text.to_owned(),
    }
}

/// Control characters, and those that turn the direction of a line.
fn hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn verdict(report: &Report, verified: &str) -> String {
    let explained = match report.verdict() {
        Verdict::Verified => verified,
        Verdict::Failed => "something is wrong: see the findings marked ERROR",
        Verdict::Inconclusive => "nothing wrong was seen, but see what was NOT CHECKED",
    };
    format!("{}: {explained}", report.verdict().as_str().to_uppercase())
}

fn describe(head: Head) -> String {
    format!("record {} of {} ({})", head.seq, head.time, head.hash)
}

fn finding_lines(finding: &Finding) -> Vec<String> {
    let mark = match finding.severity {
        Severity::Error => "ERROR",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let mut lines = vec![
        format!("{mark:<8}{}", finding.code.as_str()),
        format!("        {}", wrap(&plain(&finding.message), 8)),
    ];
    let place = place(&finding.place);
    if !place.is_empty() {
        lines.push(format!("  where     {}", plain(&place)));
    }
    for (what, text) in [("expected", &finding.expected), ("got", &finding.got)] {
        if let Some(text) = text {
            lines.push(format!("  {what:<9} {}", plain(&shortened(text, 300))));
        }
    }
    lines
}

fn place(place: &Location) -> String {
    let mut parts = vec![];
    if let Some(file) = &place.file {
        let line = place.line.map(|line| format!(":{line}")).unwrap_or_default();
        parts.push(format!("{file}{line}"));
    }
    match (place.seq, place.to_seq) {
        (Some(seq), Some(to)) => parts.push(format!("records {seq} to {to}")),
        (Some(seq), None) => parts.push(format!("record {seq}")),
        _ => {}
    }
    if let Some(src) = &place.src {
        let generation = place.generation.map(|n| format!(" generation {n}")).unwrap_or_default();
        parts.push(format!("{src}{generation}"));
    }
    if let Some((from, to)) = place.bytes {
        parts.push(format!("bytes {from} to {to}"));
    }
    if let Some((after, before)) = place.time {
        let span = human_span(before.since(after));
        parts.push(format!("between {after} and {before} ({span})"));
    }
    parts.join(", ")
}

fn run_length(place: &Location) -> u64 {
    match (place.seq, place.to_seq) {
        (Some(seq), Some(to)) => to.saturating_sub(seq).saturating_add(1),
        _ => 1,
    }
}

fn members(name: &str, value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (member, value) in object {
                let name = if name.is_empty() { String::new() } else { format!("{name}.") };
                members(&format!("{name}{}", member.as_str()), value, out);
            }
        }
        Value::Str(text) => out.push(format!("{} = {}", plain(name), plain(text))),
        other => {
            let text = String::from_utf8_lossy(&other.encode()).into_owned();
            out.push(format!("{} = {}", plain(name), plain(&text)));
        }
    }
}

/// Breaks at spaces after some 88 characters, indenting what follows.
fn wrap(text: &str, indent: usize) -> String {
    let (mut out, mut column) = (String::new(), indent);
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > indent && column + length + 1 > 96 {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use provenance_core::report::Code;

    #[test]
    fn nothing_from_a_record_reaches_the_terminal_but_text() {
        let mut hostile = Report::new();
        let place = Location::file("chain/\u{1b}[2J.jsonl").source("file:/a\u{202e}b", 0);
        hostile.add_finding(
            Finding::new(Code::LogMissing, place, "x\u{7}\r\ny").values("\u{9b}", "\u{0}"),
        );
        let text = report(&hostile);
        assert!(!text.chars().any(|c| c != '\n' && super::hostile(c)), "{text:?}");
        assert!(text.starts_with("FAILED"));
    }

    #[test]
    fn findings_that_were_not_kept_are_counted() {
        let mut many = Report::new();
        for seq in 0..500 {
            many.add_finding(Finding::new(Code::ChainSeq, Location::seq(seq * 2), "x"));
        }
        assert!(report(&many).contains("… and 400 more of chain.seq"));
    }
}
