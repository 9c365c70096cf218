//! The software: inventories, who vouches for packages, certificates, what
//! happened to packages, counter-signatures.

use std::collections::BTreeMap;

use provenance_core::{
    encoding::time::Timestamp,
    record::coverage::{Counts, Coverage, Level, per_cent},
    registry::CertificateEntry,
};

use super::{
    Page,
    html::{Html, number, table, text, time},
    registry_summary::Inventory,
    tables::{MAX_ROWS, own, rest},
};
use crate::report_html::html::named;

/// The section.
pub(super) fn software(page: &Page) -> Html {
    let told = &page.told;
    let mut out = own("<section aria-labelledby=\"software\"><h2 id=\"software\">Software</h2>\n");
    let newest: Vec<_> = told.sboms.items.iter().rev().take(20).collect();
    if newest.is_empty() {
        out.own_push("<p>No inventory of the appliance’s software is on record.</p>\n");
    } else {
        let rows: Vec<Vec<Html>> = newest.iter().map(|it| inventory(it)).collect();
        let heads = ["When", "System", "From", "Packages", "Vouched for"];
        out.push(&table("Inventories of software, the latest first", &heads, &rows));
    }
    if let Some((when, coverage)) = newest.iter().find_map(|it| Some((it.time, it.covered()?))) {
        out.push(&vouched(when, coverage));
    }
    out.push(&certificates(page));
    out.push(&events(page));
    out.push(&countersigned(page));
    out.own_push("</section>\n");
    out
}

fn inventory(it: &Inventory) -> Vec<Html> {
    let vouched = it.covered().map(Coverage::all).map_or_else(
        || own("not looked at"),
        |all| own(share(all.get(Level::Verified), all.sum())),
    );
    vec![time(it.time), text(&it.system), text(&it.source), own(number(it.packages)), vouched]
}

/// `3 of 4 (75 %)`.
fn share(count: u64, of: u64) -> String {
    match per_cent(count, of) {
        Some(share) => format!("{} of {} ({share} %)", number(count), number(of)),
        None => "none to vouch for".into(),
    }
}

/// The newest inventory's coverage, as it was counted.
fn vouched(when: Timestamp, coverage: &Coverage) -> Html {
    let of_all = coverage.all().sum();
    let rows = |rows: &BTreeMap<String, Counts>, levels: &[Level], of: &dyn Fn(&Counts) -> u64| {
        let row = |(name, counts): (&String, &Counts)| -> Vec<Html> {
            let cells = levels.iter().map(|level| cell(*level, counts.get(*level), of(counts)));
            std::iter::once(text(name)).chain(cells).collect()
        };
        rows.iter().map(row).collect::<Vec<_>>()
    };
    let mut out = own(format!(
        "<p>Of {} UTC: how many packages of the reports that were read with the inventory \
         are vouched for, as this appliance found it. Shares are rounded down.</p>\n",
        time(when).as_str()
    ));
    let heads = ["Packages of", "Verified", "Detected only", "Absent", "Mismatch"];
    let by_name = rows(&coverage.ecosystems, &Level::ALL, &Counts::sum);
    out.push(&table("Who vouches, by ecosystem", &heads, &by_name));
    if !coverage.kinds.is_empty() {
        let heads = ["Kind", "Verified", "Detected only", "Mismatch"];
        let levels = [Level::Verified, Level::Detected, Level::Mismatch];
        let by_kind = rows(&coverage.kinds, &levels, &|_| of_all);
        out.push(&table("What vouches, by kind", &heads, &by_kind));
    }
    out
}

fn cell(level: Level, count: u64, of: u64) -> Html {
    match level {
        Level::Mismatch if count > 0 => own(format!("<b class=\"bad\">{}</b>", share(count, of))),
        _ => own(share(count, of)),
    }
}

fn certificates(page: &Page) -> Html {
    let told = &page.told.certificates;
    if told.count == 0 {
        return Html::default();
    }
    let row = |(when, entry): &(Timestamp, CertificateEntry)| match entry {
        CertificateEntry::Issued(issued) => {
            let what = if issued.renews.is_some() { "renewed" } else { "issued" };
            let name = named(&issued.name, issued.version.as_deref());
            let of = own(format!("{}: {}", issued.subject.as_str(), text(&name).as_str()));
            let by = text(&issued.governance.approved_by);
            vec![time(*when), own(what), of, time(issued.not_after), by, mono(&issued.id)]
        }
        CertificateEntry::Revoked { id, by, reason } => {
            let what = own("<b class=\"warn\">revoked</b>");
            vec![time(*when), what, text(reason), own(""), text(by), mono(id)]
        }
    };
    let rows: Vec<Vec<Html>> = told.items.iter().rev().take(MAX_ROWS).map(row).collect();
    let heads = ["When", "What", "For, or why", "Valid until", "By", "Certificate"];
    let mut out = table("Certificates of the local authority, the latest first", &heads, &rows);
    out.push(&rest(told.all(), "registry.jsonl"));
    out
}

fn events(page: &Page) -> Html {
    let told = &page.told.packages;
    if told.count == 0 {
        return Html::default();
    }
    let row = |(when, [event, package, version, who]): &(Timestamp, [String; 4])| {
        let event = own(format!("<code>{}</code>", text(event).as_str()));
        vec![time(*when), event, text(package), text(version), text(who)]
    };
    let rows: Vec<Vec<Html>> = told.items.iter().rev().take(MAX_ROWS).map(row).collect();
    let heads = ["When", "Event", "Package", "Version", "Who says so"];
    let mut out = table("Packages since the period began, the latest first", &heads, &rows);
    out.push(&rest(told.all(), "registry.jsonl"));
    out
}

fn countersigned(page: &Page) -> Html {
    let told = &page.told.countersigned;
    if told.count == 0 {
        return Html::default();
    }
    let row = |(when, [name, who, author, reason]): &(Timestamp, [String; 4])| {
        vec![time(*when), text(name), text(who), text(author), text(reason)]
    };
    let rows: Vec<Vec<Html>> = told.items.iter().rev().take(MAX_ROWS).map(row).collect();
    let heads = ["When", "What", "Who signed", "Who asked", "Why"];
    let mut out = table("Counter-signatures made here, the latest first", &heads, &rows);
    out.push(&rest(told.all(), "registry.jsonl"));
    out
}

fn mono(id: &str) -> Html {
    own(format!("<span class=\"mono\">{}</span>", text(id).as_str()))
}
