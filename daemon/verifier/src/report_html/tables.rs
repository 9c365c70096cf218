//! The tables: what stands beside the drawings, and the lists.

use provenance_core::{
    packet::{Facts, Manifest},
    registry::KeyAction,
    report::Severity,
};

use super::{
    Page, charts,
    coverage::MAX_PAUSES,
    html::{Html, bytes, count, duration, number, ranges, source, table, text, time},
};

/// So many rows of a table are shown.
pub(super) const MAX_ROWS: usize = 200;

pub(super) fn own(text: impl Into<String>) -> Html {
    Html::own(text)
}

/// That a table has not all, and where the rest is.
pub(super) fn rest(all: usize, place: &str) -> Html {
    if all <= MAX_ROWS {
        return Html::default();
    }
    let more = number((all - MAX_ROWS) as u64);
    own(format!("<p class=\"soft\">{more} more are in <code>{place}</code>.</p>\n"))
}

/// The days that lack an hour.
pub(super) fn days(page: &Page) -> Html {
    let short: Vec<Vec<Html>> = page
        .cover
        .days
        .iter()
        .filter(|(_, hours)| hours.asked & !hours.had != 0)
        .map(|(day, hours)| {
            let (asked, had) = (hours.asked.count_ones(), (hours.asked & hours.had).count_ones());
            let missing: Vec<u32> =
                (0..24).filter(|hour| hours.asked & !hours.had & (1 << hour) != 0).collect();
            vec![
                own(day.to_string()),
                own(format!("{had} of {asked}")),
                own(ranges(&missing)),
                own(number(hours.ticks)),
            ]
        })
        .collect();
    if short.is_empty() {
        return own("<p><b class=\"good\">No day lacks an hour.</b></p>\n");
    }
    let heads = ["Day", "Hours", "Hours without a record", "Ticks"];
    let shown = short.get(..short.len().min(60)).unwrap_or_default();
    let mut out = table("Days that lack an hour", &heads, shown);
    if short.len() > shown.len() {
        let more = number((short.len() - shown.len()) as u64);
        out.own_push(&format!("<p class=\"soft\">{more} more; the calendar shows them.</p>\n"));
    }
    out
}

/// Where ticks came late.
pub(super) fn pauses(page: &Page) -> Html {
    let cover = &page.cover;
    let Some((first, last)) = cover.ends else { return Html::default() };
    let mut out = own(format!(
        "<p>The chain’s records in the period begin {} and end {} UTC: {}, of which {}. The \
         program began {} and ended in order {}; {} of a repair.</p>\n",
        time(first).as_str(),
        time(last).as_str(),
        count(cover.records, "record", "records"),
        count(cover.ticks, "is a tick", "are ticks"),
        count(cover.starts, "time", "times"),
        count(cover.stops, "time", "times"),
        count(cover.recovered, "record tells", "records tell"),
    ));
    let Some(usual) = cover.usual() else { return out };
    let long = cover.long_pauses();
    if long.is_empty() {
        out.own_push(&format!(
            "<p><b class=\"good\">No pause.</b> A tick came every {usual} s as a rule, and none \
             after more than twice that.</p>\n"
        ));
        return out;
    }
    let rows: Vec<Vec<Html>> = long
        .iter()
        .take(20)
        .map(|(length, from, stopped)| {
            vec![
                time(*from),
                time(from.plus_nanos(*length)),
                own(duration(*length)),
                own(match stopped {
                    true => "the program was stopped in order",
                    false => "<b class=\"bad\">no orderly stop</b>",
                }),
            ]
        })
        .collect();
    let or_more = if long.len() >= MAX_PAUSES { " or more" } else { "" };
    out.own_push(&format!(
        "<p>A tick came every {usual} s as a rule. {}{or_more} of over twice that:</p>\n",
        count(long.len() as u64, "pause", "pauses")
    ));
    let heads = ["Last tick before", "First behind", "Length", "Explained by"];
    out.push(&table("The longest pauses", &heads, &rows));
    out
}

/// The time sources in numbers.
pub(super) fn sources(page: &Page) -> Html {
    let rows: Vec<Vec<Html>> = page
        .clock
        .sources
        .iter()
        .map(|(name, series)| {
            let [ok, off, absent, rejected] = series.states.map(number);
            let last = series.last.map_or_else(
                || "none".into(),
                |(offset, bound)| format!("{} ± {}", charts::span(offset), charts::span(bound)),
            );
            let off = match off.as_str() {
                "0" => off,
                _ => format!("<b class=\"bad\">{off}</b>"),
            };
            [own(ok), own(off), own(absent), own(rejected), own(last)].into_iter().fold(
                vec![source(name)],
                |mut row, cell| {
                    row.push(cell);
                    row
                },
            )
        })
        .collect();
    let heads = ["Source", "Agreed", "Disagreed", "Absent", "Rejected", "Last claim"];
    let mut out = table("Ticks by time source", &heads, &rows);
    if page.clock.more {
        out.own_push("<p class=\"soft\">There were more sources than are shown.</p>\n");
    }
    out
}

