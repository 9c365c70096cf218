//! Rust source as text: enough of its grammar to name the paths that a file
//! uses, without what only tests see.

/// `text` with comments, strings and characters blanked; lines stay lines.
pub(crate) fn code(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some(c) = rest.chars().next() {
        let word = out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let length = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest),
            'r' | 'b' | 'c' if !word => raw_string(rest).unwrap_or(0),
            '\'' => character(rest),
            _ => 0,
        };
        let taken = if length == 0 { c.len_utf8() } else { length };
        let (skipped, tail) = rest.split_at(taken);
        match length {
            0 => out.push(c),
            _ => out.extend(skipped.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
        }
        rest = tail;
    }
    out
}

/// [`code`] without the items under `#[cfg(test)]`, and the names of the
/// modules among them whose text is in files of their own.
pub(crate) fn without_tests(code: &str) -> (String, Vec<String>) {
    const MARK: &str = "#[cfg(test)]";
    let (mut out, mut modules, mut rest) = (String::new(), Vec::new(), code);
    while let Some(at) = rest.find(MARK) {
        out.push_str(&rest[..at]);
        let item = &rest[at + MARK.len()..];
        let end = item_end(item);
        let words: Vec<&str> = item[..end].split_whitespace().collect();
        if let Some(["mod", name]) = words.windows(2).rfind(|w| w[0] == "mod")
            && let Some(name) = name.strip_suffix(';')
        {
            modules.push(name.to_owned());
        }
        out.extend(item[..end].chars().filter(|c| *c == '\n'));
        rest = &item[end..];
    }
    out.push_str(rest);
    (out, modules)
}

/// Every path of two segments or more in `code`, groups in braces spelt out,
/// with the line it begins on.
pub(crate) fn paths(code: &str) -> Vec<(usize, Vec<String>)> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    for (at, (line, token)) in tokens.iter().enumerate() {
        let continued = at > 0 && tokens[at - 1].1 == "::";
        // Behind a path's `::` stands a segment of it, unless the path is
        // global (`::std::fs`) and begins there.
        let global = continued && (at < 2 || !is_name(tokens[at - 2].1));
        if is_name(token) && (!continued || global) {
            let mut group = Vec::new();
            tree(&tokens, at, &[], &mut group);
            found.extend(group.into_iter().filter(|path| path.len() > 1).map(|path| (*line, path)));
        }
    }
    found
}

/// One name that a `use` brings in.
pub(crate) struct Use {
    pub(crate) path: Vec<String>,
    pub(crate) alias: Option<String>,
    /// Whether it is a re-export.
    pub(crate) public: bool,
}

/// What the `use` declarations of `code` bring in, and `code` without them.
pub(crate) fn uses(code: &str) -> (Vec<Use>, String) {
    let (mut found, mut rest) = (vec![], String::new());
    let mut text = code;
    while let Some(at) = next_use(text) {
        let end = text[at..].find(';').map_or(text.len(), |length| at + length + 1);
        let line = text[..at].rfind('\n').map_or(0, |line| line + 1);
        let public = text[line..at].trim_start().starts_with("pub");
        rest.push_str(&text[..at]);
        let declared = text[at + 3..end].trim_end_matches(';');
        expand(declared, &[], public, &mut found);
        text = &text[end..];
    }
    rest.push_str(text);
    (found, rest)
}

/// Where the next `use` of `text` begins: first on its line, or after `pub`.
fn next_use(text: &str) -> Option<usize> {
    let before = |at: usize| {
        let line = text[..at].rfind('\n').map_or(0, |line| line + 1);
        let before = text[line..at].trim();
        before.is_empty() || before.starts_with("pub") && !before.contains(' ')
    };
    let is_word = |at: usize| text[at + 3..].starts_with(char::is_whitespace);
    text.match_indices("use").map(|(at, _)| at).find(|at| is_word(*at) && before(*at))
}

