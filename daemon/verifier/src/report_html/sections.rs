//! The page from its top: verdict, what is not checked, sums, calendar, clock.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding as _};
use provenance_core::{
    encoding::{digest::Digest, time::Day},
    packet::{Facts, Manifest, file_name},
};

use super::{
    FORM, Page,
    charts::{self, Axis},
    clock::Series,
    coverage::Hours,
    html::{Html, count, number, source, text, time},
    software, tables,
};

const STYLE: &str = include_str!("style.css");
/// So many months are drawn, the last.
const MAX_MONTHS: usize = 24;
/// So many sources are drawn.
const MAX_PLOTS: usize = 8;

/// The whole page.
pub(super) fn page(page: &Page, manifest: &Manifest, facts: &Facts) -> Html {
    let (from, to) = (time(manifest.from), time(manifest.to));
    let (from, to) = (from.as_str(), to.as_str());
    let style = Base64::encode_string(&Digest::sha256(STYLE.as_bytes()).0[..]);
    let (client, host) = (text(&manifest.client), text(&manifest.host));
    let (client, host) = (client.as_str(), host.as_str());
    let tier = text(&manifest.tier);
    let mut out = Html::own(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{FORM}\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>Evidence report</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">To the content</a>\n\
         <header>\n<p class=\"over\">Evidence report</p>\n<h1>{host} of {client}</h1>\n\
         <p>From {from} up to {to} UTC (the end is not included) · tier {}</p>\n",
        tier.as_str()
    ));
    out.own_push("<nav aria-label=\"Sections\"><ul>");
    for (id, name) in [
        ("coverage", "Coverage"),
        ("clock", "Clock"),
        ("logs", "Logs"),
        ("bundles", "Bundles"),
        ("alerts", "Alerts"),
        ("software", "Software"),
        ("custody", "Custody"),
        ("identity", "Identity"),
    ] {
        out.own_push(&format!("<li><a href=\"#{id}\">{name}</a></li>"));
    }
    out.own_push("</ul></nav>\n</header>\n<main id=\"main\">\n");
    out.push(&verdict(page, manifest));
    out.push(&sums(page, facts));
    out.push(&not_checked());
    out.push(&coverage(page));
    out.push(&clock(page));
    out.push(&tables::logs(page));
    out.push(&tables::bundles(page, facts));
    out.push(&tables::anchors(page));
    out.push(&tables::alerts(page));
    out.push(&software::software(page));
    out.push(&tables::custody(page));
    out.push(&tables::identity(page, manifest));
    out.own_push(
        "</main>\n<footer><p>This page follows from <code>registry.jsonl</code> and \
         <code>chain/</code> in the same packet and from nothing else: <code>provctl verify</code> \
         makes it again and says where it differs. It loads nothing, and has no script.</p>\
         </footer>\n</body>\n</html>\n",
    );
    out
}

fn verdict(page: &Page, manifest: &Manifest) -> Html {
    let (class, title, told) = match &page.told.verified {
        None => (
            "info",
            "No verification is on record",
            "The appliance has not recorded that it verified itself.".to_owned(),
        ),
        Some((when, entry)) => {
            let (class, title) = match entry.verdict.as_str() {
                "verified" => ("good", "The appliance found its own records intact"),
                "inconclusive" => ("warn", "The appliance could not decide about its own records"),
                _ => ("bad", "The appliance found its own records not in order"),
            };
            let policy = match entry.policy_sha256 {
                Some(_) => "with a policy",
                None => "without a policy, so that no key was trusted",
            };
            let mut told = format!(
                "It read {} on {} UTC, {policy}: <b class=\"{class}\">{}</b>.",
                count(entry.records, "record", "records"),
                time(*when).as_str(),
                text(&entry.verdict).as_str()
            );
            let codes: Vec<String> = entry
                .codes
                .iter()
                .take(20)
                .map(|(code, of)| format!("<code>{}</code> × {}", text(code).as_str(), number(*of)))
                .collect();
            if !codes.is_empty() {
                told.push_str(&format!(" Findings: {}.", codes.join(", ")));
            }
            (class, title, told)
        }
    };
    let [good, open, bad] = page.told.verdicts;
    let runs = match good + open + bad {
        0 => "None ran in the period.".to_owned(),
        all => format!(
            "In the period it ran {}: {} verified, {} inconclusive, {} failed.",
            count(all, "time", "times"),
            number(good),
            number(open),
            number(bad)
        ),
    };
    let file = text(&file_name(&manifest.client, manifest.from, manifest.to));
    Html::own(format!(
        "<section class=\"verdict {class}\" aria-labelledby=\"verdict\">\n\
         <h2 id=\"verdict\">{title}</h2>\n<p>{told} {runs}</p>\n\
         <p><strong>This is the appliance’s word about itself, and no proof.</strong> Whoever could \
         change this packet could change this page. Verify the packet yourself, on your own \
         machine, with a key that you had before:</p>\n\
         <pre><code>provctl verify {} --policy policy.toml</code></pre>\n</section>\n",
        file.as_str()
    ))
}