/// The logs.
pub(super) fn logs(page: &Page) -> Html {
    let logs = &page.cover.logs;
    let mut out = own("<section aria-labelledby=\"logs\"><h2 id=\"logs\">Logs</h2>\n");
    if logs.is_empty() {
        out.own_push("<p>No log changed in the period.</p></section>\n");
        return out;
    }
    let more = if page.cover.more { " or more" } else { "" };
    out.own_push(&format!(
        "<p>{}{more} changed in the period. The chain holds a digest of all that was added.</p>\n",
        count(logs.len() as u64, "log", "logs")
    ));
    let row = |(name, log): (&String, &super::coverage::Log)| {
        let unit = match name.starts_with("journal:") {
            true => count(log.amount, "entry", "entries"),
            false => bytes(log.amount),
        };
        let events: Vec<String> =
            log.events.iter().map(|(event, of)| format!("{event} × {}", number(*of))).collect();
        let events = match events.is_empty() {
            true => own("nothing"),
            false => own(format!("<b class=\"warn\">{}</b>", events.join(", "))),
        };
        let rotated = own(number(log.rotated));
        vec![source(name), own(unit), own(number(log.ranges)), rotated, events, time(log.last)]
    };
    let rows: Vec<Vec<Html>> = logs.iter().take(MAX_ROWS).map(row).collect();
    let heads = ["Log", "Added", "In steps", "Rotated", "Out of order", "Last change"];
    out.push(&table("Logs that changed", &heads, &rows));
    out.push(&rest(logs.len(), "chain/"));
    out.own_push("</section>\n");
    out
}

/// The bundles, and what anchors them.
pub(super) fn bundles(page: &Page, facts: &Facts) -> Html {
    let mut out =
        own("<section aria-labelledby=\"bundles\"><h2 id=\"bundles\">Bundles and anchors</h2>\n");
    if facts.bundles.is_empty() {
        out.own_push("<p>No bundle is of the period.</p>\n");
        return out;
    }
    let rows: Vec<Vec<Html>> = facts
        .bundles
        .iter()
        .take(MAX_ROWS)
        .map(|(id, (bundle, expired))| {
            let seq = page.told.bundles.get(id);
            let anchor = seq.and_then(|seq| page.told.anchor_of(*seq));
            let anchor = match anchor {
                None => own("none"),
                Some(anchor) => match anchor.height {
                    Some(height) if anchor.state == "attested" => {
                        own(format!("block {height}, a calendar says"))
                    }
                    Some(height) if anchor.in_block() => own(format!("block {height}")),
                    _ => own(anchor.state),
                },
            };
            let artifacts = match expired {
                true => own(format!("{}, removed when retention ended", number(bundle.artifacts))),
                false => own(number(bundle.artifacts)),
            };
            let records = format!("{} to {}", number(bundle.first_seq), number(bundle.last_seq));
            let signed = match bundle.signed {
                true => own("yes"),
                false => own("<b class=\"warn\">no</b>"),
            };
            let reason = text(&bundle.reason);
            vec![
                text(id),
                time(bundle.from),
                time(bundle.to),
                own(records),
                artifacts,
                signed,
                anchor,
                reason,
            ]
        })
        .collect();
    let heads = ["Bundle", "From", "To", "Records", "Artifacts", "Signed", "Anchor", "Reason"];
    out.push(&table("Bundles of the period", &heads, &rows));
    out.push(&rest(facts.bundles.len(), "population.json"));
    out
}

/// The anchors on record; it closes the section of the bundles.
pub(super) fn anchors(page: &Page) -> Html {
    let anchors = &page.told.anchors;
    if anchors.is_empty() {
        return own("<p>No anchor is on record: nothing outside of the appliance says when these \
                    records were there.</p></section>\n");
    }
    let row = |anchor: &super::registry_summary::Anchor| {
        let txid = anchor.txid.as_deref().map_or_else(
            || own(if anchor.state == "attested" { "the calendar's" } else { "none yet" }),
            |txid| own(format!("<span class=\"mono\">{}</span>", text(txid).as_str())),
        );
        let height = anchor.height.map_or_else(|| "none yet".into(), |height| height.to_string());
        let state = format!("{}, {}", anchor.state, text(&anchor.network).as_str());
        vec![time(anchor.since), own(state), own(number(anchor.size)), own(height), txid]
    };
    let rows: Vec<Vec<Html>> = anchors.values().rev().take(MAX_ROWS).map(row).collect();
    let heads = ["Since", "State", "Registry records", "Block", "Transaction"];
    let mut out = table("Anchors in Bitcoin, the latest first", &heads, &rows);
    out.push(&rest(anchors.len(), "registry.jsonl"));
    out.own_push("</section>\n");
    out
}

