use super::{
    charts::span,
    html::{bytes, duration, number, ranges, text},
};

#[test]
fn a_text_is_escaped_cut_and_shows_what_cannot_be_seen() {
    assert_eq!(
        text("<a href='\"'>&amp;").as_str(),
        "<bdi>&lt;a href=&#39;&quot;&#39;&gt;&amp;amp;</bdi>"
    );
    assert_eq!(text("a\u{202e}b\n").as_str(), "<bdi>a⟨U+202E⟩b⟨U+000A⟩</bdi>");
    assert_eq!(text(&"x".repeat(9_999)).as_str().chars().count(), 240 + 1 + 11);
    for c in (0..0x11_0000).filter_map(char::from_u32) {
        let shown = text(&c.to_string());
        let inner = shown.as_str().strip_prefix("<bdi>").and_then(|t| t.strip_suffix("</bdi>"));
        assert!(inner.is_some_and(|inner| !inner.contains(['<', '>', '"', '\''])), "{c:?}");
    }
}

#[test]
fn numbers_are_for_people() {
    assert_eq!(
        [number(0), number(999), number(1_000), number(1_234_567)],
        ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]
    );
    assert_eq!(ranges(&[0, 1, 2, 9, 22, 23]), "0–2, 9, 22–23");
    assert_eq!(
        [bytes(9), bytes(20_000), bytes(u64::MAX)],
        ["9 B", "20 kB", "18\u{202f}446\u{202f}744\u{202f}073 GB"]
    );
    let second = 1_000_000_000;
    assert_eq!(
        [duration(5 * second), duration(65 * second), duration(90_000 * second)],
        ["5 s", "1 min 5 s", "1 d 1 h"]
    );
    assert_eq!(
        [span(-1_200), span(-150 * second), span(i64::MAX)],
        ["-1.2 µs", "-2 min", "106751 d"]
    );
}
