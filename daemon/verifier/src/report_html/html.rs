//! HTML that is safe by its type: text gets in only escaped.

use provenance_core::encoding::time::Timestamp;

/// A text from a record is shown up to this length.
const MAX_TEXT: usize = 240;

/// A piece of HTML.
#[derive(Clone, Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Of this program's own words.
    pub(super) fn own(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn push(&mut self, more: &Self) {
        self.0.push_str(&more.0);
    }

    pub(super) fn own_push(&mut self, text: &str) {
        self.0.push_str(text);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

/// A text from outside: escaped, cut, kept from turning what stands around it.
/// What cannot be seen, or changes how other text is seen, stands by its number.
pub(super) fn text(from: &str) -> Html {
    let mut out = String::from("<bdi>");
    for (at, c) in from.chars().enumerate() {
        if at == MAX_TEXT {
            out.push('…');
            break;
        }
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if unseen(c) => out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push_str("</bdi>");
    Html(out)
}

/// Controls, marks of direction, characters without a width, tags, private use.
pub(super) fn unseen(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0xad | 0x34f | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f
            | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xe000..=0xf8ff
            | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0xe0000.. )
}

/// The name of a log for people, where that is the whole of it.
pub(super) fn source(name: &str) -> Html {
    let path = provenance_core::encoding::file_uri::decode(name)
        .and_then(|path| String::from_utf8(path).ok());
    text(path.as_deref().unwrap_or(name))
}

/// `2026-11-21 04:20:00`, in UTC.
pub(super) fn time(time: Timestamp) -> Html {
    let full = time.to_string();
    let (day, clock) = (full.get(..10).unwrap_or_default(), full.get(11..19).unwrap_or_default());
    Html(format!("<time datetime=\"{day}T{clock}Z\">{day} {clock}</time>"))
}

/// A number with thin groups of three.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A number and its word.
pub(super) fn count(of: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(of), if of == 1 { one } else { many })
}

/// A table: its caption, its heads, its rows. Roles are named because narrow
/// screens show each row as a list.
pub(super) fn table(caption: &str, heads: &[&str], rows: &[Vec<Html>]) -> Html {
    let mut out = format!(
        "<table role=\"table\"><caption>{caption}</caption><thead role=\"rowgroup\"><tr role=\"row\">"
    );
    for head in heads {
        out.push_str(&format!("<th role=\"columnheader\" scope=\"col\">{head}</th>"));
    }
    out.push_str("</tr></thead><tbody role=\"rowgroup\">\n");
    for row in rows {
        out.push_str("<tr role=\"row\">");
        for (at, (cell, head)) in row.iter().zip(heads).enumerate() {
            let (tag, more) = match at {
                0 => ("th", " role=\"rowheader\" scope=\"row\""),
                _ => ("td", " role=\"cell\""),
            };
            let cell = cell.as_str();
            out.push_str(&format!("<{tag}{more} data-of=\"{head}\"><span>{cell}</span></{tag}>"));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table>\n");
    Html(out)
}

/// `3 d 4 h`, `12 min 5 s`.
pub(super) fn duration(nanos: i64) -> String {
    let seconds = nanos / 1_000_000_000;
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// `0–4, 9, 22–23`.
pub(super) fn ranges(hours: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = vec![];
    for hour in hours {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *hour => *last = *hour,
            _ => runs.push((*hour, *hour)),
        }
    }
    let text = |(first, last): &(u32, u32)| match first == last {
        true => format!("{first}"),
        false => format!("{first}–{last}"),
    };
    runs.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// A length in bytes.
pub(super) fn bytes(of: u64) -> String {
    let (unit, name) = match of {
        0..10_000 => return format!("{} B", number(of)),
        10_000..10_000_000 => (1_000, "kB"),
        10_000_000..10_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    format!("{} {name}", number(of / unit))
}

/// `name version`, where there is one.
pub(crate) fn named(name: &str, version: Option<&str>) -> String {
    version.map_or_else(|| name.to_owned(), |version| format!("{name} {version}"))
}
