//! The drawings. Numbers are integers, so that every machine draws the same
//! bytes; words stand beside them as HTML, so that they keep their size.

use std::collections::BTreeMap;

use provenance_core::encoding::time::{Day, human_span};
use svg::{
    Document,
    node::element::{Line, Path, Rectangle, Text, Title, path::Data},
};

use super::coverage::Hours;

const WIDE: i64 = 10_000;
const HIGH: i64 = 1_000;
/// A lone cell is at least this wide.
const LEAST: i64 = 40;

/// Where cells lie from left to right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) first: i64,
    pub(super) last: i64,
    /// Cells this near are joined.
    pub(super) join: i64,
}

impl Axis {
    fn x(self, cell: i64) -> i64 {
        let count = self.last.saturating_sub(self.first).saturating_add(1).max(1);
        cell.saturating_sub(self.first).saturating_mul(WIDE) / count
    }

    /// Runs of joined cells, each cell with its left and right edge.
    fn runs<T: Copy>(self, cells: &BTreeMap<i64, T>) -> Vec<Vec<(i64, i64, T)>> {
        let mut runs: Vec<Vec<(i64, i64, T)>> = vec![];
        let mut before = None;
        for (cell, value) in cells {
            let joined = before.is_some_and(|before| cell - before <= self.join);
            let left = self.x(*cell);
            let right = self.x(cell + 1).max(left + LEAST);
            match runs.last_mut() {
                Some(run) if joined => {
                    if let Some((_, end, _)) = run.last_mut() {
                        *end = left;
                    }
                    run.push((left, right, *value));
                }
                _ => runs.push(vec![(left, right, *value)]),
            }
            before = Some(*cell);
        }
        runs
    }
}

fn stretched(high: i64, label: &str) -> Document {
    Document::new()
        .set("viewBox", (0, 0, WIDE, high))
        .set("preserveAspectRatio", "none")
        .set("role", "img")
        .set("aria-labelledby", label)
}

/// The least of 1, 2 and 5 times a power of ten that is not under `most`.
fn scale(most: i64) -> i64 {
    let mut step = 1_000_i64;
    loop {
        for times in [1, 2, 5] {
            match step.checked_mul(times) {
                Some(scale) if scale >= most => return scale,
                Some(_) => {}
                None => return i64::MAX,
            }
        }
        step = step.saturating_mul(10);
    }
}

/// A span for people; `human_span` ends with seconds.
pub(super) fn span(nanos: i64) -> String {
    const MINUTE: i64 = 60_000_000_000;
    match nanos.unsigned_abs() / MINUTE.unsigned_abs() {
        0..2 => human_span(nanos),
        2..120 => format!("{} min", nanos / MINUTE),
        120..2_880 => format!("{} h", nanos / (60 * MINUTE)),
        _ => format!("{} d", nanos / (1_440 * MINUTE)),
    }
}

/// The scale for a band, and the most that it reaches from zero. Few cells far
/// outside do not make all others flat: they are cut.
pub(super) fn reach(cells: &BTreeMap<i64, (i64, i64)>) -> (i64, i64) {
    let far = |(low, high): &(i64, i64)| low.saturating_abs().max(high.saturating_abs());
    let mut all: Vec<i64> = cells.values().map(far).collect();
    all.sort_unstable();
    let most = all.last().copied().unwrap_or_default();
    let usual = all.get(all.len() * 9 / 10).copied().unwrap_or(most);
    match usual.saturating_mul(8) < most {
        true => (scale(usual.saturating_mul(2)), most),
        false => (scale(most), most),
    }
}

/// A band of intervals around zero, which lies in the middle.
pub(super) fn band(
    cells: &BTreeMap<i64, (i64, i64)>,
    axis: Axis,
    scale: i64,
    label: &str,
) -> String {
    let y = |value: i64| {
        let value = value.clamp(-scale, scale);
        let part = i128::from(value) * i128::from(HIGH / 2 - 10) / i128::from(scale.max(1));
        HIGH / 2 - i64::try_from(part).unwrap_or_default()
    };
    let mut data = Data::new();
    for run in axis.runs(cells) {
        let mut edges = run.iter();
        let Some((left, right, (_, high))) = edges.next() else { continue };
        data = data.move_to((*left, y(*high))).horizontal_line_to(*right);
        for (_, right, (_, high)) in edges {
            data = data.vertical_line_to(y(*high)).horizontal_line_to(*right);
        }
        for (left, _, (low, _)) in run.iter().rev() {
            data = data.vertical_line_to(y(*low)).horizontal_line_to(*left);
        }
        data = data.close();
    }
    let rule = |at: i64, class: &str| {
        Line::new().set("x1", 0).set("x2", WIDE).set("y1", at).set("y2", at).set("class", class)
    };
    stretched(HIGH, label)
        .add(rule(10, "rule"))
        .add(rule(HIGH - 10, "rule"))
        .add(Path::new().set("class", "band").set("d", data))
        .add(rule(HIGH / 2, "zero"))
        .to_string()
}