fn sums(page: &Page, facts: &Facts) -> Html {
    let asked: u32 = page.cover.days.values().map(|day| day.asked.count_ones()).sum();
    let had: u32 = page.cover.days.values().map(|day| (day.asked & day.had).count_ones()).sum();
    let open = page.told.alerts.values().filter(|alert| alert.until.is_none()).count();
    let share = u64::from(had) * 1000 / u64::from(asked.max(1));
    let mut out = Html::own("<dl class=\"sums\">");
    for (name, value) in [
        ("Hours with a record", format!("{}.{} %", share / 10, share % 10)),
        ("Ticks of the chain", number(page.cover.ticks)),
        ("Pauses", number(page.cover.long_pauses().len() as u64)),
        ("Logs", number(page.cover.logs.len() as u64)),
        ("Bundles", number(facts.bundles.len() as u64)),
        ("Open alerts", number(open as u64)),
    ] {
        let class = if name == "Open alerts" && open > 0 { " class=\"look\"" } else { "" };
        out.own_push(&format!("<div><dt>{name}</dt><dd{class}>{value}</dd></div>"));
    }
    out.own_push("</dl>\n");
    out
}

fn not_checked() -> Html {
    Html::own(
        "<section aria-labelledby=\"open\"><h2 id=\"open\">What this page does not show</h2>\n<ul>\n\
         <li>Whether signatures, digests and the Bitcoin anchors hold: making a page checks none \
         of them. <code>provctl verify</code> does, and <code>VERIFY.md</code> says how without it.</li>\n\
         <li>That what was logged is true. The evidence shows that it has not changed since it was \
         recorded.</li>\n\
         <li>The contents of the logs. The packet holds digests of them.</li>\n\
         <li>The chain outside of the period.</li>\n\
         <li>Whether a control is met. <code>controls.csv</code> says which evidence supports \
         which; an auditor judges.</li>\n</ul></section>\n",
    )
}

fn coverage(page: &Page) -> Html {
    let cover = &page.cover;
    let mut out = Html::own(
        "<section aria-labelledby=\"coverage\"><h2 id=\"coverage\">Coverage</h2>\n\
         <p>The chain has a record at every interval, also when nothing happens. A day is full \
         where each of its hours in the period has one.</p>\n",
    );
    let square = |class: &str, more: &str| {
        format!(
            "<svg viewBox=\"0 0 30 30\" aria-hidden=\"true\"><rect x=\"1\" y=\"1\" width=\"28\" \
             height=\"28\" rx=\"5\" class=\"{class}\"/>{more}</svg>"
        )
    };
    let fill = "<rect x=\"1\" y=\"14\" width=\"28\" height=\"15\" rx=\"3\" class=\"fill\"/>";
    let cross = "<path d=\"M6 24L24 6\" class=\"cross\"/>";
    out.own_push(&format!(
        "<ul class=\"key\"><li>{}every hour</li><li>{}some hours</li><li>{}none</li>\
         <li>{}outside the period</li></ul>\n",
        square("full", ""),
        square("part", fill),
        square("none", cross),
        square("out", "")
    ));
    let mut months: BTreeMap<(u16, u8), Vec<(Day, Hours)>> = BTreeMap::new();
    for (day, hours) in &cover.days {
        months.entry((day.year, day.month)).or_default().push((*day, *hours));
    }
    let left_out = months.len().saturating_sub(MAX_MONTHS);
    out.own_push("<div class=\"months\">\n");
    for ((year, month), days) in months.iter().skip(left_out) {
        let id = format!("m{year}-{month:02}");
        let drawn = charts::month(days, &id);
        out.own_push(&format!(
            "<figure aria-labelledby=\"{id}\"><figcaption id=\"{id}\">{} {year}</figcaption>{drawn}</figure>\n",
            name_of(*month)
        ));
    }
    out.own_push("</div>\n");
    if left_out > 0 {
        out.own_push(&format!(
            "<p class=\"soft\">The last {MAX_MONTHS} months are drawn, {left_out} before them are \
             not; <code>population.json</code> names every day.</p>\n"
        ));
    }
    out.push(&tables::days(page));
    out.push(&tables::pauses(page));
    out.own_push("</section>\n");
    out
}