/// Alerts: the open ones first.
pub(super) fn alerts(page: &Page) -> Html {
    let mut out = own("<section aria-labelledby=\"alerts\"><h2 id=\"alerts\">Alerts</h2>\n");
    let mut alerts: Vec<_> = page.told.alerts.values().collect();
    alerts.sort_by_key(|alert| (alert.until.is_some(), core::cmp::Reverse(alert.since), &alert.id));
    if alerts.is_empty() {
        out.own_push(
            "<p><b class=\"good\">None</b> was open in the period or is open now.</p></section>\n",
        );
        return out;
    }
    let rows: Vec<Vec<Html>> = alerts
        .iter()
        .take(MAX_ROWS)
        .map(|alert| {
            let class = if alert.severity == Severity::Error { "bad" } else { "warn" };
            let until =
                alert.until.map_or_else(|| own(format!("<b class=\"{class}\">open</b>")), time);
            let code = own(format!("<code>{}</code>", text(&alert.code).as_str()));
            vec![code, source(&alert.subject), time(alert.since), until, text(&alert.message)]
        })
        .collect();
    let heads = ["Alert", "About", "Since", "Until", "What it said"];
    out.push(&table("Alerts, the open ones first", &heads, &rows));
    let all = alerts.len().saturating_add(usize::try_from(page.told.alerts_dropped).unwrap_or(0));
    out.push(&rest(all, "registry.jsonl"));
    out.own_push("</section>\n");
    out
}

/// Reviews and exports.
pub(super) fn custody(page: &Page) -> Html {
    let told = &page.told;
    let mut out =
        own("<section aria-labelledby=\"custody\"><h2 id=\"custody\">Custody and reviews</h2>\n");
    if told.exports.count == 0 {
        out.own_push("<p>No packet was exported before this one.</p>\n");
    } else {
        let newest = told.exports.items.iter().rev().take(MAX_ROWS);
        let rows: Vec<Vec<Html>> = newest
            .map(|(when, packet)| {
                let sum = own(format!("<span class=\"mono\">{}</span>", packet.sha256));
                vec![time(*when), text(&packet.who), text(&packet.name), sum]
            })
            .collect();
        let heads = ["When", "Who", "Packet", "SHA-256"];
        out.push(&table("Packets exported before, the latest first", &heads, &rows));
        out.push(&rest(usize::try_from(told.exports.count).unwrap_or(0), "custody.json"));
    }
    if told.reviews.count == 0 {
        out.own_push(
            "<p><b class=\"warn\">No review</b> is on record since the period began.</p>\n",
        );
    } else {
        let newest = told.reviews.items.iter().rev().take(MAX_ROWS);
        let rows: Vec<Vec<Html>> = newest
            .map(|(when, [who, what, outcome])| {
                vec![time(*when), text(who), text(what), text(outcome)]
            })
            .collect();
        let heads = ["When", "Who", "What", "Outcome"];
        out.push(&table("Reviews since the period began, the latest first", &heads, &rows));
        out.push(&rest(usize::try_from(told.reviews.count).unwrap_or(0), "reviews.json"));
    }
    out.own_push("</section>\n");
    out
}

/// What to compare with what one knows from elsewhere.
pub(super) fn identity(page: &Page, manifest: &Manifest) -> Html {
    let mut out = own("<section aria-labelledby=\"identity\"><h2 id=\"identity\">Identity</h2>\n");
    let mono = |text: String| own(format!("<span class=\"mono\">{text}</span>"));
    let chain = &manifest.chain;
    let link = |link: provenance_core::statement::evidence::Link| {
        format!("{} · {}", number(link.seq), link.hash)
    };
    let rows = [
        ("Chain", mono(text(&chain.id).as_str().to_owned())),
        ("First record", mono(link(chain.first))),
        ("Last record", mono(link(chain.last))),
        (
            "Registry",
            mono(format!("{} · {}", count(manifest.size, "record", "records"), manifest.root)),
        ),
        (
            "Signed",
            own(if manifest.signed {
                "yes"
            } else {
                "<b class=\"warn\">no: anybody could have made it</b>"
            }),
        ),
    ];
    let rows: Vec<Vec<Html>> =
        rows.into_iter().map(|(name, value)| vec![own(name), value]).collect();
    out.push(&table("What this packet is of", &["", "Value"], &rows));
    if page.told.keys.count > 0 {
        let rows: Vec<Vec<Html>> = page
            .told
            .keys
            .items
            .iter()
            .rev()
            .take(MAX_ROWS)
            .map(|(name, print, action, when)| {
                let what = match action {
                    KeyAction::Begin => "began",
                    KeyAction::Succeed => "succeeded the one before",
                    KeyAction::Revoke => "<b class=\"warn\">was revoked</b>",
                };
                vec![mono(print.to_string()), text(name), own(what), time(*when)]
            })
            .collect();
        let heads = ["SHA-256", "Name", "What", "When"];
        out.push(&table("Keys on record", &heads, &rows));
        out.own_push(
            "<p>Compare the digest with the one that you were given when the appliance was set \
             up. A key that comes with the evidence proves nothing.</p>\n",
        );
    }
    out.own_push("</section>\n");
    out
}