/// The names in a `use` tree such as `a::{self, b::{C, D as E}}`.
fn expand(tree: &str, prefix: &[String], public: bool, out: &mut Vec<Use>) {
    let tree = tree.trim();
    if let Some(group) = tree.strip_prefix('{') {
        let (mut depth, mut start) = (0_usize, 0);
        let group = group.trim_end();
        let group = group.strip_suffix('}').unwrap_or(group);
        for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(&group[start..at], prefix, public, out);
                    start = at + 1;
                }
                _ => {}
            }
        }
    } else if let Some((first, rest)) = tree.split_once("::") {
        expand(rest, &[prefix, &[first.trim().to_owned()]].concat(), public, out);
    } else if !tree.is_empty() {
        let (name, alias) = match tree.split_once(" as ") {
            Some((name, alias)) => (name.trim(), Some(alias.trim().to_owned())),
            None => (tree, None),
        };
        let mut path = prefix.to_vec();
        if name != "self" || prefix.is_empty() {
            path.push(name.to_owned());
        }
        out.push(Use { path, alias, public });
    }
}

/// Reads the path or group at `at` and gives the place behind it.
fn tree(
    tokens: &[(usize, &str)],
    mut at: usize,
    prefix: &[String],
    out: &mut Vec<Vec<String>>,
) -> usize {
    let token = |at: usize| tokens.get(at).map_or("", |(_, token)| *token);
    let mut path = prefix.to_vec();
    loop {
        match token(at) {
            "{" => {
                at += 1;
                while !matches!(token(at), "}" | "") {
                    at = if token(at) == "," { at + 1 } else { tree(tokens, at, &path, out) };
                }
                return at + 1;
            }
            name if is_name(name) || name == "*" => path.push(name.to_owned()),
            _ => return at.max(1) + 1,
        }
        at += 1;
        if token(at) == "::" {
            at += 1;
            if matches!(token(at), "<" | "") {
                break;
            }
        } else {
            break;
        }
    }
    if token(at) == "as" && path.len() == 1 {
        // The root itself under another name would hide what is used.
        path.push("self".to_owned());
    }
    out.push(path);
    if token(at) == "as" {
        at += 2;
    }
    at
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::`, and single characters, each with its line from 1.
fn tokens(code: &str) -> Vec<(usize, &str)> {
    let mut out = Vec::new();
    for (line, text) in code.lines().enumerate() {
        let mut rest = text.trim_start();
        while let Some(c) = rest.chars().next() {
            let name = |c: char| c.is_alphanumeric() || c == '_';
            let length = match c {
                c if name(c) => rest.find(|c| !name(c)).unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                c => c.len_utf8(),
            };
            out.push((line + 1, &rest[..length]));
            rest = rest[length..].trim_start();
        }
    }
    out
}

/// Where the item ends: at its `;`, or at the `}` of its first `{`.
fn item_end(item: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in item.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && c == '}' {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    item.len()
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            c => escaped = c == '\\' && !escaped,
        }
    }
    text.len()
}

/// `r"…"`, `br#"…"#`, `b"…"`, `c"…"`, `b'…'`.
fn raw_string(text: &str) -> Option<usize> {
    let prefix = text.find(|c: char| !c.is_ascii_lowercase()).filter(|length| *length <= 2)?;
    let (letters, rest) = text.split_at(prefix);
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    match letters.ends_with('r') {
        true if rest[hashes..].starts_with('"') => {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = &rest[hashes + 1..];
            Some(prefix + hashes + 1 + body.find(&end)? + end.len())
        }
        false if rest.starts_with('"') => Some(prefix + string(rest)),
        false if letters == "b" && rest.starts_with('\'') => Some(prefix + character(rest)),
        _ => None,
    }
}

/// The length of a character; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let behind = at + escaped.len_utf8();
            text[behind..].find('\'').map_or(0, |end| behind + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}