fn clock(page: &Page) -> Html {
    let clock = &page.clock;
    let mut out = Html::own(
        "<section aria-labelledby=\"clock\"><h2 id=\"clock\">Clock</h2>\n\
         <p>Each band is where true time lay against the appliance’s clock, by that source: its \
         offset with its error bound above and below. Zero, the dashed line, is the appliance’s \
         clock. A clock that is right has zero inside of the band.</p>\n",
    );
    let Some((first, last)) = clock.span else {
        out.own_push("<p>There is no tick in the period.</p></section>\n");
        return out;
    };
    // Ticks that are as far apart as usual are one line.
    let near = page.cover.usual().unwrap_or(1).saturating_mul(2_000_000_000) / clock.width;
    let axis = Axis { first, last, join: near.saturating_add(1) };
    let times = [first, first + (last - first + 1) / 2, last.saturating_add(1)];
    let times = times.map(|cell| {
        let at = provenance_core::encoding::time::Timestamp::from_nanos(
            cell.saturating_mul(clock.width),
        );
        time(at).as_str().to_owned()
    });
    let times =
        format!("<div class=\"times\"><span>{}</span><span>{}</span></div>", times[0], times[2]);
    out.own_push(&format!(
        "<figure class=\"plot low\" aria-labelledby=\"p0\"><figcaption id=\"p0\">Verdict over all sources</figcaption>\
         <div class=\"area\"><div class=\"ends\" aria-hidden=\"true\"></div>{}{times}</div></figure>\n",
        charts::strip(&clock.worst, axis, "p0")
    ));
    let square = |rank| {
        format!(
            "<svg viewBox=\"0 0 30 30\" aria-hidden=\"true\"><rect width=\"30\" height=\"30\" rx=\"5\" class=\"v{rank}\"/></svg>"
        )
    };
    out.own_push("<ul class=\"key\">");
    for (rank, (verdict, of)) in super::clock::VERDICTS.iter().zip(clock.verdicts).enumerate() {
        let ticks = count(of, "tick", "ticks");
        out.own_push(&format!("<li>{}{}: {ticks}</li>", square(rank), verdict.as_str()));
    }
    out.own_push("</ul>\n");
    let agreed = Html::own("What they agree on");
    let named = clock.sources.iter().map(|(name, series)| (source(name), series));
    let with = named.filter(|(_, series)| !series.cells.is_empty());
    let all = std::iter::once((agreed, &clock.agreed)).chain(with);
    for (at, (name, series)) in all.take(MAX_PLOTS + 1).enumerate() {
        out.push(&plot(&name, series, axis, &format!("p{}", at + 1), &times));
    }
    let width = match clock.width / 1_000_000_000 {
        seconds @ 0..60 => count(seconds.unsigned_abs(), "second", "seconds"),
        seconds => format!("about {} minutes", (seconds + 30) / 60),
    };
    out.own_push(&format!(
        "<p class=\"soft\">Each column is {width} wide and holds all that was claimed in it; times \
         are UTC. The scale is each source’s own.</p>\n"
    ));
    out.push(&tables::sources(page));
    out.own_push("</section>\n");
    out
}

fn plot(name: &Html, series: &Series, axis: Axis, id: &str, times: &str) -> Html {
    let (scale, most) = charts::reach(&series.cells);
    let (high, low) = (charts::span(scale), charts::span(scale));
    let cut = match most > scale {
        true => format!(" <b class=\"warn\">cut: it reaches {}</b>", charts::span(most)),
        false => String::new(),
    };
    let drawn = charts::band(&series.cells, axis, scale, id);
    let bound = charts::span(series.widest);
    Html::own(format!(
        "<figure class=\"plot\" aria-labelledby=\"{id}\"><figcaption id=\"{id}\">{} <span class=\"soft\">widest bound \
         ±{bound}</span>{cut}</figcaption><div class=\"area\"><div class=\"ends\"><span>+{high}</span>\
         <span>0</span><span>−{low}</span></div>{drawn}{times}</div></figure>\n",
        name.as_str()
    ))
}

fn name_of(month: u8) -> &'static str {
    const NAMES: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    NAMES.get(usize::from(month).saturating_sub(1)).copied().unwrap_or_default()
}