/// The worst verdict over time, as a strip.
pub(super) fn strip(cells: &BTreeMap<i64, usize>, axis: Axis, label: &str) -> String {
    let mut document = stretched(100, label);
    for run in axis.runs(cells) {
        let mut rest = run.as_slice();
        while let Some((left, _, rank)) = rest.first() {
            let like = rest.iter().take_while(|(.., other)| other == rank).count();
            let right = rest.get(like.saturating_sub(1)).map_or(*left, |(_, right, _)| *right);
            document = document.add(
                Rectangle::new()
                    .set("x", *left)
                    .set("y", 0)
                    .set("width", right - left)
                    .set("height", 100)
                    .set("class", format!("v{rank}")),
            );
            rest = rest.get(like..).unwrap_or_default();
        }
    }
    document.to_string()
}

/// A month: a square for each day, filled from below by its hours.
pub(super) fn month(days: &[(Day, Hours)], label: &str) -> String {
    const SIDE: i64 = 30;
    const STEP: i64 = 34;
    let weekday = |day: Day| {
        let start = day.start().unwrap_or_default().nanos();
        // 1970-01-01 was a Thursday.
        (start.div_euclid(86_400_000_000_000) + 3).rem_euclid(7)
    };
    let shift = days.first().map_or(0, |(day, _)| {
        let first = Day { day: 1, ..*day };
        weekday(first)
    });
    // From the week of the first day to that of the last.
    let week =
        |day: Option<&(Day, Hours)>| day.map_or(0, |(day, _)| (shift + i64::from(day.day) - 1) / 7);
    let (above, below) = (week(days.first()), week(days.last()));
    let mut document = Document::new()
        .set("viewBox", (-1, 0, 7 * STEP - 2, (below - above + 1) * STEP + 16))
        .set("role", "img")
        .set("aria-labelledby", label);
    let word = |x: i64, y: i64, class: &str, text: &str| {
        Text::new(text).set("x", x).set("y", y).set("class", class)
    };
    for (at, name) in ["M", "T", "W", "T", "F", "S", "S"].into_iter().enumerate() {
        let x = i64::try_from(at).unwrap_or(0) * STEP + SIDE / 2;
        document = document.add(word(x, 10, "wd", name));
    }
    for (day, hours) in days {
        let place = shift + i64::from(day.day) - 1;
        let (x, y) = (place % 7 * STEP, (place / 7 - above) * STEP + 18);
        let (asked, had) = (hours.asked.count_ones(), (hours.asked & hours.had).count_ones());
        let class = match (asked, had) {
            (0, _) => "out",
            (_, 0) => "none",
            (asked, had) if asked == had => "full",
            _ => "part",
        };
        let square = |class: &str, y: i64, high: i64| {
            Rectangle::new()
                .set("x", x)
                .set("y", y)
                .set("width", SIDE)
                .set("height", high)
                .set("rx", if high == SIDE { 5 } else { 3 })
                .set("class", class)
        };
        let told = match asked {
            0 => format!("{day}: outside the period"),
            _ => format!("{day}: {had} of {asked} hours, {} ticks", hours.ticks),
        };
        document = document.add(square(class, y, SIDE).add(Title::new(told)));
        if class == "part" {
            let high = (SIDE * i64::from(had) / i64::from(asked.max(1))).max(3);
            document = document.add(square("fill", y + SIDE - high, high));
        }
        if class == "none" {
            let cross = Data::new().move_to((x + 5, y + SIDE - 5)).line_to((x + SIDE - 5, y + 5));
            document = document.add(Path::new().set("class", "cross").set("d", cross));
        }
        let number = day.day.to_string();
        document = document.add(word(x + SIDE / 2, y + 20, class, &number));
    }
    document.to_string()
}
